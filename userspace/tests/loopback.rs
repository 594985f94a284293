//! The relay on loopback, driven by the client engine over real sockets.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use turnpike::probe::{CallError, Caller};
use turnpike::relay::{Options, Relay};
use turnpike::uring::RingConfig;
use turnpike_turn::client::Failure;
use turnpike_types::{AddressFamily, DropReason, PeerAddr, ServerAddr};

use AddressFamily::{Ipv4, Ipv6};

use support::{BOTH_FAMILIES, USER, options, plan};

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn indications_and_channels_relay_both_ways_in_both_families_and_across() {
    let relay = relay(BOTH_FAMILIES);
    for (listening, relayed) in [(Ipv4, Ipv4), (Ipv6, Ipv6), (Ipv4, Ipv6), (Ipv6, Ipv4)] {
        let mut caller = allocate(&relay, listening, relayed).unwrap();
        let peer = Peer::new(relayed);
        caller.permit(peer.address().ip()).unwrap();
        let relayed = caller.relayed(relayed).unwrap().0;
        exchange(&mut caller, &peer, relayed);
        caller.bind_channel(peer.address()).unwrap();
        exchange(&mut caller, &peer, relayed);
        caller.close().unwrap();
    }
    let last = relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
    assert_eq!(last.packets(), 4 * 2 * 2 * PAYLOADS.len() as u64);
    assert_eq!(last.to_peer_bytes, last.to_client_bytes);
}

#[test]
fn relayed_address_is_reachable_from_another_allocation() {
    let relay = relay(BOTH_FAMILIES);
    let mut one = allocate(&relay, Ipv4, Ipv4).unwrap();
    let mut other = allocate(&relay, Ipv6, Ipv4).unwrap();
    let (one_at, other_at) = (peer_of(&one), peer_of(&other));
    one.permit(other_at.ip()).unwrap();
    other.bind_channel(one_at).unwrap();
    one.send(other_at, b"there").unwrap();
    assert_eq!(other.receive().unwrap(), (one_at, b"there".to_vec()));
    other.send(one_at, b"and back").unwrap();
    assert_eq!(one.receive().unwrap(), (other_at, b"and back".to_vec()));
}

#[test]
fn wildcard_listener_answers_from_the_address_that_was_asked() {
    // Free on one address, and of the range that relays and other tests leave alone.
    let is_free = |port: &u16| UdpSocket::bind(("0.0.0.0", *port)).is_ok();
    let port = (19_000..20_000).find(is_free).unwrap();
    let relay = relay(
        &BOTH_FAMILIES
            .replace("127.0.0.1:0", &format!("0.0.0.0:{port}"))
            .replace("[::1]:0", &format!("[::]:{port}")),
    );
    let listeners = relay.listeners();
    assert!(listeners.iter().all(|server| server.0.port() == port));
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        assert!(listeners.iter().any(|server| server.0.ip() == ip));
    }
    for server in listeners {
        let client = UdpSocket::bind((server.0.ip(), 0)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        request.resize(20, 7);
        client.send_to(&request, server.0).unwrap();
        let (_, source) = client.recv_from(&mut [0; 512]).unwrap();
        assert_eq!(source, server.0);
    }
}

#[test]
fn datagram_longer_than_the_lane_carries_is_dropped_as_oversize() {
    let relay = relay(BOTH_FAMILIES);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peer = Peer::new(Ipv4);
    caller.permit(peer.address().ip()).unwrap();
    caller.send(peer.address(), &[1; 20_000]).unwrap();
    caller.send(peer.address(), b"next").unwrap();
    assert_eq!(peer.receive().0, b"next");
    let last = relay.stop().unwrap();
    assert_eq!(
        last.drops_by_reason().collect::<Vec<_>>(),
        [(DropReason::Oversize, 1)]
    );
}

#[test]
fn run_is_relayed_both_ways_datagram_by_datagram_in_order() {
    const SEGMENTS: [usize; 3] = [40, 172, 1_200];
    let relay = relay(BOTH_FAMILIES);
    let (mut sent, mut expected_bytes) = (0, 0);
    for (family, by_channel) in [(Ipv4, true), (Ipv6, true), (Ipv4, false), (Ipv6, false)] {
        let mut caller = allocate(&relay, family, family).unwrap();
        let peer = Peer::new(family);
        caller.permit(peer.address().ip()).unwrap();
        if by_channel {
            caller.bind_channel(peer.address()).unwrap();
        }
        let relayed = caller.relayed(family).unwrap().0;
        for segment in SEGMENTS {
            for count in [1, 2, 3, 31, 50] {
                for last in [segment, segment - 4, 4] {
                    let run = numbered(count, segment, last);
                    send_run(&mut caller, peer.address(), &run);
                    for payload in &run {
                        assert!(peer.receive() == (payload.clone(), relayed));
                    }
                    setsockopt(&peer.0, sockopt::UdpGsoSegment, &(segment as i32)).unwrap();
                    peer.send(&relayed, &run.concat());
                    for payload in &run {
                        assert!(caller.receive().unwrap() == (peer.address(), payload.clone()));
                    }
                    sent += count as u64;
                    expected_bytes += run.iter().map(Vec::len).sum::<usize>() as u64;
                }
            }
        }
    }
    let last = relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!((last.to_peer_packets, last.to_client_packets), (sent, sent));
    assert_eq!(
        (last.to_peer_bytes, last.to_client_bytes),
        (expected_bytes, expected_bytes)
    );
    assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
}

#[test]
fn run_of_mixed_channels_and_requests_keeps_each_flow_in_order() {
    let relay = relay(BOTH_FAMILIES);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peers = [Peer::new(Ipv4), Peer::new(Ipv4)];
    for peer in &peers {
        caller.bind_channel(peer.address()).unwrap();
    }
    // Fewer runs than the datagrams that go alone: some find none to be kept in.
    let few = RingConfig {
        runs: 2,
        ..RingConfig::default()
    };
    let sparing = relay_with(BOTH_FAMILIES, few);
    let mut other = allocate(&sparing, Ipv4, Ipv4).unwrap();
    for peer in &peers {
        other.bind_channel(peer.address()).unwrap();
    }
    for caller in [&mut caller, &mut other] {
        let pattern = [0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0];
        let mut run = Vec::new();
        for (index, to) in pattern.into_iter().enumerate() {
            run.extend(message(caller, peers[to].address(), &[index as u8; 96]));
        }
        run.extend([0x40; 100]);
        setsockopt(caller.socket(), sockopt::UdpGsoSegment, &100).unwrap();
        caller.socket().send(&run).unwrap();
        setsockopt(caller.socket(), sockopt::UdpGsoSegment, &0).unwrap();
        for (index, to) in pattern.into_iter().enumerate() {
            assert_eq!(peers[to].receive().0, [index as u8; 96]);
        }
    }
    for relay in [relay, sparing] {
        let last = relay.stop().unwrap();
        assert_eq!(last.to_peer_packets, 16, "{last:?}");
        assert_eq!(last.dropped(), 1, "{last:?}");
        assert_eq!(last.received, last.packets() + last.passed + 1, "{last:?}");
    }
}

#[test]
fn run_longer_than_its_buffer_loses_its_end_and_nothing_else() {
    let ring = RingConfig {
        buffer_bytes: 10_304,
        ..RingConfig::default()
    };
    let relay = relay_with(BOTH_FAMILIES, ring);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peer = Peer::new(Ipv4);
    caller.bind_channel(peer.address()).unwrap();
    let run = numbered(40, 1_000, 1_000);
    send_run(&mut caller, peer.address(), &run);
    for payload in run.iter().take(10) {
        assert!(peer.receive().0 == *payload);
    }
    wait_until("the rest is counted", || {
        relay.fresh_snapshot().drops[DropReason::Oversize as usize] == 30
    });
    let last = relay.stop().unwrap();
    assert_eq!(last.to_peer_packets, 10, "{last:?}");
    assert_eq!(last.received, last.packets() + last.passed + 30, "{last:?}");
}

#[test]
fn empty_datagrams_from_a_peer_do_not_disturb_the_runs_around_them() {
    let relay = relay(BOTH_FAMILIES);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peer = Peer::new(Ipv4);
    caller.bind_channel(peer.address()).unwrap();
    let relayed = caller.relayed(Ipv4).unwrap().0;
    for round in 0..20_u8 {
        for len in [0, 172, 172, 0, 0, 100, 172, 3, 0] {
            peer.send(&relayed, &vec![round; len]);
        }
        for len in [0, 172, 172, 0, 0, 100, 172, 3, 0] {
            assert_eq!(caller.receive().unwrap().1, vec![round; len]);
        }
    }
    let last = relay.stop().unwrap();
    assert_eq!(
        (last.to_client_packets, last.dropped()),
        (180, 0),
        "{last:?}"
    );
}

/// `count` payloads of `segment` bytes, the last of `last`, that tell their number.
fn numbered(count: usize, segment: usize, last: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| {
            let len = if index + 1 == count { last } else { segment };
            vec![index as u8; len]
        })
        .collect()
}

fn message(caller: &mut Caller, to: PeerAddr, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; payload.len() + 64];
    let len = caller.write(to, payload, &mut message).unwrap();
    message.truncate(len);
    message
}

/// Sends payloads as the client's run, by one system call.
fn send_run(caller: &mut Caller, to: PeerAddr, payloads: &[Vec<u8>]) {
    let messages: Vec<Vec<u8>> = payloads
        .iter()
        .map(|payload| message(caller, to, payload))
        .collect();
    let segment = messages.first().map_or(0, Vec::len) as i32;
    setsockopt(caller.socket(), sockopt::UdpGsoSegment, &segment).unwrap();
    caller.socket().send(&messages.concat()).unwrap();
    setsockopt(caller.socket(), sockopt::UdpGsoSegment, &0).unwrap();
}

#[test]
fn packet_that_the_kernel_refuses_is_counted_once() {
    // From a loopback address nothing can be sent to another host.
    let elsewhere = PeerAddr("192.0.2.1:9999".parse().unwrap());
    let relay = relay(&BOTH_FAMILIES.replace("allow = [", "allow = [\"192.0.2.1\", "));
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    caller.permit(elsewhere.ip()).unwrap();
    caller.send(elsewhere, b"lost").unwrap();
    caller
        .socket()
        .send(b"neither STUN nor ChannelData")
        .unwrap();
    caller.socket().send(&[1; 20_000]).unwrap();
    wait_until("all is dropped", || relay.fresh_snapshot().dropped() == 3);
    let last = relay.stop().unwrap();
    assert_eq!(last.drops[DropReason::SendFailed as usize], 1, "{last:?}");
    assert_eq!(last.packets(), 0, "{last:?}");
    assert_eq!(last.received, last.passed + last.dropped(), "{last:?}");
}

#[test]
fn peer_without_a_permission_does_not_get_through() {
    let relay = relay(BOTH_FAMILIES);
    let caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    Peer::new(Ipv4).send(&caller.relayed(Ipv4).unwrap().0, b"uninvited");
    let is_dropped = || relay.snapshot().drops[DropReason::NoPermission as usize] == 1;
    wait_until("the drop is counted", is_dropped);
}

#[test]
fn port_in_use_by_another_program_is_passed_over() {
    const PORTS: &str = "addresses = [\"127.0.0.1\"]\nports = \"20100-20115\"\n";
    const TRIES_MAX: usize = 100;
    let relay = relay(&BOTH_FAMILIES.replace("addresses = [\"127.0.0.1\", \"::1\"]\n", PORTS));
    let taken = [20_101, 20_106, 20_107, 20_112];
    let _holders = taken.map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap());
    for _ in 0..TRIES_MAX {
        let caller = allocate(&relay, Ipv4, Ipv4).unwrap();
        let port = caller.relayed(Ipv4).unwrap().port();
        assert!(
            (20_100..=20_115).contains(&port) && !taken.contains(&port),
            "{port}"
        );
        caller.close().unwrap();
        if relay.fresh_snapshot().commands_failed > 0 {
            return;
        }
    }
    unreachable!("a taken port was never drawn");
}

#[test]
fn relayed_port_is_closed_when_its_allocation_ends_by_request_or_by_expiry() {
    let relay = relay(&format!(
        "{BOTH_FAMILIES}\n[limits]\nlifetime = \"2s\"\nlifetime_max = \"2s\"\n"
    ));
    let ended = allocate(&relay, Ipv4, Ipv4).unwrap();
    let abandoned = allocate(&relay, Ipv6, Ipv6).unwrap();
    let addresses = [
        ended.relayed(Ipv4).unwrap().0,
        abandoned.relayed(Ipv6).unwrap().0,
    ];
    for address in addresses {
        assert!(UdpSocket::bind(address).is_err(), "{address} is open");
    }
    ended.close().unwrap();
    wait_until("the ended port is free", || {
        UdpSocket::bind(addresses[0]).is_ok()
    });
    wait_until("the expired port is free", || {
        UdpSocket::bind(addresses[1]).is_ok()
    });
    wait_until("no allocation is left", || {
        relay.snapshot().allocations == 0
    });
}

#[test]
fn all_ports_are_free_again_when_it_has_stopped() {
    for _ in 0..5 {
        let relay = relay(BOTH_FAMILIES);
        let caller = allocate(&relay, Ipv4, Ipv6).unwrap();
        let mut addresses: Vec<SocketAddr> = relay.listeners().iter().map(|it| it.0).collect();
        addresses.push(caller.relayed(Ipv6).unwrap().0);
        relay.stop().unwrap();
        for address in addresses {
            assert!(UdpSocket::bind(address).is_ok(), "{address} is still open");
        }
    }
}

#[test]
fn flood_of_garbage_costs_a_live_call_nothing() {
    const ROUNDS: usize = 200;
    const BURST: usize = 50;
    let relay = relay(BOTH_FAMILIES);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peer = Peer::new(Ipv4);
    caller.bind_channel(peer.address()).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = listener(&relay, Ipv4);
    let mut noise: u64 = 0x9E37_79B9_7F4A_7C15;
    for round in 0..ROUNDS {
        for _ in 0..BURST {
            let mut garbage = [0; 256];
            for byte in &mut garbage {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                *byte = (noise >> 56) as u8;
            }
            let len = noise as usize % garbage.len();
            stranger.send_to(&garbage[..len], listener.0).unwrap();
        }
        let payload = round.to_be_bytes();
        caller.send(peer.address(), &payload).unwrap();
        assert_eq!(peer.receive().0, payload);
    }
    let last = relay.stop().unwrap();
    assert_eq!(last.to_peer_packets, ROUNDS as u64);
    assert_eq!(last.allocations_total, 1);
    assert!(last.dropped() > 0, "{last:?}");
}

#[test]
fn burst_beyond_all_buffers_loses_packets_but_no_receive() {
    const BURST: u32 = 2_000;
    let ring = RingConfig {
        submissions: 4,
        completions: 8,
        receive_buffers: 4,
        reply_buffers: 2,
        ..RingConfig::default()
    };
    let relay = relay_with(BOTH_FAMILIES, ring);
    let mut caller = allocate(&relay, Ipv4, Ipv4).unwrap();
    let peer = Peer::new(Ipv4);
    caller.bind_channel(peer.address()).unwrap();
    for number in 0..BURST {
        caller.send(peer.address(), &number.to_be_bytes()).unwrap();
    }
    wait_until("the burst is over", || {
        let now = relay.snapshot();
        now.to_peer_packets + now.dropped() == u64::from(BURST)
    });
    peer.forget();
    let relayed = caller.relayed(Ipv4).unwrap().0;
    exchange(&mut caller, &peer, relayed);
    let last = relay.stop().unwrap();
    let sent = u64::from(BURST) + PAYLOADS.len() as u64;
    assert_eq!(last.to_peer_packets + last.dropped(), sent, "{last:?}");
}

#[test]
fn peer_that_does_not_listen_is_reported_by_icmp_where_the_process_may_hear_it() {
    let relay = relay(BOTH_FAMILIES);
    if !relay.hears_icmp() {
        return;
    }
    for family in [Ipv4, Ipv6] {
        let mut caller = allocate(&relay, family, family).unwrap();
        let gone = Peer::new(family).address();
        caller.permit(gone.ip()).unwrap();
        caller.send(gone, b"anybody?").unwrap();
        // Type 3 code 3 of ICMP, type 1 code 4 of ICMPv6: port unreachable.
        let (peer, icmp) = caller.receive_icmp().unwrap();
        let expected = if family == Ipv4 { (3, 3) } else { (1, 4) };
        assert_eq!((peer, (icmp.kind, icmp.code)), (gone, expected));
    }
}

#[test]
fn send_with_dont_fragment_reaches_the_peer() {
    let relay = relay(BOTH_FAMILIES);
    let mut config =
        turnpike_turn::client::Config::new(listener(&relay, Ipv4), turnpike_types::Transport::Udp);
    config.credential = Some(turnpike_turn::client::Credential::new(USER.0, USER.1));
    config.dont_fragment = true;
    let mut caller = Caller::start(config, PATIENCE).unwrap();
    caller.wait_for_allocation().unwrap();
    assert!(caller.client().dont_fragment());
    let peer = Peer::new(Ipv4);
    caller.permit(peer.address().ip()).unwrap();
    caller.send(peer.address(), b"unbroken").unwrap();
    assert_eq!(peer.receive().0, b"unbroken");
}

#[test]
fn wrong_password_is_unauthenticated() {
    let relay = relay(BOTH_FAMILIES);
    let server = listener(&relay, Ipv4);
    let refused = Caller::allocate(server, Some(("alice", "wrong")), Ipv4, PATIENCE);
    assert!(
        matches!(refused, Err(CallError::Failed(Failure::Unauthenticated))),
        "{refused:?}"
    );
}

#[test]
fn removed_user_gets_no_new_allocation() {
    let relay = relay(BOTH_FAMILIES);
    allocate(&relay, Ipv4, Ipv4).unwrap();
    assert!(relay.remove_user(USER.0));
    let refused = allocate(&relay, Ipv4, Ipv4);
    assert!(matches!(refused, Err(CallError::Failed(_))), "{refused:?}");
}

const PAYLOADS: [usize; 5] = [0, 1, 172, 1_400, 9_000];

fn relay(text: &str) -> Relay {
    relay_with(text, RingConfig::default())
}

fn relay_with(text: &str, ring: RingConfig) -> Relay {
    let options = Options { ring, ..options() };
    Relay::start(&plan(text), &options).unwrap()
}

fn listener(relay: &Relay, family: AddressFamily) -> ServerAddr {
    *relay
        .listeners()
        .iter()
        .find(|it| it.family() == family)
        .unwrap()
}

fn allocate(
    relay: &Relay,
    listening: AddressFamily,
    relayed: AddressFamily,
) -> Result<Caller, CallError> {
    Caller::allocate(listener(relay, listening), Some(USER), relayed, PATIENCE)
}

fn peer_of(caller: &Caller) -> PeerAddr {
    PeerAddr(caller.relayed(Ipv4).unwrap().0)
}

/// Sends datagrams of several sizes each way and compares what arrives.
fn exchange(caller: &mut Caller, peer: &Peer, relayed: SocketAddr) {
    for (index, len) in PAYLOADS.into_iter().enumerate() {
        let payload = vec![index as u8; len];
        caller.send(peer.address(), &payload).unwrap();
        let (bytes, source) = peer.receive();
        assert_eq!(source, relayed);
        assert!(bytes == payload, "{len} bytes to the peer");
        peer.send(&relayed, &payload);
        let (from, bytes) = caller.receive().unwrap();
        assert_eq!(from, peer.address());
        assert!(bytes == payload, "{len} bytes to the client");
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A host that speaks no TURN. On the relay's own addresses only ports from its range may be
/// reached, so it takes one of those, above the ones the kernel hands out.
struct Peer(UdpSocket);

impl Peer {
    fn new(family: AddressFamily) -> Self {
        let ip: IpAddr = if family == Ipv4 {
            [127, 0, 0, 1].into()
        } else {
            [0_u16, 0, 0, 0, 0, 0, 0, 1].into()
        };
        let socket = (61_000..=65_535)
            .find_map(|port| UdpSocket::bind((ip, port)).ok())
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn address(&self) -> PeerAddr {
        PeerAddr(self.0.local_addr().unwrap())
    }

    fn send(&self, to: &SocketAddr, payload: &[u8]) {
        self.0.send_to(payload, to).unwrap();
    }

    /// Empties the receive queue.
    fn forget(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 64]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (len, source) = self.0.recv_from(&mut buffer).unwrap();
        buffer.truncate(len);
        (buffer, source)
    }
}
