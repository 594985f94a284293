//! A new peer policy cuts what it forbids, also where permission was granted before.
//!
//! New requests are judged by it at once; what is live is judged slot by slot, [`WORK_MAX`] entries
//! a call, and [`poll_timeout`](super::Server::poll_timeout) says so until all are done.

use turnpike_types::{AllocationId, Entropy, Timestamp};

use super::allocation::Permission;
use super::{PeerPolicy, Server, WORK_MAX};

impl<E: Entropy> Server<E> {
    /// Judges peers by another policy from now on, those of live permissions too.
    pub fn set_peer_policy(&mut self, now: Timestamp, policy: PeerPolicy) {
        self.advance(now);
        self.config.peers = policy;
        self.policy_cursor = Some(0);
        self.continue_policy_change();
    }

    /// Goes on judging where the last call stopped.
    pub(super) fn continue_policy_change(&mut self) {
        let mut work_left = WORK_MAX;
        while let Some(slot) = self.policy_cursor {
            if slot >= self.allocations.slots() {
                self.policy_cursor = None;
                return;
            }
            if work_left == 0 {
                return;
            }
            self.policy_cursor = Some(slot + 1);
            let entries = match self.allocations.id_of(slot) {
                Some(id) => self.judge_again(id),
                None => 0,
            };
            work_left = work_left.saturating_sub(entries + 1);
        }
    }

    /// Judges an allocation's peers again and says how many there were.
    fn judge_again(&mut self, id: AllocationId) -> usize {
        let Some(allocation) = self.allocations.get(id) else {
            return 0;
        };
        let permissions = allocation.permissions.clone();
        let channels = allocation.channels.clone();
        for permission in &permissions {
            match self.judge(permission.wire_ip) {
                None => self.drop_permission(id, permission.wire_ip),
                Some(ports) if ports != permission.ports => {
                    let changed = Permission {
                        ports,
                        ..*permission
                    };
                    self.put_permission(id, changed, false);
                }
                Some(_) => {}
            }
        }
        // Whatever became of their permissions: a binding outlives its own and is back with the
        // next, and a client may have refreshed it under the new policy already.
        for channel in &channels {
            let ports = self.judge(channel.wire_peer.ip());
            if !ports.is_some_and(|ports| self.reaches(ports, channel.wire_peer)) {
                self.drop_channel(id, channel.number);
            }
        }
        permissions.len() + channels.len()
    }
}
