//! Our server with our forwarder, in one process: carries commands out and moves packets.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use turnpike_sim::SeededEntropy;
use turnpike_stun::stream::{FRAME_MAX, Frame, Framer};
use turnpike_turn::RelayAddress;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, ToClient, Verdict};
use turnpike_turn::server::{Config, Credentials, Output, Server, TRANSMIT_MAX, UserKeys};
use turnpike_types::{FiveTuple, PeerAddr, RelayedAddr, Timestamp};

pub(crate) const REALM: &str = "example.org";
pub(crate) const USERNAME: &str = "alice";
pub(crate) const PASSWORD: &str = "wonderland";
pub(crate) const RELAY_IPV4: &str = "77.88.55.1";
pub(crate) const RELAY_IPV6: &str = "2a02:6b8::1";

/// One relay address of each family and one user.
pub(crate) fn relay_config() -> Config {
    let mut credentials = Credentials::new(REALM);
    let keys = UserKeys::of_password(USERNAME, REALM, PASSWORD).unwrap();
    credentials.add_user(USERNAME, keys).unwrap();
    let relay_addresses = [RELAY_IPV4, RELAY_IPV6]
        .map(|ip| RelayAddress {
            ip: ip.parse().unwrap(),
            external: None,
        })
        .into();
    Config {
        realm: REALM.into(),
        relay_addresses,
        credentials,
        ..Config::default()
    }
}

/// The server and what it wants sent.
pub(crate) struct Relay {
    pub(crate) server: Server<SeededEntropy>,
    forwarder: Forwarder,
    relay_addresses: Vec<RelayAddress>,
    streams: BTreeMap<FiveTuple, Framer>,
    pub(crate) to_clients: VecDeque<(FiveTuple, Vec<u8>)>,
    pub(crate) to_peers: VecDeque<(RelayedAddr, PeerAddr, Vec<u8>)>,
}

impl Relay {
    pub(crate) fn new(config: Config, now: Timestamp) -> Self {
        let relay_addresses = config.relay_addresses.clone();
        let mut entropy = SeededEntropy::new(11);
        let forwarder = ForwarderConfig {
            entries_max: 1_000,
            services: config.services.clone(),
            relay_map: relay_addresses.clone(),
            user_buckets: None,
        };
        Self {
            forwarder: Forwarder::new(forwarder, &mut entropy),
            server: Server::new(config, entropy, now).unwrap(),
            relay_addresses,
            streams: BTreeMap::new(),
            to_clients: VecDeque::new(),
            to_peers: VecDeque::new(),
        }
    }

    /// Takes a datagram, or a part of a stream.
    pub(crate) fn handle_client(&mut self, now: Timestamp, five_tuple: FiveTuple, bytes: &[u8]) {
        if !five_tuple.transport.is_stream() {
            return self.take(now, five_tuple, bytes);
        }
        let mut framer = self
            .streams
            .remove(&five_tuple)
            .unwrap_or_else(|| Framer::new(FRAME_MAX));
        assert_eq!(framer.push(bytes), bytes.len());
        while let Some(frame) = framer.next_frame() {
            let (Frame::Stun(bytes) | Frame::ChannelData(bytes)) = frame.unwrap();
            self.take(now, five_tuple, bytes);
        }
        self.streams.insert(five_tuple, framer);
    }

    /// Takes a datagram that a peer sent to a relayed address.
    pub(crate) fn handle_peer(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        payload: &[u8],
    ) {
        let verdict = self.forwarder.from_peer(now, relayed, peer, payload.len());
        if let Verdict::ToClient(ToClient {
            five_tuple,
            prefix,
            padding,
            ..
        }) = verdict
        {
            let mut bytes = prefix.as_slice().to_vec();
            bytes.extend(payload);
            bytes.resize(bytes.len() + padding, 0);
            self.to_clients.push_back((five_tuple, bytes));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.server.handle_timeout(now);
        self.drain(now);
    }

    /// Carries out what the server wants done.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        let mut buf = [0; TRANSMIT_MAX];
        while let Some(output) = self.server.poll_output(&mut buf) {
            match output {
                Output::Command(command) => {
                    if let Err(error) = self.forwarder.apply(now, &command.action) {
                        self.server.handle_command_failed(now, command.id, error);
                    }
                }
                Output::Transmit(transmit) => {
                    self.to_clients
                        .push_back((transmit.five_tuple, buf[..transmit.len].into()));
                }
                Output::Event(_) => {}
            }
        }
    }

    fn take(&mut self, now: Timestamp, five_tuple: FiveTuple, bytes: &[u8]) {
        match self.forwarder.from_client(now, &five_tuple, bytes) {
            Verdict::ToPeer(forward) => {
                let payload = &bytes[forward.payload];
                self.forward(now, forward.relayed, forward.peer, payload);
            }
            Verdict::Pass => {
                self.server.handle_input(now, five_tuple, bytes);
                self.drain(now);
            }
            Verdict::ToClient(_) | Verdict::Drop(_) => {}
        }
    }

    /// A peer on this relay is another allocation.
    fn forward(&mut self, now: Timestamp, relayed: RelayedAddr, peer: PeerAddr, payload: &[u8]) {
        if self.relay_addresses.iter().any(|own| own.ip == peer.ip()) {
            self.handle_peer(now, RelayedAddr(peer.0), PeerAddr(relayed.0), payload);
        } else {
            self.to_peers.push_back((relayed, peer, payload.into()));
        }
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
