//! One allocation as its client knows it, and when each of its parts ends.

use std::net::IpAddr;

use turnpike_types::{AddressFamily, Timestamp};

use super::{Allocation, Relay, slot};

impl Allocation {
    pub(super) fn relay(&self, family: AddressFamily) -> Option<Relay> {
        self.relays[slot(family)]
    }

    pub(super) fn ends_at(&self) -> Timestamp {
        let ends = self.relays.iter().flatten().map(|relay| relay.ends_at);
        ends.max().unwrap_or(Timestamp::ZERO)
    }

    pub(super) fn is_live(&self, at: Timestamp) -> bool {
        self.ends_at() > at
    }

    /// The effective end of a permission.
    pub(super) fn permission_end(&self, wire_ip: IpAddr) -> Option<Timestamp> {
        let permission = self.permissions.get(&wire_ip)?;
        let relay = self.relay(AddressFamily::of(&wire_ip))?;
        Some(permission.ends_at.min(relay.ends_at))
    }

    /// Forgets what is past its end.
    pub(super) fn prune(&mut self, at: Timestamp) {
        for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
            if self.relay(family).is_some_and(|relay| relay.ends_at <= at) {
                self.drop_family(family);
            }
        }
        self.permissions
            .retain(|_, permission| permission.ends_at > at);
        self.channels.retain(|_, channel| channel.ends_at > at);
    }

    pub(super) fn drop_family(&mut self, family: AddressFamily) {
        self.relays[slot(family)] = None;
        self.permissions
            .retain(|ip, _| AddressFamily::of(ip) != family);
        self.channels
            .retain(|_, channel| AddressFamily::of(&channel.peer.ip()) != family);
    }

    /// The policy no longer admits the peer: channels go too, whether they carry anything or not.
    pub(super) fn cut(&mut self, wire_ip: IpAddr) {
        self.permissions.remove(&wire_ip);
        self.channels
            .retain(|_, channel| channel.peer.ip() != wire_ip);
    }
}
