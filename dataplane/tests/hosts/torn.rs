//! Entries that change at full rate under packets at full rate: no packet leaves with half of one value
//! and half of another.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::loaded_programs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use turnpike_abi::{Endpoint, Flow, FlowKey, NextHop, maps};

use crate::ground::{Ground, NUMBER, PATIENCE, SERVER, channel_data};

/// What a frame leaves with: both Ethernet addresses, then its ends' addresses and ports.
type Ends = Vec<u8>;

/// Frames seen before the writer stops.
const ENOUGH: usize = 20_000;

/// Two values that share no address, port or next hop, one after the other as fast as they can be written.
struct Values {
    flows: HashMap<MapData, [u64; 5], [u64; 8]>,
    hops: Array<MapData, [u64; 3]>,
    key: FlowKey,
    flow: Flow,
}

impl Values {
    fn of(ground: &Ground) -> Self {
        let [flows, hops] = [maps::FLOWS, maps::NEXT_HOPS].map(opened);
        let flows: HashMap<_, [u64; 5], [u64; 8]> = flows.try_into().unwrap();
        let key = FlowKey {
            far: Endpoint::new(ground.client_end.local_addr().unwrap()),
            near: Endpoint::new(SERVER.parse().unwrap()),
            channel: NUMBER.to_be(),
        };
        let words = flows.get(&key.words(), 0).unwrap();
        Self {
            flow: Flow::open(&key.words(), &words).unwrap(),
            hops: hops.try_into().unwrap(),
            flows,
            key,
        }
    }

    /// The flow to one of the two, through a next hop of its own.
    fn flow(&self, which: u8) -> Flow {
        let end =
            |last: u8| Endpoint::new(([10, 99, last, which + 2], 5_000 + u16::from(which)).into());
        Flow {
            source: end(1),
            destination: end(2),
            next_hop: HOPS + u32::from(which),
            ..self.flow
        }
    }

    /// What such a frame carries when its next hop has its first or second pair of addresses.
    fn ends(&self, which: u8, pair: u8) -> Ends {
        let hop = hop(which, pair, 0);
        let Flow {
            source,
            destination,
            ..
        } = self.flow(which);
        let ip = |end: Endpoint| match end.socket_addr().ip() {
            std::net::IpAddr::V4(ip) => ip.octets(),
            std::net::IpAddr::V6(_) => panic!("IPv4 here"),
        };
        let ports = [source, destination].map(|end| end.socket_addr().port().to_be_bytes());
        [
            hop.to.as_slice(),
            &hop.from,
            &ip(source),
            &ip(destination),
            ports.as_flattened(),
        ]
        .concat()
    }
}

/// Next hops that nobody else uses.
const HOPS: u32 = 1_000;

fn hop(which: u8, pair: u8, device: u32) -> NextHop {
    NextHop {
        to: [2, which, pair, 0xaa, which, pair],
        from: [2, which, pair, 0xbb, which, pair],
        vlan: 0,
        mtu: 1_500,
        device,
    }
}

/// A table of the relay whose program is on `wire0`.
fn opened(name: &str) -> Map {
    let shown = std::process::Command::new("ip")
        .args(["-d", "link", "show", "wire0"])
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let (_, rest) = shown.split_once("prog/xdp id ").unwrap();
    let id: u32 = rest.split_whitespace().next().unwrap().parse().unwrap();
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs.find(|program| program.id() == id).unwrap();
    let ids = program.map_ids().unwrap().unwrap();
    let maps = ids.into_iter().map(|id| MapData::from_id(id).unwrap());
    let mut named = maps.filter(|map| map.info().unwrap().name_as_str() == Some(name));
    Map::from_map_data(named.next().unwrap()).unwrap()
}

#[test]
fn no_packet_leaves_with_half_of_a_value() {
    let ground = Ground::with_peer("10.99.2.2:5000");
    ground.call();
    let values = Values::of(&ground);
    // Frames to strangers are seen too.
    ground.peer.ip("link set eth0 promisc on");
    let capture = ground.peer.enter(capture);
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen = thread::scope(|scope| {
        scope.spawn(|| flood(&ground.client_end, &stop));
        scope.spawn(|| hammer(values, &stop, &written));
        let seen = watch(&capture, &stop);
        stop.store(true, Ordering::Relaxed);
        seen
    });
    let values = Values::of(&ground);
    let whole = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(which, pair)| values.ends(which, pair));
    for (ends, count) in &seen {
        assert!(whole.contains(ends), "{count} frames with {ends:x?}");
    }
    assert_eq!(seen.len(), whole.len(), "not all of both: {seen:?}");
    let [frames, written] = [seen.values().sum(), written.load(Ordering::Relaxed)];
    assert!(
        frames >= ENOUGH as u64 && written >= 10_000,
        "{frames} under {written}"
    );
}

fn flood(socket: &UdpSocket, stop: &AtomicBool) {
    let message = channel_data(b"words");
    while !stop.load(Ordering::Relaxed) {
        let _refused = socket.send(&message);
    }
}

/// Writes the flow, and both next hops in place, each value after the other.
fn hammer(mut values: Values, stop: &AtomicBool, written: &AtomicU64) {
    let device = nix::net::if_::if_nametoindex("wire1").unwrap();
    let key = values.key.words();
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let pair = (round % 2) as u8;
        for which in 0..2 {
            let id = HOPS + u32::from(which);
            let words = hop(which, pair, device).sealed(id);
            values.hops.set(id, words, 0).unwrap();
        }
        let which = (round / 2 % 2) as u8;
        let words = values.flow(which).sealed(&values.key);
        values.flows.insert(key, words, 0).unwrap();
        written.fetch_add(1, Ordering::Relaxed);
    }
}

/// A socket that sees all frames of `eth0` here.
fn capture() -> OwnedFd {
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::empty(),
        SockProtocol::EthAll,
    );
    let socket = socket.unwrap();
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000)).unwrap();
    socket
}

/// How often each kind of UDP frame of the relay's came, until there were enough.
fn watch(capture: &OwnedFd, stop: &AtomicBool) -> BTreeMap<Ends, u64> {
    let until = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    let mut frame = [0; 2_048];
    let mut count = 0;
    while count < ENOUGH && Instant::now() < until && !stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(capture.as_raw_fd(), &mut frame, MsgFlags::empty()) else {
            continue;
        };
        // Those that the programs sent: UDP over IPv4, to an Ethernet address that the test made up.
        if length < 42 || frame[12..14] != [8, 0] || frame[23] != 17 || frame[3] != 0xaa {
            continue;
        }
        let ends = [&frame[..12], &frame[26..34], &frame[34..38]].concat();
        *seen.entry(ends).or_default() += 1;
        count += 1;
    }
    seen
}
