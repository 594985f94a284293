//! What the server counts: every request and every packet it ends, by reason.
//!
//! Plain numbers for metrics; nothing here decides anything.

use turnpike_types::DropReason;

use super::{Procedure, Refusal};

/// Totals since the server was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    granted: [u64; Procedure::ALL.len()],
    refused: [[u64; Refusal::ALL.len()]; Procedure::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Binding indications, which keep NAT bindings alive and are never answered.
    pub binding_indications: u64,
    /// Allocations that came to be.
    pub allocations_created: u64,
    /// Allocations that ended for want of a refresh.
    pub allocations_expired: u64,
    /// Allocations that ended otherwise.
    pub allocations_ended: u64,
    /// Data indications sent for ICMP errors.
    pub icmp_relayed: u64,
    /// ICMP errors without a live allocation and permission, or of no interest to clients.
    pub icmp_dropped: u64,
    /// Commands that a lane could not carry out.
    pub commands_failed: u64,
    /// Failures reported too late to be answered for; a fault of the caller.
    pub commands_failed_late: u64,
    /// Replies that did not fit the caller's buffer; a fault of the caller.
    pub replies_lost: u64,
}

impl Counters {
    /// How many requests of a procedure were granted.
    #[must_use]
    pub fn granted(&self, procedure: Procedure) -> u64 {
        self.granted.get(procedure as usize).copied().unwrap_or(0)
    }

    /// How many requests of a procedure were refused with this code.
    #[must_use]
    pub fn refused(&self, procedure: Procedure, refusal: Refusal) -> u64 {
        let row = self.refused.get(procedure as usize);
        row.and_then(|row| row.get(refusal as usize))
            .copied()
            .unwrap_or(0)
    }

    /// How many packets were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn count_granted(&mut self, procedure: Procedure) {
        increment(self.granted.get_mut(procedure as usize));
    }

    pub(super) fn count_refused(&mut self, procedure: Procedure, refusal: Refusal) {
        let row = self.refused.get_mut(procedure as usize);
        increment(row.and_then(|row| row.get_mut(refusal as usize)));
    }

    pub(super) fn count_dropped(&mut self, reason: DropReason) {
        increment(self.dropped.get_mut(reason as usize));
    }
}

fn increment(counter: Option<&mut u64>) {
    if let Some(counter) = counter {
        *counter = counter.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_procedure_and_code_has_its_own_counter() {
        let mut counters = Counters::default();
        counters.count_refused(Procedure::Allocate, Refusal::StaleNonce);
        counters.count_refused(Procedure::Allocate, Refusal::StaleNonce);
        counters.count_refused(Procedure::Refresh, Refusal::StaleNonce);
        assert_eq!(
            counters.refused(Procedure::Allocate, Refusal::StaleNonce),
            2
        );
        assert_eq!(counters.refused(Procedure::Refresh, Refusal::StaleNonce), 1);
        assert_eq!(
            counters.refused(Procedure::Allocate, Refusal::BadRequest),
            0
        );
    }
}
