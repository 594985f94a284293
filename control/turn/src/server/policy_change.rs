//! A new peer policy cuts what it forbids, also where permission was granted before.
//!
//! New requests are judged by it at once; what is live is judged slot by slot, [`WORK_MAX`] entries
//! a call, and [`poll_timeout`](super::Server::poll_timeout) says so until all are done.

use alloc::vec::Vec;

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
        for permission in &permissions {
            match self.judge(self.known_ip(permission)) {
                None => self.cut(id, permission),
                Some(ports) if ports != permission.ports => {
                    let changed = Permission {
                        ports,
                        ..*permission
                    };
                    self.put_permission(id, changed, false);
                    self.cut_channels(id, &changed);
                }
                Some(_) => {}
            }
        }
        permissions.len()
    }

    fn cut(&mut self, id: AllocationId, permission: &Permission) {
        self.drop_permission(id, permission.wire_ip);
        let nothing = turnpike_types::PortRule {
            min: 1,
            max: 0,
            guarded: false,
        };
        self.cut_channels(
            id,
            &Permission {
                ports: nothing,
                ..*permission
            },
        );
    }

    /// Ends the bindings to ports that the permission does not let through.
    fn cut_channels(&mut self, id: AllocationId, permission: &Permission) {
        let Some(allocation) = self.allocations.get(id) else {
            return;
        };
        let to_peer = |wire_peer: turnpike_types::PeerAddr| wire_peer.ip() == permission.wire_ip;
        let cut: Vec<_> = allocation
            .channels
            .iter()
            .filter(|channel| to_peer(channel.wire_peer))
            .filter(|channel| !self.reaches(permission, channel.wire_peer))
            .map(|channel| channel.number)
            .collect();
        for number in cut {
            self.drop_channel(id, number);
        }
    }
}
