//! Reserved relayed ports (RFC 8656 section 7.2): the odd port after an allocation's even one, held
//! for whoever shows the token.
//!
//! A token is eight random bytes, good once, and only for the user that got it. Of several shards
//! each begins its tokens with its own number: a request that shows one is answered where the port
//! is held ([`token_shard`]).
//!
//! Bounded by the limits on allocations: a reservation counts as one.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::num::NonZeroU16;

use turnpike_stun::{Class, Message, Method};
use turnpike_types::{Entropy, Timestamp, UserId};

use super::ShardSlice;
use crate::attribute::ReservationToken;

/// RESERVATION-TOKEN
pub(super) type Token = [u8; 8];

/// Bytes of a token that name a shard; the other 48 bits stay random.
const SHARD_BYTES: usize = 2;

/// The shard that an Allocate request should be answered by, of `shards`: the one whose token it
/// shows. `None` for everything else, and where no shard of that number is.
///
/// Reads no further than the message's type where it is another.
#[must_use]
pub fn token_shard(bytes: &[u8], shards: u16) -> Option<u16> {
    // Class request, method 3 (RFC 8656 section 17).
    if !bytes.starts_with(&[0x00, 0x03]) {
        return None;
    }
    let message = Message::parse(bytes).ok()?;
    debug_assert_eq!(
        (message.class(), message.method()),
        (Class::Request, Method::ALLOCATE)
    );
    let ReservationToken(token) = message.get().ok()??;
    let shard = u16::from_be_bytes(*token.first_chunk::<SHARD_BYTES>()?);
    (shards > 1 && shard < shards).then_some(shard)
}

/// A token that nobody can guess; its beginning names the shard, where there are several.
pub(super) fn new_token(shard: ShardSlice, entropy: &mut impl Entropy) -> Token {
    let mut token = Token::default();
    entropy.fill(&mut token);
    if let (true, Some(place)) = (shard.count > 1, token.first_chunk_mut::<SHARD_BYTES>()) {
        *place = shard.index.to_be_bytes();
    }
    token
}

/// A port that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    pub(super) user: UserId,
    /// Place of the IP address in the server's list.
    pub(super) address: u16,
    pub(super) port: NonZeroU16,
    pub(super) expires_at: Timestamp,
}

/// The ports that are held.
#[derive(Default)]
pub(super) struct Reservations {
    by_token: BTreeMap<Token, Reservation>,
    by_end: BTreeSet<(Timestamp, Token)>,
}

impl Reservations {
    pub(super) fn len(&self) -> usize {
        self.by_token.len()
    }

    /// Holds a port; `false` where the token is in use.
    pub(super) fn hold(&mut self, token: Token, reservation: Reservation) -> bool {
        if self.by_token.contains_key(&token) {
            return false;
        }
        self.by_token.insert(token, reservation);
        self.by_end.insert((reservation.expires_at, token));
        true
    }

    /// What the token holds for this user, if it is not past its end.
    pub(super) fn find(&self, token: &Token, user: UserId, now: Timestamp) -> Option<Reservation> {
        let found = self.by_token.get(token)?;
        (found.user == user && found.expires_at > now).then_some(*found)
    }

    /// Ends the reservation.
    pub(super) fn remove(&mut self, token: &Token) -> Option<Reservation> {
        let removed = self.by_token.remove(token)?;
        self.by_end.remove(&(removed.expires_at, *token));
        Some(removed)
    }

    /// Takes out one reservation whose end has passed.
    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<Reservation> {
        let (end, token) = *self.by_end.first()?;
        if end > now { None } else { self.remove(&token) }
    }

    /// When the first reservation ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(end, _)| *end)
    }
}

impl fmt::Debug for Reservations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservations({}, tokens redacted)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(secs: u64) -> Reservation {
        Reservation {
            user: UserId(1),
            address: 0,
            port: NonZeroU16::MAX,
            expires_at: Timestamp::from_secs(secs),
        }
    }

    #[test]
    fn reservation_is_found_by_its_user_until_its_end() {
        let mut reservations = Reservations::default();
        assert!(reservations.hold([1; 8], held(30)));
        assert!(!reservations.hold([1; 8], held(40)));
        let at = Timestamp::from_secs;
        assert_eq!(
            reservations.find(&[1; 8], UserId(1), at(29)),
            Some(held(30))
        );
        assert_eq!(reservations.find(&[1; 8], UserId(2), at(29)), None);
        assert_eq!(reservations.find(&[1; 8], UserId(1), at(30)), None);
        assert_eq!(reservations.find(&[2; 8], UserId(1), at(29)), None);
    }

    #[test]
    fn reservations_end_in_their_order_and_taken_ones_wake_nobody() {
        let mut reservations = Reservations::default();
        for (token, secs) in [([1; 8], 30), ([2; 8], 31), ([3; 8], 32)] {
            reservations.hold(token, held(secs));
        }
        assert_eq!(reservations.remove(&[1; 8]), Some(held(30)));
        assert_eq!(reservations.next_end(), Some(Timestamp::from_secs(31)));
        assert_eq!(reservations.pop_expired(Timestamp::from_secs(30)), None);
        assert_eq!(
            reservations.pop_expired(Timestamp::from_secs(40)),
            Some(held(31))
        );
        assert_eq!(
            reservations.pop_expired(Timestamp::from_secs(40)),
            Some(held(32))
        );
        assert_eq!((reservations.len(), reservations.next_end()), (0, None));
    }
}
