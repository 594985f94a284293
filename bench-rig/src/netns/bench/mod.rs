//! Hosts to measure a relay on: whose core did what is known, and a wire carries what a wire would.
//!
//! ```text
//!   10.80.0.0/16  client host                relay host               peer host  10.90.0.0/16
//!   fd00:80::/64    eth0 ───────────────── client0  peer0 ───────────────── eth0  fd00:90::/64
//!                        core 0         |        core 1        |         core 0
//! ```
//!
//! Beside the three [`Hosts`] there are
//! - *routes* on the relay host to the addresses of virtual clients and peers, with neighbours that
//!   are never asked for: those addresses are nobody's, whoever holds a packet socket on the far
//!   end answers for them;
//! - *relayed addresses*, more than one, because one has 16,384 ports;
//! - *threaded NAPI* on every end of the wires (`napi`). A veth's receiving work is otherwise done
//!   on the sender's core: the relay's would be charged to the generator, the generator's to the
//!   relay;
//! - *offloads* such that a device does nothing for free (`offloads`), and a queue before each wire
//!   that is as long as a card's ring (`queue`);
//! - *cores that stay awake* (`awake`): waking one up costs more than a packet.
//!
//! All of it is in the namespaces and goes with them. There is one set of these at a time on a
//! machine (`lock`): two would share the relay's core.

mod awake;
mod drops;
mod lock;
mod napi;
mod offloads;
mod queue;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::awake::Awake;
use self::lock::Lock;
use self::napi::Napi;
use super::{
    CLIENT_V4, CLIENT_V6, Host, Hosts, NetnsError, PEER_V4, PEER_V6, RELAY_PEER_V4, RELAY_PEER_V6,
    RELAY_V4, RELAY_V6,
};

pub use self::drops::Drops;
pub use self::napi::{FIFO_PRIORITY, pin_this_thread};

/// The core of the generator: of every thread that is not the relay's.
pub const GENERATOR_CORE: usize = 0;
/// The core of the relay under test and of its devices; nothing else runs there.
pub const RELAY_CORE: usize = 1;

/// Virtual clients' IPv4 addresses, behind the client wire.
pub const CLIENTS_V4: &str = "10.80.0.0/16";
/// Virtual clients' IPv6 addresses, behind the client wire.
pub const CLIENTS_V6: &str = "fd00:80::/64";
/// Virtual peers' IPv4 addresses.
pub const PEERS_V4: &str = "10.90.0.0/16";
/// Virtual peers' IPv6 addresses.
pub const PEERS_V6: &str = "fd00:90::/64";

/// Addresses of strangers who flood the relay: nobody's (RFC 6598), behind the client wire.
pub const STRANGERS_V4: &str = "100.64.0.0/10";

/// Relayed addresses of each family: 8 times 16,384 ports are more than 100,000 allocations need.
const RELAYED: u8 = 8;

/// An Ethernet address.
pub type Mac = [u8; 6];

const CLIENT_MAC: Mac = [0x02, 0x77, 1, 0, 0, 2];
const RELAY_CLIENT_MAC: Mac = [0x02, 0x77, 1, 0, 0, 1];
const RELAY_PEER_MAC: Mac = [0x02, 0x77, 2, 0, 0, 1];
const PEER_MAC: Mac = [0x02, 0x77, 2, 0, 0, 2];

/// Through how many of its interfaces the relay relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wires {
    /// Peers are behind the client wire too; the peer wire lies idle.
    One,
    /// Clients behind one interface, peers behind the other.
    Two,
}

/// The three hosts, made ready to measure on. Dropping it takes all of it away.
#[derive(Debug)]
pub struct BenchHosts {
    /// The hosts and their wires.
    pub hosts: Hosts,
    wires: Wires,
    napi: Napi,
    awake: Awake,
    _lock: Lock,
}

impl BenchHosts {
    /// Makes the hosts; waits first while others measure on this machine, up to some minutes.
    ///
    /// # Errors
    /// When rights, programs (`ip`, `ethtool`, `taskset`, `chrt`) or a second core are missing, and
    /// when others measure for too long; the error says what to do.
    pub fn new(wires: Wires) -> Result<Self, NetnsError> {
        napi::two_cores()?;
        let lock = Lock::take()?;
        let hosts = Hosts::new()?;
        let napi = Napi::new(&hosts)?;
        let hosts = Self {
            hosts,
            wires,
            napi,
            awake: Awake::new()?,
            _lock: lock,
        };
        hosts.settle_addresses()?;
        hosts.settle_sysctls()?;
        for (host, device) in hosts.ends() {
            offloads::set(host, device)?;
            queue::set(host, device)?;
            napi::thread(host, device)?;
        }
        hosts.napi.pin()?;
        hosts.check()?;
        Ok(hosts)
    }

    /// Through how many of its interfaces the relay relays.
    #[must_use]
    pub fn wires(&self) -> Wires {
        self.wires
    }

    /// The host on whose `eth0` the virtual clients' frames go in and out.
    #[must_use]
    pub fn clients(&self) -> &Host {
        &self.hosts.client
    }

    /// The host on whose `eth0` the virtual peers' frames go in and out.
    #[must_use]
    pub fn peers(&self) -> &Host {
        match self.wires {
            Wires::One => &self.hosts.client,
            Wires::Two => &self.hosts.peer,
        }
    }

    /// The relay's device that its peers are behind.
    #[must_use]
    pub fn relay_peer_device(&self) -> &'static str {
        match self.wires {
            Wires::One => CLIENT_DEVICE,
            Wires::Two => PEER_DEVICE,
        }
    }

    /// The Ethernet address of the far end that clients are behind.
    #[must_use]
    pub fn client_mac(&self) -> Mac {
        CLIENT_MAC
    }

    /// The Ethernet address that clients send to.
    #[must_use]
    pub fn relay_client_mac(&self) -> Mac {
        RELAY_CLIENT_MAC
    }

    /// The Ethernet address that peers send to.
    #[must_use]
    pub fn relay_peer_mac(&self) -> Mac {
        match self.wires {
            Wires::One => RELAY_CLIENT_MAC,
            Wires::Two => RELAY_PEER_MAC,
        }
    }

    /// The Ethernet address of the far end that peers are behind.
    #[must_use]
    pub fn peer_mac(&self) -> Mac {
        match self.wires {
            Wires::One => CLIENT_MAC,
            Wires::Two => PEER_MAC,
        }
    }

    /// The addresses for relayed transport addresses, of both families.
    #[must_use]
    pub fn relayed(&self) -> Vec<IpAddr> {
        let v4 = (1..=RELAYED).map(|number| Ipv4Addr::new(10, 77, 3, number).into());
        let v6 = (1..=RELAYED)
            .map(|number| Ipv6Addr::new(0xfd00, 0x77, 3, 0, 0, 0, 0, number.into()).into());
        v4.chain(v6).collect()
    }

    /// Process ids of the kernel threads that receive for the relay's devices.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn relay_threads(&self) -> Result<Vec<u32>, NetnsError> {
        self.napi.relay_threads()
    }

    /// Has the kernel of the relay host route between clients and peers, or not. It does not unless
    /// told so.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn route(&self, routes: bool) -> Result<(), NetnsError> {
        let value = if routes { "1" } else { "0" };
        self.sysctl("ipv4/ip_forward", value)?;
        self.sysctl("ipv6/conf/all/forwarding", value)
    }

    /// Whether idle cores were asked to stay awake; a kernel without power states need not be.
    #[must_use]
    pub const fn is_awake(&self) -> bool {
        self.awake.is_asked_for()
    }

    /// Has the threads that receive for the relay's devices go before the relay itself, as a card's
    /// interrupts would, until they are pinned anew.
    ///
    /// # Errors
    /// When one of the threads is not there.
    pub fn receive_first(&self) -> Result<(), NetnsError> {
        self.napi.receive_first()
    }

    /// Pins the receiving threads again: a device that went down and up, or whose XDP program was
    /// taken off, has a new one that may run anywhere.
    ///
    /// # Errors
    /// When a thread is missing.
    pub fn pin(&self) -> Result<(), NetnsError> {
        self.napi.pin()
    }

    /// Where packets have been lost since the hosts were made, by the kernel's counters.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn drops(&self) -> Result<Drops, NetnsError> {
        drops::drops(&self.hosts)
    }

    /// Whether all is still as promised: every end receives in a thread of its own on its own core,
    /// and no device does for free what the relay has to pay for. To be asked before and after a
    /// measurement.
    ///
    /// # Errors
    /// [`NetnsError::Broken`] that says what is not as promised.
    pub fn check(&self) -> Result<(), NetnsError> {
        for (host, device) in self.ends() {
            offloads::check(host, device)?;
        }
        self.napi.check()
    }

    /// Both ends of both wires.
    fn ends(&self) -> [(&Host, &'static str); 4] {
        [
            (&self.hosts.client, FAR_DEVICE),
            (&self.hosts.relay, CLIENT_DEVICE),
            (&self.hosts.relay, PEER_DEVICE),
            (&self.hosts.peer, FAR_DEVICE),
        ]
    }

    /// Addresses, Ethernet addresses, neighbours that are never asked for, and routes.
    fn settle_addresses(&self) -> Result<(), NetnsError> {
        let macs = [CLIENT_MAC, RELAY_CLIENT_MAC, RELAY_PEER_MAC, PEER_MAC];
        for ((host, device), mac) in self.ends().into_iter().zip(macs) {
            host.configure(&format!("link set {device} address {}\n", text(mac)))?;
        }
        self.hosts.client.configure(&neighbours(
            FAR_DEVICE,
            [RELAY_V4, RELAY_V6],
            RELAY_CLIENT_MAC,
        ))?;
        self.hosts.peer.configure(&neighbours(
            FAR_DEVICE,
            [RELAY_PEER_V4, RELAY_PEER_V6],
            RELAY_PEER_MAC,
        ))?;
        let mut script = neighbours(CLIENT_DEVICE, [CLIENT_V4, CLIENT_V6], CLIENT_MAC);
        script += &neighbours(PEER_DEVICE, [PEER_V4, PEER_V6], PEER_MAC);
        script += &format!("route add {CLIENTS_V4} via {CLIENT_V4} dev {CLIENT_DEVICE}\n");
        script += &format!("route add {STRANGERS_V4} via {CLIENT_V4} dev {CLIENT_DEVICE}\n");
        script += &format!("route add {CLIENTS_V6} via {CLIENT_V6} dev {CLIENT_DEVICE}\n");
        let (device, [v4, v6]) = match self.wires {
            Wires::One => (CLIENT_DEVICE, [CLIENT_V4, CLIENT_V6]),
            Wires::Two => (PEER_DEVICE, [PEER_V4, PEER_V6]),
        };
        script += &format!("route add {PEERS_V4} via {v4} dev {device}\n");
        script += &format!("route add {PEERS_V6} via {v6} dev {device}\n");
        for address in self.relayed() {
            let (length, option) = if address.is_ipv4() {
                (32, "")
            } else {
                (128, "nodad")
            };
            script += &format!("addr add {address}/{length} dev {CLIENT_DEVICE} {option}\n");
        }
        self.hosts.relay.configure(&script)
    }

    /// What the relay host's kernel does of its own accord: nothing, and it gives relayed ports to
    /// nobody who did not ask for that very port. Socket buffers are the machine's for all subjects.
    fn settle_sysctls(&self) -> Result<(), NetnsError> {
        self.sysctl("ipv4/ip_local_reserved_ports", "49152-65535")?;
        // Where clients and peers share a wire, a router would tell them to do without it.
        self.sysctl("ipv4/conf/all/send_redirects", "0")?;
        self.sysctl(&format!("ipv4/conf/{CLIENT_DEVICE}/send_redirects"), "0")?;
        self.route(false)
    }

    fn sysctl(&self, name: &str, value: &str) -> Result<(), NetnsError> {
        let path = format!("/proc/sys/net/{name}");
        // Which namespace's file that is goes by the thread that opens it.
        self.hosts
            .relay
            .enter(|| fs::write(&path, value))?
            .map_err(NetnsError::system(format!("writing {value} to {path}")))
    }
}

/// Lines that make a far end's addresses known for good.
fn neighbours(device: &str, addresses: [IpAddr; 2], mac: Mac) -> String {
    let mac = text(mac);
    addresses
        .iter()
        .map(|address| format!("neigh replace {address} lladdr {mac} nud permanent dev {device}\n"))
        .collect()
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The relay's device on the client wire.
pub const CLIENT_DEVICE: &str = "client0";
/// The relay's device on the peer wire.
pub const PEER_DEVICE: &str = "peer0";
/// The far end of each wire.
pub const FAR_DEVICE: &str = "eth0";
