//! The sockets of a shard whose relayed ports the kernel steers to it: one a family that hears all of
//! them, and raw ones that speak from any port, one a relay address. An allocation opens none.
//!
//! Raw, but the IP header is the kernel's (`IP_HDRINCL` is off): it fragments, sets DF and chooses an
//! identification as for a UDP socket. Only the UDP header is made here (`udp_header`).
//!
//! A port is the allocation's when nobody on this host has it: it is bound and let go again. Who binds
//! it later hears nothing by it (`docs/fast-path.md`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use turnpike_types::{AddressFamily, CommandError};

use super::open::{LISTENER_QUEUE_BYTES, queue, relay_refusal, unbound};
use crate::uring::{FragmentPolicy, set_fragment_policy};

/// What a shard has where relayed ports are steered to it.
#[derive(Debug)]
pub struct RelaySockets {
    /// What comes to relayed ports of a family.
    pub receive: Vec<(AddressFamily, Socket)>,
    /// What leaves from a relay address.
    pub send: Vec<(IpAddr, Socket)>,
}

impl RelaySockets {
    /// Opens them for these relay addresses.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn open(relay_ips: &[IpAddr]) -> io::Result<Self> {
        let families = [AddressFamily::Ipv4, AddressFamily::Ipv6].into_iter();
        let families =
            families.filter(|family| relay_ips.iter().any(|ip| AddressFamily::of(ip) == *family));
        let receive = families.map(|family| Ok((family, receiver(family)?)));
        let send = relay_ips.iter().map(|ip| Ok((*ip, sender(*ip)?)));
        Ok(Self {
            receive: receive.collect::<io::Result<_>>()?,
            send: send.collect::<io::Result<_>>()?,
        })
    }
}

/// Its own address is nobody's affair: what is steered to it was sent elsewhere, and each datagram
/// says where to.
fn receiver(family: AddressFamily) -> io::Result<Socket> {
    let address = SocketAddr::new(loopback(family), 0);
    let socket = unbound(address, LISTENER_QUEUE_BYTES)?;
    match family {
        AddressFamily::Ipv4 => {
            setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
            socket.set_freebind_v4(true)?;
        }
        AddressFamily::Ipv6 => {
            setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sends what begins with a UDP header, from an address. It hears nothing.
fn sender(ip: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(ip, 0);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::UDP))?;
    socket.attach_filter(&NOTHING)?;
    set_fragment_policy(&socket, ip.is_ipv6(), FragmentPolicy::Fragment)?;
    queue(&socket, LISTENER_QUEUE_BYTES)?;
    socket.bind(&address.into())?;
    // The filter refuses what comes, but only this spares the kernel a copy of each datagram of the
    // host's: a raw socket with a far end is shown the far end's alone. Sends name their own.
    let nobody = SocketAddr::new(loopback(AddressFamily::of(&ip)), 0);
    if let Err(error) = socket.connect(&nobody.into()) {
        tracing::debug!("a raw socket is shown more than it needs: {error}");
    }
    Ok(socket)
}

/// Refuses every packet.
const NOTHING: [SockFilter; 1] = [SockFilter::new(
    (libc::BPF_RET | libc::BPF_K) as u16,
    0,
    0,
    0,
)];

const fn loopback(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        AddressFamily::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// Whether a relayed address can be had: it is this host's, and no program has the port.
///
/// # Errors
/// In the words of a lane.
pub(super) fn probe(relayed: SocketAddr) -> Result<(), CommandError> {
    let bound = || {
        let domain = Domain::for_address(relayed);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if relayed.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&relayed.into())
    };
    bound().map_err(|error| relay_refusal(&error))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn port_is_probed_and_left_free() {
        for ip in ["127.0.0.1", "::1"] {
            let taken = UdpSocket::bind((ip, 0)).unwrap();
            let address = taken.local_addr().unwrap();
            assert_eq!(probe(address), Err(CommandError::PortInUse));
            drop(taken);
            assert_eq!(probe(address), Ok(()));
            assert_eq!(probe(address), Ok(()));
        }
        let foreign = "192.0.2.1:50000".parse().unwrap();
        assert_eq!(probe(foreign), Err(CommandError::OutOfResources));
    }
}
