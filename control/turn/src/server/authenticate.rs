//! Who asks: the long-term credential mechanism (RFC 8489 section 9.2.4).
//!
//! Nothing is kept for a request that fails, and a user that does not exist costs what a wrong
//! password does. The order of checks is the RFC's but for the nonce, which comes first: spoofed
//! sources cannot have a valid one, and everything behind it costs more than they should get.
//!
//! Bounded by two MACs for each secret.

use alloc::borrow::Cow;
use alloc::string::ToString;

use turnpike_stun::attribute::USERNAME_MAX;
use turnpike_stun::long_term::{NonceCheck, SecurityFeatures};
use turnpike_stun::{
    AttributeType, IntegrityAlgorithm, IntegrityKey, Message, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Userhash,
};
use turnpike_types::{Entropy, FiveTuple};

use super::allocation::AllocationKey;
use super::output::Seal;
use super::procedure::{Procedure, Refused, Request};
use super::rest::EphemeralUsername;
use super::users::{Identity, UserKind};
use super::{Refusal, Server};

const SHA256: AttributeType = AttributeType::MESSAGE_INTEGRITY_SHA256;

/// What PASSWORD-ALGORITHMS says whenever it is sent.
pub(super) const OFFERED_ALGORITHMS: PasswordAlgorithms<'static> = PasswordAlgorithms::SHA256_MD5;

/// Whoever proved to be someone.
#[derive(Clone, Debug)]
pub(super) struct Authenticated<'a> {
    kind: UserKind,
    name: Cow<'a, str>,
    /// The key that was proved, and that the reply is sealed with; `None` where nobody
    /// authenticates.
    pub(super) key: Option<AllocationKey>,
    /// What the reply is sealed with.
    protection: &'static [IntegrityAlgorithm],
    /// When the credential ends, in seconds since 1970.
    pub(super) expires_at: Option<u64>,
}

impl Authenticated<'_> {
    pub(super) fn identity(&self) -> Identity<'_> {
        Identity {
            kind: self.kind,
            name: &self.name,
        }
    }

    pub(super) fn seal(&self) -> Option<Seal> {
        let algorithms = self.protection;
        self.key.map(|known| Seal {
            algorithms,
            key: known.key,
        })
    }
}

/// What a request says of its sender, before any of it is believed.
struct Claim<'a> {
    message: Message<'a>,
    /// `None` where the name is not even text, or stands for nobody.
    username: Option<Cow<'a, str>>,
    integrity: IntegrityAlgorithm,
    /// `None` where the client chose none, which means MD5.
    chosen: Option<PasswordAlgorithm>,
}

impl Claim<'_> {
    fn is_proved_by(&self, key: &IntegrityKey) -> bool {
        self.message.verify_integrity(self.integrity, key)
    }

    fn algorithm(&self) -> PasswordAlgorithm {
        self.chosen.unwrap_or(PasswordAlgorithm::Md5)
    }

    /// What the reply is sealed with: SHA-256 for a client that negotiates, as RFC 8489 section
    /// 9.2.4 wants; beside it SHA-1 for one that negotiates but sealed its request with SHA-1
    /// alone, since it may read nothing else.
    const fn protection(&self) -> &'static [IntegrityAlgorithm] {
        use IntegrityAlgorithm::{Sha1, Sha256};
        match (self.chosen, self.integrity) {
            (None, _) => &[Sha1],
            (Some(_), Sha256) => &[Sha256],
            (Some(_), Sha1) => &[Sha1, Sha256],
        }
    }
}

impl<E: Entropy> Server<E> {
    /// Finds out who sent a request.
    ///
    /// # Errors
    ///
    /// The refusal to reply with, unauthenticated.
    pub(super) fn authenticate<'a>(
        &self,
        request: &Request<'a>,
    ) -> Result<Authenticated<'a>, Refused> {
        if self.config.anonymous {
            return Ok(anonymous(&request.five_tuple));
        }
        let claim = self.claim(request)?;
        let is_new_work = request.procedure == Procedure::Allocate;
        let must_be_live = is_new_work || self.config.strict_expiry;
        let as_before = if must_be_live {
            None
        } else {
            self.prove_as_before(&claim, request)
        };
        let proved = as_before
            .or_else(|| self.prove(&claim))
            .ok_or(Refusal::Unauthenticated)?;
        if must_be_live && !self.is_live(proved.expires_at) {
            return Err(Refusal::Unauthenticated.into());
        }
        Ok(proved)
    }

    /// What PASSWORD-ALGORITHMS, USERHASH and the nonce cookie offer at present.
    pub(super) fn features(&self) -> SecurityFeatures {
        let credentials = &self.config.credentials;
        let mut features = SecurityFeatures::NONE;
        if credentials.offers_sha256() {
            features = features.union(SecurityFeatures::PASSWORD_ALGORITHMS);
        }
        if credentials.offers_anonymity() {
            features = features.union(SecurityFeatures::USERNAME_ANONYMITY);
        }
        features
    }

    /// Seconds since 1970; `None` until the caller has said.
    pub(super) fn wall_clock(&self) -> Option<u64> {
        let (at, unix_seconds) = self.wall_clock?;
        Some(unix_seconds.saturating_add(self.now.since(at).as_secs()))
    }

    fn is_live(&self, expires_at: Option<u64>) -> bool {
        match expires_at {
            None => true,
            // Without a clock nobody can say that it has not ended.
            Some(end) => self.wall_clock().is_some_and(|now| now < end),
        }
    }

    fn claim<'a>(&self, request: &Request<'a>) -> Result<Claim<'a>, Refused> {
        let message = request.message;
        // Both may be there: the stronger one counts.
        let integrity = [IntegrityAlgorithm::Sha256, IntegrityAlgorithm::Sha1]
            .into_iter()
            .find(|algorithm| message.has_integrity(*algorithm))
            .ok_or(Refusal::Unauthenticated)?;
        // Truncation is for usages that say so (RFC 8489 section 14.6); TURN does not.
        if integrity == IntegrityAlgorithm::Sha256
            && message.raw(SHA256).map(<[u8]>::len) != Some(32)
        {
            return Err(Refusal::BadRequest.into());
        }
        let username = message.raw(AttributeType::USERNAME);
        let userhash = message.get::<Userhash>()?;
        let realm = message
            .raw(AttributeType::REALM)
            .ok_or(Refusal::BadRequest)?;
        let Nonce(nonce) = message.get::<Nonce<'_>>()?.ok_or(Refusal::BadRequest)?;
        if username.is_none() && userhash.is_none()
            || username.is_some_and(|username| username.len() > USERNAME_MAX)
        {
            return Err(Refusal::BadRequest.into());
        }
        // DEVIATION(rfc8489-9.2.4): the nonce is judged before the user and the integrity.
        if self
            .nonces
            .check(self.now, &request.five_tuple.client, nonce)
            != NonceCheck::Valid
        {
            return Err(Refusal::StaleNonce.into());
        }
        let features = SecurityFeatures::of_nonce(nonce).unwrap_or(SecurityFeatures::NONE);
        let chosen = chosen_algorithm(&message, features)?;
        if realm != self.config.realm.as_bytes() {
            return Err(Refusal::Unauthenticated.into());
        }
        let username = match (username, userhash) {
            (Some(username), _) => core::str::from_utf8(username).ok().map(Cow::Borrowed),
            (None, Some(Userhash(hash))) => self.name_of(&hash, features).map(Cow::Owned),
            (None, None) => None,
        };
        Ok(Claim {
            message,
            username,
            integrity,
            chosen,
        })
    }

    fn name_of(
        &self,
        userhash: &[u8; 32],
        features: SecurityFeatures,
    ) -> Option<alloc::string::String> {
        if !features.contains(SecurityFeatures::USERNAME_ANONYMITY) {
            return None;
        }
        let (name, _) = self.config.credentials.user_of_hash(userhash)?;
        Some(name.to_string())
    }

    /// Tries the key that the allocation on this five-tuple was made with: the call goes on
    /// though its credential has ended or its secret has been replaced.
    fn prove_as_before<'a>(
        &self,
        claim: &Claim<'a>,
        request: &Request<'a>,
    ) -> Option<Authenticated<'a>> {
        let id = self.allocations.find(&request.five_tuple)?;
        let allocation = self.allocations.get(id)?;
        let known = allocation
            .key
            .filter(|known| known.algorithm == claim.algorithm())?;
        let candidate = self.named(claim.username.clone()?);
        let same_user = self.users.is(allocation.user, &candidate.identity());
        (same_user && claim.is_proved_by(&known.key)).then(|| Authenticated {
            key: Some(known),
            protection: claim.protection(),
            ..candidate
        })
    }

    /// Tries every key that the name could have now. A name without any is tried with one that
    /// nobody has.
    fn prove<'a>(&self, claim: &Claim<'a>) -> Option<Authenticated<'a>> {
        let username = claim.username.clone().unwrap_or_default();
        let credentials = &self.config.credentials;
        let own_key = credentials
            .user(&username)
            .and_then(|(_, keys)| keys.of(claim.algorithm()));
        let mut proof = None;
        if claim.is_proved_by(&own_key.unwrap_or(self.nobodys_key)) {
            proof = own_key;
        }
        let candidate = self.named(username.clone());
        if candidate.kind == UserKind::Ephemeral && proof.is_none() {
            let secrets = credentials.secret_list().iter();
            proof = secrets
                .flat_map(|secret| secret.keys(claim.algorithm(), &username, &self.config.realm))
                .find(|key| claim.is_proved_by(key));
        }
        let key = AllocationKey {
            key: proof?,
            algorithm: claim.algorithm(),
        };
        Some(Authenticated {
            key: Some(key),
            protection: claim.protection(),
            ..candidate
        })
    }

    /// Who a name would be, were it proved: a user by that name, else one behind a secret.
    fn named<'a>(&self, username: Cow<'a, str>) -> Authenticated<'a> {
        let credentials = &self.config.credentials;
        let ephemeral = EphemeralUsername::parse(&username, credentials.separator())
            .filter(|_| credentials.user(&username).is_none())
            .map(|parsed| (parsed.expires_at, parsed.user.len()));
        let (kind, expires_at, name) = match ephemeral {
            None => (UserKind::Static, None, username),
            Some((expires_at, len)) => (
                UserKind::Ephemeral,
                Some(expires_at),
                last_bytes(username, len),
            ),
        };
        Authenticated {
            kind,
            name,
            key: None,
            protection: &[],
            expires_at,
        }
    }
}

/// The last `len` bytes of a name, which are whole characters.
fn last_bytes(name: Cow<'_, str>, len: usize) -> Cow<'_, str> {
    let start = name.len().saturating_sub(len);
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(start..).unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.get(start..).unwrap_or(&name).to_string()),
    }
}

/// The password algorithm that the client chose, by the rules against bidding down.
fn chosen_algorithm(
    message: &Message<'_>,
    features: SecurityFeatures,
) -> Result<Option<PasswordAlgorithm>, Refusal> {
    let chosen = message.raw(AttributeType::PASSWORD_ALGORITHM);
    let repeated = message.raw(AttributeType::PASSWORD_ALGORITHMS);
    if chosen.is_none() && repeated.is_none() {
        return Ok(None);
    }
    let was_offered = features.contains(SecurityFeatures::PASSWORD_ALGORITHMS);
    if !was_offered || repeated != Some(OFFERED_ALGORITHMS.as_bytes()) {
        return Err(Refusal::BadRequest);
    }
    match message.get::<PasswordAlgorithm>() {
        Ok(Some(algorithm)) => Ok(Some(algorithm)),
        _ => Err(Refusal::BadRequest),
    }
}

/// Everyone, told apart by IP address.
fn anonymous<'a>(five_tuple: &FiveTuple) -> Authenticated<'a> {
    Authenticated {
        kind: UserKind::Anonymous,
        name: Cow::Owned(five_tuple.client.ip().to_string()),
        key: None,
        protection: &[],
        expires_at: None,
    }
}
