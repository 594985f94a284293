//! What a raw ICMP socket delivers (RFC 792, RFC 4443): arbitrary bytes, and errors built to quote
//! a known datagram, whole and cut short.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use turnpike_turn::icmp_quote::{parse_v4, parse_v6};
use turnpike_turn::server::IcmpError;
use turnpike_types::{AddressFamily, PeerAddr, RelayedAddr};

use crate::choices::Choices;

const UDP: u8 = 17;
const FRAGMENT: u8 = 44;

/// Parses the input as either family, then what it chooses to build.
pub fn icmp_quote(data: &[u8]) {
    judge(parse_v4(data), AddressFamily::Ipv4, &[3, 11, 12]);
    judge(parse_v6(data), AddressFamily::Ipv6, &[1, 2, 3, 4]);
    let mut choices = Choices::new(data);
    let kind = choices.byte() % 16;
    let protocol = choices.pick(&[UDP, 6, FRAGMENT]);
    quoted_v4(&mut choices, kind, protocol);
    quoted_v6(&mut choices, kind, protocol);
}

/// Whatever was understood is of one family and of a type that concerns a sender.
fn judge(parsed: Option<IcmpError>, family: AddressFamily, kinds: &[u8]) {
    let Some(error) = parsed else { return };
    assert_eq!(error.relayed.family(), family);
    assert_eq!(error.peer.family(), family);
    assert!(kinds.contains(&error.kind));
}

fn quoted_v4(choices: &mut Choices<'_>, kind: u8, protocol: u8) {
    let offset = u16::from(choices.flag());
    let (source, destination): ([u8; 4], [u8; 4]) = (choices.array(), choices.array());
    let mut quote = ipv4(usize::from(choices.byte() % 11), protocol, offset);
    quote[12..16].copy_from_slice(&source);
    quote[16..20].copy_from_slice(&destination);
    let (outer, header) = (
        ipv4(usize::from(choices.byte() % 11), 1, 0),
        choices.array(),
    );
    let ends = [
        Ipv4Addr::from(source).into(),
        Ipv4Addr::from(destination).into(),
    ];
    let (message, error) = finish(choices, outer, kind, header, quote, ends);
    let counts = matches!(kind, 3 | 11 | 12) && protocol == UDP && offset == 0;
    expect(parse_v4, &message, counts.then_some(error));
}

fn quoted_v6(choices: &mut Choices<'_>, kind: u8, protocol: u8) {
    let (source, destination): ([u8; 16], [u8; 16]) = (choices.array(), choices.array());
    let mut quote = vec![0x60, 0, 0, 0, 0, 8, protocol, 64];
    quote.extend(source);
    quote.extend(destination);
    let offset = choices.byte() % 2;
    if protocol == FRAGMENT {
        quote.extend([UDP, 0, 0, offset << 3, 0, 0, 0, 1]);
    }
    let header = choices.array();
    let ends = [
        Ipv6Addr::from(source).into(),
        Ipv6Addr::from(destination).into(),
    ];
    let (message, error) = finish(choices, Vec::new(), kind, header, quote, ends);
    let quotes_udp = protocol == UDP || protocol == FRAGMENT && offset == 0;
    let counts = matches!(kind, 1..=4) && quotes_udp;
    expect(parse_v6, &message, counts.then_some(error));
}

/// Puts the ICMP header before the quote and a UDP header behind it; says what should be read.
fn finish(
    choices: &mut Choices<'_>,
    mut message: Vec<u8>,
    kind: u8,
    [code, data @ ..]: [u8; 5],
    quote: Vec<u8>,
    [source, destination]: [IpAddr; 2],
) -> (Vec<u8>, IcmpError) {
    let (from, to) = (choices.u16(), choices.u16());
    message.extend([kind, code, 0, 0]);
    message.extend(data);
    message.extend(quote);
    message.extend(from.to_be_bytes());
    message.extend(to.to_be_bytes());
    message.extend([0; 4]);
    let error = IcmpError {
        relayed: RelayedAddr(SocketAddr::new(source, from)),
        peer: PeerAddr(SocketAddr::new(destination, to)),
        kind,
        code,
        data,
    };
    (message, error)
}

/// The whole message reads as expected, and with any byte missing at its end as nothing.
fn expect(parse: fn(&[u8]) -> Option<IcmpError>, message: &[u8], expected: Option<IcmpError>) {
    assert_eq!(parse(message), expected);
    for len in 0..message.len() {
        assert_eq!(parse(&message[..len]), None, "cut to {len} bytes");
    }
}

fn ipv4(options: usize, protocol: u8, offset: u16) -> Vec<u8> {
    let words = 5 + options.min(10);
    let mut header = vec![0; words * 4];
    header[0] = 0x40 | u8::try_from(words).expect("at most 15");
    header[6..8].copy_from_slice(&offset.to_be_bytes());
    header[9] = protocol;
    header
}
