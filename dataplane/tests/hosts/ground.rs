//! A data plane between a client's host and a peer's, and one call over it. No socket of the relay's is
//! open: what arrives was relayed in the kernel.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use nix::time::{ClockId, clock_gettime};
use turnpike_abi::{Fate, Reason};
use turnpike_dataplane::counters::Reasons;
use turnpike_dataplane::loader::Sizes;
use turnpike_dataplane::tables::Tables;
use turnpike_dataplane::{DataPlane, Settings};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, ClientAddr, Entry,
    FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, ServerAddr, Timestamp,
    Transport, UserId,
};

use crate::world::{Neighbour, enter, ip};

/// Where the client sends to, and what the peer sends to.
pub(crate) const SERVER: &str = "10.99.1.1:3478";
pub(crate) const RELAYED: &str = "10.99.1.1:50000";
/// The channel between them.
pub(crate) const NUMBER: u16 = 0x4001;

/// Far longer than the kernel takes for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a packet may take that is known to come, or not to.
const SOON: Duration = Duration::from_millis(200);

pub(crate) struct Ground {
    pub(crate) plane: DataPlane,
    pub(crate) tables: Arc<Tables>,
    pub(crate) client: Neighbour,
    pub(crate) peer: Neighbour,
    pub(crate) client_end: UdpSocket,
    pub(crate) peer_end: UdpSocket,
    sent: u32,
    _far_ends: Vec<Ebpf>,
}

impl Ground {
    /// A client behind `wire0` and a peer behind `wire1`, which has `address`.
    pub(crate) fn with_peer(address: &str) -> Self {
        Self::on(&["wire0", "wire1"], address, |_| Vec::new())
    }

    /// The same with the programs on these devices; `lay` does what is special about the peer's host.
    pub(crate) fn on(
        devices: &[&str],
        address: &str,
        lay: impl FnOnce(&Neighbour) -> Vec<Ebpf>,
    ) -> Self {
        enter();
        let mut far_ends = Vec::new();
        let [client, peer] = [("wire0", 1), ("wire1", 2)].map(|(device, net)| {
            let neighbour = Neighbour::behind(device);
            far_ends.push(neighbour.is_a_machine("eth0"));
            ip(&format!("addr add 10.99.{net}.1/24 dev {device}"));
            neighbour.ip(&format!("addr add 10.99.{net}.2/24 dev eth0"));
            neighbour.ip(&format!("route add default via 10.99.{net}.1"));
            neighbour
        });
        far_ends.extend(lay(&peer));
        let client_end = client.enter(|| UdpSocket::bind("10.99.1.2:0").unwrap());
        let peer_end = peer.enter(|| UdpSocket::bind(address).unwrap());
        client_end.connect(SERVER).unwrap();
        peer_end.connect(RELAYED).unwrap();
        let plane =
            DataPlane::start(&settings(devices), &[]).unwrap_or_else(|error| panic!("{error}"));
        Self {
            tables: plane.tables(0).unwrap(),
            plane,
            client,
            peer,
            client_end,
            peer_end,
            sent: 0,
            _far_ends: far_ends,
        }
    }

    /// What the client's allocation is; `generation` is the number of its slot's use.
    pub(crate) fn allocation(&self, generation: u32, lasts: Duration) -> AllocationEntry {
        AllocationEntry {
            allocation: AllocationId {
                slot: 0,
                generation,
            },
            five_tuple: FiveTuple {
                client: ClientAddr(self.client_end.local_addr().unwrap()),
                server: ServerAddr(SERVER.parse().unwrap()),
                transport: Transport::Udp,
            },
            relayed: RelayedAddr(RELAYED.parse().unwrap()),
            user: UserId(1),
            allocation_limit: RateLimit::UNLIMITED,
            user_limit: RateLimit::UNLIMITED,
            expires_at: after(lasts),
        }
    }

    pub(crate) fn permission(&self, of: &AllocationEntry, lasts: Duration) -> Entry {
        let peer = self.peer_end.local_addr().unwrap().ip();
        Entry::Permission(PermissionEntry {
            allocation: of.allocation,
            relayed: of.relayed,
            wire_ip: peer,
            peer_ip: peer,
            ports: PortRule {
                min: 1,
                max: u16::MAX,
                guarded: false,
            },
            expires_at: after(lasts),
        })
    }

    pub(crate) fn channel(&self, of: &AllocationEntry, lasts: Duration) -> Entry {
        Entry::Channel(ChannelEntry {
            allocation: of.allocation,
            five_tuple: of.five_tuple,
            relayed: of.relayed,
            number: ChannelNumber::new(NUMBER).unwrap(),
            wire_peer: PeerAddr(self.peer_end.local_addr().unwrap()),
            expires_at: after(lasts),
        })
    }

    #[track_caller]
    pub(crate) fn install(&self, entry: Entry) {
        self.carry_out(Action::Install(entry));
    }

    #[track_caller]
    pub(crate) fn carry_out(&self, action: Action) {
        assert_eq!(
            self.tables.carry_out(after(Duration::ZERO), &action),
            Ok(())
        );
    }

    /// An allocation with a channel to the peer, for an hour.
    pub(crate) fn call(&self) -> AllocationEntry {
        let allocation = self.allocation(1, HOUR);
        self.install(Entry::Allocation(allocation));
        self.install(self.permission(&allocation, HOUR));
        self.install(self.channel(&allocation, HOUR));
        allocation
    }

    /// Whether a message that the client sends comes to the peer, and one of the peer's to the client:
    /// in its channel, or as an indication.
    pub(crate) fn carried(&mut self) -> [bool; 2] {
        self.sent += 1;
        let words = format!("message {}", self.sent);
        // What no socket waits for is refused by the kernel, which the next call on a socket says.
        let _refused = self.client_end.send(&channel_data(words.as_bytes()));
        let _refused = self.peer_end.send(words.as_bytes());
        let comes = |socket: &UdpSocket| hears(socket, words.as_bytes(), SOON);
        [comes(&self.peer_end), comes(&self.client_end)]
    }

    /// Waits until messages are carried both ways.
    #[track_caller]
    pub(crate) fn until_carried(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.carried() != [true; 2] {
            assert!(Instant::now() < until, "{:?}", self.reasons());
        }
    }

    /// Packets by reason, as far as there are any.
    pub(crate) fn reasons(&self) -> Vec<(&'static str, u64)> {
        let reasons = self.plane.counters().reasons();
        let all = Reason::ALL.iter();
        all.map(|reason| (reason.name(), reasons.of(*reason)))
            .filter(|(_, packets)| *packets > 0)
            .collect()
    }

    /// All packets that the programs saw.
    pub(crate) fn seen(&self) -> u64 {
        let reasons: Reasons = self.plane.counters().reasons();
        [Fate::Forwarded, Fate::Passed, Fate::Dropped]
            .map(|fate| reasons.with_fate(fate))
            .iter()
            .sum()
    }
}

fn settings(devices: &[&str]) -> Settings {
    Settings {
        interfaces: devices.iter().map(|it| (*it).to_owned()).collect(),
        is_named: true,
        generic: false,
        shards: 1,
        allocations_a_shard: 4,
        sizes: Sizes {
            channels: 8,
            permissions: 8,
            own_addresses: 4,
            users: 1,
            strangers: 8,
        },
        relay_ips: vec!["10.99.1.1".parse().unwrap()],
        relay_ports: 49_152..=65_535,
        listeners: vec![SERVER.parse::<SocketAddr>().unwrap()],
        services: Vec::new(),
        strangers_per_second: 1_000,
    }
}

/// So long from now, by the clock that the programs compare with.
pub(crate) fn after(span: Duration) -> Timestamp {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    Timestamp::from_nanos(u64::try_from((now + span).as_nanos()).unwrap())
}

pub(crate) fn channel_data(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [&NUMBER.to_be_bytes(), &length.to_be_bytes(), payload].concat()
}

/// Whether a datagram that holds these words comes in time.
pub(crate) fn hears(socket: &UdpSocket, words: &[u8], within: Duration) -> bool {
    let until = Instant::now() + within;
    let mut buffer = [0; 2_048];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        socket.set_read_timeout(Some(left)).unwrap();
        if let Ok(length) = socket.recv(&mut buffer) {
            let mut parts = buffer[..length].windows(words.len());
            if parts.any(|part| part == words) {
                return true;
            }
        }
    }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
