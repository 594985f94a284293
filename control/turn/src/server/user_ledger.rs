//! What users hold over all engines of a process, so that a quota is one number however many shards
//! there are.
//!
//! Touched when an allocation or a reservation begins and ends, never by a packet. An engine without
//! a ledger counts by itself.
//!
//! Bounded by the allocations of all engines: a user who holds nothing is forgotten.

use core::fmt;

use super::users::Identity;

/// One count a user, shared by engines on several threads.
///
/// Every count taken is given back exactly once: when the lanes have been told to revoke what it
/// was for, or when the request that took it is refused.
pub trait UserLedger: fmt::Debug + Send + Sync {
    /// Counts `more` allocations or reservations, unless the user would then hold over `most`. The
    /// look and the count are one step, whatever other threads do.
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> bool;

    /// Counts one less.
    fn release(&self, user: &Identity<'_>);
}
