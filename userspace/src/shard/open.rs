//! Opening sockets, with the options that a relay needs on each.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use turnpike_types::CommandError;

use crate::uring::{FragmentPolicy, filter_icmp_errors, set_fragment_policy};

/// Receive and send queue of a listener, in bytes: some 40 ms of 1 Gbit/s.
const LISTENER_QUEUE_BYTES: usize = 4 << 20;

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1_024;

/// Bytes of a connection that the kernel takes before they are sent; more wait in the shard, where
/// they are counted and, in the end, dropped.
const UNSENT_BYTES: u32 = 64 << 10;

/// How long a client may leave sent bytes unacknowledged before the kernel gives it up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Receive and send queue of one relayed address, in bytes.
const RELAY_QUEUE_BYTES: usize = 256 << 10;

/// Receive queue of the ICMP sockets, in bytes.
const ICMP_QUEUE_BYTES: usize = 256 << 10;

/// Admits a datagram whose length, its UDP header included, is above the header's 8 bytes. The kernel
/// counts the others with those that found its queue full.
const NOT_EMPTY: [SockFilter; 4] = {
    const LOAD_LENGTH: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_LEN) as u16;
    const JUMP_IF_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    [
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(JUMP_IF_ABOVE, 0, 1, 8),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};

/// Opens a UDP listener. Empty datagrams do not get through: nothing that TURN knows is empty, and
/// in the kernel each ends a multishot receive, so that a flood of them would cost calls a loop turn
/// a packet.
///
/// # Errors
/// The kernel's: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
pub fn listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address, LISTENER_QUEUE_BYTES)?;
    socket.attach_filter(&NOT_EMPTY)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Opens a listener for TCP, with what the connections accepted from it inherit: each message is
/// sent when it is written, and a client that vanished is found out.
///
/// # Errors
/// The kernel's: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
pub fn stream_listener(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run that the kernel still winds up do not hold the port.
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Opens the socket of a relayed address.
///
/// # Errors
/// In the words of a lane.
pub(super) fn relay(address: SocketAddr) -> Result<Socket, CommandError> {
    let bound = || {
        let socket = unbound(address, RELAY_QUEUE_BYTES)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bound().map_err(|error: io::Error| match error.raw_os_error() {
        Some(libc::EADDRINUSE) => CommandError::PortInUse,
        Some(libc::EACCES | libc::EPERM) => CommandError::NotPermitted,
        _ => CommandError::OutOfResources,
    })
}

/// Opens a raw socket that hears ICMP errors of a family.
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`.
pub fn icmp(is_ipv6: bool) -> io::Result<Socket> {
    let (domain, protocol) = if is_ipv6 {
        (Domain::IPV6, Protocol::ICMPV6)
    } else {
        (Domain::IPV4, Protocol::ICMPV4)
    };
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
    filter_icmp_errors(&socket, is_ipv6)?;
    socket.set_recv_buffer_size(ICMP_QUEUE_BYTES)?;
    Ok(socket)
}

fn unbound(address: SocketAddr, queue_bytes: usize) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    let is_ipv6 = matches!(address.ip(), IpAddr::V6(_));
    if is_ipv6 {
        socket.set_only_v6(true)?;
    }
    // Without this, Linux sets DF on what it sends and drops what exceeds the path's MTU.
    set_fragment_policy(&socket, is_ipv6, FragmentPolicy::Fragment)?;
    // Beyond the system's maximum needs a right; without it the maximum has to do.
    if setsockopt(&socket, sockopt::RcvBufForce, &queue_bytes).is_err() {
        socket.set_recv_buffer_size(queue_bytes)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &queue_bytes).is_err() {
        socket.set_send_buffer_size(queue_bytes)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupied_port_is_port_in_use() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = relay(taken.local_addr().unwrap()).err();
        assert_eq!(refused, Some(CommandError::PortInUse));
    }

    #[test]
    fn empty_datagram_reaches_a_relayed_address_and_no_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let peer = std::net::UdpSocket::bind(address).unwrap();
            for (socket, expected) in [(listener(address).ok(), 1), (relay(address).ok(), 0)] {
                let socket = std::net::UdpSocket::from(socket.unwrap());
                for payload in [&b""[..], b"x"] {
                    peer.send_to(payload, socket.local_addr().unwrap()).unwrap();
                }
                assert_eq!(socket.recv(&mut [0; 8]).unwrap(), expected, "{address}");
            }
        }
    }

    #[test]
    fn accepted_connection_inherits_what_its_listener_was_given() {
        let listener = stream_listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
    }

    #[test]
    fn ipv6_socket_leaves_the_ipv4_port_alone() {
        let v6 = listener("[::1]:0".parse().unwrap()).unwrap();
        assert!(v6.only_v6().unwrap());
        let port = v6.local_addr().unwrap().as_socket().unwrap().port();
        assert!(listener(SocketAddr::new([127, 0, 0, 1].into(), port)).is_ok());
    }

    #[test]
    fn address_of_another_host_is_out_of_resources() {
        let refused = relay("192.0.2.1:50000".parse().unwrap()).err();
        assert_eq!(refused, Some(CommandError::OutOfResources));
    }
}
