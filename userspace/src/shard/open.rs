//! Opening sockets, with the options that a relay needs on each.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use turnpike_types::{AddressFamily, CommandError};

use super::{icmp_filter, owner};
use crate::uring::{
    FragmentPolicy, filter_icmp_errors, receive_runs, set_fragment_policy, steer_group,
};

/// Receive and send queue of a listener, in bytes: some 40 ms of 1 Gbit/s.
pub(super) const LISTENER_QUEUE_BYTES: usize = 4 << 20;

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

/// Opens a UDP listener for each shard, in their order; with `steer`, the kernel hands a datagram to
/// the shard that owns its client. Empty datagrams do not get through: nothing that TURN knows is
/// empty, and in the kernel each ends a multishot receive, so that a flood of them would cost calls
/// a loop turn a packet.
///
/// The first one is bound before it shares its address: a port that another program has is refused
/// even where that program would share it.
///
/// # Errors
/// The kernel's: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
pub fn listeners(address: SocketAddr, shards: u16, steer: bool) -> io::Result<Vec<Socket>> {
    let first = unbound_listener(address)?;
    first.bind(&address.into())?;
    if shards < 2 {
        return Ok(vec![first]);
    }
    let bound = first.local_addr()?;
    first.set_reuse_port(true)?;
    let mut group = vec![first];
    for _ in 1..shards {
        let socket = unbound_listener(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound)?;
        group.push(socket);
    }
    if let (true, Some(first)) = (steer, group.first()) {
        let family = AddressFamily::of(&address.ip());
        steer_group(first, &owner::program(family, shards))?;
    }
    Ok(group)
}

fn unbound_listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address, LISTENER_QUEUE_BYTES)?;
    socket.attach_filter(&NOT_EMPTY)?;
    Ok(socket)
}

/// Opens a listener for TCP for each shard. What the connections accepted from it inherit: each
/// message is sent when it is written, and a client that vanished is found out.
///
/// As with [`listeners`], a port that another program has is refused.
///
/// # Errors
/// The kernel's: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
pub fn stream_listeners(address: SocketAddr, shards: u16) -> io::Result<Vec<Socket>> {
    let first = unbound_stream_listener(address)?;
    first.bind(&address.into())?;
    let bound = first.local_addr()?;
    let mut group = vec![first];
    for _ in 1..shards {
        group.push(unbound_stream_listener(address)?);
    }
    if let [first, others @ ..] = group.as_slice()
        && !others.is_empty()
    {
        first.set_reuse_port(true)?;
        for socket in others {
            socket.set_reuse_port(true)?;
            socket.bind(&bound)?;
        }
    }
    for socket in &group {
        socket.listen(BACKLOG)?;
    }
    Ok(group)
}

fn unbound_stream_listener(address: SocketAddr) -> io::Result<Socket> {
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
    bound().map_err(|error| relay_refusal(&error))
}

/// What it means to an engine that a relayed address could not be bound.
pub(super) fn relay_refusal(error: &io::Error) -> CommandError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => CommandError::PortInUse,
        Some(libc::EACCES | libc::EPERM) => CommandError::NotPermitted,
        _ => CommandError::OutOfResources,
    }
}

/// Opens a raw socket that hears ICMP errors of a family about what was sent from these ports.
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`.
pub fn icmp(family: AddressFamily, ports: &RangeInclusive<u16>) -> io::Result<Socket> {
    let (domain, protocol) = match family {
        AddressFamily::Ipv6 => (Domain::IPV6, Protocol::ICMPV6),
        AddressFamily::Ipv4 => (Domain::IPV4, Protocol::ICMPV4),
    };
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
    filter_icmp_errors(&socket, family == AddressFamily::Ipv6)?;
    socket.attach_filter(&icmp_filter::program(family, ports))?;
    socket.set_recv_buffer_size(ICMP_QUEUE_BYTES)?;
    Ok(socket)
}

pub(super) fn unbound(address: SocketAddr, queue_bytes: usize) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    let is_ipv6 = matches!(address.ip(), IpAddr::V6(_));
    if is_ipv6 {
        socket.set_only_v6(true)?;
    }
    // Without this, Linux sets DF on what it sends and drops what exceeds the path's MTU.
    set_fragment_policy(&socket, is_ipv6, FragmentPolicy::Fragment)?;
    receive_runs(&socket)?;
    queue(&socket, queue_bytes)?;
    Ok(socket)
}

/// Sizes receive and send queue. Beyond the system's maximum needs a right; without it the maximum has
/// to do.
pub(super) fn queue(socket: &Socket, bytes: usize) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &bytes).is_err() {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::UdpSocket;

    use turnpike_turn::icmp_quote;

    use super::*;

    fn listener(address: SocketAddr) -> io::Result<Socket> {
        listeners(address, 1, false).map(|mut group| group.remove(0))
    }

    #[test]
    fn errors_about_ports_that_are_not_its_own_do_not_reach_an_icmp_socket() {
        for (family, ip) in [
            (AddressFamily::Ipv4, "127.0.0.1"),
            (AddressFamily::Ipv6, "::1"),
        ] {
            let mut free = (20_000..32_000).filter_map(|port| UdpSocket::bind((ip, port)).ok());
            let [below, own, above, closed] = [(); 4].map(|()| free.next().unwrap());
            let gone = closed.local_addr().unwrap();
            drop(closed);
            let port = own.local_addr().unwrap().port();
            let Ok(mut socket) = icmp(family, &(port..=port)) else {
                // That takes CAP_NET_RAW.
                return;
            };
            for sender in [&below, &above, &own] {
                sender.send_to(b"anybody?", gone).unwrap();
            }
            socket.set_nonblocking(false).unwrap();
            let wait = Some(Duration::from_millis(500));
            socket.set_read_timeout(wait).unwrap();
            let mut bytes = [0; 1_500];
            let len = socket.read(&mut bytes).unwrap();
            let error = match family {
                AddressFamily::Ipv4 => icmp_quote::parse_v4(&bytes[..len]),
                AddressFamily::Ipv6 => icmp_quote::parse_v6(&bytes[..len]),
            };
            assert_eq!(error.unwrap().relayed.0.port(), port);
            assert!(socket.read(&mut bytes).is_err(), "one error is its own");
        }
    }

    #[test]
    fn port_of_another_program_is_refused_even_where_it_would_be_shared() {
        let group = listeners("127.0.0.1:0".parse().unwrap(), 3, true).unwrap();
        let address = group[0].local_addr().unwrap().as_socket().unwrap();
        assert!(group.iter().all(|it| it.reuse_port().unwrap()));
        for shards in [1, 3] {
            let refused = listeners(address, shards, true).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        }
        drop(group);
        assert!(listeners(address, 2, true).is_ok());
    }

    #[test]
    fn kernel_and_function_agree_on_every_client() {
        use std::net::{IpAddr, UdpSocket};
        use turnpike_types::ClientAddr;
        const SHARDS: u16 = 3;
        for (listening, clients) in [
            ("127.0.0.1:0", ["127.0.0.1", "127.0.0.77", "127.200.3.9"]),
            ("[::1]:0", ["::1"; 3]),
        ] {
            let group = listeners(listening.parse().unwrap(), SHARDS, true).unwrap();
            let to = group[0].local_addr().unwrap().as_socket().unwrap();
            let mut owned = [0; SHARDS as usize];
            for ip in clients.iter().cycle().take(60) {
                let client = UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap();
                client.send_to(b"x", to).unwrap();
                let from = client.local_addr().unwrap();
                let owner = owner::owner_of(ClientAddr(from), SHARDS);
                let socket = UdpSocket::from(group[usize::from(owner)].try_clone().unwrap());
                assert_eq!(socket.recv_from(&mut [0; 8]).unwrap(), (1, from));
                owned[usize::from(owner)] += 1;
            }
            assert!(owned.iter().all(|count| *count > 0), "{owned:?}");
        }
    }

    #[test]
    fn occupied_port_is_port_in_use() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = relay(taken.local_addr().unwrap()).err();
        assert_eq!(refused, Some(CommandError::PortInUse));
    }

    #[test]
    fn empty_datagram_reaches_a_relayed_address_and_no_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let peer = UdpSocket::bind(address).unwrap();
            for (socket, expected) in [(listener(address).ok(), 1), (relay(address).ok(), 0)] {
                let socket = UdpSocket::from(socket.unwrap());
                for payload in [&b""[..], b"x"] {
                    peer.send_to(payload, socket.local_addr().unwrap()).unwrap();
                }
                assert_eq!(socket.recv(&mut [0; 8]).unwrap(), expected, "{address}");
            }
        }
    }

    #[test]
    fn accepted_connection_inherits_what_its_listener_was_given() {
        let listener = &stream_listeners("127.0.0.1:0".parse().unwrap(), 1).unwrap()[0];
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
