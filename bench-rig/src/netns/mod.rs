//! Client, relay and peer hosts on one machine, as network namespaces joined by veth pairs.
//!
//! ```text
//!   client                      relay                       peer
//!   10.77.1.2 ---------- 10.77.1.1  10.77.2.1 ---------- 10.77.2.2
//!   fd00:77:1::2 ---- fd00:77:1::1  fd00:77:2::1 ---- fd00:77:2::2
//! ```
//!
//! The relay host forwards nothing by itself: client and peer hear of each other only through a
//! program that relays there. Every set of hosts is a world of its own, so sets made at the same
//! time may use the same addresses and ports. No way leads out of a set.

pub mod bench;
mod error;
mod host;
mod ip;
mod janitor;
mod process;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::error::NetnsError;
pub use self::host::Host;
pub use self::process::Process;

use self::janitor::Janitor;

/// The three hosts. Dropping it kills every program on them and takes them away; so does the death
/// of this process, however it dies.
#[derive(Debug)]
pub struct Hosts {
    /// Where TURN clients run; reaches the relay host's addresses only.
    pub client: Host,
    /// Where the relay runs, between the other two.
    pub relay: Host,
    /// Where peers run; reaches the relay host's addresses only.
    pub peer: Host,
    janitor: Janitor,
}

impl Hosts {
    /// Makes the hosts, after taking away those that dead processes have left behind.
    ///
    /// # Errors
    /// When rights or programs (`ip`, `ethtool`) are missing; the error says what to do.
    pub fn new() -> Result<Self, NetnsError> {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        janitor::sweep()?;
        let prefix = janitor::prefix(SERIAL.fetch_add(1, Ordering::Relaxed))?;
        let [client, relay, peer] = ["client", "relay", "peer"].map(|r| format!("{prefix}-{r}"));
        let janitor = Janitor::start(vec![client.clone(), relay.clone(), peer.clone()])?;
        let hosts = Self {
            client: Host::create(&client)?,
            relay: Host::create(&relay)?,
            peer: Host::create(&peer)?,
            janitor,
        };
        hosts.join()?;
        Ok(hosts)
    }

    /// Process id of the process that takes the hosts away when this one cannot.
    #[must_use]
    pub fn janitor_id(&self) -> u32 {
        self.janitor.id()
    }

    /// Lays the two wires and gives every end its addresses.
    ///
    /// `nodad`: an IPv6 address that is still being checked for duplicates cannot be bound. The
    /// interface indices differ: the kernel takes a veth whose two ends have the same index for
    /// one end, tells IPv6 of its carrier up to a second late, and the first packets are lost.
    fn join(&self) -> Result<(), NetnsError> {
        let relay = self.relay.name();
        for (host, wire) in [(&self.client, &CLIENT_WIRE), (&self.peer, &PEER_WIRE)] {
            let Wire {
                index,
                relay_device,
                host: [v4, v6],
                gateway: [gateway_v4, gateway_v6],
            } = wire;
            host.configure(&format!(
                "link add eth0 index {index} type veth peer name {relay_device} netns {relay}\n\
                 addr add {v4}/24 dev eth0\n\
                 addr add {v6}/64 dev eth0 nodad\n\
                 link set eth0 up\n"
            ))?;
            self.relay.configure(&format!(
                "addr add {gateway_v4}/24 dev {relay_device}\n\
                 addr add {gateway_v6}/64 dev {relay_device} nodad\n\
                 link set {relay_device} up\n"
            ))?;
            host.configure(&format!(
                "route add default via {gateway_v4}\n\
                 route add ::/0 via {gateway_v6}\n"
            ))?;
            host.send_whole_checksums("eth0")?;
            self.relay.send_whole_checksums(relay_device)?;
        }
        Ok(())
    }
}

/// A veth pair from a host's `eth0` to the relay host.
struct Wire {
    index: u32,
    relay_device: &'static str,
    host: [IpAddr; 2],
    gateway: [IpAddr; 2],
}

const CLIENT_WIRE: Wire = Wire {
    index: 101,
    relay_device: "client0",
    host: [CLIENT_V4, CLIENT_V6],
    gateway: [RELAY_V4, RELAY_V6],
};

const PEER_WIRE: Wire = Wire {
    index: 102,
    relay_device: "peer0",
    host: [PEER_V4, PEER_V6],
    gateway: [RELAY_PEER_V4, RELAY_PEER_V6],
};

/// The client host.
pub const CLIENT_V4: IpAddr = v4(1, 2);
/// The client host, IPv6.
pub const CLIENT_V6: IpAddr = v6(1, 2);
/// The relay host on the client's side; both other hosts reach it.
pub const RELAY_V4: IpAddr = v4(1, 1);
/// The relay host on the client's side, IPv6; both other hosts reach it.
pub const RELAY_V6: IpAddr = v6(1, 1);
/// The relay host on the peer's side.
pub const RELAY_PEER_V4: IpAddr = v4(2, 1);
/// The relay host on the peer's side, IPv6.
pub const RELAY_PEER_V6: IpAddr = v6(2, 1);
/// The peer host.
pub const PEER_V4: IpAddr = v4(2, 2);
/// The peer host, IPv6.
pub const PEER_V6: IpAddr = v6(2, 2);
/// All IPv4 addresses of all hosts, as a prefix.
pub const NETWORK_V4: &str = "10.77.0.0/16";
/// All IPv6 addresses of all hosts, as a prefix.
pub const NETWORK_V6: &str = "fd00:77::/32";

const fn v4(side: u8, host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, side, host))
}

const fn v6(side: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, side, 0, 0, 0, 0, host))
}
