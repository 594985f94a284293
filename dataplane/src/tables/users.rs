//! Users with a limit: one bucket each, shared by all shards and all CPUs.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use turnpike_abi::{Terms, UserBucket};
use turnpike_types::{RateLimit, Timestamp, UserId};

use crate::counters::limit;
use crate::lines::Lines;

/// Who has which place of `USERS`. Engines that count users together name them so that the lower bits
/// of two users' numbers differ as long as both hold allocations.
#[derive(Debug)]
pub(crate) struct Users {
    buckets: Lines,
    /// A power of two.
    places: u32,
    holders: HashMap<UserId, Holder>,
}

#[derive(Debug)]
struct Holder {
    rate: RateLimit,
    allocations: u32,
}

impl Users {
    pub(crate) fn new(buckets: Lines, places: u32) -> Self {
        Self {
            buckets,
            places,
            holders: HashMap::new(),
        }
    }

    /// One more allocation of a user. Returns its place; a bucket starts empty with the user's first
    /// allocation, and when its limit changes.
    pub(super) fn join(&mut self, now: Timestamp, user: UserId, rate: &RateLimit) -> u32 {
        if rate.is_unlimited() {
            return Terms::NO_USER;
        }
        let place = user.0 & self.places.wrapping_sub(1);
        let holder = self.holders.entry(user).or_insert(Holder {
            rate: RateLimit::UNLIMITED,
            allocations: 0,
        });
        holder.allocations += 1;
        if holder.rate != *rate {
            holder.rate = *rate;
            let words = UserBucket(limit(rate)).words(now.as_nanos());
            let line = self.buckets.line::<4>(place);
            for (place, word) in line.into_iter().flatten().zip(words) {
                place.store(word, Ordering::Relaxed);
            }
        }
        place
    }

    /// One allocation less.
    pub(super) fn leave(&mut self, user: UserId) {
        if let Some(holder) = self.holders.get_mut(&user) {
            holder.allocations -= 1;
            if holder.allocations == 0 {
                self.holders.remove(&user);
            }
        }
    }
}
