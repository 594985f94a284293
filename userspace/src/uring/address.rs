//! Socket addresses as the kernel lays them out, written and read as bytes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A `sockaddr_in` or `sockaddr_in6`, with its length.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct RawAddress {
    bytes: [u8; Self::BYTES_MAX],
    len: u32,
}

impl RawAddress {
    /// The size of a `sockaddr_in6`.
    pub const BYTES_MAX: usize = 28;
    const V4_BYTES: usize = 16;

    /// Lays an address out.
    #[must_use]
    pub fn new(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::new_v4(v4),
            SocketAddr::V6(v6) => Self::new_v6(v6),
        }
    }

    /// The bytes in use.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&[])
    }

    /// The length in use, as `socklen_t`.
    #[must_use]
    pub const fn byte_len(&self) -> u32 {
        self.len
    }

    /// Reads the layout back. `None` when the family is neither IPv4 nor IPv6 or bytes are missing.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<SocketAddr> {
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => {
                let (ip, _) = rest.split_first_chunk::<4>()?;
                Some(SocketAddrV4::new(Ipv4Addr::from(*ip), port).into())
            }
            libc::AF_INET6 => {
                let (_flow, rest) = rest.split_first_chunk::<4>()?;
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                let (scope, _) = rest.split_first_chunk::<4>()?;
                let scope = u32::from_ne_bytes(*scope);
                Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, 0, scope).into())
            }
            _ => None,
        }
    }

    fn new_v4(address: &SocketAddrV4) -> Self {
        let [f0, f1] = (libc::AF_INET as u16).to_ne_bytes();
        let [p0, p1] = address.port().to_be_bytes();
        let [a, b, c, d] = address.ip().octets();
        let mut bytes = [0; Self::BYTES_MAX];
        if let Some(head) = bytes.first_chunk_mut::<8>() {
            *head = [f0, f1, p0, p1, a, b, c, d];
        }
        Self {
            bytes,
            len: Self::V4_BYTES as u32,
        }
    }

    fn new_v6(address: &SocketAddrV6) -> Self {
        let [f0, f1] = (libc::AF_INET6 as u16).to_ne_bytes();
        let [p0, p1] = address.port().to_be_bytes();
        let mut bytes = [0; Self::BYTES_MAX];
        if let Some((head, rest)) = bytes.split_first_chunk_mut::<8>() {
            *head = [f0, f1, p0, p1, 0, 0, 0, 0];
            if let Some((ip, scope)) = rest.split_first_chunk_mut::<16>() {
                *ip = address.ip().octets();
                if let Some(scope) = scope.first_chunk_mut::<4>() {
                    *scope = address.scope_id().to_ne_bytes();
                }
            }
        }
        Self {
            bytes,
            len: Self::BYTES_MAX as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockAddr;

    #[test]
    fn layout_is_the_one_of_the_c_library() {
        for text in ["192.0.2.7:3478", "[2001:db8::1]:49152", "[fe80::1%5]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let raw = RawAddress::new(&address);
            let theirs = SockAddr::from(address);
            assert_eq!(raw.byte_len(), theirs.len());
            assert_eq!(RawAddress::parse(raw.as_bytes()), Some(address));
            assert_eq!(SockAddr::from(address).as_socket(), Some(address));
        }
    }

    #[test]
    fn short_or_foreign_addresses_are_none() {
        let raw = RawAddress::new(&"[2001:db8::1]:9".parse().unwrap());
        for len in 0..RawAddress::BYTES_MAX {
            assert_eq!(RawAddress::parse(&raw.as_bytes()[..len]), None);
        }
        assert_eq!(RawAddress::parse(&[1, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
