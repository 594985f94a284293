//! ICMP errors about relayed datagrams, as a raw socket delivers them (RFC 792, RFC 4443).
//!
//! Not the procedure: that is `server`'s. An error counts only if it quotes a whole UDP header of an unfragmented or
//! first-fragment datagram; which allocation sent that, and whether its client may know, is the
//! server's to say (RFC 8656 section 11.5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use turnpike_types::{PeerAddr, RelayedAddr};

use crate::server::IcmpError;

const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const FRAGMENT_OFFSET_MASK: u16 = 0x1FFF;

/// Reads what an IPv4 raw ICMP socket delivers: the outer IP header, then the message.
#[must_use]
pub fn parse_v4(packet: &[u8]) -> Option<IcmpError> {
    let (_, message) = split_ipv4(packet)?;
    let (kind, code, data, quoted) = split_message(message)?;
    // Destination unreachable, time exceeded, parameter problem.
    if !matches!(kind, 3 | 11 | 12) {
        return None;
    }
    let (header, rest) = split_ipv4(quoted)?;
    let (flags, source, destination) =
        (header.get(6..8)?, header.get(12..16)?, header.get(16..20)?);
    let first = u16::from_be_bytes(flags.try_into().ok()?) & FRAGMENT_OFFSET_MASK == 0;
    if *header.get(9)? != UDP || !first {
        return None;
    }
    let source = Ipv4Addr::from(<[u8; 4]>::try_from(source).ok()?);
    let destination = Ipv4Addr::from(<[u8; 4]>::try_from(destination).ok()?);
    error(kind, code, data, source.into(), destination.into(), rest)
}

/// Reads what an IPv6 raw ICMPv6 socket delivers: the message alone.
#[must_use]
pub fn parse_v6(message: &[u8]) -> Option<IcmpError> {
    let (kind, code, data, quoted) = split_message(message)?;
    // Destination unreachable, packet too big, time exceeded, parameter problem.
    if !matches!(kind, 1..=4) {
        return None;
    }
    let (header, mut rest) = quoted.split_first_chunk::<40>()?;
    let mut next = header[6];
    if next == FRAGMENT {
        let (fragment, after) = rest.split_first_chunk::<8>()?;
        if u16::from_be_bytes([fragment[2], fragment[3]]) >> 3 != 0 {
            return None;
        }
        next = fragment[0];
        rest = after;
    }
    if header[0] >> 4 != 6 || next != UDP {
        return None;
    }
    let (_, addresses) = header.split_last_chunk::<32>()?;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let destination = <[u8; 16]>::try_from(destination).ok()?;
    let source = Ipv6Addr::from(*source);
    error(
        kind,
        code,
        data,
        source.into(),
        Ipv6Addr::from(destination).into(),
        rest,
    )
}

fn error(
    kind: u8,
    code: u8,
    data: [u8; 4],
    source: IpAddr,
    destination: IpAddr,
    udp: &[u8],
) -> Option<IcmpError> {
    let header = udp.first_chunk::<8>()?;
    let source_port = u16::from_be_bytes([header[0], header[1]]);
    let destination_port = u16::from_be_bytes([header[2], header[3]]);
    Some(IcmpError {
        relayed: RelayedAddr(SocketAddr::new(source, source_port)),
        peer: PeerAddr(SocketAddr::new(destination, destination_port)),
        kind,
        code,
        data,
    })
}

/// Type, code, the rest of the header (an MTU, where there is one) and the quoted datagram.
fn split_message(message: &[u8]) -> Option<(u8, u8, [u8; 4], &[u8])> {
    let (header, quoted) = message.split_first_chunk::<8>()?;
    let [kind, code, _, _, a, b, c, d] = *header;
    Some((kind, code, [a, b, c, d], quoted))
}

fn split_ipv4(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *packet.first()?;
    let header_bytes = usize::from(first & 0x0F) * 4;
    if first >> 4 != 4 || header_bytes < 20 {
        return None;
    }
    packet.split_at_checked(header_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn ipv4(protocol: u8, source: [u8; 4], destination: [u8; 4], options: usize) -> Vec<u8> {
        let mut header = vec![0; 20 + options * 4];
        header[0] = 0x45 + options as u8;
        header[9] = protocol;
        header[12..16].copy_from_slice(&source);
        header[16..20].copy_from_slice(&destination);
        header
    }

    fn udp(source: u16, destination: u16) -> Vec<u8> {
        [
            source.to_be_bytes(),
            destination.to_be_bytes(),
            [0, 8],
            [0, 0],
        ]
        .concat()
    }

    fn ipv6(next: u8, source: &str, destination: &str) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0, 0, 8, next, 64];
        header.extend(source.parse::<Ipv6Addr>().unwrap().octets());
        header.extend(destination.parse::<Ipv6Addr>().unwrap().octets());
        header
    }

    fn port_unreachable_v4(options: usize) -> Vec<u8> {
        let mut packet = ipv4(1, [203, 0, 113, 9], [192, 0, 2, 1], options);
        packet.extend([3, 3, 0, 0, 0, 0, 0, 0]);
        packet.extend(ipv4(UDP, [192, 0, 2, 1], [203, 0, 113, 9], options));
        packet.extend(udp(50_000, 4_000));
        packet
    }

    fn too_big_v6(fragment: Option<[u8; 8]>) -> Vec<u8> {
        let mut message = vec![2, 0, 0, 0, 0, 0, 5, 0];
        message.extend(ipv6(
            if fragment.is_some() { FRAGMENT } else { UDP },
            "2001:db8::1",
            "2001:db8:9::9",
        ));
        message.extend(fragment.into_iter().flatten());
        message.extend(udp(50_001, 4_001));
        message
    }

    #[test]
    fn port_unreachable_names_relayed_address_and_peer() {
        for options in [0, 3] {
            let error = parse_v4(&port_unreachable_v4(options)).unwrap();
            assert_eq!((error.kind, error.code, error.data), (3, 3, [0; 4]));
            assert_eq!(error.relayed.0, "192.0.2.1:50000".parse().unwrap());
            assert_eq!(error.peer.0, "203.0.113.9:4000".parse().unwrap());
        }
    }

    #[test]
    fn packet_too_big_carries_the_mtu() {
        let first_fragment = [UDP, 0, 0, 1, 0, 0, 0, 7];
        for fragment in [None, Some(first_fragment)] {
            let error = parse_v6(&too_big_v6(fragment)).unwrap();
            assert_eq!((error.kind, error.code, error.data), (2, 0, [0, 0, 5, 0]));
            assert_eq!(error.relayed.0, "[2001:db8::1]:50001".parse().unwrap());
            assert_eq!(error.peer.0, "[2001:db8:9::9]:4001".parse().unwrap());
        }
    }

    #[test]
    fn later_fragments_other_protocols_and_echoes_are_no_errors_of_ours() {
        let mut fragment = port_unreachable_v4(0);
        fragment[28 + 7] = 1;
        assert!(parse_v4(&fragment).is_none());
        let mut tcp = port_unreachable_v4(0);
        tcp[28 + 9] = 6;
        assert!(parse_v4(&tcp).is_none());
        let mut echo = port_unreachable_v4(0);
        echo[20] = 8;
        assert!(parse_v4(&echo).is_none());
        assert!(parse_v6(&too_big_v6(Some([UDP, 0, 0, 8, 0, 0, 0, 7]))).is_none());
        let mut echo = too_big_v6(None);
        echo[0] = 128;
        assert!(parse_v6(&echo).is_none());
    }

    #[test]
    fn short_messages_are_none() {
        let v4 = port_unreachable_v4(2);
        for len in 0..v4.len() {
            assert!(parse_v4(&v4[..len]).is_none(), "{len}");
        }
        let v6 = too_big_v6(Some([UDP, 0, 0, 1, 0, 0, 0, 7]));
        for len in 0..v6.len() {
            assert!(parse_v6(&v6[..len]).is_none(), "{len}");
        }
    }
}
