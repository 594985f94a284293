//! Nonces without memory: a challenge to a spoofed source costs the server nothing.
//!
//! A nonce is its time in whole seconds of the caller's clock and a MAC over that time, the
//! client's transport address and the announced features, in base64. The time also says which of
//! the two keys made it, so a check computes at most one MAC. Nothing else is kept: no epoch, no
//! counter, no table. Whoever takes the keys over and goes on with the same clock (a new process
//! on the same boot) accepts what its predecessor minted; after a reboot the clock starts again,
//! keys from its future are not taken over, and clients are challenged once more.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use turnpike_types::{ClientAddr, Deadline, DeadlineReason, Entropy, Timestamp};
use zeroize::Zeroize;

use super::{COOKIE_LEN, SecurityFeatures};
use crate::Nonce;

const TIME_LEN: usize = 4;
/// 80 bits: with the cookie they make 32 characters, which need no padding on the wire.
const MAC_LEN: usize = 10;
const SEAL_LEN: usize = TIME_LEN + MAC_LEN;
const SEAL_TEXT_LEN: usize = 19;
const SECRET_LEN: usize = 32;

/// Most bytes of a nonce that [`NonceMint`] makes.
pub const MINTED_NONCE_MAX: usize = COOKIE_LEN + SEAL_TEXT_LEN;

/// Makes and checks nonces.
pub struct NonceMint {
    current: KeyedMac,
    previous: Option<KeyedMac>,
    lifetime: Duration,
}

/// What a nonce is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonceCheck {
    /// Ours, for this client, and young enough.
    Valid,
    /// Of the right form but of another time: past its lifetime, before our oldest key, or later
    /// than now. Its MAC is not looked at.
    Stale,
    /// Never ours, another client's, or altered.
    Forged,
}

/// A nonce, inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MintedNonce {
    bytes: [u8; MINTED_NONCE_MAX],
    len: usize,
}

/// The keys of a [`NonceMint`], to survive a restart. It prints redacted.
#[derive(Clone, Debug)]
pub struct NonceKeys {
    /// Makes new nonces.
    pub current: NonceKey,
    /// Made those that may still be in use.
    pub previous: Option<NonceKey>,
}

/// One key and the second of the clock from which on it makes nonces. It prints redacted.
#[derive(Clone)]
pub struct NonceKey {
    /// The secret.
    pub secret: [u8; SECRET_LEN],
    /// Whole seconds since the clock's zero.
    pub since_secs: u32,
}

struct KeyedMac {
    key: NonceKey,
    /// Keyed once, cloned for each nonce: half the work of keying afresh.
    mac: Hmac<Sha256>,
}

impl NonceMint {
    /// Draws the first key. Keys change once in a `lifetime`, which is at least a second.
    #[must_use]
    pub fn new(lifetime: Duration, now: Timestamp, entropy: &mut impl Entropy) -> Self {
        Self {
            current: KeyedMac::draw(seconds(now), entropy),
            previous: None,
            lifetime: lifetime.max(Duration::from_secs(1)),
        }
    }

    /// Goes on with keys from [`export`](Self::export), unless they are from the clock's future:
    /// then the clock is another and fresh ones are drawn.
    #[must_use]
    pub fn import(
        keys: NonceKeys,
        lifetime: Duration,
        now: Timestamp,
        entropy: &mut impl Entropy,
    ) -> Self {
        // A rotation within this second starts its key in the next.
        if keys.current.since_secs > seconds(now).saturating_add(1) {
            return Self::new(lifetime, now, entropy);
        }
        Self {
            current: KeyedMac::new(keys.current),
            previous: keys.previous.map(KeyedMac::new),
            lifetime: lifetime.max(Duration::from_secs(1)),
        }
    }

    /// The keys as they stand.
    #[must_use]
    pub fn export(&self) -> NonceKeys {
        NonceKeys {
            current: self.current.key.clone(),
            previous: self.previous.as_ref().map(|previous| previous.key.clone()),
        }
    }

    /// When [`rotate`](Self::rotate) has something to do. Being late weakens nothing but the
    /// change of keys.
    #[must_use]
    pub fn poll_timeout(&self) -> Deadline {
        let since = Timestamp::from_secs(self.current.key.since_secs.into());
        Deadline {
            at: since + self.lifetime,
            reason: DeadlineReason::NonceKey,
        }
    }

    /// Draws a new key if the current one has made nonces for a lifetime; says whether it did.
    pub fn rotate(&mut self, now: Timestamp, entropy: &mut impl Entropy) -> bool {
        if now < self.poll_timeout().at {
            return false;
        }
        // From the next second on: nonces of this second are already out under the old key.
        let next = KeyedMac::draw(seconds(now).saturating_add(1), entropy);
        self.previous = Some(core::mem::replace(&mut self.current, next));
        true
    }

    /// Makes a nonce for a client. It starts with a cookie if there are features to announce.
    #[must_use]
    pub fn mint(
        &self,
        now: Timestamp,
        client: &ClientAddr,
        features: SecurityFeatures,
    ) -> MintedNonce {
        let time = seconds(now);
        let key = self.key_of(time).unwrap_or(&self.current);
        let cookie_len = if features.is_empty() { 0 } else { COOKIE_LEN };
        let mut bytes = [0; MINTED_NONCE_MAX];
        let (cookie, text) = bytes.split_at_mut(cookie_len);
        cookie
            .iter_mut()
            .zip(features.cookie())
            .for_each(|(to, from)| *to = from);
        let written = URL_SAFE_NO_PAD.encode_slice(key.seal(time, client, features), text);
        debug_assert_eq!(written, Ok(SEAL_TEXT_LEN));
        MintedNonce {
            bytes,
            len: cookie_len + SEAL_TEXT_LEN,
        }
    }

    /// Judges the value of a NONCE that a client sent.
    #[must_use]
    pub fn check(&self, now: Timestamp, client: &ClientAddr, nonce: &[u8]) -> NonceCheck {
        let Some((features, text)) = split_cookie(nonce) else {
            return NonceCheck::Forged;
        };
        let Some(seal) = decode_seal(text) else {
            return NonceCheck::Forged;
        };
        let [t0, t1, t2, t3, ..] = seal;
        let time = u32::from_be_bytes([t0, t1, t2, t3]);
        let age = now.since(Timestamp::from_secs(time.into()));
        if time > seconds(now) || age > self.lifetime {
            return NonceCheck::Stale;
        }
        match self.key_of(time) {
            None => NonceCheck::Stale,
            Some(key) if bool::from(key.seal(time, client, features).ct_eq(&seal)) => {
                NonceCheck::Valid
            }
            Some(_) => NonceCheck::Forged,
        }
    }

    fn key_of(&self, time: u32) -> Option<&KeyedMac> {
        if time >= self.current.key.since_secs {
            return Some(&self.current);
        }
        self.previous
            .as_ref()
            .filter(|previous| time >= previous.key.since_secs)
    }
}

impl KeyedMac {
    fn new(key: NonceKey) -> Self {
        let mut block = [0; 64];
        block
            .iter_mut()
            .zip(key.secret)
            .for_each(|(to, from)| *to = from);
        let mac = Hmac::new(&block.into());
        block.zeroize();
        Self { key, mac }
    }

    fn draw(since_secs: u32, entropy: &mut impl Entropy) -> Self {
        let mut secret = [0; SECRET_LEN];
        entropy.fill(&mut secret);
        Self::new(NonceKey { secret, since_secs })
    }

    /// The time and the MAC over it and whatever else the nonce is bound to.
    fn seal(&self, time: u32, client: &ClientAddr, features: SecurityFeatures) -> [u8; SEAL_LEN] {
        let time = time.to_be_bytes();
        let ip = match client.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut mac = self.mac.clone();
        mac.update(&time);
        mac.update(&features.to_bytes());
        mac.update(&client.port().to_be_bytes());
        mac.update(&ip.octets());
        let mut seal = [0; SEAL_LEN];
        let bytes = time.into_iter().chain(mac.finalize().into_bytes());
        seal.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        seal
    }
}

/// Whole seconds of the clock; they fit for 136 years after its zero.
fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// The announced features and the rest, if the length is that of a nonce of ours.
fn split_cookie(nonce: &[u8]) -> Option<(SecurityFeatures, &[u8])> {
    match nonce.len() {
        SEAL_TEXT_LEN => Some((SecurityFeatures::NONE, nonce)),
        MINTED_NONCE_MAX => {
            let features = SecurityFeatures::of_nonce(nonce)?;
            Some((features, nonce.get(COOKIE_LEN..)?))
        }
        _ => None,
    }
}

fn decode_seal(text: &[u8]) -> Option<[u8; SEAL_LEN]> {
    // One group of characters more than needed: the decoder sizes its output before it decodes.
    let mut bytes = [0; SEAL_LEN + 4];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(SEAL_LEN) => bytes.first_chunk().copied(),
        _ => None,
    }
}

impl MintedNonce {
    /// The bytes of the NONCE value: printable ASCII, legal in a quoted string.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The attribute.
    #[must_use]
    pub fn as_attribute(&self) -> Nonce<'_> {
        Nonce(self.as_bytes())
    }
}

impl fmt::Debug for MintedNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintedNonce({})", self.as_bytes().escape_ascii())
    }
}

impl Drop for NonceKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceKey(redacted, since {}s)", self.since_secs)
    }
}

impl fmt::Debug for NonceMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceMint")
            .field("current", &self.current.key)
            .field(
                "previous",
                &self.previous.as_ref().map(|previous| &previous.key),
            )
            .field("lifetime", &self.lifetime)
            .finish()
    }
}
