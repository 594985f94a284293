//! The client's half (RFC 8489 sections 9.2.3 and 9.2.5): answers challenges, authenticates
//! requests, verifies responses, and refuses to be talked down to weaker algorithms.
//!
//! One server, one user. Bounded by the attributes' own limits and [`CHALLENGES_MAX`] in a row.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use super::SecurityFeatures;
use crate::attribute::USERNAME_MAX;
use crate::{
    Attribute, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Nonce,
    ParseError, PasswordAlgorithm, PasswordAlgorithms, Realm, Userhash, Username, opaque_string,
    userhash,
};

/// How many challenges in a row are answered without a verified response between them.
const CHALLENGES_MAX: u8 = 4;

/// A user name and password, and what the server's last challenge made of them.
pub struct ClientCredential {
    username: String,
    password: Zeroizing<String>,
    challenge: Option<Challenge>,
    /// Challenges answered since the last verified response.
    unverified: u8,
}

/// Why a user name or password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// Empty, too long, or refused by the OpaqueString profile.
    #[error("user name is empty, too long or holds forbidden characters")]
    Username,
    /// Empty or refused by the OpaqueString profile.
    #[error("password is empty or holds forbidden characters")]
    Password,
}

/// What to do about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeAnswer {
    /// Send the request again as a new transaction, with the credential applied.
    Retry,
    /// Do not: the transaction has failed.
    GiveUp(GiveUp),
    /// The response is no 401 and no 438; see [`ClientCredential::verify_response`].
    NotAChallenge,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GiveUp {
    /// The server has seen the credential and refuses it.
    #[error("the server refused the credential")]
    Rejected,
    /// The challenge lacks what its nonce cookie announces, or what the server offered before.
    #[error("the challenge offers less than the server announces")]
    BidDown,
    /// The server offers no password algorithm that we know.
    #[error("no common password algorithm")]
    NoCommonAlgorithm,
    /// REALM, NONCE or PASSWORD-ALGORITHMS is missing or malformed.
    #[error("the challenge is malformed")]
    Malformed,
    /// One challenge after another and never a verified response.
    #[error("too many challenges in a row")]
    TooManyChallenges,
}

struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    /// PASSWORD-ALGORITHMS as received, and the first of them that we know.
    offer: Option<(Vec<u8>, PasswordAlgorithm)>,
    userhash: Option<[u8; 32]>,
    key: IntegrityKey,
    is_verified: bool,
}

impl Challenge {
    const fn integrity(&self) -> IntegrityAlgorithm {
        match self.offer {
            Some(_) => IntegrityAlgorithm::Sha256,
            None => IntegrityAlgorithm::Sha1,
        }
    }
}

impl ClientCredential {
    /// Prepares both with the OpaqueString profile.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] says which of the two cannot be used.
    pub fn new(username: &str, password: &str) -> Result<Self, CredentialError> {
        let username = opaque_string(username)
            .filter(|username| username.len() <= USERNAME_MAX)
            .ok_or(CredentialError::Username)?;
        let password = opaque_string(password).ok_or(CredentialError::Password)?;
        Ok(Self {
            username,
            password: password.into(),
            challenge: None,
            unverified: 0,
        })
    }

    /// Whether a challenge has been accepted, so that requests are authenticated from now on.
    #[must_use]
    pub const fn is_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    /// Takes up a 401 or 438 that answers our last request. Requests must go out one at a time
    /// until the first challenge is answered.
    pub fn handle_challenge(&mut self, response: &Message<'_>) -> ChallengeAnswer {
        let code = match response.get::<ErrorCode<'_>>() {
            Ok(Some(error)) if response.class() == Class::Error => error.code,
            _ => return ChallengeAnswer::NotAChallenge,
        };
        if code != ErrorCode::UNAUTHENTICATED.code && code != ErrorCode::STALE_NONCE.code {
            return ChallengeAnswer::NotAChallenge;
        }
        if self.unverified >= CHALLENGES_MAX {
            return ChallengeAnswer::GiveUp(GiveUp::TooManyChallenges);
        }
        match self.answer(code, response) {
            Ok(challenge) => {
                self.unverified += 1;
                self.challenge = Some(challenge);
                ChallengeAnswer::Retry
            }
            Err(reason) => ChallengeAnswer::GiveUp(reason),
        }
    }

    fn answer(&self, code: u16, response: &Message<'_>) -> Result<Challenge, GiveUp> {
        let Nonce(nonce) = required(response.get())?;
        let features = SecurityFeatures::of_nonce(nonce).unwrap_or_default();
        let offer = offer(features, response)?;
        let realm = response
            .get()
            .map_err(|_| GiveUp::Malformed)?
            .map(|Realm(realm)| realm);
        match &self.challenge {
            Some(last) if realm.is_none_or(|realm| realm == last.realm) => {
                if code == ErrorCode::UNAUTHENTICATED.code {
                    return Err(GiveUp::Rejected);
                }
                // A 438 without a list leaves the algorithm as it was agreed.
                let offer = offer.or_else(|| last.offer.clone());
                Ok(self.challenge(&last.realm, nonce, offer, features))
            }
            Some(last) if last.is_verified && last.offer.is_some() && offer.is_none() => {
                Err(GiveUp::BidDown)
            }
            _ => {
                let realm = realm.ok_or(GiveUp::Malformed)?;
                Ok(self.challenge(realm, nonce, offer, features))
            }
        }
    }

    fn challenge(
        &self,
        realm: &[u8],
        nonce: &[u8],
        offer: Option<(Vec<u8>, PasswordAlgorithm)>,
        features: SecurityFeatures,
    ) -> Challenge {
        let prepared = prepared_realm(realm);
        let algorithm = offer
            .as_ref()
            .map_or(PasswordAlgorithm::Md5, |(_, algorithm)| *algorithm);
        let password = self.password.as_bytes();
        Challenge {
            realm: realm.into(),
            nonce: nonce.into(),
            offer,
            userhash: features
                .contains(SecurityFeatures::USERNAME_ANONYMITY)
                .then(|| userhash(&self.username, &prepared)),
            key: IntegrityKey::long_term(algorithm, &self.username, &prepared, password),
            is_verified: false,
        }
    }

    /// Adds USERNAME or USERHASH, REALM, NONCE, the password algorithms and the integrity to a
    /// request; nothing before the first challenge. Only FINGERPRINT may follow.
    pub fn apply(&self, request: &mut MessageBuilder<'_>) {
        let Some(challenge) = &self.challenge else {
            return;
        };
        match challenge.userhash {
            Some(userhash) => request.attribute(&Userhash(userhash)),
            None => request.attribute(&Username(self.username.as_bytes())),
        };
        request
            .attribute(&Realm(&challenge.realm))
            .attribute(&Nonce(&challenge.nonce));
        if let Some((list, algorithm)) = &challenge.offer {
            request
                .raw(PasswordAlgorithms::TYPE, list)
                .attribute(algorithm);
        }
        request.integrity(challenge.integrity(), &challenge.key);
    }

    /// Whether a response that is no challenge may be believed. One that may not is discarded as
    /// if it had never come (RFC 8489 section 9.2.5).
    ///
    /// Before the first challenge there is nothing to verify with, and every response may.
    pub fn verify_response(&mut self, response: &Message<'_>) -> bool {
        if lacks_announced_algorithms(response) {
            return false;
        }
        let Some(challenge) = &mut self.challenge else {
            return true;
        };
        if !response.verify_integrity(challenge.integrity(), &challenge.key) {
            return false;
        }
        challenge.is_verified = true;
        self.unverified = 0;
        true
    }
}

fn required<T>(attribute: Result<Option<T>, ParseError>) -> Result<T, GiveUp> {
    attribute.ok().flatten().ok_or(GiveUp::Malformed)
}

/// The list of the challenge and our choice from it.
fn offer(
    features: SecurityFeatures,
    response: &Message<'_>,
) -> Result<Option<(Vec<u8>, PasswordAlgorithm)>, GiveUp> {
    let list = response
        .get::<PasswordAlgorithms<'_>>()
        .map_err(|_| GiveUp::Malformed)?;
    let Some(list) = list else {
        if features.contains(SecurityFeatures::PASSWORD_ALGORITHMS) {
            return Err(GiveUp::BidDown);
        }
        return Ok(None);
    };
    let algorithm = list.known().next().ok_or(GiveUp::NoCommonAlgorithm)?;
    Ok(Some((list.as_bytes().into(), algorithm)))
}

fn lacks_announced_algorithms(response: &Message<'_>) -> bool {
    let Ok(Some(Nonce(nonce))) = response.get() else {
        return false;
    };
    SecurityFeatures::of_nonce(nonce)
        .is_some_and(|features| features.contains(SecurityFeatures::PASSWORD_ALGORITHMS))
        && response.raw(PasswordAlgorithms::TYPE).is_none()
}

/// The realm as the key takes it: without quotes and trailing zeros, after OpaqueString. One
/// that the profile refuses is taken as it is, since the server must have done so too.
fn prepared_realm(realm: &[u8]) -> Vec<u8> {
    let end = realm
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let realm = realm.get(..end).unwrap_or_default();
    let unquoted = realm
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(realm);
    match core::str::from_utf8(unquoted).ok().and_then(opaque_string) {
        Some(prepared) => prepared.into_bytes(),
        None => unquoted.into(),
    }
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredential")
            .field("is_challenged", &self.is_challenged())
            .finish_non_exhaustive()
    }
}
