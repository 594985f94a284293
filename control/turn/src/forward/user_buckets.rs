//! Token buckets of users, shared by the lanes of several engines: a user's limit is one number
//! however many shards its allocations lie on.
//!
//! Not a table of users: whoever names them ([`UserLedger`](crate::server::UserLedger)) sees to it
//! that no two at a time have one bucket.
//!
//! Bounded by the room made at the start; a packet costs a few atomic instructions and no lock, and
//! one of a user without a limit touches nothing here.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use turnpike_types::{RateLimit, SharedBucket, Timestamp, UserId};

/// One bucket a user, found by the lower bits of its number.
#[derive(Debug)]
pub struct UserBuckets(Box<[Place]>);

/// Half a cache line, so that a neighbour is met there seldom.
#[derive(Debug)]
#[repr(align(32))]
struct Place {
    /// The user that the bucket was last emptied for.
    owner: AtomicU64,
    bucket: SharedBucket,
}

impl UserBuckets {
    /// Makes buckets for so many users, up to the next power of two and at most `USERS_MAX`.
    #[must_use]
    pub fn new(users: usize) -> Self {
        let place = |_| Place {
            owner: AtomicU64::new(NOBODY),
            bucket: SharedBucket::default(),
        };
        Self((0..Self::places(users)).map(place).collect())
    }

    /// How many buckets [`new`](Self::new) makes: users whose numbers differ by less, or by no
    /// multiple of it, have each their own.
    #[must_use]
    pub fn places(users: usize) -> u32 {
        let users = u32::try_from(users).unwrap_or(USERS_MAX);
        users.clamp(1, USERS_MAX).next_power_of_two()
    }

    /// A user's first allocation in one lane. Its bucket starts empty if it is the first in all of
    /// them: who comes back brings no burst along, nor finds what another user left.
    ///
    /// Of lanes that do this at once one empties it, and what another's packet takes the instant
    /// before is lost to nobody but the former user.
    pub(super) fn enter(&self, user: UserId, limit: &RateLimit, now: Timestamp) {
        let Some(place) = self.place(user) else {
            return;
        };
        let owner = u64::from(user.0);
        if place.owner.swap(owner, Ordering::Relaxed) != owner {
            place.bucket.empty(limit, now);
        }
    }

    /// Begins anew, under another limit.
    pub(super) fn empty(&self, user: UserId, limit: &RateLimit, now: Timestamp) {
        if let Some(place) = self.place(user) {
            place.bucket.empty(limit, now);
        }
    }

    /// Charges a packet to the user, if the limit allows it.
    pub(super) fn take(
        &self,
        user: UserId,
        limit: &RateLimit,
        now: Timestamp,
        bytes: usize,
    ) -> bool {
        limit.is_unlimited()
            || self
                .place(user)
                .is_some_and(|place| place.bucket.take(limit, now, bytes))
    }

    fn place(&self, user: UserId) -> Option<&Place> {
        let mask = self.0.len().wrapping_sub(1);
        self.0.get(user.0 as usize & mask)
    }
}

/// 128 MiB of buckets.
const USERS_MAX: u32 = 1 << 22;

/// No number of a user.
const NOBODY: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: RateLimit = RateLimit {
        packets_per_second: Some(10),
        bytes_per_second: None,
    };
    const FULL: Timestamp = Timestamp::from_secs(1);

    fn taken(buckets: &UserBuckets, user: UserId, now: Timestamp) -> usize {
        (0..100)
            .take_while(|_| buckets.take(user, &TEN, now, 1))
            .count()
    }

    #[test]
    fn place_is_half_a_cache_line() {
        assert_eq!(size_of::<Place>(), 32);
    }

    #[test]
    fn room_is_a_power_of_two_and_has_a_bound() {
        assert_eq!(UserBuckets::new(0).0.len(), 1);
        assert_eq!(UserBuckets::new(5).0.len(), 8);
        assert_eq!(UserBuckets::places(usize::MAX), USERS_MAX);
    }

    #[test]
    fn bucket_is_emptied_for_each_user_once() {
        let buckets = UserBuckets::new(4);
        let (first, next) = (UserId(1), UserId(5));
        buckets.enter(first, &TEN, Timestamp::ZERO);
        assert_eq!(taken(&buckets, first, Timestamp::ZERO), 0);
        buckets.enter(first, &TEN, FULL);
        assert_eq!(taken(&buckets, first, FULL), 10);
        let later = Timestamp::from_secs(9);
        buckets.enter(next, &TEN, later);
        assert_eq!(taken(&buckets, next, later), 0);
    }

    #[test]
    fn user_of_the_highest_number_starts_empty_too() {
        let buckets = UserBuckets::new(1);
        let user = UserId(u32::MAX);
        buckets.enter(user, &TEN, FULL);
        assert_eq!(taken(&buckets, user, FULL), 0);
    }

    #[test]
    fn neighbours_do_not_share() {
        let buckets = UserBuckets::new(2);
        for user in [UserId(0), UserId(1)] {
            buckets.enter(user, &TEN, Timestamp::ZERO);
        }
        assert_eq!(taken(&buckets, UserId(0), FULL), 10);
        assert_eq!(taken(&buckets, UserId(1), FULL), 10);
    }
}
