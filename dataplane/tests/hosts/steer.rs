//! Relayed ports and the sockets that they are steered to.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use turnpike_dataplane::loader::{ShardSocket, Sizes};
use turnpike_dataplane::{DataPlane, Settings};
use turnpike_types::AddressFamily;

use super::world::{Neighbour, enter, ip};

const SHARDS: u16 = 3;
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_059;
const RELAY_V4: &str = "10.99.0.1";
const RELAY_V6: &str = "fd00:99::1";

/// The first and the last port of each of three shards.
const OWNED: [(u16, u16); 6] = [
    (40_000, 0),
    (40_019, 0),
    (40_020, 1),
    (40_039, 1),
    (40_040, 2),
    (40_059, 2),
];

#[test]
fn datagram_to_a_relayed_port_comes_to_its_shards_socket_and_no_port_is_unreachable() {
    enter();
    let _far_end = Neighbour::behind("wan0");
    ip(&format!("addr add {RELAY_V4}/24 dev wan0"));
    ip(&format!("addr add {RELAY_V6}/64 dev wan0 nodad"));
    let sockets = [("127.0.0.1:0", RELAY_V4), ("[::1]:0", RELAY_V6)]
        .map(|(bound, relay)| (sockets(bound), relay.parse::<IpAddr>().unwrap()));
    let given: Vec<_> = sockets
        .iter()
        .flat_map(|(sockets, ip)| steered(sockets, ip))
        .collect();
    let plane = DataPlane::start(&settings(), &given).unwrap();
    for (sockets, relay) in &sockets {
        let sender = UdpSocket::bind((*relay, 0)).unwrap();
        for (port, shard) in OWNED {
            // The socket hears of a port that is unreachable with its next call.
            sender.connect((*relay, port)).unwrap();
            for byte in port.to_be_bytes() {
                sender.send(&[byte]).unwrap();
                let mut got = [0; 2];
                let from = sockets[usize::from(shard)].recv_from(&mut got);
                let from = from.unwrap_or_else(|error| panic!("{relay}:{port}: {error}"));
                assert_eq!((from, got[0]), ((1, sender.local_addr().unwrap()), byte));
            }
        }
        for port in [PORTS.start() - 1, PORTS.end() + 1] {
            assert!(is_unreachable(&sender, *relay, port), "{relay}:{port}");
        }
    }
    drop(plane);
    for (_, relay) in &sockets {
        let sender = UdpSocket::bind((*relay, 0)).unwrap();
        assert!(is_unreachable(&sender, *relay, *PORTS.start()), "{relay}");
    }
}

fn is_unreachable(sender: &UdpSocket, relay: IpAddr, port: u16) -> bool {
    sender.connect((relay, port)).unwrap();
    sender.send(b"?").unwrap();
    sender
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let heard = sender.recv(&mut [0; 2]);
    heard.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn sockets(bound: &str) -> Vec<UdpSocket> {
    let socket = |_| {
        let socket = UdpSocket::bind(bound).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    };
    (0..SHARDS).map(socket).collect()
}

fn steered<'s>(sockets: &'s [UdpSocket], ip: &IpAddr) -> Vec<ShardSocket<'s>> {
    let family = AddressFamily::of(ip);
    let of_shard = |(shard, socket): (u16, &'s UdpSocket)| ShardSocket {
        shard,
        family,
        socket: socket.as_fd(),
    };
    (0..).zip(sockets).map(of_shard).collect()
}

fn settings() -> Settings {
    Settings {
        interfaces: vec!["wan0".to_owned()],
        is_named: true,
        generic: false,
        shards: SHARDS,
        allocations_a_shard: 10,
        sizes: Sizes {
            channels: 10,
            permissions: 10,
            own_addresses: 10,
            users: 1,
            strangers: 10,
        },
        relay_ips: vec![RELAY_V4.parse().unwrap(), RELAY_V6.parse().unwrap()],
        relay_ports: PORTS,
        listeners: vec![SocketAddr::new(RELAY_V4.parse().unwrap(), 3_478)],
        services: Vec::new(),
        strangers_per_second: 10,
    }
}
