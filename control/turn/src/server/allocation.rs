//! One allocation (RFC 8656 section 6): who holds it, its relayed addresses, permissions (section
//! 9) and channel bindings (section 12), and when each of them ends.
//!
//! Plain state and arithmetic over it; telling the lanes is the procedures' affair. What has
//! expired is swept before a procedure looks (see `expiry`), so nothing here asks for the time.
//!
//! Bounded by the quotas of [`Limits`](super::Limits); lists grow to what they hold, as most hold
//! one or two.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

use turnpike_stun::{IntegrityKey, PasswordAlgorithm, TransactionId};
use turnpike_types::{
    AddressFamily, ChannelNumber, FiveTuple, PeerAddr, PortRule, Timestamp, UserId,
};

use crate::attribute::ReservationToken;

/// The state of one five-tuple.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) five_tuple: FiveTuple,
    /// What the Allocate request was authenticated with; `None` where nobody authenticates.
    pub(super) key: Option<AllocationKey>,
    /// Of the Allocate request, to know its retransmissions by.
    pub(super) transaction_id: TransactionId,
    /// By family, IPv4 first; at least one is there.
    pub(super) relays: [Option<Relay>; 2],
    pub(super) user: UserId,
    /// As granted by Allocate, in seconds; for its retransmissions.
    pub(super) lifetime: u32,
    /// When to look for what has expired; never later than the first thing does.
    pub(super) deadline: Timestamp,
    /// Ordered by address on the wire.
    pub(super) permissions: Vec<Permission>,
    pub(super) channels: Vec<ChannelBinding>,
    /// What few allocations have.
    pub(super) extras: Option<Box<Extras>>,
}

/// A key and how it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct AllocationKey {
    pub(super) key: IntegrityKey,
    pub(super) algorithm: PasswordAlgorithm,
}

/// One relayed address, by its place in the server's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relay {
    pub(super) expires_at: Timestamp,
    pub(super) port: NonZeroU16,
    pub(super) address: u16,
}

/// A permission: for an IP address, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permission {
    /// Its own end; the effective one is no later than its relayed address's.
    pub(super) expires_at: Timestamp,
    pub(super) wire_ip: IpAddr,
    pub(super) ports: PortRule,
    /// Whether the client knows the peer by the external address before `wire_ip`.
    pub(super) by_external: bool,
}

/// A channel binding: to a transport address, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelBinding {
    /// Its own end; the effective one is no later than its permission's.
    pub(super) expires_at: Timestamp,
    pub(super) wire_peer: PeerAddr,
    pub(super) number: ChannelNumber,
}

/// What few allocations have.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// The token of the port that was reserved with this allocation's.
    pub(super) reservation_token: Option<ReservationToken>,
    /// Why a dual allocation has only one address.
    pub(super) address_error: Option<AddressError>,
}

/// Which family could not be had, and why (ADDRESS-ERROR-CODE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressError {
    pub(super) family: AddressFamily,
    pub(super) code: u16,
}

impl Allocation {
    pub(super) fn relay(&self, family: AddressFamily) -> Option<Relay> {
        let [ipv4, ipv6] = self.relays;
        match family {
            AddressFamily::Ipv4 => ipv4,
            AddressFamily::Ipv6 => ipv6,
        }
    }

    pub(super) const fn relay_mut(&mut self, family: AddressFamily) -> &mut Option<Relay> {
        let [ipv4, ipv6] = &mut self.relays;
        match family {
            AddressFamily::Ipv4 => ipv4,
            AddressFamily::Ipv6 => ipv6,
        }
    }

    /// Its families, IPv4 first.
    pub(super) fn families(&self) -> impl Iterator<Item = AddressFamily> + use<> {
        let [ipv4, ipv6] = self.relays;
        let ipv4 = ipv4.map(|_| AddressFamily::Ipv4);
        ipv4.into_iter().chain(ipv6.map(|_| AddressFamily::Ipv6))
    }

    pub(super) fn permission(&self, wire_ip: IpAddr) -> Option<&Permission> {
        let place = self.permission_place(wire_ip).ok()?;
        self.permissions.get(place)
    }

    /// Puts a permission in place of the one for the same address, and gives that one back.
    pub(super) fn set_permission(&mut self, permission: Permission) -> Option<Permission> {
        match self.permission_place(permission.wire_ip) {
            Ok(place) => {
                let old = self.permissions.get_mut(place)?;
                Some(core::mem::replace(old, permission))
            }
            Err(place) => {
                make_room(&mut self.permissions);
                self.permissions.insert(place, permission);
                None
            }
        }
    }

    pub(super) fn remove_permission(&mut self, wire_ip: IpAddr) -> Option<Permission> {
        let place = self.permission_place(wire_ip).ok()?;
        Some(self.permissions.remove(place))
    }

    pub(super) fn channel(&self, number: ChannelNumber) -> Option<&ChannelBinding> {
        self.channels
            .iter()
            .find(|channel| channel.number == number)
    }

    pub(super) fn channel_to(&self, wire_peer: PeerAddr) -> Option<&ChannelBinding> {
        self.channels
            .iter()
            .find(|channel| channel.wire_peer == wire_peer)
    }

    /// Puts a binding in place of the one of the same number, and gives that one back.
    pub(super) fn set_channel(&mut self, channel: ChannelBinding) -> Option<ChannelBinding> {
        if let Some(old) = self
            .channels
            .iter_mut()
            .find(|old| old.number == channel.number)
        {
            return Some(core::mem::replace(old, channel));
        }
        make_room(&mut self.channels);
        self.channels.push(channel);
        None
    }

    pub(super) fn remove_channel(&mut self, number: ChannelNumber) -> Option<ChannelBinding> {
        let place = self
            .channels
            .iter()
            .position(|channel| channel.number == number)?;
        Some(self.channels.remove(place))
    }

    /// The effective end of a permission: the earlier of its own and its relayed address's.
    pub(super) fn permission_end(&self, permission: &Permission) -> Timestamp {
        let relay = self.relay(AddressFamily::of(&permission.wire_ip));
        relay.map_or(Timestamp::ZERO, |relay| {
            relay.expires_at.min(permission.expires_at)
        })
    }

    /// The effective end of a channel binding: `None` while there is no permission for its peer.
    pub(super) fn channel_end(&self, channel: &ChannelBinding) -> Option<Timestamp> {
        let permission = self.permission(channel.wire_peer.ip())?;
        Some(self.permission_end(permission).min(channel.expires_at))
    }

    /// When the last of its relayed addresses ends.
    pub(super) fn expires_at(&self) -> Timestamp {
        let ends = self.relays.iter().flatten().map(|relay| relay.expires_at);
        ends.max().unwrap_or(Timestamp::ZERO)
    }

    /// When the first of all that it holds ends.
    pub(super) fn first_end(&self) -> Timestamp {
        let relays = self.relays.iter().flatten().map(|relay| relay.expires_at);
        let permissions = self
            .permissions
            .iter()
            .map(|permission| permission.expires_at);
        let channels = self.channels.iter().map(|channel| channel.expires_at);
        relays
            .chain(permissions)
            .chain(channels)
            .min()
            .unwrap_or(Timestamp::ZERO)
    }

    fn permission_place(&self, wire_ip: IpAddr) -> Result<usize, usize> {
        self.permissions
            .binary_search_by(|permission| permission.wire_ip.cmp(&wire_ip))
    }
}

impl Relay {
    /// The transport address on an IP address of the server's list.
    pub(super) const fn at(&self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.port.get())
    }
}

/// One more exactly while there are few, by doubling once there are many.
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(if list.len() < 4 { 1 } else { list.len() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use turnpike_types::{ClientAddr, ServerAddr, Transport};

    const SEC: fn(u64) -> Timestamp = Timestamp::from_secs;

    fn allocation(ends: u64) -> Allocation {
        let address = SocketAddr::new(Ipv4Addr::new(1, 2, 3, 4).into(), 5);
        let relay = Relay {
            expires_at: SEC(ends),
            port: NonZeroU16::MAX,
            address: 0,
        };
        Allocation {
            five_tuple: FiveTuple {
                client: ClientAddr(address),
                server: ServerAddr(address),
                transport: Transport::Udp,
            },
            key: None,
            transaction_id: TransactionId([0; 12]),
            relays: [Some(relay), None],
            user: UserId(0),
            lifetime: 600,
            deadline: Timestamp::MAX,
            permissions: Vec::new(),
            channels: Vec::new(),
            extras: None,
        }
    }

    fn permission(last: u8, ends: u64) -> Permission {
        let ports = PortRule {
            min: 1,
            max: 2,
            guarded: false,
        };
        Permission {
            expires_at: SEC(ends),
            wire_ip: Ipv4Addr::new(9, 9, 9, last).into(),
            ports,
            by_external: false,
        }
    }

    #[test]
    fn effective_end_is_the_earliest_of_channel_permission_and_relayed_address() {
        let mut allocation = allocation(600);
        let channel = ChannelBinding {
            expires_at: SEC(500),
            wire_peer: PeerAddr(SocketAddr::new(Ipv4Addr::new(9, 9, 9, 1).into(), 7)),
            number: ChannelNumber::new(0x4000).unwrap(),
        };
        allocation.set_channel(channel);
        assert_eq!(allocation.channel_end(&channel), None);
        allocation.set_permission(permission(1, 300));
        assert_eq!(allocation.channel_end(&channel), Some(SEC(300)));
        allocation.set_permission(permission(1, 900));
        assert_eq!(allocation.channel_end(&channel), Some(SEC(500)));
        *allocation.relay_mut(AddressFamily::Ipv4) = Some(Relay {
            expires_at: SEC(100),
            port: NonZeroU16::MAX,
            address: 0,
        });
        assert_eq!(allocation.channel_end(&channel), Some(SEC(100)));
        assert_eq!(allocation.first_end(), SEC(100));
    }

    #[test]
    fn permissions_are_found_in_any_order_of_arrival() {
        let mut allocation = allocation(600);
        for last in [5, 1, 9, 3, 7, 2] {
            assert_eq!(allocation.set_permission(permission(last, 1)), None);
        }
        assert_eq!(
            allocation.set_permission(permission(9, 2)),
            Some(permission(9, 1))
        );
        assert_eq!(
            allocation.permission(permission(9, 0).wire_ip),
            Some(&permission(9, 2))
        );
        assert!(
            allocation
                .remove_permission(permission(3, 0).wire_ip)
                .is_some()
        );
        assert!(allocation.permission(permission(3, 0).wire_ip).is_none());
        assert!(
            allocation
                .permissions
                .is_sorted_by_key(|permission| permission.wire_ip)
        );
    }

    #[test]
    fn allocation_with_one_permission_and_one_channel_stays_small() {
        assert!(
            size_of::<Allocation>() <= 320,
            "{}",
            size_of::<Allocation>()
        );
        assert!(size_of::<Permission>() <= 40, "{}", size_of::<Permission>());
        assert!(
            size_of::<ChannelBinding>() <= 48,
            "{}",
            size_of::<ChannelBinding>()
        );
    }
}
