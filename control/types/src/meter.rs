//! Limits that several lanes share, kept by one of them.

use core::fmt::Debug;

use crate::{AllocationId, DropReason, Timestamp};

/// Charges packets to the buckets of allocations and users.
pub trait Meter: Debug + Send + Sync {
    /// Charges one packet with so many bytes of payload: allocation and user both pay, or neither.
    ///
    /// # Errors
    /// [`DropReason::AllocationRate`] or [`DropReason::UserRate`] when that bucket has not enough in it,
    /// [`DropReason::NoAllocation`] when the allocation is not known.
    fn charge(&self, id: AllocationId, now: Timestamp, bytes: usize) -> Result<(), DropReason>;
}
