//! Live frames: what the programs in the kernel make is what a wire carries, and what they count is
//! what came. Each run here has fewer packets than a veth's ring holds, so that a busy machine loses
//! none of them and the numbers are exact.

mod crooked;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use turnpike_bench_rig::load::live::{LiveFrames, redirect};
use turnpike_bench_rig::load::stamp::{LEN, MAGIC, filler};
use turnpike_bench_rig::load::{Carrier, Direction, Flow, Load, Path, Shape, Tally};
use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_bench_rig::netns::{RELAY_V4, RELAY_V6};

use self::crooked::Crooked;
use super::hosts;

const PACKETS: u64 = 200;
const RATE: f64 = 1_000.0;
const DURATION: Duration = Duration::from_millis(200);

#[test]
fn every_packet_of_a_bare_redirect_is_received_once() {
    let hosts = hosts(Wires::Two);
    let _redirect = redirect::attach(&hosts).unwrap();
    for family in [Family::V4, Family::V6] {
        let mut live = live(&hosts, flows(family, 10));
        for (payload, burst, direction) in [
            (172, 1, Direction::ToPeer),
            (1_200, 4, Direction::ToClient),
            (100, 10, Direction::Both),
            (LEN, 1, Direction::Both),
        ] {
            let shape = Shape {
                payload,
                burst,
                direction,
                path: Path::Straight,
                ..Shape::channel(payload)
            };
            let tally = live.run(&shape, RATE, DURATION).unwrap();
            assert_all_came(&tally, &format!("{family:?}, {shape}"));
        }
    }
    hosts.check().unwrap();
}

/// What clients send is longer than what peers send, and longer over IPv6.
#[test]
fn frames_of_every_length_leave_in_one_run() {
    let hosts = hosts(Wires::Two);
    let _redirect = redirect::attach(&hosts).unwrap();
    let mut mixed = flows(Family::V4, 5);
    mixed.extend((5..10).map(|number| flow(Family::V6, number)));
    let shape = Shape {
        path: Path::Straight,
        ..Shape::channel(172)
    };
    assert_all_came(
        &live(&hosts, mixed).run(&shape, RATE, DURATION).unwrap(),
        "both families",
    );
}

#[test]
fn peers_on_the_clients_wire_get_all_of_a_bare_redirect() {
    let hosts = hosts(Wires::One);
    let _redirect = redirect::attach(&hosts).unwrap();
    let mut live = live(&hosts, flows(Family::V4, 3));
    let shape = Shape {
        path: Path::Straight,
        ..Shape::channel(172)
    };
    assert_all_came(&live.run(&shape, RATE, DURATION).unwrap(), "one wire");
}

/// A socket sees only datagrams whose checksums the kernel finds right.
#[test]
fn sockets_receive_live_frames_of_both_families_and_carriers() {
    let hosts = hosts(Wires::Two);
    for family in [Family::V4, Family::V6] {
        let flow = flow(family, 0);
        let mut live = live(&hosts, vec![flow]);
        for (direction, carrier, payload) in [
            (Direction::ToPeer, Carrier::Channel, 172),
            (Direction::ToPeer, Carrier::Indication, 172),
            (Direction::ToPeer, Carrier::Indication, 1_198),
            (Direction::ToClient, Carrier::Channel, 1_200),
        ] {
            let at = match direction {
                Direction::ToClient => flow.relayed,
                _ => flow.server,
            };
            let socket = hosts
                .hosts
                .relay
                .enter(|| UdpSocket::bind(at))
                .unwrap()
                .unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let shape = Shape {
                payload,
                burst: 1,
                direction,
                carrier,
                path: Path::Relayed,
            };
            // Read at once: a socket's buffer has room for some fifty of these frames.
            let (tally, came) = thread::scope(|scope| {
                let came = scope.spawn(|| datagrams(&socket));
                let tally = live.run(&shape, RATE, DURATION).unwrap();
                (tally, came.join().unwrap())
            });
            let what = format!("{family:?}, {shape}: {}", told(&tally));
            assert_eq!((tally.sent, tally.received), (PACKETS, 0), "{what}");
            assert_eq!(came.len() as u64, PACKETS, "{what}");
            for (sequence, (bytes, from)) in (0u32..).zip(&came) {
                let (source, around) = match direction {
                    Direction::ToClient => (flow.peer, 0),
                    _ => (flow.client, front(carrier, family)),
                };
                assert_eq!(*from, source, "{what}");
                let whole = (around + payload).next_multiple_of(padding(carrier));
                assert_eq!(bytes.len(), whole, "{what}");
                let payload = &bytes[around..around + payload];
                assert_eq!(payload[..4], MAGIC.to_le_bytes(), "{what}");
                assert_eq!(payload[16..20], sequence.to_le_bytes(), "{what}");
                assert_eq!(payload[LEN..], filler(payload.len()), "{what}");
            }
        }
    }
}

/// What a socket receives until nothing more comes.
fn datagrams(socket: &UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2_000];
    let mut came = Vec::new();
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        came.push((buffer[..length].to_vec(), from));
    }
    came
}

#[test]
fn planted_faults_are_counted_one_by_one() {
    let hosts = hosts(Wires::Two);
    for (carrier, direction) in [
        (Carrier::Channel, Direction::ToPeer),
        (Carrier::Indication, Direction::ToPeer),
        (Carrier::Channel, Direction::ToClient),
        (Carrier::Indication, Direction::ToClient),
    ] {
        let mut flow = flow(Family::V4, 0);
        if carrier == Carrier::Indication {
            // Without a channel, data comes back in Data indications.
            flow.channel = 0;
        }
        let mut live = live(&hosts, vec![flow]);
        let _crooked = Crooked::start(&hosts, flow, carrier);
        let shape = Shape {
            payload: 172,
            burst: 1,
            direction,
            carrier,
            path: Path::Relayed,
        };
        let tally = live.run(&shape, RATE, DURATION).unwrap();
        let what = format!("{shape}: {}", told(&tally));
        assert_eq!((tally.wanted, tally.sent), (PACKETS, PACKETS), "{what}");
        assert_eq!(tally.corrupted, crooked::CORRUPTED, "{what}");
        assert_eq!(tally.misdirected, crooked::MISDIRECTED, "{what}");
        assert_eq!(tally.duplicated, crooked::DUPLICATED, "{what}");
        assert_eq!(tally.reordered, crooked::REORDERED, "{what}");
        let lost = crooked::DROPPED + crooked::CORRUPTED + crooked::MISDIRECTED;
        assert_eq!(
            (tally.lost, tally.received),
            (lost, PACKETS - lost),
            "{what}"
        );
        assert_eq!(tally.latency.len(), PACKETS - lost, "{what}");
        let slowest = Duration::from_nanos(tally.latency.max());
        assert!(slowest >= crooked::DELAY, "{what}");
        let share = lost as f64 / PACKETS as f64;
        assert!((tally.worst_flow_loss - share).abs() < 1e-9, "{what}");
    }
}

#[test]
fn what_carries_no_stamp_reaches_the_host() {
    let hosts = hosts(Wires::Two);
    let _live = live(&hosts, flows(Family::V4, 1));
    let address: SocketAddr = (turnpike_bench_rig::netns::CLIENT_V4, 9_000).into();
    let socket = hosts
        .hosts
        .client
        .enter(|| UdpSocket::bind(address))
        .unwrap()
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let send = || {
        UdpSocket::bind((RELAY_V4, 0))
            .unwrap()
            .send_to(b"hello", address)
    };
    hosts.hosts.relay.enter(send).unwrap().unwrap();
    let mut buffer = [0; 16];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn a_payload_that_live_frames_cannot_make_is_refused() {
    let hosts = hosts(Wires::Two);
    let mut live = live(&hosts, flows(Family::V4, 1));
    let refusal = live.run(&Shape::channel(173), RATE, DURATION);
    assert!(refusal.unwrap_err().to_string().contains("odd"));
}

fn assert_all_came(tally: &Tally, what: &str) {
    let what = format!("{what}: {}", told(tally));
    assert_eq!((tally.wanted, tally.sent), (PACKETS, PACKETS), "{what}");
    assert_eq!(
        (tally.received, tally.lost, tally.own_loss),
        (PACKETS, 0, 0),
        "{what}"
    );
    assert_eq!((tally.reordered, tally.duplicated), (0, 0), "{what}");
    assert_eq!((tally.corrupted, tally.misdirected), (0, 0), "{what}");
    assert_eq!(tally.latency.len(), PACKETS, "{what}");
}

fn told(tally: &Tally) -> String {
    format!(
        "wanted {} sent {} received {} lost {} own loss {} reordered {} duplicated {} corrupted {} \
         misdirected {} late {}",
        tally.wanted,
        tally.sent,
        tally.received,
        tally.lost,
        tally.own_loss,
        tally.reordered,
        tally.duplicated,
        tally.corrupted,
        tally.misdirected,
        tally.late,
    )
}

#[derive(Clone, Copy, Debug)]
enum Family {
    V4,
    V6,
}

fn flows(family: Family, count: u32) -> Vec<Flow> {
    (0..count).map(|number| flow(family, number)).collect()
}

/// A flow of addresses that nobody gave out: relays here relay whatever comes.
fn flow(family: Family, number: u32) -> Flow {
    let host = number + 1;
    let port = 50_000 + u16::try_from(number).unwrap();
    let (server, relayed, client, peer): (IpAddr, &str, String, String) = match family {
        Family::V4 => (
            RELAY_V4,
            "10.77.3.1",
            format!("10.80.0.{host}"),
            format!("10.90.0.{host}"),
        ),
        Family::V6 => (
            RELAY_V6,
            "fd00:77:3::1",
            format!("fd00:80::{host:x}"),
            format!("fd00:90::{host:x}"),
        ),
    };
    Flow {
        number,
        client: SocketAddr::new(client.parse().unwrap(), 4_000),
        server: SocketAddr::new(server, 3_478),
        relayed: SocketAddr::new(relayed.parse().unwrap(), port),
        peer: SocketAddr::new(peer.parse().unwrap(), 5_000),
        channel: 0x4000,
    }
}

fn live(hosts: &BenchHosts, flows: Vec<Flow>) -> LiveFrames<'_> {
    LiveFrames::new(hosts, flows).unwrap_or_else(|error| panic!("{error}"))
}

/// Bytes before the payload of what a client sends.
fn front(carrier: Carrier, family: Family) -> usize {
    match (carrier, family) {
        (Carrier::Channel, _) => 4,
        (Carrier::Indication, Family::V4) => 20 + 12 + 4,
        (Carrier::Indication, Family::V6) => 20 + 24 + 4,
    }
}

/// What the length of a message is a multiple of.
fn padding(carrier: Carrier) -> usize {
    match carrier {
        Carrier::Channel => 1,
        Carrier::Indication => 4,
    }
}
