//! Who is where: realms of addresses, joined by NATs, with hosts in them.
//!
//! Realm 0 is the public Internet. Each NAT opens a realm of its own behind it, so that private
//! addresses may repeat, and a NAT behind a NAT is nothing special.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::{Link, LinkConfig, Nat};

/// Names a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// Names a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(pub usize);

/// Names a space of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub usize);

impl RealmId {
    /// Where addresses are public.
    pub const PUBLIC: Self = Self(0);
}

/// Who has an address in a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Host(HostId),
    /// The address is an outside address of the NAT.
    Nat(NatId),
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) realm: RealmId,
    pub(crate) up: Link,
    pub(crate) down: Link,
}

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) nat: Nat,
    pub(crate) inside: RealmId,
    pub(crate) outside: RealmId,
}

#[derive(Debug, Default)]
struct Realm {
    gateway: Option<NatId>,
    owners: BTreeMap<IpAddr, Owner>,
}

#[derive(Debug)]
pub(crate) struct Topology {
    hosts: Vec<Host>,
    gateways: Vec<Gateway>,
    realms: Vec<Realm>,
}

impl Topology {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            gateways: Vec::new(),
            realms: Vec::from([Realm::default()]),
        }
    }

    pub(crate) fn add_host(&mut self, realm: RealmId, up: LinkConfig, down: LinkConfig) -> HostId {
        self.hosts.push(Host {
            realm,
            up: Link::new(up),
            down: Link::new(down),
        });
        HostId(self.hosts.len() - 1)
    }

    pub(crate) fn add_nat(&mut self, outside: RealmId, nat: Nat) -> (NatId, RealmId) {
        let id = NatId(self.gateways.len());
        let inside = RealmId(self.realms.len());
        for ip in nat.addresses() {
            self.claim(outside, *ip, Owner::Nat(id));
        }
        self.realms.push(Realm {
            gateway: Some(id),
            owners: BTreeMap::new(),
        });
        self.gateways.push(Gateway {
            nat,
            inside,
            outside,
        });
        (id, inside)
    }

    /// Gives an address to somebody; whoever had it loses it.
    pub(crate) fn claim(&mut self, realm: RealmId, ip: IpAddr, owner: Owner) {
        if let Some(realm) = self.realms.get_mut(realm.0) {
            realm.owners.insert(ip, owner);
        }
    }

    pub(crate) fn owner(&self, realm: RealmId, ip: IpAddr) -> Option<Owner> {
        self.realms.get(realm.0)?.owners.get(&ip).copied()
    }

    pub(crate) fn gateway_of(&self, realm: RealmId) -> Option<NatId> {
        self.realms.get(realm.0)?.gateway
    }

    pub(crate) fn host_mut(&mut self, id: HostId) -> Option<&mut Host> {
        self.hosts.get_mut(id.0)
    }

    pub(crate) fn gateway_mut(&mut self, id: NatId) -> Option<&mut Gateway> {
        self.gateways.get_mut(id.0)
    }
}
