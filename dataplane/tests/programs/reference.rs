//! The reference relay: what should become of a frame, worked out the plain way. It takes the frame
//! apart into a structure, searches lists, and builds the outgoing frame from nothing. It shares no
//! code with the programs, nor with the arithmetic of their ABI; only reasons have the same names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use turnpike_abi::Reason;

use crate::frame::{self, Checksum, Frame, total, total_with_pseudo_header, udp_checksum};
use crate::world::{Allocation, FORBIDDEN, INGRESS, RELAY_PORTS, World, addr};

/// What should become of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The host gets it as it is.
    Passed(Reason),
    /// Nobody gets it.
    Dropped(Reason),
    /// It leaves, in this form, by this device.
    Left(Reason, u32, Vec<u8>),
}

/// What a relay may choose itself; read from what the program sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chosen {
    /// The identification of an IPv4 packet that may be fragmented.
    pub(crate) identification: u16,
    /// The transaction ID of a Data indication.
    pub(crate) transaction_id: [u8; 12],
}

impl Chosen {
    /// What stands where the choices are, in a frame that left.
    pub(crate) fn read(frame: &[u8]) -> Self {
        let mut chosen = Self::default();
        let tag = if frame.get(12..14) == Some(&[0x81, 0]) {
            4
        } else {
            0
        };
        let is_v4 = frame.get(12 + tag..14 + tag) == Some(&[8, 0]);
        let ip = 14 + tag;
        if is_v4 && let Some(id) = frame.get(ip + 4..ip + 6) {
            chosen.identification = u16::from_be_bytes([id[0], id[1]]);
        }
        let message = ip + if is_v4 { 28 } else { 48 };
        if let Some(id) = frame.get(message + 8..message + 20) {
            chosen.transaction_id.copy_from_slice(id);
        }
        chosen
    }
}

/// A frame taken apart.
struct Datagram {
    source: SocketAddr,
    destination: SocketAddr,
    tag: Option<u16>,
    traffic_class: u8,
    time_to_live: u8,
    dont_fragment: bool,
    checksum: u16,
    /// How far the checksum is from right, modulo 65,535.
    error: u64,
    payload: Vec<u8>,
}

/// What a payload becomes on its way.
struct Onward<'a> {
    reason: Reason,
    from: SocketAddr,
    to: SocketAddr,
    message: Vec<u8>,
    allocation: &'a Allocation,
}

/// What should become of a frame in a world.
pub(crate) fn judge(world: &World, bytes: &[u8], chosen: Chosen) -> Outcome {
    let datagram = match take_apart(bytes) {
        Ok(datagram) => datagram,
        Err(reason) => return Outcome::Passed(reason),
    };
    if let Some(answer) = answer_binding(world, &datagram, bytes) {
        return answer;
    }
    let decided = if RELAY_PORTS.contains(&datagram.destination.port()) {
        let (peer, relayed) = (datagram.source, datagram.destination);
        from_peer(world, peer, relayed, &datagram.payload, chosen)
    } else {
        from_client(world, &datagram, chosen)
    };
    let sent = decided.and_then(|onward| send(world, &datagram, &onward, chosen));
    sent.unwrap_or_else(|reason| match reason.fate() {
        turnpike_abi::Fate::Passed => Outcome::Passed(reason),
        _ => Outcome::Dropped(reason),
    })
}

fn take_apart(bytes: &[u8]) -> Result<Datagram, Reason> {
    let kind = |at: usize| {
        bytes
            .get(at..at + 2)
            .map(|kind| u16::from_be_bytes([kind[0], kind[1]]))
    };
    let (tag, kind, packet) = match kind(12) {
        Some(0x8100) => (kind(14), kind(16), bytes.get(18..)),
        other => (None, other, bytes.get(14..)),
    };
    let packet = packet.ok_or(Reason::NotIp)?;
    let whole = match kind {
        Some(0x0800) => ipv4(packet)?,
        Some(0x86dd) => ipv6(packet)?,
        _ => return Err(Reason::NotIp),
    };
    Ok(Datagram { tag, ..whole })
}

fn ipv4(packet: &[u8]) -> Result<Datagram, Reason> {
    let header = packet.get(..20).ok_or(Reason::BadHeader)?;
    if header[0] >> 4 != 4 || header[0] & 15 < 5 {
        return Err(Reason::BadHeader);
    }
    if header[0] & 15 > 5 {
        return Err(Reason::Options);
    }
    protocol(header[9], 1, &[])?;
    if header[6] & 0x3f != 0 || header[7] != 0 {
        return Err(Reason::Fragment);
    }
    if frame::ones(header) != 0xffff {
        return Err(Reason::BadHeader);
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let udp = packet.get(20..length).ok_or(Reason::BadHeader)?;
    let address = |at: usize| {
        let octets: [u8; 4] = header[at..at + 4].try_into().unwrap();
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    let fields = (header[1], header[8], header[6] & 0x40 != 0);
    datagram(address(12), address(16), fields, udp)
}

fn ipv6(packet: &[u8]) -> Result<Datagram, Reason> {
    let header = packet.get(..40).ok_or(Reason::BadHeader)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::BadHeader);
    }
    protocol(header[6], 58, &[0, 43, 50, 51, 60, 135, 139, 140])?;
    let address = |at: usize| {
        let octets: [u8; 16] = header[at..at + 16].try_into().unwrap();
        Ipv6Addr::from(octets)
    };
    let (from, to) = (address(8), address(24));
    if from.to_ipv4_mapped().is_some() || to.to_ipv4_mapped().is_some() {
        return Err(Reason::BadHeader);
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let udp = packet.get(40..40 + length).ok_or(Reason::BadHeader)?;
    let class = header[0] << 4 | header[1] >> 4;
    datagram(from.into(), to.into(), (class, header[7], true), udp)
}

fn protocol(number: u8, icmp: u8, options: &[u8]) -> Result<(), Reason> {
    match number {
        17 => Ok(()),
        number if number == icmp => Err(Reason::Icmp),
        44 if !options.is_empty() => Err(Reason::Fragment),
        number if options.contains(&number) => Err(Reason::Options),
        _ => Err(Reason::NotUdp),
    }
}

fn datagram(
    from: IpAddr,
    to: IpAddr,
    (traffic_class, time_to_live, dont_fragment): (u8, u8, bool),
    udp: &[u8],
) -> Result<Datagram, Reason> {
    let header = udp.get(..8).ok_or(Reason::BadHeader)?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    // The longest that one page holds.
    if usize::from(field(4)) != udp.len() || udp.len() > 3_520 {
        return Err(Reason::BadHeader);
    }
    Ok(Datagram {
        source: SocketAddr::new(from, field(0)),
        destination: SocketAddr::new(to, field(2)),
        tag: None,
        traffic_class,
        time_to_live,
        dont_fragment,
        checksum: field(6),
        error: total_with_pseudo_header(from, to, udp) % 65_535,
        payload: udp[8..].to_vec(),
    })
}

fn from_client<'a>(
    world: &'a World,
    datagram: &Datagram,
    chosen: Chosen,
) -> Result<Onward<'a>, Reason> {
    let payload = &datagram.payload;
    let live = world.allocations.iter().find(|allocation| {
        allocation.is_live
            && allocation.client == datagram.source
            && allocation.server == datagram.destination
    });
    let is_listener = world.listeners.contains(&datagram.destination);
    let stranger = if is_listener {
        Reason::NoAllocation
    } else {
        Reason::NotOurs
    };
    if payload.len() >= 4 && (0x40..=0x7f).contains(&payload[0]) {
        return channel_data(world, live, stranger, payload, chosen);
    }
    if payload.len() >= 20 && payload[..2] == [0x00, 0x16] {
        return send_indication(world, live, stranger, payload, chosen);
    }
    Err(if live.is_some() || is_listener {
        Reason::Control
    } else {
        Reason::NotOurs
    })
}

/// The answer to a Binding request that the kernel may give (RFC 8489 sections 6.3.1 and 7.3).
fn answer_binding(world: &World, datagram: &Datagram, bytes: &[u8]) -> Option<Outcome> {
    let (client, server) = (datagram.source, datagram.destination);
    let is_right =
        datagram.error == 0 && datagram.checksum != 0 || datagram.checksum == 0 && client.is_ipv4();
    let is_asked = world.answers_binding && world.listeners.contains(&server) && is_right;
    let macs = bytes.split_at_checked(6)?;
    let (to, from) = (macs.0, macs.1.get(..6)?);
    let is_plain = (to[0] | from[0]) & 1 == 0 && is_one_host(client.ip());
    if !is_asked || !is_plain || client.port() == 0 || client.ip() == server.ip() {
        return None;
    }
    let (id, has_fingerprint) = plain_binding_request(&datagram.payload)?;
    let mut message = frame::stun(0x0101, id, &[(0x0020, frame::xor_address(client, id))]);
    if has_fingerprint {
        message = frame::with_fingerprint(message);
    }
    let mut answer = Frame::new(server, client, message);
    answer.to.copy_from_slice(from);
    answer.from.copy_from_slice(to);
    answer.tag = datagram.tag;
    answer.dont_fragment = true;
    answer.identification = 0;
    Some(Outcome::Left(
        Reason::BindingAnswered,
        INGRESS,
        answer.bytes(),
    ))
}

/// Whether an address is one host's, and not the receiver's own by its form.
fn is_one_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            !ip.is_loopback() && first != 0 && first < 224
        }
        IpAddr::V6(ip) => !ip.is_multicast() && ip.segments()[..4] != [0; 4],
    }
}

/// The transaction ID of a request with nothing that has to be understood, and whether a FINGERPRINT
/// ends it.
fn plain_binding_request(message: &[u8]) -> Option<([u8; 12], bool)> {
    let head = message.get(..20)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let is_one = head[..2] == [0, 1] && head[4..8] == [0x21, 0x12, 0xa4, 0x42];
    // Longer ones are the server's.
    if !is_one || length % 4 != 0 || length + 20 != message.len() || message.len() > 128 {
        return None;
    }
    let id = head[8..20].try_into().unwrap();
    let mut at = 20;
    while at < message.len() {
        let kind = u16::from_be_bytes([message[at], message[at + 1]]);
        let length = usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
        if kind == 0x8028 {
            let expected = frame::fingerprint(&message[..at]).to_be_bytes();
            let is_right = length == 4 && message[at + 4..] == expected;
            return is_right.then_some((id, true));
        }
        if kind < 0x8000 {
            return None;
        }
        at += 4 + length.next_multiple_of(4);
    }
    (at == message.len()).then_some((id, false))
}

fn channel_data<'a>(
    world: &'a World,
    live: Option<&'a Allocation>,
    stranger: Reason,
    message: &[u8],
    chosen: Chosen,
) -> Result<Onward<'a>, Reason> {
    let number = u16::from_be_bytes([message[0], message[1]]);
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    let allocation = live.ok_or(stranger)?;
    let mut channels = allocation.channels.iter();
    let Some(channel) = channels.find(|channel| channel.is_live && channel.number == number) else {
        return Err(if allocation.is_partly_lane {
            Reason::Lane
        } else {
            Reason::NoChannel
        });
    };
    if channel.is_lane {
        return Err(Reason::Lane);
    }
    let payload = message.get(4..4 + length).ok_or(Reason::Malformed)?;
    if message.len() - 4 - length > 3 {
        return Err(Reason::Unusual);
    }
    to_peer(
        world,
        allocation,
        channel.peer,
        payload,
        Reason::ChannelToPeer,
        chosen,
    )
}

fn send_indication<'a>(
    world: &'a World,
    live: Option<&'a Allocation>,
    stranger: Reason,
    message: &[u8],
    chosen: Chosen,
) -> Result<Onward<'a>, Reason> {
    let allocation = live.ok_or(stranger)?;
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    if length % 4 != 0 || length + 20 != message.len() || message[4..8] != [0x21, 0x12, 0xa4, 0x42]
    {
        return Err(Reason::Malformed);
    }
    let mut attributes = Vec::new();
    let mut at = 20;
    while at + 4 <= message.len() {
        let kind = u16::from_be_bytes([message[at], message[at + 1]]);
        let length = usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
        attributes.push((kind, at + 4..at + 4 + length));
        at += 4 + length.next_multiple_of(4);
    }
    // Behind the two there may be a FINGERPRINT, whatever it says.
    if let [_, _, (0x8028, value)] = &attributes[..]
        && value.len() == 4
    {
        attributes.pop();
    }
    // All else is the server's to read.
    let (peer, data) = match &attributes[..] {
        [(0x0012, peer), (0x0013, data)] | [(0x0013, data), (0x0012, peer)]
            if at == message.len() =>
        {
            (peer.clone(), data.clone())
        }
        _ => return Err(Reason::Unusual),
    };
    let peer = peer_address(message, peer)?;
    let Some(relayed) = allocation.relayed_for(peer.ip()) else {
        return Err(elsewhere(allocation));
    };
    let permission = allocation
        .permissions
        .iter()
        .find(|permission| permission.is_live && permission.ip == peer.ip())
        .ok_or_else(|| elsewhere(allocation))?;
    debug_assert_eq!(relayed.is_ipv4(), peer.is_ipv4());
    admit(world, permission, peer)?;
    to_peer(
        world,
        allocation,
        peer,
        &message[data],
        Reason::SendToPeer,
        chosen,
    )
}

fn elsewhere(allocation: &Allocation) -> Reason {
    if allocation.is_partly_lane {
        Reason::Lane
    } else {
        Reason::NoPermission
    }
}

fn peer_address(message: &[u8], value: std::ops::Range<usize>) -> Result<SocketAddr, Reason> {
    let plain = |at: usize, mask: usize| message[at] ^ message[4 + mask];
    let start = value.start;
    let port = u16::from_be_bytes([plain(start + 2, 0), plain(start + 3, 1)]);
    match (value.len(), message[start + 1]) {
        (8, 1) => {
            let octets: [u8; 4] = std::array::from_fn(|index| plain(start + 4 + index, index));
            Ok(SocketAddr::new(octets.into(), port))
        }
        (20, 2) => {
            let octets: [u8; 16] = std::array::from_fn(|index| plain(start + 4 + index, index));
            let ip = Ipv6Addr::from(octets);
            // Another address to the server than to IPv4's tables.
            if ip.to_ipv4_mapped().is_some() {
                return Err(Reason::Unusual);
            }
            Ok(SocketAddr::new(ip.into(), port))
        }
        _ => Err(Reason::Unusual),
    }
}

fn to_peer<'a>(
    world: &'a World,
    allocation: &'a Allocation,
    peer: SocketAddr,
    payload: &[u8],
    reason: Reason,
    chosen: Chosen,
) -> Result<Onward<'a>, Reason> {
    let relayed = allocation.relayed_for(peer.ip()).unwrap();
    if world.relay_ips.contains(&peer.ip()) {
        if !world.is_here(peer) {
            return Err(Reason::Lane);
        }
        let mut onward = from_peer(world, relayed, peer, payload, chosen)?;
        onward.reason = Reason::AllocationToAllocation;
        return Ok(onward);
    }
    Ok(Onward {
        reason,
        from: relayed,
        to: peer,
        message: payload.to_vec(),
        allocation,
    })
}

fn from_peer<'a>(
    world: &'a World,
    peer: SocketAddr,
    relayed: SocketAddr,
    payload: &[u8],
    chosen: Chosen,
) -> Result<Onward<'a>, Reason> {
    let mut owners = world.allocations.iter();
    let owner =
        owners.find(|allocation| allocation.is_live && allocation.relayed.contains(&relayed));
    let Some(allocation) = owner else {
        let is_ours = world.relay_ips.contains(&relayed.ip());
        return Err(if is_ours {
            Reason::NoAllocation
        } else {
            Reason::NotOurs
        });
    };
    let mut channels = allocation.channels.iter();
    let channel = channels.find(|channel| channel.is_live && channel.peer == peer);
    let (message, reason) = if let Some(channel) = channel {
        if channel.is_lane {
            return Err(Reason::Lane);
        }
        (
            frame::channel_data(channel.number, payload),
            Reason::PeerToChannel,
        )
    } else {
        let mut permissions = allocation.permissions.iter();
        let permission = permissions
            .find(|permission| permission.is_live && permission.ip == peer.ip())
            .ok_or_else(|| elsewhere(allocation))?;
        admit(world, permission, peer)?;
        let id = chosen.transaction_id;
        let attributes = [
            (0x0012, frame::xor_address(peer, id)),
            (0x0013, payload.to_vec()),
        ];
        (frame::stun(0x0017, id, &attributes), Reason::PeerToData)
    };
    Ok(Onward {
        reason,
        from: allocation.server,
        to: allocation.client,
        message,
        allocation,
    })
}

fn admit(
    world: &World,
    permission: &crate::world::Permission,
    peer: SocketAddr,
) -> Result<(), Reason> {
    if permission.is_lane {
        return Err(Reason::Lane);
    }
    let is_service = world.services.contains(&peer) || world.listeners.contains(&peer);
    if !permission.ports.contains(&peer.port()) || permission.is_guarded && is_service {
        return Err(Reason::ForbiddenPort);
    }
    Ok(())
}

fn send(
    world: &World,
    datagram: &Datagram,
    onward: &Onward<'_>,
    chosen: Chosen,
) -> Result<Outcome, Reason> {
    let hop = world.hop(onward.to.ip());
    if hop.device == 0 {
        return Err(Reason::NoNextHop);
    }
    if datagram.time_to_live <= 1 {
        return Err(Reason::TimeToLive);
    }
    let was_v4 = datagram.source.is_ipv4();
    if datagram.checksum == 0 && !(was_v4 && onward.to.is_ipv4()) {
        return Err(Reason::NoChecksum);
    }
    let header = if onward.to.is_ipv4() { 20 } else { 40 };
    let length = header + 8 + onward.message.len();
    if length > usize::from(hop.mtu) {
        return Err(Reason::TooBig);
    }
    if hop.device == FORBIDDEN {
        return Err(Reason::NoDevice);
    }
    let asked = datagram.dont_fragment && was_v4;
    let dont_fragment = asked || !was_v4 && length > 1_260;
    let mut out = Frame::new(onward.from, onward.to, onward.message.clone());
    out.to = hop.mac;
    out.from = hop.from;
    out.tag = (hop.vlan != 0).then(|| hop.vlan | datagram.tag.unwrap_or(0) & 0xf000);
    out.traffic_class = datagram.traffic_class;
    out.time_to_live = datagram.time_to_live - 1;
    out.dont_fragment = dont_fragment;
    out.identification = if dont_fragment {
        0
    } else {
        chosen.identification
    };
    out.checksum = Checksum::None;
    let mut bytes = out.bytes();
    if datagram.checksum != 0 {
        let at = out.payload_at() - 8;
        let (from, to) = (onward.from.ip(), onward.to.ip());
        let field = udp_checksum(from, to, &bytes[at..], datagram.error);
        bytes[at + 6..at + 8].copy_from_slice(&field.to_be_bytes());
    }
    debug_assert!(onward.allocation.is_live);
    Ok(Outcome::Left(onward.reason, hop.device, bytes))
}

#[test]
fn sums_are_those_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(total(&bytes), 0x2_ddf0);
    assert_eq!(frame::ones(&bytes), 0xddf2);
    assert_eq!(addr("192.0.2.1:1").port(), 1);
}
