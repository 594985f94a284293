//! The UDP header of a datagram that leaves by a raw socket (RFC 768): there the kernel makes the IP
//! header alone. Its checksum is over all of it, as RFC 8200 section 8.1 has it for IPv6 too.

use std::net::{IpAddr, SocketAddr};

use turnpike_abi::sum;

/// Bytes of it.
pub(super) const UDP_HEADER_BYTES: usize = 8;

/// The header of a datagram. `None` when the payload is longer than any can be, or the ends are of
/// different families.
pub(super) fn udp_header(
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
) -> Option<[u8; UDP_HEADER_BYTES]> {
    let length = u16::try_from(payload.len() + UDP_HEADER_BYTES).ok()?;
    let addresses = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum_of(&from.octets()) + sum_of(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => sum_of(&from.octets()) + sum_of(&to.octets()),
        _ => return None,
    };
    let length = length.to_be_bytes();
    let [source, destination] = [from, to].map(|it| it.port().to_be_bytes());
    // The length is summed twice: the pseudo-header has it too, beside the protocol.
    let words = [
        [0, libc::IPPROTO_UDP as u8],
        length,
        length,
        source,
        destination,
    ];
    let words = words.iter().map(|word| sum_of(word)).sum::<u64>();
    let checksum = sum::udp_field(addresses + words + sum_of(payload)).to_ne_bytes();
    let mut header = [0; UDP_HEADER_BYTES];
    let fields = [source, destination, length, checksum];
    for (place, field) in header.as_chunks_mut::<2>().0.iter_mut().zip(fields) {
        *place = field;
    }
    Some(header)
}

/// The sum of 16-bit words in the machine's order, carries kept, as `turnpike_abi::sum` has them. Words
/// of 32 bits at a time: a datagram's cannot overflow.
fn sum_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let words = words.iter().map(|it| u64::from(u32::from_ne_bytes(*it)));
    let mut last = [0; 4];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    words.sum::<u64>() + u64::from(u32::from_ne_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 4.1, over the pseudo-header and the datagram.
    fn plain_sum(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> u16 {
        let mut all = Vec::new();
        for ip in [from.ip(), to.ip()] {
            match ip {
                IpAddr::V4(ip) => all.extend(ip.octets()),
                IpAddr::V6(ip) => all.extend(ip.octets()),
            }
        }
        all.extend([0, 17]);
        all.extend((datagram.len() as u16).to_be_bytes());
        all.extend(datagram);
        let mut sum = 0_u32;
        for pair in all.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn checksum_makes_the_sum_all_ones_for_each_length_and_family() {
        for (from, to) in [
            ("192.0.2.1:49152", "198.51.100.255:65535"),
            ("[2001:db8::1]:50000", "[2001:db8:ffff::ffff]:1"),
        ] {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            for length in [0, 1, 2, 3, 4, 5, 171, 172, 1_472, 9_000, 65_500] {
                let payload: Vec<u8> = (0..length).map(|at| (at * 31 + 7) as u8).collect();
                let header = udp_header(from, to, &payload).unwrap();
                let datagram = [&header[..], &payload].concat();
                assert_eq!(plain_sum(from, to, &datagram), 0xffff, "{from} {length}");
                assert_eq!(header[4..6], (length as u16 + 8).to_be_bytes());
            }
        }
    }

    #[test]
    fn checksum_is_never_the_zero_that_means_none() {
        let (from, to) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let zeros = (0..=u16::MAX).filter(|word| {
            let header = udp_header(from, to, &word.to_be_bytes()).unwrap();
            assert_ne!(header[6..], [0, 0]);
            header[6..] == [0xff, 0xff]
        });
        assert!(zeros.count() > 0, "none came to it");
    }

    #[test]
    fn no_header_for_what_no_datagram_can_be() {
        let (v4, v6) = ("10.0.0.1:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        assert_eq!(udp_header(v4, v6, b"x"), None);
        assert_eq!(udp_header(v4, v4, &vec![0; 65_528]), None);
    }
}
