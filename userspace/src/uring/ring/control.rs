//! The control messages that the kernel puts beside a received datagram: the size of a run's segments
//! (`UDP_GRO`), and where a datagram was sent to (`IP_RECVORIGDSTADDR`), on sockets that ask for them.
//!
//! Bounded by the room that a receive has for them.

use std::net::SocketAddr;

use super::super::RawAddress;

/// A `cmsghdr`: length (8), level (4), kind (4); then the value, and room up to a multiple of 8.
const HEADER_BYTES: usize = 16;

const _: () = assert!(
    size_of::<libc::cmsghdr>() == HEADER_BYTES && size_of::<usize>() == 8,
    "control messages are written and read for 64 bits"
);

/// The segment size of a run; `None` when the datagram came alone.
pub(super) fn segment(control: &[u8]) -> Option<usize> {
    let value = find(control, |level, kind| {
        level == libc::SOL_UDP && kind == libc::UDP_GRO
    })?;
    let value = i32::from_ne_bytes(*value.first_chunk::<4>()?);
    usize::try_from(value).ok().filter(|segment| *segment > 0)
}

/// Where the datagram was sent to; `None` where the socket does not ask.
pub(super) fn destination(control: &[u8]) -> Option<SocketAddr> {
    let value = find(control, |level, kind| {
        matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) | (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR)
        )
    })?;
    RawAddress::parse(value)
}

/// The value of the first message of a kind.
fn find(mut control: &[u8], is_wanted: impl Fn(i32, i32) -> bool) -> Option<&[u8]> {
    loop {
        let (header, _) = control.split_first_chunk::<HEADER_BYTES>()?;
        let (length, rest) = header.split_first_chunk::<8>()?;
        let (level, kind) = rest.split_first_chunk::<4>()?;
        let kind = kind.first_chunk::<4>()?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
        let value = control.get(HEADER_BYTES..length)?;
        if is_wanted(i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)) {
            return Some(value);
        }
        control = control.get(length.checked_next_multiple_of(8)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER_BYTES + value.len()) as u64).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn each_message_is_found_among_others_and_cut_ones_are_none() {
        let address: SocketAddr = "[2001:db8::1]:50000".parse().unwrap();
        let run = message(libc::SOL_UDP, libc::UDP_GRO, &172_i32.to_ne_bytes());
        let to = message(
            libc::IPPROTO_IPV6,
            libc::IPV6_ORIGDSTADDR,
            RawAddress::new(&address).as_bytes(),
        );
        for both in [
            [run.clone(), to.clone()].concat(),
            [to.clone(), run.clone()].concat(),
        ] {
            assert_eq!(segment(&both), Some(172));
            assert_eq!(destination(&both), Some(address));
        }
        assert_eq!((segment(&to), destination(&run)), (None, None));
        for len in 0..16 + 28 {
            assert_eq!(destination(&to[..len]), None, "{len}");
        }
        let endless = [0; 32];
        assert_eq!((segment(&endless), destination(&endless)), (None, None));
    }
}
