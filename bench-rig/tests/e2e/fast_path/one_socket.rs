//! Relayed addresses without sockets of their own, seen from the wire: what the programs let through
//! finds its allocation, and a port that nobody owns says nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use turnpike_bench_rig::netns::{Host, PEER_V4, PEER_V6, RELAY_V4, RELAY_V6};

use super::SAID_WITHIN;
use crate::call::{Call, PATIENCE, hears};
use crate::lane::Lane;
use crate::load::{CHANNELS, Load};
use crate::relay::{PASSWORD, Setup, USER};
use crate::uclient::echo;

/// How long what must not come is waited for.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn crowd_of_allocations_opens_no_socket() {
    let ground = Lane::Kernel.start(Setup::default());
    let _peer = echo(&ground.hosts);
    let before = sockets(&ground.hosts.relay);
    let load = Load {
        clients: 50,
        messages: 200,
        ..CHANNELS
    };
    let mut call = load.call(&ground.hosts, USER, PASSWORD);
    assert_eq!(sockets(&ground.hosts.relay), before);
    assert!(call.lives(), "it was over before the sockets were counted");
}

/// Rows of the kernel's lists: UDP and raw, of both families.
fn sockets(host: &Host) -> usize {
    let files = ["udp", "udp6", "raw", "raw6"].map(|file| format!("/proc/net/{file}"));
    host.run("cat", &files).unwrap().lines().count()
}

/// The programs let fragments through, and the kernel puts them together for a socket.
#[test]
fn fragments_find_their_allocation_both_ways() {
    let ground = Lane::Kernel.start(Setup::default());
    let mut call = Call::open(&ground.hosts);
    let before = ground.xdp("fragment");
    for length in [1_800, 1_999] {
        let words: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let message = call.message(&words);
        call.client.send(&message).unwrap();
        assert!(hears(&call.peer, &words, PATIENCE), "{length} to the peer");
        call.peer.send(&words).unwrap();
        assert!(hears(&call.client, &words, PATIENCE), "{length} back");
    }
    let fragments = ground.xdp("fragment") - before;
    assert!(fragments >= 8, "{fragments}: two for each message");
}

#[test]
fn client_is_told_of_a_closed_port_of_its_peers_host() {
    let ground = Lane::Kernel.start(Setup::default());
    let mut call = Call::open(&ground.hosts);
    let gone = call.peer.local_addr().unwrap();
    call.peer = ground
        .hosts
        .peer
        .enter(|| UdpSocket::bind("127.0.0.1:0").unwrap())
        .unwrap();
    let message = call.message_to(gone, b"anybody?");
    call.client.send(&message).unwrap();
    // Type 3 code 3: port unreachable.
    assert_eq!(call.icmp(), (gone, (3, 3)));
}

/// A whole datagram meets the programs, one in fragments the socket of the port's shard.
#[test]
fn free_relayed_port_is_silent_while_the_relay_runs_and_closed_when_it_has_stopped() {
    let mut ground = Lane::Kernel.start(Setup::default());
    let ends = [(PEER_V4, RELAY_V4), (PEER_V6, RELAY_V6)];
    let strangers = ends.map(|(peer, relay)| {
        let bind = || UdpSocket::bind(SocketAddr::new(peer, 0)).unwrap();
        (ground.hosts.peer.enter(bind).unwrap(), relay)
    });
    let lowest = [49_152, 57_344, 65_535];
    for (stranger, relay) in &strangers {
        for port in lowest {
            for length in [8, 3_000] {
                let at = SocketAddr::new(*relay, port);
                assert!(
                    !is_unreachable(stranger, at, length),
                    "{at}, {length} bytes"
                );
            }
        }
        let other = SocketAddr::new(*relay, 49_151);
        assert!(
            is_unreachable(stranger, other, 8),
            "{other} is not the relay's"
        );
    }
    ground.relay.process.terminate(SAID_WITHIN).unwrap();
    for (stranger, relay) in &strangers {
        let at = SocketAddr::new(*relay, lowest[0]);
        assert!(is_unreachable(stranger, at, 8), "{at} after the stop");
    }
}

/// Whether the other host says that nobody is at a port.
fn is_unreachable(stranger: &UdpSocket, at: SocketAddr, length: usize) -> bool {
    stranger.connect(at).unwrap();
    stranger.set_read_timeout(Some(QUIET)).unwrap();
    stranger.send(&vec![b'?'; length]).unwrap();
    let heard = stranger.recv(&mut [0; 8]).unwrap_err();
    heard.kind() == io::ErrorKind::ConnectionRefused
}
