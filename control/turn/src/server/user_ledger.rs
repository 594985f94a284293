//! What users hold over all engines of a process, and what number each has, so that a quota and a
//! rate limit are one however many shards there are.
//!
//! Touched when an allocation or a reservation begins and ends, never by a packet. An engine without
//! a ledger counts by itself.
//!
//! Bounded by the allocations of all engines: a user who holds nothing is forgotten.

use core::fmt;

use turnpike_types::UserId;

use super::Refusal;
use super::users::Identity;

/// One count a user, shared by engines on several threads.
///
/// Every count taken is given back exactly once: when the lanes have been told to revoke what it
/// was for, or when the request that took it is refused.
pub trait UserLedger: fmt::Debug + Send + Sync {
    /// Counts `more` allocations or reservations and names the user: by the same number to all
    /// engines, while it holds anything. The look and the count are one step, whatever other threads
    /// do.
    ///
    /// A number is not soon used again: lanes of other engines may not have heard yet that its
    /// former user is gone. Where lanes share
    /// [`UserBuckets`](crate::forward::UserBuckets), no two users have one of them.
    ///
    /// # Errors
    ///
    /// [`Refusal::AllocationQuotaReached`] where the user would then hold over `most`, and
    /// [`Refusal::InsufficientCapacity`] when numbers are used up; nothing is counted then.
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> Result<UserId, Refusal>;

    /// Counts one less.
    fn release(&self, user: &Identity<'_>);
}
