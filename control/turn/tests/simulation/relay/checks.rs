//! What must hold once outputs are drained and timers have run, and at the very end.

use turnpike_types::Timestamp;

use super::{Counts, Relay};
use crate::violation::{Checked, ensure};

impl Relay {
    /// Checks that nothing is left.
    pub(crate) fn check_end(&mut self, now: Timestamp) -> Checked {
        self.lane.check_empty(now)?;
        let left = (
            self.server.allocations(),
            self.server.users(),
            self.server.reservations(),
        );
        ensure!(
            left == (0, 0, 0),
            EmptyAtTheEnd,
            "allocations, users, reservations: {left:?}"
        );
        let free = self.server.free_ports();
        let all = self.ports_max;
        ensure!(
            free == all,
            PortsAccounted,
            "{free} of {all} ports are free"
        );
        ensure!(
            self.model.is_empty(now),
            EmptyAtTheEnd,
            "the model is not empty"
        );
        let entries = self.executor.entries().count();
        ensure!(
            entries == 0,
            EmptyAtTheEnd,
            "the executor has {entries} entries"
        );
        Ok(())
    }

    pub(super) fn check(&mut self, now: Timestamp) -> Checked {
        let Counts {
            forwarded,
            passed,
            dropped,
        } = self.counts;
        let counted = self.lane.forwarder.counters();
        let theirs = (counted.forwarded(), counted.passed, counted.dropped_total());
        let ours = (forwarded, passed, dropped);
        let balances = theirs == ours && counted.received() == forwarded + passed + dropped;
        ensure!(
            balances,
            LaneConservation,
            "{theirs:?} counted, {ours:?} seen"
        );
        let due = self.server.poll_timeout().is_none_or(|due| due.at > now);
        ensure!(
            due,
            DeadlineAhead,
            "{:?} at {now}",
            self.server.poll_timeout()
        );
        let (lane, model) = (self.lane.version, self.model.version);
        let ends = self.lane.first_end().is_some_and(|end| end <= now);
        if !ends && (lane, model) == (self.agreed.0, self.agreed.1) {
            return Ok(());
        }
        self.model.check_lane(now, &self.lane)?;
        self.agreed = (lane, model, now);
        self.check_tables()
    }

    fn check_tables(&self) -> Checked {
        let allocations = self.server.allocations();
        let open = self.lane.allocations();
        ensure!(
            allocations == open,
            MemoryBounded,
            "{allocations} allocations, {open} open"
        );
        ensure!(
            allocations <= self.limit,
            QuotaKept,
            "{allocations} allocations"
        );
        let (free, reserved) = (self.server.free_ports(), self.server.reservations());
        let (relays, all) = (self.lane.relays(), self.ports_max);
        ensure!(
            free + reserved + relays == all,
            PortsAccounted,
            "{free} free, {reserved} reserved and {relays} open make not {all}"
        );
        let held = self.ledger.as_ref().map(|ledger| ledger.total());
        ensure!(
            held.is_none_or(|held| held == allocations + reserved),
            QuotaKept,
            "{held:?} held for {allocations} allocations and {reserved} reservations"
        );
        let users = self.server.users();
        ensure!(
            users <= allocations + reserved,
            MemoryBounded,
            "{users} users"
        );
        Ok(())
    }
}
