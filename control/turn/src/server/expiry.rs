//! The end of things: allocations, permissions, channel bindings, reservations.
//!
//! One timer an allocation, armed for the first end of all that it holds. A refresh does not touch
//! the timer; when it goes off, the allocation is looked at and the timer set again. Before a
//! procedure looks at an allocation it is swept, so that what is past its end is never met.
//!
//! Bounded a call by [`WORK_MAX`]; what is left is due at once.

use alloc::vec::Vec;

use turnpike_types::{AllocationId, Deadline, DeadlineReason, Entropy, FiveTuple, Timestamp};

use super::intent::{channel_key, permission_key};
use super::output::{Event, Queued};
use super::{EndReason, Server, WORK_MAX};

impl<E: Entropy> Server<E> {
    /// Does what is due. To be called at [`poll_timeout`](Self::poll_timeout)'s instant or later;
    /// earlier does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        self.nonces.rotate(self.now, &mut self.entropy);
        for _ in 0..WORK_MAX {
            if self.outputs.len() >= WORK_MAX {
                return;
            }
            let Some(slot) = self.wheel.pop_due(self.now) else {
                break;
            };
            if let Some(id) = self.allocations.id_of(slot) {
                self.sweep(id);
            }
        }
        for _ in 0..WORK_MAX {
            let Some(expired) = self.reservations.pop_expired(self.now) else {
                break;
            };
            self.relays.give_back(expired.address, expired.port);
            self.users.release(expired.user);
        }
        self.continue_policy_change();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, and what for. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let expiry = |at| Deadline {
            at,
            reason: DeadlineReason::Expiry,
        };
        let allocations = self.wheel.next().map(expiry);
        let reservations = self.reservations.next_end().map(expiry);
        let continuation = self.policy_cursor.map(|_| Deadline {
            at: self.now,
            reason: DeadlineReason::Continuation,
        });
        let nonces = Some(self.nonces.poll_timeout());
        let all = [continuation, allocations, reservations, nonces];
        all.into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Sweeps the allocation of a five-tuple if something it holds may be past its end.
    pub(super) fn sweep_if_due(&mut self, five_tuple: &FiveTuple) {
        let Some(id) = self.allocations.find(five_tuple) else {
            return;
        };
        if self
            .allocations
            .get(id)
            .is_some_and(|found| found.deadline <= self.now)
        {
            self.sweep(id);
        }
    }

    /// Ends what is past its end, and sets the timer for what is not.
    pub(super) fn sweep(&mut self, id: AllocationId) {
        let now = self.now;
        let Some(allocation) = self.allocations.get(id) else {
            return;
        };
        if allocation.expires_at() <= now {
            return self.end(id, EndReason::Expired);
        }
        let channels = allocation
            .channels
            .iter()
            .filter(|channel| channel.expires_at <= now);
        let channels: Vec<_> = channels.map(|channel| channel.number).collect();
        let permissions = allocation
            .permissions
            .iter()
            .filter(|known| known.expires_at <= now);
        let permissions: Vec<_> = permissions.map(|permission| permission.wire_ip).collect();
        let is_over = |family| {
            allocation
                .relay(family)
                .is_some_and(|it| it.expires_at <= now)
        };
        let relays: Vec<_> = allocation
            .families()
            .filter(|family| is_over(*family))
            .collect();
        for number in channels {
            self.drop_channel(id, number);
        }
        for wire_ip in permissions {
            self.drop_permission(id, wire_ip);
        }
        for family in relays {
            self.drop_relay(id, family);
        }
        if let Some(allocation) = self.allocations.get_mut(id) {
            allocation.deadline = allocation.first_end();
            self.wheel.arm(id.slot, allocation.deadline);
        }
    }

    /// Sets an allocation's timer earlier if something ends before it goes off.
    pub(super) fn look_again_by(&mut self, id: AllocationId, end: Timestamp) {
        if let Some(allocation) = self.allocations.get_mut(id)
            && end < allocation.deadline
        {
            allocation.deadline = end;
            self.wheel.arm(id.slot, end);
        }
    }

    /// Ends an allocation: channels, permissions and relayed addresses are revoked, in this order,
    /// and then its ports and its user's hold are free.
    pub(super) fn end(&mut self, id: AllocationId, reason: EndReason) {
        let keys = [
            turnpike_types::AddressFamily::Ipv4,
            turnpike_types::AddressFamily::Ipv6,
        ]
        .map(|family| self.relay_key(id, family));
        let Some(allocation) = self.allocations.remove(id) else {
            return;
        };
        self.wheel.disarm(id.slot);
        for channel in &allocation.channels {
            if allocation.permission(channel.wire_peer.ip()).is_some() {
                self.revoke(channel_key(id, channel.number));
            }
        }
        for permission in &allocation.permissions {
            self.revoke(permission_key(id, permission.wire_ip));
        }
        self.outputs.push(Queued::Event(Event::AllocationEnded {
            allocation: id,
            five_tuple: allocation.five_tuple,
            user: allocation.user,
            reason,
        }));
        let last = allocation.relays.iter().rposition(Option::is_some);
        for (index, (relay, key)) in allocation.relays.into_iter().zip(keys).enumerate() {
            let user = (Some(index) == last).then_some(allocation.user);
            if let Some(relay) = relay {
                self.free_relay(relay, key, user);
            }
        }
        match reason {
            EndReason::Expired => self.counters.allocations_expired += 1,
            _ => self.counters.allocations_ended += 1,
        }
    }

    fn revoke(&mut self, key: turnpike_types::EntryKey) {
        self.outputs
            .command(turnpike_types::Action::Revoke(key), false, None);
    }
}
