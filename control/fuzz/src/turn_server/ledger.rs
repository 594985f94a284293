//! The commands' own book: what the lanes have been told, and what must hold of it.
//!
//! It knows nothing of the server but its commands. Nothing may be forwarded, promised or free that
//! this book does not say is.

use std::net::IpAddr;
use std::time::Duration;

use turnpike_turn::forward::{ToClient, ToPeer};
use turnpike_turn::server::{Limits, TICK};
use turnpike_types::{
    Action, AllocationEntry, ChannelEntry, ChannelNumber, Entry, EntryKey, FiveTuple, PeerAddr,
    PermissionEntry, RelayedAddr, Timestamp,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) addresses: Vec<AllocationEntry>,
    pub(super) permissions: Vec<PermissionEntry>,
    pub(super) channels: Vec<ChannelEntry>,
}

impl Ledger {
    /// Books a command that was carried out.
    pub(super) fn book(&mut self, action: &Action) {
        match action {
            Action::Install(Entry::Allocation(entry)) => self.book_address(entry),
            Action::Install(Entry::Permission(entry)) => self.book_permission(entry),
            Action::Install(Entry::Channel(entry)) => self.book_channel(entry),
            Action::Refresh { key, expires_at } => {
                *self.end_of(key).expect("a refresh of what is there") = *expires_at;
            }
            Action::Revoke(key) => self.strike(key),
        }
    }

    fn book_address(&mut self, entry: &AllocationEntry) {
        for other in &self.addresses {
            let same = other.allocation == entry.allocation;
            assert!(
                same || other.relayed != entry.relayed,
                "a port in two live allocations"
            );
            assert!(
                same || other.five_tuple != entry.five_tuple,
                "two allocations, one five-tuple"
            );
            assert!(
                !same || other.five_tuple == entry.five_tuple,
                "an allocation that moved"
            );
        }
        self.addresses
            .retain(|other| other.relayed != entry.relayed);
        self.addresses.push(*entry);
    }

    fn book_permission(&mut self, entry: &PermissionEntry) {
        assert!(
            self.is_open(entry.relayed),
            "a permission before its relayed address"
        );
        assert_eq!(
            entry.relayed.0.is_ipv4(),
            entry.wire_ip.is_ipv4(),
            "of another family"
        );
        let is_it = |other: &PermissionEntry| {
            (other.allocation, other.wire_ip) == (entry.allocation, entry.wire_ip)
        };
        self.permissions.retain(|other| !is_it(other));
        self.permissions.push(*entry);
    }

    fn book_channel(&mut self, entry: &ChannelEntry) {
        assert!(
            self.is_open(entry.relayed),
            "a channel before its relayed address"
        );
        let is_it = |other: &ChannelEntry| {
            (other.allocation, other.number) == (entry.allocation, entry.number)
        };
        self.channels.retain(|other| !is_it(other));
        self.channels.push(*entry);
    }

    fn strike(&mut self, key: &EntryKey) {
        match key {
            EntryKey::Allocation { relayed, .. } => {
                let hangs = self.permissions.iter().any(|it| it.relayed == *relayed)
                    || self.channels.iter().any(|it| it.relayed == *relayed);
                assert!(!hangs, "a relayed address revoked before what hangs on it");
                self.addresses.retain(|it| it.relayed != *relayed);
            }
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => self
                .permissions
                .retain(|it| (it.allocation, it.wire_ip) != (*allocation, *wire_ip)),
            EntryKey::Channel { allocation, number } => {
                self.channels
                    .retain(|it| (it.allocation, it.number) != (*allocation, *number));
            }
        }
    }

    fn end_of(&mut self, key: &EntryKey) -> Option<&mut Timestamp> {
        match key {
            EntryKey::Allocation { relayed, .. } => {
                let mut addresses = self.addresses.iter_mut();
                addresses
                    .find(|it| it.relayed == *relayed)
                    .map(|it| &mut it.expires_at)
            }
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                let mut permissions = self.permissions.iter_mut();
                let is_it = |it: &&mut PermissionEntry| {
                    (it.allocation, it.wire_ip) == (*allocation, *wire_ip)
                };
                permissions.find(is_it).map(|it| &mut it.expires_at)
            }
            EntryKey::Channel { allocation, number } => {
                let mut channels = self.channels.iter_mut();
                let is_it =
                    |it: &&mut ChannelEntry| (it.allocation, it.number) == (*allocation, *number);
                channels.find(is_it).map(|it| &mut it.expires_at)
            }
        }
    }

    fn is_open(&self, relayed: RelayedAddr) -> bool {
        self.addresses.iter().any(|it| it.relayed == relayed)
    }

    /// What must hold whenever the server has nothing more to say.
    pub(super) fn check(&self, limits: &Limits) {
        for it in &self.permissions {
            let anchor = self
                .addresses
                .iter()
                .find(|address| address.relayed == it.relayed);
            let anchor = anchor.expect("a permission without its relayed address");
            assert_eq!(anchor.allocation, it.allocation);
            assert!(
                it.expires_at <= anchor.expires_at,
                "a permission outlives its allocation"
            );
            let same = self
                .permissions
                .iter()
                .filter(|other| other.allocation == it.allocation);
            assert!(same.count() <= limits.permissions_per_allocation);
        }
        for it in &self.channels {
            let is_its = |permission: &&PermissionEntry| {
                permission.allocation == it.allocation && permission.wire_ip == it.wire_peer.ip()
            };
            let permission = self.permissions.iter().find(is_its);
            let permission = permission.expect("a channel without a permission");
            assert_eq!(permission.relayed, it.relayed);
            assert!(
                it.expires_at <= permission.expires_at,
                "a channel outlives its permission"
            );
            let same = || {
                self.channels
                    .iter()
                    .filter(|other| other.allocation == it.allocation)
            };
            assert!(same().count() <= limits.channels_per_allocation);
            assert_eq!(
                same()
                    .filter(|other| other.wire_peer == it.wire_peer)
                    .count(),
                1
            );
        }
        for it in &self.addresses {
            let of_user = self.addresses.iter().filter(|other| other.user == it.user);
            let first_of = |it: &&AllocationEntry| {
                self.addresses
                    .iter()
                    .find(|other| other.allocation == it.allocation)
                    == Some(*it)
            };
            let held = of_user.filter(first_of).count();
            assert!(held <= usize::try_from(limits.allocations_per_user).expect("64 bits"));
        }
    }

    /// Nothing may stay for longer than a tick of the timers after its end.
    pub(super) fn check_ends(&self, now: Timestamp) {
        let ends = self.addresses.iter().map(|it| it.expires_at);
        let ends = ends.chain(self.permissions.iter().map(|it| it.expires_at));
        let ends = ends.chain(self.channels.iter().map(|it| it.expires_at));
        for end in ends {
            let latest = end + TICK + Duration::from_millis(1);
            assert!(
                latest > now,
                "an entry that ended at {end} is still there at {now}"
            );
        }
    }

    /// A packet to a peer needs a channel to it or a permission for it.
    pub(super) fn justify_to_peer(&self, now: Timestamp, packet: &ToPeer) {
        assert!(self.is_open(packet.relayed));
        let by_channel = self.channels.iter().any(|it| {
            (it.allocation, it.wire_peer) == (packet.allocation, packet.peer) && it.expires_at > now
        });
        let by_permission = self.permissions.iter().any(|it| {
            (it.allocation, it.wire_ip) == (packet.allocation, packet.peer.ip())
                && it.expires_at > now
        });
        assert!(by_permission, "forwarded to a peer without a permission");
        assert!(by_channel || by_permission);
    }

    /// So does a packet from one.
    pub(super) fn justify_to_client(
        &self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        packet: &ToClient,
    ) {
        let address = self.addresses.iter().find(|it| it.relayed == relayed);
        let address = address.expect("forwarded from a closed relayed address");
        assert_eq!(
            (address.allocation, address.five_tuple),
            (packet.allocation, packet.five_tuple)
        );
        let is_permitted = self
            .permissions
            .iter()
            .any(|it| (it.relayed, it.wire_ip) == (relayed, peer.ip()) && it.expires_at > now);
        assert!(is_permitted, "forwarded from a peer without a permission");
    }

    pub(super) fn allocations(&self) -> usize {
        let first_of = |it: &&AllocationEntry| {
            self.addresses
                .iter()
                .find(|other| other.allocation == it.allocation)
                == Some(*it)
        };
        self.addresses.iter().filter(first_of).count()
    }

    /// The relayed addresses of a five-tuple.
    pub(super) fn relayed(&self, five_tuple: &FiveTuple) -> impl Iterator<Item = RelayedAddr> {
        self.addresses
            .iter()
            .filter(|it| it.five_tuple == *five_tuple)
            .map(|it| it.relayed)
    }

    pub(super) fn permits(&self, five_tuple: &FiveTuple, wire_ip: IpAddr) -> bool {
        let owner = self
            .addresses
            .iter()
            .find(|it| it.five_tuple == *five_tuple);
        owner.is_some_and(|owner| {
            let mut permissions = self.permissions.iter();
            permissions.any(|it| (it.allocation, it.wire_ip) == (owner.allocation, wire_ip))
        })
    }

    pub(super) fn binds(
        &self,
        five_tuple: &FiveTuple,
        number: ChannelNumber,
        wire_peer: PeerAddr,
    ) -> bool {
        self.channels.iter().any(|it| {
            it.five_tuple == *five_tuple && it.number == number && it.wire_peer == wire_peer
        })
    }

    /// Whether everything here was in `before` too.
    pub(super) fn adds_nothing_to(&self, before: &Self) -> bool {
        self.addresses.iter().all(|it| before.is_open(it.relayed))
            && self.permissions.iter().all(|it| {
                let mut known = before.permissions.iter();
                known.any(|old| (old.allocation, old.wire_ip) == (it.allocation, it.wire_ip))
            })
            && self.channels.iter().all(|it| {
                let mut known = before.channels.iter();
                known.any(|old| (old.allocation, old.number) == (it.allocation, it.number))
            })
    }
}
