//! One core's worth of relay: an engine, a socket lane, and the loop that feeds them.
//!
//! A turn of the loop, in this order: hand everything queued to the kernel and wait, in one system
//! call; completions, each carried to its end before the next; timers; numbers for the others.
//! The forwarder sees a packet first, and the engine only what it passes. After each input of the
//! engine its outputs are drained at once, a command carried out before the next output is polled.
//!
//! Bounded by [`COMPLETIONS_MAX`] a turn. A relayed packet costs no allocation, lock or log line.

mod complaints;
mod connection;
mod gather;
mod hop;
mod icmp_filter;
mod mailbox;
mod open;
mod orders;
mod outputs;
mod owner;
mod publish;
mod relay_sockets;
mod relays;
mod socket_lane;
mod sockets;
mod streams;
mod tally;
mod udp_header;

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::Socket;
use turnpike_dataplane::tables::Tables;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, UserBuckets, Verdict};
use turnpike_turn::icmp_quote;
use turnpike_turn::server::{self, Server};
use turnpike_types::{
    AddressFamily, ClientAddr, DropReason, FiveTuple, PeerAddr, RelayedAddr, ServerAddr, Timestamp,
    Transport,
};

use crate::clock;
use crate::entropy::SystemEntropy;
use crate::uring::{Buffer, Completion, OpKind, OpToken, Ring, RingConfig, RingError, Via};
use complaints::{Complaints, Trouble};
use hop::Hop;
use orders::Allowance;
use publish::Noted;
use socket_lane::{Packet, SocketLane};
use sockets::Role;
use streams::{NewStream, Streams};

pub use connection::{ConnectionEnd, ConnectionRefusal};
pub use mailbox::{Inbox, Mailbox, Order, mailbox};
pub use open::{icmp as open_icmp, listeners as open_listeners, stream_listeners};
pub use outputs::CLIENTS_TARGET;
pub use owner::owner_of;
pub use relay_sockets::RelaySockets;
pub use streams::{Places, StreamLimits};
pub use tally::{Snapshot, Tally};

/// Completions of one turn, datagrams of runs and messages cut out of streams counted too; more wait
/// for the next, so that timers are never starved.
pub const COMPLETIONS_MAX: usize = 1_024;

/// How long the loop sleeps when nothing is due, and how often the wall clock is read.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long clients on streams may take to see the end when the relay stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// How fresh the published numbers are while packets flow.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// Raw ICMP sockets of one shard, by family.
pub type IcmpSockets = Vec<(AddressFamily, Socket)>;

/// What a shard is made of. All sockets are bound already.
#[derive(Debug)]
pub struct ShardConfig {
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// Raw ICMP sockets, by family.
    pub icmp: IcmpSockets,
    /// Where the kernel steers relayed ports to the shard; without them, each relayed address has a
    /// socket of its own.
    pub relay_sockets: Option<RelaySockets>,
    /// The engine's.
    pub engine: server::Config,
    /// How many entries the lane may hold.
    pub entries_max: usize,
    /// The token buckets of users, where several shards share them.
    pub user_buckets: Option<Arc<UserBuckets>>,
    /// The ring's.
    pub ring: RingConfig,
    /// The mailboxes of all shards, in their order; needed where there are several.
    pub mailboxes: Vec<Mailbox>,
    /// What clients of TLS are shown; without it none is served.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What clients on streams may have.
    pub streams: StreamLimits,
    /// How many there may be, over all shards.
    pub places: Arc<Places>,
    /// The kernel's tables, where it relays.
    pub fast_path: Option<Arc<Tables>>,
}

/// A bound socket that clients come in by.
#[derive(Debug)]
pub struct Listener {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// What it is bound to.
    pub server: ServerAddr,
    /// The socket; a stream's listens.
    pub socket: Socket,
}

/// Why a shard did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// io_uring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The engine's configuration.
    #[error("{0}")]
    Engine(#[from] server::ConfigError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] crate::entropy::EntropyError),
}

/// An engine, its lane and its loop; for one thread.
#[derive(Debug)]
pub struct Shard {
    // Before the streams: the ring ends what is under way on their sockets.
    lane: SocketLane,
    streams: Streams,
    server: Server<SystemEntropy>,
    hop: Hop,
    inbox: Inbox,
    stopping: bool,
    tally: Arc<Tally>,
    now: Timestamp,
    published: Timestamp,
    /// Whether something happened since.
    unpublished: bool,
    kept: Timestamp,
    complaints: Complaints,
    noted: Noted,
    /// Out of [`COMPLETIONS_MAX`].
    done: usize,
    allowance: Allowance,
    /// Whether the mailbox's wake-up is polled.
    watches: bool,
    scratch: Box<[u8]>,
}

const WAKE: OpToken = OpToken::new(OpKind::Poll, 0, 0);

impl Shard {
    /// Makes a shard for the calling thread.
    ///
    /// # Errors
    /// When io_uring, the engine or the system's randomness cannot be had.
    pub fn new(config: ShardConfig, inbox: Inbox, tally: Arc<Tally>) -> Result<Self, ShardError> {
        let now = clock::now();
        let mut entropy = SystemEntropy::new()?;
        let mut forwarder = Forwarder::new(
            ForwarderConfig {
                entries_max: config.entries_max,
                services: config.engine.services.clone(),
                relay_map: config.engine.relay_addresses.clone(),
                user_buckets: config.user_buckets,
            },
            &mut entropy,
        );
        if let Some(tables) = &config.fast_path {
            // A limit holds for both lanes together.
            forwarder = forwarder.metered_by(Arc::clone(tables) as _);
        }
        let hop = Hop::new(config.engine.shard, config.mailboxes);
        let mut server = Server::new(config.engine, entropy, now)?;
        server.set_wall_clock(now, clock::unix_seconds());
        let mut ring = Ring::new(&config.ring)?;
        let sockets: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| listener.socket.as_fd())
            .collect();
        ring.register(&sockets)?;
        drop(sockets);
        let mut lane = SocketLane::new(ring, forwarder, config.fast_path);
        let mut streams = Streams::new(config.streams, config.places, config.tls);
        for (index, listener) in config.listeners.into_iter().enumerate() {
            let via = Via::Registered(index as u32);
            if listener.transport.is_stream() {
                streams.add_listener(listener, via);
            } else {
                lane.add_listener(listener.server, via, listener.socket);
            }
        }
        if let Some(sockets) = config.relay_sockets {
            lane.relay_by(sockets);
        }
        for (family, socket) in config.icmp {
            lane.sockets
                .insert(Role::Icmp(family), Via::of(&socket), socket);
        }
        Ok(Self {
            lane,
            streams,
            server,
            hop,
            inbox,
            stopping: false,
            tally,
            now,
            published: now,
            unpublished: false,
            kept: now,
            complaints: Complaints::default(),
            noted: Noted::default(),
            done: 0,
            allowance: Allowance::default(),
            watches: false,
            scratch: vec![0; server::TRANSMIT_MAX].into_boxed_slice(),
        })
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// When the ring fails in a way that no later call could mend.
    pub fn run(&mut self) -> Result<(), ShardError> {
        while self.turn()? {}
        self.say_farewell()?;
        self.publish();
        Ok(())
    }

    /// Ends the streams in order: what waits is written, and that it was the last; those that do not
    /// take it in time are cut off.
    fn say_farewell(&mut self) -> Result<(), ShardError> {
        let begun = self.now;
        self.streams.close_all();
        self.tell_disconnected();
        while !self.streams.is_empty() && self.now.since(begun) < FAREWELL {
            self.turn()?;
        }
        Ok(())
    }

    /// One turn of the loop; `false` when told to stop.
    fn turn(&mut self) -> Result<bool, ShardError> {
        if !self.watches {
            let wake = Via::of(self.inbox.wake());
            self.watches = self.lane.ring.poll_readable(wake, WAKE);
        }
        self.lane.settle();
        self.streams.settle(self.now, &mut self.lane.ring);
        let patience = self.patience();
        self.lane.ring.submit_and_wait(patience)?;
        self.now = clock::now();
        self.noted.turns += 1;
        self.done = 0;
        while self.done < COMPLETIONS_MAX {
            let Some(completion) = self.lane.ring.next_completion() else {
                break;
            };
            self.unpublished = true;
            self.handle(completion);
            self.done += 1 + self.streams.take_messages();
        }
        self.serve_crowd();
        if self
            .server
            .poll_timeout()
            .is_some_and(|deadline| deadline.at <= self.now)
        {
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.streams.expire(self.now);
        self.tell_disconnected();
        self.hand_over_streams();
        if self.now.since(self.kept) >= HOUSEKEEPING {
            self.kept = self.now;
            // Old numbers mean that the loop hangs.
            self.unpublished = true;
            self.lane.sockets.revive();
            self.hop.retry();
            self.streams.revive();
            self.server.set_wall_clock(self.now, clock::unix_seconds());
            self.drain();
        }
        if self.unpublished && self.now.since(self.published) >= PUBLISH_EVERY {
            self.publish();
        }
        self.renew_allowance();
        Ok(!self.stopping)
    }

    fn patience(&self) -> Duration {
        if self.lane.ring.has_reaped() || self.streams.has_crowd() {
            return Duration::ZERO;
        }
        let most = if self.unpublished || self.stopping {
            PUBLISH_EVERY
        } else {
            HOUSEKEEPING
        };
        let engine = self.server.poll_timeout();
        let engine = engine.map(|deadline| deadline.at.since(self.now));
        let due = engine.into_iter().chain(self.streams.patience(self.now));
        due.fold(most, Duration::min)
    }

    /// Carries one completion to its end.
    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Received {
                token,
                buffer,
                filled,
                armed,
            } => {
                let role = self.lane.sockets.role(token);
                if !armed {
                    self.lane.sockets.receive_ended(token);
                }
                self.received(role, buffer, filled);
            }
            Completion::Sent {
                buffer,
                tag,
                result,
            } => self.lane.sent(buffer, tag, result),
            Completion::RunSent { run, result } => self.lane.run_sent(run, result),
            Completion::ReceiveEnded { token, error } => {
                if matches!(error, Errno::ENOBUFS | Errno::ECANCELED) {
                    self.lane.sockets.receive_ended(token);
                } else {
                    self.complain(Trouble::Receive, &format!("a receive failed: {error}"));
                    self.lane.sockets.receive_failed(token);
                }
            }
            Completion::Readable { armed, .. } => {
                self.watches = armed;
                self.obey();
            }
            Completion::Stream(completion) => self.handle_stream(completion),
        }
    }

    fn received(&mut self, role: Option<Role>, buffer: Buffer, filled: usize) {
        let Some(role) = role else {
            return self.lane.ring.give_back(buffer);
        };
        let Some(datagram) = self.lane.ring.datagram(&buffer, filled) else {
            return self.lane.refuse(buffer, DropReason::Malformed);
        };
        for _ in 0..datagram.lost() {
            self.lane.refuse_unbuffered(DropReason::Oversize);
        }
        // What another shard said before this packet was sent counts for it.
        if matches!(role, Role::Listener(_)) && self.inbox.is_waiting() {
            self.hear();
        }
        let role = match (role, datagram.destination) {
            (Role::Steered, Some(relayed)) => Role::Relay(RelayedAddr(relayed)),
            _ => role,
        };
        let source = datagram.source;
        if datagram.segment.is_none() && !datagram.truncated {
            let payload = datagram.payload;
            return self.handle_datagram(role, source, Packet { buffer, payload });
        }
        for payload in datagram.segments() {
            self.done += 1;
            // Each packet of a run holds the buffer too.
            if let Some(buffer) = self.lane.ring.share(&buffer) {
                self.handle_datagram(role, source, Packet { buffer, payload });
            }
        }
        self.lane.ring.give_back(buffer);
    }

    fn handle_datagram(&mut self, role: Role, source: SocketAddr, packet: Packet) {
        if packet.payload.len() > self.lane.ring.payload_max() {
            return self.lane.refuse(packet.buffer, DropReason::Oversize);
        }
        match role {
            Role::Listener(server) => {
                self.handle_client(&listener_tuple(ClientAddr(source), server), packet);
            }
            Role::Relay(relayed) => {
                let len = packet.payload.len();
                let verdict =
                    self.lane
                        .forwarder
                        .from_peer(self.now, relayed, PeerAddr(source), len);
                self.carry(verdict, packet, None);
            }
            Role::Icmp(family) => self.icmp(family, packet),
            // The kernel says of each datagram that it steered where it was sent.
            Role::Steered | Role::Sender => self.lane.refuse(packet.buffer, DropReason::Unexpected),
        }
    }

    /// Takes a datagram in, or passes it on to the shard that it is for.
    fn handle_client(&mut self, five_tuple: &FiveTuple, packet: Packet) {
        let bytes = self.lane.ring.bytes(&packet.buffer);
        let bytes = bytes.get(packet.payload.clone()).unwrap_or(&[]);
        match self.way(five_tuple, bytes, false) {
            Some(shard) => self.pass_on(shard, five_tuple, packet),
            None => self.serve_client(five_tuple, packet),
        }
    }

    fn serve_client(&mut self, five_tuple: &FiveTuple, packet: Packet) {
        let bytes = self.lane.ring.bytes(&packet.buffer);
        let bytes = bytes.get(packet.payload.clone()).unwrap_or(&[]);
        let verdict = self.lane.forwarder.from_client(self.now, five_tuple, bytes);
        self.carry(verdict, packet, Some(five_tuple));
    }

    fn carry(&mut self, verdict: Verdict, packet: Packet, from: Option<&FiveTuple>) {
        match (verdict, from) {
            (Verdict::ToPeer(forward), _) => self.lane.send_to_peer(packet, &forward),
            (Verdict::ToClient(forward), _) if forward.five_tuple.transport.is_stream() => {
                self.relay_to_stream(packet, &forward);
            }
            (Verdict::ToClient(forward), _) => self.lane.send_to_client(packet, &forward),
            (Verdict::Drop(_), _) => self.lane.ring.give_back(packet.buffer),
            (Verdict::Pass, Some(five_tuple)) => {
                let Packet { buffer, payload } = packet;
                let bytes = self.lane.ring.bytes(&buffer).get(payload).unwrap_or(&[]);
                // What the server drops, it counts.
                let _disposition = self.server.handle_input(self.now, *five_tuple, bytes);
                self.lane.ring.give_back(buffer);
                self.drain();
            }
            // No request comes from a peer.
            (Verdict::Pass, None) => {
                self.lane.drop_packet(packet.buffer, DropReason::Unexpected);
            }
        }
    }

    fn icmp(&mut self, family: AddressFamily, packet: Packet) {
        let bytes = self.lane.ring.bytes(&packet.buffer);
        let bytes = bytes.get(packet.payload).unwrap_or(&[]);
        let error = match family {
            AddressFamily::Ipv4 => icmp_quote::parse_v4(bytes),
            AddressFamily::Ipv6 => icmp_quote::parse_v6(bytes),
        };
        self.lane.ring.give_back(packet.buffer);
        if let Some(error) = error {
            self.server.handle_icmp(self.now, error);
            self.drain();
        }
    }
}

/// What a datagram at a listener is told by.
const fn listener_tuple(client: ClientAddr, server: ServerAddr) -> FiveTuple {
    FiveTuple {
        client,
        server,
        transport: Transport::Udp,
    }
}
