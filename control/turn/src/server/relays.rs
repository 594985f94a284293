//! The relayed addresses that can be handed out, and who has which.
//!
//! One pool of ports an IP address, and a table from port to allocation. All memory is taken at
//! the start: four bytes a port, whatever happens.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU16;
use core::ops::RangeInclusive;

use turnpike_types::{AddressFamily, Entropy, RelayedAddr};

use super::output::PortWish;
use super::{PortPool, ShardSlice};
use crate::RelayAddress;

/// All relay IP addresses, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Relays {
    relays: Vec<RelayIp>,
    ipv4: Vec<u16>,
    ipv6: Vec<u16>,
}

#[derive(Debug)]
struct RelayIp {
    address: RelayAddress,
    ports: PortPool,
    first_port: u16,
    /// Slots of allocations, from `first_port` on.
    owners: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl Relays {
    pub(super) fn new(
        addresses: &[RelayAddress],
        ports: &RangeInclusive<u16>,
        slice: ShardSlice,
    ) -> Self {
        let mut this = Self {
            relays: Vec::new(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        };
        for (index, address) in (0_u16..).zip(addresses) {
            match AddressFamily::of(&address.ip) {
                AddressFamily::Ipv4 => this.ipv4.push(index),
                AddressFamily::Ipv6 => this.ipv6.push(index),
            }
            this.relays.push(RelayIp {
                address: *address,
                ports: PortPool::new(ports.clone(), slice),
                first_port: *ports.start(),
                owners: alloc::vec![NOBODY; ports.len()],
            });
        }
        this
    }

    /// Whether there is an address of this family at all.
    pub(super) const fn has(&self, family: AddressFamily) -> bool {
        !self.of_family(family).is_empty()
    }

    /// Takes a free port on a random address of the family; of a pair, the even one is named.
    pub(super) fn take(
        &mut self,
        family: AddressFamily,
        wish: PortWish,
        entropy: &mut impl Entropy,
    ) -> Option<(u16, NonZeroU16)> {
        let count = self.of_family(family).len();
        let start = entropy.below(u32::try_from(count).ok()?) as usize;
        (0..count).find_map(|step| {
            let index = *self.of_family(family).get((start + step) % count)?;
            let pool = &mut self.relays.get_mut(usize::from(index))?.ports;
            let port = match wish {
                PortWish::Any => pool.take(entropy),
                PortWish::Even => pool.take_even(entropy),
                PortWish::Pair => pool.take_pair(entropy),
                PortWish::Reserved => None,
            };
            Some((index, NonZeroU16::new(port?)?))
        })
    }

    /// Makes a port free again.
    pub(super) fn give_back(&mut self, address: u16, port: NonZeroU16) {
        if let Some(relay) = self.relays.get_mut(usize::from(address)) {
            relay.ports.give_back(port.get());
        }
    }

    /// Notes whose a port is.
    pub(super) fn set_owner(&mut self, address: u16, port: NonZeroU16, slot: u32) {
        if let Some(owner) = self.owner_mut(address, port) {
            *owner = slot;
        }
    }

    /// Forgets whose a port was.
    pub(super) fn clear_owner(&mut self, address: u16, port: NonZeroU16) {
        self.set_owner(address, port, NOBODY);
    }

    /// The slot of the allocation with this relayed address, as bound.
    pub(super) fn owner(&self, relayed: RelayedAddr) -> Option<u32> {
        let relay = self
            .relays
            .iter()
            .find(|relay| relay.address.ip == relayed.ip())?;
        let offset = relayed.port().checked_sub(relay.first_port)?;
        relay
            .owners
            .get(usize::from(offset))
            .copied()
            .filter(|slot| *slot != NOBODY)
    }

    /// An IP address as bound and as advertised.
    pub(super) fn address(&self, index: u16) -> Option<&RelayAddress> {
        self.relays
            .get(usize::from(index))
            .map(|relay| &relay.address)
    }

    pub(super) fn ip(&self, index: u16) -> Option<IpAddr> {
        self.address(index).map(|address| address.ip)
    }

    /// Ports that are free, on all addresses together.
    pub(super) fn free(&self) -> usize {
        self.relays.iter().map(|relay| relay.ports.free()).sum()
    }

    const fn of_family(&self, family: AddressFamily) -> &Vec<u16> {
        match family {
            AddressFamily::Ipv4 => &self.ipv4,
            AddressFamily::Ipv6 => &self.ipv6,
        }
    }

    fn owner_mut(&mut self, address: u16, port: NonZeroU16) -> Option<&mut u32> {
        let relay = self.relays.get_mut(usize::from(address))?;
        let offset = port.get().checked_sub(relay.first_port)?;
        relay.owners.get_mut(usize::from(offset))
    }
}
