//! Clients and one relay, joined without delay under virtual time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use turnpike_sim::SeededEntropy;
use turnpike_turn::client::{Client, Config, Credential, Event, Output, Received};
use turnpike_turn::server;
use turnpike_types::{
    AddressFamily, ClientAddr, FiveTuple, PeerAddr, RelayedAddr, ServerAddr, Timestamp, Transport,
};

use crate::relay::{PASSWORD, Relay, USERNAME, address, relay_config};

pub(crate) const PEER: &str = "93.184.216.34:7000";
pub(crate) const PEER_IPV6: &str = "[2606:2800::34]:7000";

pub(crate) fn server_addr() -> ServerAddr {
    ServerAddr(address("192.0.2.1:3478"))
}

pub(crate) fn client_config(transport: Transport) -> Config {
    let mut config = Config::new(server_addr(), transport);
    config.credential = Some(Credential::new(USERNAME, PASSWORD));
    config
}

pub(crate) fn peer(text: &str) -> PeerAddr {
    PeerAddr(address(text))
}

/// A client, where it is, and what it has heard.
pub(crate) struct Participant {
    pub(crate) client: Client<SeededEntropy>,
    pub(crate) five_tuple: FiveTuple,
    pub(crate) events: VecDeque<Event>,
    pub(crate) data: VecDeque<(PeerAddr, Vec<u8>)>,
    /// What it sent to the server.
    pub(crate) sent: Vec<Vec<u8>>,
}

/// All of them.
pub(crate) struct Meeting {
    pub(crate) relay: Relay,
    pub(crate) participants: Vec<Participant>,
    pub(crate) now: Timestamp,
    /// Says of each packet between a client and the relay whether it is lost.
    pub(crate) loses: Box<dyn FnMut() -> bool>,
    /// No two clients draw the same.
    seeds: u64,
}

impl Meeting {
    pub(crate) fn new(config: server::Config) -> Self {
        let now = Timestamp::from_secs(1_000);
        let relay = Relay::new(config, now);
        Self {
            relay,
            participants: Vec::new(),
            now,
            loses: Box::new(|| false),
            seeds: 100,
        }
    }

    /// One client with an allocation.
    pub(crate) fn of_one(config: Config) -> Self {
        let mut meeting = Self::new(relay_config());
        meeting.join(config);
        assert_eq!(meeting.event(0), Event::Allocated);
        meeting
    }

    /// Brings a client in and lets it ask for its allocation.
    pub(crate) fn join(&mut self, config: Config) -> usize {
        let index = self.participants.len();
        self.join_from(40_000 + u16::try_from(index).unwrap(), config)
    }

    pub(crate) fn join_from(&mut self, port: u16, config: Config) -> usize {
        let index = self.participants.len();
        let ip: IpAddr = match config.server.family() {
            AddressFamily::Ipv4 => "203.0.113.9".parse().unwrap(),
            AddressFamily::Ipv6 => "2001:db8::9".parse().unwrap(),
        };
        let five_tuple = FiveTuple {
            client: ClientAddr((ip, port).into()),
            server: config.server,
            transport: config.transport,
        };
        self.seeds += 1;
        let entropy = SeededEntropy::new(self.seeds);
        self.participants.push(Participant {
            client: Client::new(config, entropy, self.now).unwrap(),
            five_tuple,
            events: VecDeque::new(),
            data: VecDeque::new(),
            sent: Vec::new(),
        });
        self.settle();
        index
    }

    /// Carries everything to where it belongs until nothing moves.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for index in 0..self.participants.len() {
                moved |= self.drain_client(index);
            }
            while let Some((five_tuple, bytes)) = self.relay.to_clients.pop_front() {
                moved = true;
                if !(self.loses)() {
                    self.deliver(five_tuple, &bytes);
                }
            }
            if !moved {
                break;
            }
        }
    }

    fn drain_client(&mut self, index: usize) -> bool {
        let mut buf = vec![0; 70_000];
        let mut moved = false;
        let participant = &mut self.participants[index];
        while let Some(output) = participant.client.poll_output(&mut buf) {
            moved = true;
            match output {
                Output::Event(event) => participant.events.push_back(event),
                Output::Data { peer, len } => {
                    participant.data.push_back((peer, buf[..len].into()));
                }
                Output::Transmit(len) => {
                    participant.sent.push(buf[..len].into());
                    if !(self.loses)() {
                        self.relay
                            .handle_client(self.now, participant.five_tuple, &buf[..len]);
                    }
                }
            }
        }
        moved
    }

    fn deliver(&mut self, five_tuple: FiveTuple, bytes: &[u8]) {
        let found = self
            .participants
            .iter_mut()
            .rev()
            .find(|one| one.five_tuple == five_tuple);
        let participant = found.expect("packets for clients that are here");
        // A stream may be cut anywhere; a datagram may not.
        let size = if five_tuple.transport.is_stream() {
            11
        } else {
            usize::MAX
        };
        for piece in bytes.chunks(size) {
            match participant.client.handle_input(self.now, piece) {
                Received::Data { peer, payload } => {
                    participant.data.push_back((peer, piece[payload].into()));
                }
                Received::Taken(taken) => assert_eq!(taken, piece.len()),
                Received::Control | Received::Dropped(_) => {}
            }
        }
    }

    /// Lets time pass: everyone is called exactly when they want to be.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let clients = self
                .participants
                .iter()
                .filter_map(|one| one.client.poll_timeout());
            let due = clients
                .chain(self.relay.server.poll_timeout())
                .map(|due| due.at)
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    fn tick(&mut self) {
        self.relay.handle_timeout(self.now);
        for participant in &mut self.participants {
            participant.client.handle_timeout(self.now);
        }
        self.settle();
    }

    pub(crate) fn event(&mut self, index: usize) -> Event {
        self.participants[index]
            .events
            .pop_front()
            .expect("something happened")
    }

    pub(crate) fn client(&mut self, index: usize) -> &mut Client<SeededEntropy> {
        &mut self.participants[index].client
    }

    pub(crate) fn relayed(&self, index: usize, family: AddressFamily) -> RelayedAddr {
        let allocation = self.participants[index].client.allocation().unwrap();
        allocation.relayed(family).unwrap()
    }

    pub(crate) fn create_permission(&mut self, index: usize, to: PeerAddr) {
        let now = self.now;
        self.client(index)
            .create_permission(now, &[to.ip()])
            .unwrap();
        self.settle();
        assert_eq!(self.event(index), Event::PermissionCreated(to.ip()));
    }

    pub(crate) fn bind_channel(&mut self, index: usize, to: PeerAddr) {
        let now = self.now;
        let number = self.client(index).bind_channel(now, to).unwrap();
        self.settle();
        assert_eq!(self.event(index), Event::ChannelBound { number, peer: to });
    }

    pub(crate) fn send(&mut self, index: usize, to: PeerAddr, payload: &[u8]) {
        let mut buf = vec![0; payload.len() + 60];
        let participant = &mut self.participants[index];
        let len = participant.client.send(to, payload, &mut buf).unwrap();
        self.relay
            .handle_client(self.now, participant.five_tuple, &buf[..len]);
        self.settle();
    }

    pub(crate) fn send_from_peer(&mut self, from: PeerAddr, relayed: RelayedAddr, payload: &[u8]) {
        self.relay.handle_peer(self.now, relayed, from, payload);
        self.settle();
    }

    /// Payloads of many sizes pass between a client and a peer, both ways.
    pub(crate) fn assert_relays(&mut self, index: usize, to: PeerAddr) {
        let relayed = self.relayed(index, to.family());
        for len in [0, 1, 2, 3, 4, 160, 1_199] {
            let payload = vec![0xA5; len];
            self.send(index, to, &payload);
            let at_peer = self.relay.to_peers.pop_front();
            assert_eq!(at_peer, Some((relayed, to, payload.clone())));
            self.send_from_peer(to, relayed, &payload);
            let at_client = self.participants[index].data.pop_front();
            assert_eq!(at_client, Some((to, payload)));
        }
    }
}
