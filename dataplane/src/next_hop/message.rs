//! What is read out of the kernel's routing messages (rtnetlink).

use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};

use super::Mac;

/// A route that leads out of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) device: u32,
    /// `None`: the destination is on the link itself.
    pub(super) gateway: Option<IpAddr>,
    /// Where it is less than the device's.
    pub(super) mtu: Option<u32>,
}

/// A device with Ethernet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) mac: Mac,
    pub(super) mtu: u32,
    /// It is switched on and has its carrier.
    pub(super) is_up: bool,
    /// The device below a VLAN device, and the tag.
    pub(super) below: Option<(u32, u16)>,
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) device: u32,
    pub(super) address: IpAddr,
    /// `None` while it is unresolved.
    pub(super) mac: Option<Mac>,
    /// It was heard of lately, or needs not be.
    pub(super) is_sure: bool,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Neighbour(Neighbour),
    /// The device of this index.
    Link(u32),
    /// Which route a packet takes may be another one than before.
    Routes,
}

impl Change {
    pub(super) fn read(message: &RouteNetlinkMessage) -> Option<Self> {
        match message {
            RouteNetlinkMessage::NewNeighbour(message) => neighbour(message).map(Self::Neighbour),
            RouteNetlinkMessage::DelNeighbour(message) => neighbour(message).map(|neighbour| {
                Self::Neighbour(Neighbour {
                    mac: None,
                    is_sure: false,
                    ..neighbour
                })
            }),
            RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message) => {
                Some(Self::Link(message.header.index))
            }
            RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
                leads_out(message).then_some(Self::Routes)
            }
            RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => Some(Self::Routes),
            _ => None,
        }
    }
}

/// Routes to this host itself come and go with every device and address.
const fn leads_out(message: &RouteMessage) -> bool {
    !matches!(
        message.header.kind,
        RouteType::Local | RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast
    )
}

/// `None` for a route that ends here, or leads nowhere, or to many.
pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut found = Route {
        device: 0,
        gateway: None,
        mtu: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(device) => found.device = *device,
            RouteAttribute::Gateway(RouteAddress::Inet(ip))
            | RouteAttribute::Via(RouteVia::Inet(ip)) => found.gateway = Some((*ip).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip))
            | RouteAttribute::Via(RouteVia::Inet6(ip)) => found.gateway = Some((*ip).into()),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return None,
            RouteAttribute::Metrics(metrics) => {
                found.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    (found.device != 0).then_some(found)
}

/// `None` for a device without Ethernet addresses.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    let flags = message.header.flags;
    if message.header.link_layer_type != LinkLayerType::Ether || flags.contains(LinkFlags::Loopback)
    {
        return None;
    }
    let (mut mac, mut mtu, mut lower, mut vlan) = (None, None, None, None);
    let mut is_plain = true;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(address) => mac = ethernet(address),
            LinkAttribute::Mtu(it) => mtu = Some(*it),
            LinkAttribute::Link(index) => lower = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                vlan = infos.iter().find_map(vlan_id);
                is_plain = !infos
                    .iter()
                    .any(|info| matches!(info, LinkInfo::Kind(InfoKind::Vlan)));
            }
            _ => {}
        }
    }
    let below = if is_plain {
        None
    } else {
        Some((lower?, vlan?))
    };
    Some(Link {
        mac: mac?,
        mtu: mtu?,
        is_up: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        below,
    })
}

fn vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(parts)) = info else {
        return None;
    };
    parts.iter().find_map(|part| match part {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
}

pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                address = Some((*ip).into());
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                address = Some((*ip).into());
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = ethernet(bytes),
            _ => {}
        }
    }
    let (is_known, is_sure) = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp => {
            (true, true)
        }
        // The kernel is asking already.
        NeighbourState::Delay | NeighbourState::Probe => (true, true),
        NeighbourState::Stale => (true, false),
        _ => (false, false),
    };
    Some(Neighbour {
        device: message.header.ifindex,
        address: address?,
        mac: mac.filter(|_| is_known),
        is_sure,
    })
}

fn ethernet(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan_device() -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 9;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        message.attributes = vec![
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]),
            LinkAttribute::Mtu(1_496),
            LinkAttribute::Link(3),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(42)])),
            ]),
        ];
        message
    }

    #[test]
    fn vlan_device_is_the_one_below_and_a_tag() {
        let link = link(&vlan_device()).unwrap();
        assert_eq!(link.below, Some((3, 42)));
        assert_eq!((link.mtu, link.is_up), (1_496, true));
    }

    #[test]
    fn vlan_device_without_its_tag_is_not_taken_for_a_plain_one() {
        let mut message = vlan_device();
        message.attributes.pop();
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Vlan,
            )]));
        assert_eq!(link(&message), None);
    }

    #[test]
    fn loopback_and_tunnels_are_no_links() {
        let mut message = vlan_device();
        message.header.link_layer_type = LinkLayerType::Tunnel;
        assert_eq!(link(&message), None);
        let mut message = vlan_device();
        message.header.flags |= LinkFlags::Loopback;
        assert_eq!(link(&message), None);
    }

    #[test]
    fn neighbour_that_does_not_answer_has_no_address() {
        let mut message = NeighbourMessage::default();
        message.header.state = NeighbourState::Failed;
        message.attributes = vec![
            NeighbourAttribute::Destination(IpAddr::from([192, 0, 2, 1]).into()),
            NeighbourAttribute::LinkLayerAddress(vec![2; 6]),
        ];
        assert_eq!(neighbour(&message).unwrap().mac, None);
        message.header.state = NeighbourState::Stale;
        let stale = neighbour(&message).unwrap();
        assert_eq!((stale.mac, stale.is_sure), (Some(Mac([2; 6])), false));
    }

    #[test]
    fn events_of_routes_to_this_host_change_no_way() {
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Local;
        let event = RouteNetlinkMessage::NewRoute(message.clone());
        assert_eq!(Change::read(&event), None);
        for kind in [RouteType::Unicast, RouteType::Unreachable] {
            message.header.kind = kind;
            let event = RouteNetlinkMessage::DelRoute(message.clone());
            assert_eq!(Change::read(&event), Some(Change::Routes), "{kind:?}");
        }
    }

    #[test]
    fn route_to_this_host_leads_nowhere() {
        let mut message = RouteMessage::default();
        message.attributes = vec![RouteAttribute::Oif(3)];
        message.header.kind = RouteType::Local;
        assert_eq!(route(&message), None);
        message.header.kind = RouteType::Unicast;
        assert!(route(&message).is_some());
    }
}
