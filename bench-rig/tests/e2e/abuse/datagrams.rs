//! Floods of datagrams, at the relay's port and at relayed addresses.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use turnpike_bench_rig::netns::{PEER_V4, Process, RELAY_V4};

use super::super::relay::{PASSWORD, PORT, TLS_PORT, USER};
use super::super::scene::Scene;
use super::super::{python, script};
use super::{noise, paced};

/// Datagrams a millisecond.
const RATE: u64 = 10;

/// Bytes of a datagram to a slow reader.
const FULL: usize = 1200;

/// Bytes for one slow reader that no socket's buffers hold; their limits are 4 MB to send and 6 MB
/// to receive.
const OVERFLOWING: u64 = 11_000_000;

/// Datagrams of every length with nothing in them.
pub(super) fn garbage(scene: &Scene, over: &AtomicBool) -> u64 {
    flood(scene, over, &relay(), |turn| {
        noise(turn, (turn % 1300) as usize)
    })
}

/// STUN headers with a right cookie and length over attributes that are noise, and ChannelData for
/// nobody's channels.
pub(super) fn broken_stun(scene: &Scene, over: &AtomicBool) -> u64 {
    flood(scene, over, &relay(), |turn| {
        let body = noise(turn, ((turn % 256) * 4) as usize);
        let length = (body.len() as u16).to_be_bytes();
        let types = [
            ALLOCATE,
            REFRESH,
            CREATE_PERMISSION,
            CHANNEL_BIND,
            SEND_INDICATION,
            CHANNEL,
        ];
        let kind = types[turn as usize % types.len()];
        let header = [kind.to_be_bytes(), length].concat();
        let header = match kind {
            CHANNEL => header,
            _ => [header, COOKIE.to_vec(), noise(turn + 1, 12)].concat(),
        };
        [header, body].concat()
    })
}

/// What a permitted peer sends to clients that do not read.
pub(super) fn to_slow_readers(scene: &Scene, over: &AtomicBool) -> u64 {
    let ca = scene.authority.ca().display().to_string();
    let readers = [
        slow_readers(scene, PORT, &[]),
        slow_readers(scene, TLS_PORT, &["--ca", &ca]),
    ];
    let relayed: Vec<SocketAddr> = readers.iter().flat_map(relayed_addresses).collect();
    assert_eq!(relayed.len(), 4);
    let sent = flood(scene, over, &relayed, |turn| noise(turn, FULL));
    let bytes_each = sent * FULL as u64 / relayed.len() as u64;
    assert!(
        bytes_each > OVERFLOWING,
        "{bytes_each} bytes for each reader"
    );
    sent
}

fn relay() -> [SocketAddr; 1] {
    [SocketAddr::new(RELAY_V4, PORT)]
}

fn flood(
    scene: &Scene,
    over: &AtomicBool,
    targets: &[SocketAddr],
    datagram: impl Fn(u64) -> Vec<u8> + Sync,
) -> u64 {
    let flooding = || {
        let socket = UdpSocket::bind((PEER_V4, 0)).unwrap();
        paced(over, RATE, |turn| {
            let target = targets[turn as usize % targets.len()];
            socket.send_to(&datagram(turn), target).is_ok()
        })
    };
    scene.hosts.peer.enter(flooding).unwrap()
}

fn slow_readers(scene: &Scene, port: u16, options: &[&str]) -> Process {
    let [server, port, peer] = [RELAY_V4.to_string(), port.to_string(), PEER_V4.to_string()];
    let script = script("slow_reader.py");
    let args = [
        "-u", &script, "--server", &server, "--port", &port, "--peer", &peer,
    ];
    let credential = ["--user", USER, "--password", PASSWORD];
    let all = args.iter().chain(&credential).chain(options);
    let readers = scene.hosts.client.spawn(python(), all).unwrap();
    readers
        .wait_for_line("slow readers", Duration::from_secs(30), |line| {
            line == "all are deaf now"
        })
        .unwrap_or_else(|error| panic!("{error}"));
    readers
}

fn relayed_addresses(readers: &Process) -> Vec<SocketAddr> {
    let output = readers.output();
    let address = |line: &str| {
        let (ip, port) = line.strip_prefix("relayed ")?.split_once(' ')?;
        Some(SocketAddr::new(
            ip.parse::<IpAddr>().ok()?,
            port.parse().ok()?,
        ))
    };
    output.lines().filter_map(address).collect()
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const SEND_INDICATION: u16 = 0x0016;
const CHANNEL: u16 = 0x4000;
