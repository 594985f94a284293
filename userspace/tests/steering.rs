//! One socket a shard for all relayed ports: the relay in its fast path, on a host made for the test
//! whose packets all go over the loopback, past the programs: sockets carry what they carry of any call.
//! Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use turnpike::probe::Caller;
use turnpike::relay::{Options, Relay};
use turnpike_turn::client;
use turnpike_types::{AddressFamily, DropReason, PeerAddr, ServerAddr, Transport};

use AddressFamily::{Ipv4, Ipv6};

use support::{USER, options, plan};

const PATIENCE: Duration = Duration::from_secs(5);

/// How long what must not come is waited for.
const QUIET: Duration = Duration::from_millis(200);

const RELAY: [&str; 2] = ["10.99.0.1", "fd00:99::1"];
const PEER: [&str; 2] = ["10.99.0.2", "fd00:99::2"];

const CONFIG: &str = r#"
realm = "example.org"
[[listen]]
transport = "udp"
address = "10.99.0.1:3478"
[[listen]]
transport = "udp"
address = "[fd00:99::1]:3478"
[relay]
addresses = ["10.99.0.1", "fd00:99::1"]
ports = "50000-50999"
[auth]
users = { alice = "password" }
[peers]
allow = ["10.99.0.0/16", "fd00:99::/32"]
[fast_path]
mode = "require"
interfaces = ["wan0"]
"#;

/// Ones that are empty, odd, and longer than the host's MTU.
const PAYLOADS: [usize; 5] = [0, 1, 172, 1_400, 9_000];

/// Moves the test's thread to a host of its own and starts a relay there.
fn relay_with(config: &str) -> Relay {
    unshare(CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("these tests need root: {error}"));
    let [v4, v6] = RELAY;
    let [peer_v4, peer_v6] = PEER;
    for arguments in [
        "link set lo mtu 1500 up",
        "link add wan0 type veth peer name wan1",
        "link set wan0 up",
        "link set wan1 up",
        &format!("addr add {v4}/24 dev wan0"),
        &format!("addr add {peer_v4}/24 dev wan0"),
        &format!("addr add {v6}/64 dev wan0 nodad"),
        &format!("addr add {peer_v6}/64 dev wan0 nodad"),
    ] {
        let output = Command::new("ip")
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {said}");
    }
    let options = Options {
        fast_path: true,
        shards: Some(2),
        ..options()
    };
    Relay::start(&plan(config), &options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn allocations_have_no_socket_and_no_descriptor() {
    const ALLOCATIONS: usize = 100;
    let relay = relay_with(CONFIG);
    let (sockets, descriptors) = (udp_sockets(), open_descriptors());
    let callers: Vec<Caller> = (0..ALLOCATIONS)
        .map(|index| allocate(&relay, Ipv4, if index % 2 == 0 { Ipv4 } else { Ipv6 }))
        .collect();
    assert_eq!(relay.fresh_snapshot().allocations, ALLOCATIONS as u64);
    // The clients' own.
    assert_eq!(udp_sockets() - sockets, ALLOCATIONS);
    assert_eq!(open_descriptors() - descriptors, ALLOCATIONS);
    drop(callers);
}

#[test]
fn indications_and_channels_are_carried_both_ways_in_both_families_and_across() {
    let relay = relay_with(CONFIG);
    for (listening, relayed) in [(Ipv4, Ipv4), (Ipv6, Ipv6), (Ipv4, Ipv6), (Ipv6, Ipv4)] {
        let mut caller = allocate(&relay, listening, relayed);
        let peer = peer(relayed);
        caller.permit(address(&peer).ip()).unwrap();
        exchange(&mut caller, &peer, relayed);
        caller.bind_channel(address(&peer)).unwrap();
        exchange(&mut caller, &peer, relayed);
        caller.close().unwrap();
    }
    let last = relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!(last.packets(), 4 * 2 * 2 * PAYLOADS.len() as u64);
    assert_eq!(last.to_peer_bytes, last.to_client_bytes);
}

#[test]
fn allocations_reach_each_other_through_their_shards_sockets() {
    let relay = relay_with(CONFIG);
    // Ports are random: of so many, some pairs are of two shards.
    for _ in 0..8 {
        let (mut one, mut other) = (allocate(&relay, Ipv4, Ipv4), allocate(&relay, Ipv6, Ipv4));
        let [one_at, other_at] = [&one, &other].map(|it| PeerAddr(it.relayed(Ipv4).unwrap().0));
        one.permit(other_at.ip()).unwrap();
        other.bind_channel(one_at).unwrap();
        one.send(other_at, b"there").unwrap();
        assert_eq!(other.receive().unwrap(), (one_at, b"there".to_vec()));
        other.send(one_at, b"and back").unwrap();
        assert_eq!(one.receive().unwrap(), (other_at, b"and back".to_vec()));
    }
}

#[test]
fn peer_that_does_not_listen_is_reported_by_icmp_and_costs_no_other_peer_a_packet() {
    let relay = relay_with(CONFIG);
    for family in [Ipv4, Ipv6] {
        let mut caller = allocate(&relay, family, family);
        let live = peer(family);
        let gone = address(&peer(family));
        caller.permit(gone.ip()).unwrap();
        for number in 0..20_u8 {
            caller.send(gone, b"anybody?").unwrap();
            let (peer, icmp) = caller.receive_icmp().unwrap();
            // Type 3 code 3 of ICMP, type 1 code 4 of ICMPv6: port unreachable.
            let expected = if family == Ipv4 { (3, 3) } else { (1, 4) };
            assert_eq!((peer, (icmp.kind, icmp.code)), (gone, expected));
            caller.send(address(&live), &[number]).unwrap();
            assert_eq!(receive(&live).0, [number]);
        }
    }
    let last = relay.stop().unwrap();
    assert_eq!(last.dropped(), 0, "{last:?}");
}

#[test]
fn datagram_that_may_not_be_fragmented_leaves_whole_or_not_at_all() {
    let relay = relay_with(CONFIG);
    let mut config = client::Config::new(listener(&relay, Ipv4), Transport::Udp);
    config.credential = Some(client::Credential::new(USER.0, USER.1));
    config.dont_fragment = true;
    let mut caller = Caller::start(config, PATIENCE).unwrap();
    caller.wait_for_allocation().unwrap();
    let peer = peer(Ipv4);
    caller.permit(address(&peer).ip()).unwrap();
    caller.send(address(&peer), &[1; 1_473]).unwrap();
    // The MTU less the headers.
    caller.send(address(&peer), &[2; 1_472]).unwrap();
    assert_eq!(receive(&peer).0, [2; 1_472]);
    let last = relay.stop().unwrap();
    let drops: Vec<_> = last.drops_by_reason().collect();
    assert_eq!(drops, [(DropReason::SendFailed, 1)]);
}

#[test]
fn relayed_port_without_an_allocation_is_silent_until_the_relay_stops() {
    let relay = relay_with(CONFIG);
    for ip in RELAY {
        let stranger = stranger(ip);
        for port in [50_000, 50_499, 50_500, 50_999] {
            assert!(!is_unreachable(&stranger, ip, port), "{ip} {port}");
        }
        assert!(is_unreachable(&stranger, ip, 51_000), "not the relay's");
    }
    let last = relay.stop().unwrap();
    let drops: Vec<_> = last.drops_by_reason().collect();
    assert_eq!(drops, [(DropReason::NoAllocation, 8)]);
    for ip in RELAY {
        assert!(is_unreachable(&stranger(ip), ip, 50_000), "{ip}");
    }
}

#[test]
fn port_that_another_program_has_is_nobodys_relayed_address() {
    let relay = relay_with(&CONFIG.replace("50000-50999", "50000-50127"));
    let foreign: Vec<UdpSocket> = (50_000..50_128)
        .step_by(8)
        .map(|port| UdpSocket::bind((RELAY[0], port)).unwrap())
        .collect();
    let callers: Vec<Caller> = (0..60).map(|_| allocate(&relay, Ipv4, Ipv4)).collect();
    for caller in &callers {
        let port = caller.relayed(Ipv4).unwrap().0.port();
        let mut taken = foreign.iter().map(|it| it.local_addr().unwrap().port());
        assert!(taken.all(|taken| taken != port), "{port}");
    }
}

fn allocate(relay: &Relay, listening: AddressFamily, relayed: AddressFamily) -> Caller {
    Caller::allocate(listener(relay, listening), Some(USER), relayed, PATIENCE).unwrap()
}

fn listener(relay: &Relay, family: AddressFamily) -> ServerAddr {
    let mut listeners = relay.listeners().iter();
    *listeners.find(|it| it.family() == family).unwrap()
}

/// Sends datagrams of several sizes each way and compares what arrives.
#[track_caller]
fn exchange(caller: &mut Caller, peer: &UdpSocket, family: AddressFamily) {
    let relayed = caller.relayed(family).unwrap().0;
    for (index, len) in PAYLOADS.into_iter().enumerate() {
        let payload = vec![index as u8; len];
        caller.send(address(peer), &payload).unwrap();
        let (bytes, source) = receive(peer);
        assert_eq!(source, relayed);
        assert!(bytes == payload, "{len} bytes to the peer");
        peer.send_to(&payload, relayed).unwrap();
        let (from, bytes) = caller.receive().unwrap();
        assert_eq!(from, address(peer));
        assert!(bytes == payload, "{len} bytes to the client");
    }
}

fn peer(family: AddressFamily) -> UdpSocket {
    let ip: IpAddr = PEER.get(family as usize).unwrap().parse().unwrap();
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn address(peer: &UdpSocket) -> PeerAddr {
    PeerAddr(peer.local_addr().unwrap())
}

#[track_caller]
fn receive(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (len, source) = peer.recv_from(&mut buffer).unwrap();
    buffer.truncate(len);
    (buffer, source)
}

/// A socket that no relayed port is on.
fn stranger(relay: &str) -> UdpSocket {
    let peer = if relay.contains(':') { Ipv6 } else { Ipv4 };
    let socket = self::peer(peer);
    socket.set_read_timeout(Some(QUIET)).unwrap();
    socket
}

/// Whether the kernel says that nobody is at a port.
fn is_unreachable(stranger: &UdpSocket, ip: &str, port: u16) -> bool {
    stranger.connect((ip, port)).unwrap();
    stranger.send(b"anybody?").unwrap();
    let heard = stranger.recv(&mut [0; 8]).unwrap_err();
    heard.kind() == io::ErrorKind::ConnectionRefused
}

/// UDP sockets of the host that the calling thread is on.
fn udp_sockets() -> usize {
    let rows = |file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        fs::read_to_string(path).unwrap().lines().count()
    };
    rows("udp") + rows("udp6")
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
