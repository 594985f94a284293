//! Our client against a server that others wrote: Allocate, permissions, channels and data both
//! ways, over datagrams and over a stream.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use stun_proto::Instant;
use stun_proto::agent::Transmit;
use stun_proto::types::TransportType;
use turn_server_proto::api::{TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turnpike_sim::SeededEntropy;
use turnpike_turn::client::{Client, Config, Credential, Event, Output, Received};
use turnpike_types::{PeerAddr, ServerAddr, Timestamp, Transport};

const CLIENT: &str = "203.0.113.9:40000";
const LISTEN: &str = "192.0.2.1:3478";
const RELAYED: &str = "192.0.2.1:50000";
const PEER: &str = "198.51.100.7:7000";

/// Our client, their server, and one peer, joined without loss.
struct Encounter {
    client: Client<SeededEntropy>,
    server: TurnServer,
    transport: TransportType,
    now: Duration,
    events: VecDeque<Event>,
    at_client: VecDeque<(PeerAddr, Vec<u8>)>,
    at_peer: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Encounter {
    fn new(transport: Transport, password: &str) -> Self {
        let mut config = Config::new(ServerAddr(address(LISTEN)), transport);
        config.credential = Some(Credential::new("alice", password));
        config.software = Some("turnpike");
        config.fingerprint = true;
        let theirs = if transport.is_stream() {
            TransportType::Tcp
        } else {
            TransportType::Udp
        };
        let mut server = TurnServer::new(theirs, address(LISTEN), "example.org".into());
        server.add_user("alice".into(), "wonderland".into());
        let mut encounter = Self {
            client: Client::new(config, SeededEntropy::new(1), Timestamp::ZERO).unwrap(),
            server,
            transport: theirs,
            now: Duration::ZERO,
            events: VecDeque::new(),
            at_client: VecDeque::new(),
            at_peer: VecDeque::new(),
        };
        encounter.settle();
        encounter
    }

    fn allocated(transport: Transport) -> Self {
        let mut encounter = Self::new(transport, "wonderland");
        assert_eq!(encounter.events.pop_front(), Some(Event::Allocated));
        encounter
    }

    fn ours(&self) -> Timestamp {
        Timestamp::ZERO + self.now
    }

    fn theirs(&self) -> Instant {
        Instant::from_nanos(i64::try_from(self.now.as_nanos()).unwrap())
    }

    /// Carries everything to where it belongs until nothing moves.
    fn settle(&mut self) {
        let mut buf = vec![0; 70_000];
        loop {
            let mut moved = false;
            while let Some(output) = self.client.poll_output(&mut buf) {
                moved = true;
                match output {
                    Output::Transmit(len) => self.send_to_server(buf[..len].into()),
                    Output::Event(event) => self.events.push_back(event),
                    Output::Data { peer, len } => {
                        self.at_client.push_back((peer, buf[..len].into()));
                    }
                }
            }
            moved |= self.poll_server();
            if !moved {
                break;
            }
        }
    }

    fn poll_server(&mut self) -> bool {
        let now = self.theirs();
        let mut moved = false;
        if let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = self.server.poll(now)
        {
            self.server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                Ok(address(RELAYED)),
                now,
            );
            moved = true;
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            self.route(transmit);
            moved = true;
        }
        moved
    }

    fn send_to_server(&mut self, bytes: Vec<u8>) {
        let transmit = Transmit::new(bytes, self.transport, address(CLIENT), address(LISTEN));
        if let Some(reply) = self.server.recv(transmit, self.theirs()) {
            self.route(reply.build());
        }
    }

    fn send_from_peer(&mut self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        let transmit = Transmit::new(bytes, TransportType::Udp, address(PEER), address(RELAYED));
        if let Some(reply) = self.server.recv(transmit, self.theirs()) {
            self.route(reply.build());
        }
        self.settle();
    }

    fn route(&mut self, transmit: Transmit<Vec<u8>>) {
        if transmit.to != address(CLIENT) {
            assert_eq!(transmit.from, address(RELAYED));
            self.at_peer.push_back((transmit.to, transmit.data));
            return;
        }
        let now = self.ours();
        // A stream may be cut anywhere; a datagram may not.
        let size = if self.transport == TransportType::Tcp {
            7
        } else {
            usize::MAX
        };
        for piece in transmit.data.chunks(size) {
            match self.client.handle_input(now, piece) {
                Received::Data { peer, payload } => {
                    self.at_client.push_back((peer, piece[payload].into()));
                }
                Received::Control => {}
                Received::Taken(taken) => assert_eq!(taken, piece.len()),
                Received::Dropped(reason) => panic!("our client drops what they send: {reason}"),
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let mut buf = [0; 2_048];
        let len = self
            .client
            .send(PeerAddr(address(PEER)), payload, &mut buf)
            .unwrap();
        self.send_to_server(buf[..len].into());
        self.settle();
    }

    fn pass_secs(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while self.now < end {
            self.now += Duration::from_millis(500);
            let now = self.ours();
            self.client.handle_timeout(now);
            self.settle();
        }
    }

    fn create_permission(&mut self) {
        let now = self.ours();
        self.client
            .create_permission(now, &[address(PEER).ip()])
            .unwrap();
        self.settle();
        let created = Event::PermissionCreated(address(PEER).ip());
        assert_eq!(self.events.pop_front(), Some(created));
    }

    fn bind_channel(&mut self) {
        let now = self.ours();
        let peer = PeerAddr(address(PEER));
        let number = self.client.bind_channel(now, peer).unwrap();
        self.settle();
        assert_eq!(
            self.events.pop_front(),
            Some(Event::ChannelBound { number, peer })
        );
    }

    /// On a stream they pad no ChannelData and expect none padded, against RFC 8656 section 12.5,
    /// so payloads there are of whole words.
    fn assert_relays(&mut self) {
        let odd: &[&[u8]] = &[b"x", b"", b"hello peer"];
        let whole: &[&[u8]] = &[b"word", &[7; 1_200]];
        let is_stream = self.transport == TransportType::Tcp;
        for payload in odd.iter().filter(|_| !is_stream).chain(whole).copied() {
            self.send(payload);
            assert_eq!(
                self.at_peer.pop_front(),
                Some((address(PEER), payload.to_vec()))
            );
            self.send_from_peer(payload);
            let received = (PeerAddr(address(PEER)), payload.to_vec());
            assert_eq!(self.at_client.pop_front(), Some(received));
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn their_server_grants_our_allocate() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let encounter = Encounter::allocated(transport);
        let allocation = encounter.client.allocation().unwrap();
        assert_eq!(allocation.ipv4.unwrap().0, address(RELAYED));
        assert_eq!(allocation.reflexive.0, address(CLIENT));
        assert!(allocation.lifetime >= 600);
    }
}

#[test]
fn their_server_rejects_our_wrong_password() {
    let encounter = Encounter::new(Transport::Udp, "looking-glass");
    assert!(matches!(
        encounter.events.front(),
        Some(Event::AllocationFailed(_))
    ));
    assert!(encounter.client.is_ended());
}

#[test]
fn data_passes_their_server_in_indications() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut encounter = Encounter::allocated(transport);
        encounter.create_permission();
        encounter.assert_relays();
    }
}

#[test]
fn data_passes_their_server_in_channel_data() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut encounter = Encounter::allocated(transport);
        encounter.bind_channel();
        encounter.assert_relays();
    }
}

#[test]
fn our_refreshes_keep_everything_alive_on_their_server() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut encounter = Encounter::allocated(transport);
        encounter.create_permission();
        encounter.bind_channel();
        // Longer than a nonce, an allocation, a channel and a permission live.
        encounter.pass_secs(4_000);
        let only_refreshed = encounter
            .events
            .iter()
            .all(|event| *event == Event::Refreshed);
        assert!(only_refreshed, "{:?}", encounter.events);
        assert!(encounter.events.len() >= 6);
        encounter.assert_relays();
    }
}

#[test]
fn our_close_ends_their_allocation() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut encounter = Encounter::allocated(transport);
        encounter.create_permission();
        let now = encounter.ours();
        encounter.client.close(now);
        encounter.settle();
        assert_eq!(encounter.events.pop_front(), Some(Event::Closed));
        encounter.send_from_peer(b"late");
        assert!(encounter.at_client.is_empty());
    }
}
