//! A client that others wrote against our server and forwarder: Allocate, permissions, channels and
//! data both ways, over datagrams and over a stream.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

#[path = "support_client/relay.rs"]
mod relay;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use relay::{PASSWORD, Relay, USERNAME, address, relay_config};
use stun_proto::Instant;
use stun_proto::agent::Transmit;
use stun_proto::types::TransportType;
use stun_proto::types::message::IntegrityAlgorithm;
use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::*;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;
use turnpike_types::{
    ClientAddr, FiveTuple, PeerAddr, RelayedAddr, ServerAddr, Timestamp, Transport,
};

const CLIENT: &str = "203.0.113.9:40000";
const SERVER: &str = "192.0.2.1:3478";
const PEER: &str = "93.184.216.34:7000";
const PEER_IPV6: &str = "[2606:2800::34]:7000";

/// Their client, our server, joined without loss.
struct Encounter {
    client: TurnClient,
    relay: Relay,
    five_tuple: FiveTuple,
    now: Duration,
    events: VecDeque<TurnEvent>,
    at_client: VecDeque<(SocketAddr, Vec<u8>)>,
    /// How many of our messages meant nothing to them.
    ignored: usize,
}

impl Encounter {
    fn new(transport: Transport, password: &str, change: impl FnOnce(&mut TurnConfig)) -> Self {
        let mut config = TurnConfig::new(TurnCredentials::new(USERNAME, password));
        change(&mut config);
        let (from, to) = (address(CLIENT), address(SERVER));
        let client = if transport.is_stream() {
            TurnClientTcp::allocate(from, to, config).into()
        } else {
            TurnClientUdp::allocate(from, to, config).into()
        };
        let mut encounter = Self {
            client,
            relay: Relay::new(relay_config(), Timestamp::ZERO),
            five_tuple: FiveTuple {
                client: ClientAddr(from),
                server: ServerAddr(to),
                transport,
            },
            now: Duration::ZERO,
            events: VecDeque::new(),
            at_client: VecDeque::new(),
            ignored: 0,
        };
        encounter.settle();
        encounter
    }

    fn allocated(transport: Transport, families: &[AddressFamily]) -> Self {
        let mut encounter = Self::new(transport, PASSWORD, |config| {
            config.set_address_family(families[0]);
            families
                .iter()
                .for_each(|family| config.add_address_family(*family));
            config.add_supported_integrity(IntegrityAlgorithm::Sha256);
        });
        for _ in families {
            let event = encounter.events.pop_front();
            assert!(
                matches!(event, Some(TurnEvent::AllocationCreated(..))),
                "{event:?}"
            );
        }
        encounter
    }

    fn ours(&self) -> Timestamp {
        Timestamp::ZERO + self.now
    }

    fn theirs(&self) -> Instant {
        Instant::from_nanos(i64::try_from(self.now.as_nanos()).unwrap())
    }

    /// Gives them a second: they pace their requests.
    fn settle(&mut self) {
        self.pass(Duration::from_secs(1));
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += Duration::from_millis(50);
            self.relay.handle_timeout(self.ours());
            self.carry();
        }
    }

    /// Carries everything to where it belongs until nothing moves.
    fn carry(&mut self) {
        loop {
            let now = self.theirs();
            let mut moved = false;
            self.client.poll(now);
            while let Some(transmit) = self.client.poll_transmit(now) {
                moved = true;
                let bytes = transmit.data.to_vec();
                self.relay
                    .handle_client(self.ours(), self.five_tuple, &bytes);
            }
            while let Some((five_tuple, bytes)) = self.relay.to_clients.pop_front() {
                moved = true;
                assert_eq!(five_tuple, self.five_tuple);
                self.deliver(&bytes);
            }
            while let Some(event) = self.client.poll_event() {
                moved = true;
                self.events.push_back(event);
            }
            if !moved {
                break;
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let now = self.theirs();
        let (transport, size) = if self.five_tuple.transport.is_stream() {
            (TransportType::Tcp, 7)
        } else {
            (TransportType::Udp, usize::MAX)
        };
        for piece in bytes.chunks(size) {
            let piece = piece.to_vec();
            let transmit = Transmit::new(piece, transport, address(SERVER), address(CLIENT));
            match self.client.recv(transmit, now) {
                TurnRecvRet::PeerData(data) => {
                    self.at_client.push_back((data.peer, data.data().into()));
                }
                TurnRecvRet::Handled | TurnRecvRet::PeerIcmp { .. } => {}
                TurnRecvRet::Ignored(_) => self.ignored += 1,
            }
            while let Some(data) = self.client.poll_recv(now) {
                self.at_client.push_back((data.peer, data.data().into()));
            }
        }
    }

    fn create_permission(&mut self, peer: &str) {
        let (ip, now) = (address(peer).ip(), self.theirs());
        self.client
            .create_permission(TransportType::Udp, ip, now)
            .unwrap();
        self.settle();
        let event = self.events.pop_front();
        assert!(matches!(event, Some(TurnEvent::PermissionCreated(_, peer)) if peer == ip));
    }

    fn bind_channel(&mut self, peer: &str) {
        let now = self.theirs();
        self.client
            .bind_channel(TransportType::Udp, address(peer), now)
            .unwrap();
        self.settle();
        let bound = |event: &TurnEvent| matches!(event, TurnEvent::ChannelCreated(_, bound) if *bound == address(peer));
        assert!(self.events.iter().any(bound), "{:?}", self.events);
        self.events.clear();
    }

    fn relayed(&self, peer: SocketAddr) -> RelayedAddr {
        let mut relayed = self.client.relayed_addresses();
        let found = relayed.find(|(_, relayed)| relayed.is_ipv4() == peer.is_ipv4());
        RelayedAddr(found.expect("an address of the peer's family").1)
    }

    /// On a stream they pad no ChannelData and expect none padded, against RFC 8656 section 12.5,
    /// so payloads there are of whole words.
    fn assert_relays(&mut self, peer: &str) {
        let peer = address(peer);
        let odd: &[&[u8]] = &[b"x", b"", b"hello peer"];
        let whole: &[&[u8]] = &[b"word", &[7; 1_200]];
        let is_stream = self.five_tuple.transport.is_stream();
        for payload in odd.iter().filter(|_| !is_stream).chain(whole).copied() {
            let now = self.theirs();
            let sent = self
                .client
                .send_to(TransportType::Udp, peer, payload, now)
                .unwrap();
            let bytes = sent.expect("something to send").build().data;
            self.relay
                .handle_client(self.ours(), self.five_tuple, &bytes);
            let relayed = self.relayed(peer);
            let at_peer = self.relay.to_peers.pop_front();
            assert_eq!(at_peer, Some((relayed, PeerAddr(peer), payload.to_vec())));
            self.relay
                .handle_peer(self.ours(), relayed, PeerAddr(peer), payload);
            self.carry();
            assert_eq!(self.at_client.pop_front(), Some((peer, payload.to_vec())));
        }
        assert_eq!(self.ignored, 0);
    }
}

const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

#[test]
fn our_server_grants_their_allocate() {
    for transport in BOTH {
        let encounter = Encounter::allocated(transport, &[AddressFamily::IPV4]);
        assert_eq!(encounter.client.relayed_addresses().count(), 1);
        assert_eq!(encounter.relay.server.allocations(), 1);
    }
}

#[test]
fn our_server_grants_both_families_to_their_client() {
    for transport in BOTH {
        let families = [AddressFamily::IPV4, AddressFamily::IPV6];
        let mut encounter = Encounter::allocated(transport, &families);
        for peer in [PEER, PEER_IPV6] {
            encounter.create_permission(peer);
            encounter.assert_relays(peer);
        }
    }
}

/// With SHA-1 alone they still name a password algorithm. RFC 8489 section 9.2.4 then wants the
/// response under MESSAGE-INTEGRITY-SHA256, which they cannot read; so it carries both.
#[test]
fn client_that_negotiates_with_sha1_alone_reads_our_responses() {
    let encounter = Encounter::new(Transport::Udp, PASSWORD, |_| {});
    assert_eq!(encounter.relay.server.allocations(), 1);
    let granted = |event: &TurnEvent| matches!(event, TurnEvent::AllocationCreated(..));
    assert!(
        encounter.events.iter().any(granted),
        "{:?}",
        encounter.events
    );
    assert_eq!(encounter.ignored, 0);
}

#[test]
fn our_server_rejects_their_wrong_password() {
    let encounter = Encounter::new(Transport::Udp, "looking-glass", |_| {});
    assert_eq!(encounter.relay.server.allocations(), 0);
    let granted = |event: &TurnEvent| matches!(event, TurnEvent::AllocationCreated(..));
    assert!(!encounter.events.iter().any(granted));
}

#[test]
fn their_data_passes_in_indications() {
    for transport in BOTH {
        let mut encounter = Encounter::allocated(transport, &[AddressFamily::IPV4]);
        encounter.create_permission(PEER);
        encounter.assert_relays(PEER);
    }
}

#[test]
fn their_data_passes_in_channel_data() {
    for transport in BOTH {
        let mut encounter = Encounter::allocated(transport, &[AddressFamily::IPV4]);
        encounter.bind_channel(PEER);
        encounter.assert_relays(PEER);
    }
}

#[test]
fn their_refreshes_keep_everything_alive_on_our_server() {
    for transport in BOTH {
        let mut encounter = Encounter::allocated(transport, &[AddressFamily::IPV4]);
        encounter.create_permission(PEER);
        encounter.bind_channel(PEER);
        encounter.pass(Duration::from_secs(4_000));
        encounter.assert_relays(PEER);
    }
}

#[test]
fn their_delete_ends_our_allocation() {
    for transport in BOTH {
        let mut encounter = Encounter::allocated(transport, &[AddressFamily::IPV4]);
        let now = encounter.theirs();
        encounter.client.delete(now).unwrap();
        encounter.settle();
        assert_eq!(encounter.relay.server.allocations(), 0);
        assert!(matches!(encounter.client.poll(now), TurnPollRet::Closed));
    }
}
