//! A call whose packets are in the test's hands: one client of the relay, by the project's own engine,
//! and one peer, each on its host's socket.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turnpike_bench_rig::netns::{CLIENT_V4, Hosts, PEER_V4, RELAY_V4};
use turnpike_sim::SeededEntropy;
use turnpike_turn::client::{Client, Config, Credential, Event, Output, TRANSMIT_MAX};
use turnpike_types::{AddressFamily, PeerAddr, ServerAddr, Timestamp, Transport};

use super::relay::{PASSWORD, PORT, USER};

/// A client with a channel to a peer.
pub(super) struct Call {
    pub(super) client: UdpSocket,
    pub(super) peer: UdpSocket,
    engine: Client<SeededEntropy>,
    began: Instant,
    sent: u32,
}

impl Call {
    /// Binds sockets on both hosts, allocates and binds a channel.
    pub(super) fn open(hosts: &Hosts) -> Self {
        let bind = |ip| move || UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
        let client = hosts.client.enter(bind(CLIENT_V4)).unwrap();
        let peer = hosts.peer.enter(bind(PEER_V4)).unwrap();
        Self::between(client, peer)
    }

    /// The same between sockets that there are.
    pub(super) fn between(client: UdpSocket, peer: UdpSocket) -> Self {
        let mut call = Self::allocated(client, peer);
        call.bind_channel();
        call
    }

    /// An allocation, and nothing else.
    pub(super) fn allocated(client: UdpSocket, peer: UdpSocket) -> Self {
        let server = SocketAddr::new(RELAY_V4, PORT);
        client.connect(server).unwrap();
        let mut config = Config::new(ServerAddr(server), Transport::Udp);
        config.credential = Some(Credential::new(USER, PASSWORD));
        let began = Instant::now();
        let port = u64::from(peer.local_addr().unwrap().port());
        let entropy =
            SeededEntropy::new(port << 16 | u64::from(client.local_addr().unwrap().port()));
        let mut call = Self {
            engine: Client::new(config, entropy, Timestamp::ZERO).unwrap(),
            client,
            peer,
            began,
            sent: 0,
        };
        call.run_until(|event| matches!(event, Event::Allocated));
        call.peer.connect(call.relayed()).unwrap();
        call
    }

    pub(super) fn bind_channel(&mut self) {
        let peer = PeerAddr(self.peer.local_addr().unwrap());
        self.engine.bind_channel(self.now(), peer).unwrap();
        self.run_until(|event| matches!(event, Event::ChannelBound { .. }));
    }

    pub(super) fn relayed(&self) -> SocketAddr {
        let allocation = self.engine.allocation().unwrap();
        allocation.relayed(AddressFamily::Ipv4).unwrap().0
    }

    /// Ends the allocation, and returns the sockets when the relay has said so.
    pub(super) fn close(mut self) -> (UdpSocket, UdpSocket) {
        self.engine.close(self.now());
        self.run_until(|event| matches!(event, Event::Closed));
        (self.client, self.peer)
    }

    /// What the client sends for these words to come to its peer.
    pub(super) fn message(&mut self, words: &[u8]) -> Vec<u8> {
        self.message_to(self.peer.local_addr().unwrap(), words)
    }

    /// The same to a peer that its socket need not be.
    pub(super) fn message_to(&mut self, peer: SocketAddr, words: &[u8]) -> Vec<u8> {
        let mut message = vec![0; words.len() + TRANSMIT_MAX];
        let peer = PeerAddr(peer);
        let length = self.engine.send(peer, words, &mut message).unwrap();
        message.truncate(length);
        message
    }

    /// Whether a message of the client's comes to the peer, and one of the peer's to the client.
    pub(super) fn carried(&mut self) -> [bool; 2] {
        self.sent += 1;
        let words = format!("message {} of {}", self.sent, self.relayed());
        let message = self.message(words.as_bytes());
        // The kernel tells of refusals with the next call on the socket.
        let _refused = self.client.send(&message);
        let _refused = self.peer.send(words.as_bytes());
        [&self.peer, &self.client].map(|socket| hears(socket, words.as_bytes(), SOON))
    }

    /// Waits until messages are carried both ways, or neither.
    #[track_caller]
    pub(super) fn until_carried(&mut self, wanted: bool) {
        let until = Instant::now() + PATIENCE;
        while self.carried() != [wanted; 2] {
            assert!(Instant::now() < until, "carried or not");
        }
    }

    /// Waits to be told of an ICMP error: its peer, type and code.
    #[track_caller]
    pub(super) fn icmp(&mut self) -> (SocketAddr, (u8, u8)) {
        let mut told = None;
        self.run_until(|event| {
            if let Event::Icmp { peer, icmp } = event {
                told = Some((peer.0, (icmp.kind, icmp.code)));
            }
            told.is_some()
        });
        told.unwrap()
    }

    /// Serves the engine until it says what is wanted.
    #[track_caller]
    fn run_until(&mut self, mut wanted: impl FnMut(&Event) -> bool) {
        let mut buffer = [0; TRANSMIT_MAX];
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            while let Some(output) = self.engine.poll_output(&mut buffer) {
                match output {
                    Output::Transmit(length) => {
                        let _refused = self.client.send(&buffer[..length]);
                    }
                    Output::Event(event) if wanted(&event) => return,
                    Output::Event(_) | Output::Data { .. } => {}
                }
            }
            self.client.set_read_timeout(Some(TICK)).unwrap();
            if let Ok(length) = self.client.recv(&mut buffer) {
                self.engine.handle_input(self.now(), &buffer[..length]);
            }
            self.engine.handle_timeout(self.now());
        }
        panic!("the relay did not do in time what was asked of it");
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap())
    }
}

/// Whether a datagram that holds these words comes in time.
pub(super) fn hears(socket: &UdpSocket, words: &[u8], within: Duration) -> bool {
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

/// Far longer than anything takes that is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a packet may take that is known to come, or not to.
const SOON: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(20);
