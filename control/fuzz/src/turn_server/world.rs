//! A server with its lane: commands are carried out as they come, or fail as planned, and what comes
//! out is checked at once.

use turnpike_stun::{Class, IntegrityAlgorithm, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{RequestedTransport, ReservationToken};
use turnpike_turn::forward::{Forwarder, ForwarderConfig, Verdict};
use turnpike_turn::server::{Config, Event, Output, Server, TRANSMIT_MAX, Transmit};
use turnpike_types::{Action, CommandError, FiveTuple, PeerAddr, RelayedAddr, Timestamp};

use super::ledger::Ledger;
use super::request::{Challenge, Sent};
use super::setting::Setting;
use super::{promise, setting};
use crate::addresses::{self, FIVE_TUPLES, PORTS, SERVER_V4};
use crate::entropy::Seeded;

pub(super) struct World {
    pub(super) server: Server<Seeded>,
    pub(super) forwarder: Forwarder,
    pub(super) ledger: Ledger,
    pub(super) setting: Setting,
    pub(super) config: &'static Config,
    pub(super) now: Timestamp,
    /// Timers have not been looked at since the clock moved.
    pub(super) is_late: bool,
    pub(super) challenges: [Option<Challenge>; FIVE_TUPLES as usize],
    pub(super) token: Option<[u8; 8]>,
    /// Which of the next commands fail, the lowest bit first, and how.
    pub(super) failures: (u16, CommandError),
    pub(super) last: Option<Sent>,
    pub(super) news: News,
    transactions: u32,
    created: usize,
    ended: usize,
}

/// What came out of the server in one step.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) replies: Vec<(FiveTuple, Vec<u8>)>,
    pub(super) installed: bool,
    pub(super) failed: bool,
}

impl World {
    pub(super) fn new(setting: Setting, entries_max: usize) -> Self {
        let config = setting.config();
        let now = setting::START;
        let mut server =
            Server::new(config.clone(), Seeded(1), now).expect("a sound configuration");
        server.set_wall_clock(now, setting::WALL_CLOCK);
        let forwarder = ForwarderConfig {
            entries_max,
            services: vec![SERVER_V4],
            relay_map: addresses::relay_addresses(),
            user_buckets: None,
        };
        Self {
            server,
            forwarder: Forwarder::new(forwarder, &mut Seeded(2)),
            ledger: Ledger::default(),
            setting,
            config,
            now,
            is_late: false,
            challenges: [const { None }; FIVE_TUPLES as usize],
            token: None,
            failures: (0, CommandError::TableFull),
            last: None,
            news: News::default(),
            transactions: 0,
            created: 0,
            ended: 0,
        }
    }

    pub(super) fn next_transaction_id(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0x5A; 12];
        id[..4].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }

    /// Sends a request and checks the reply against it.
    pub(super) fn request(&mut self, sent: &Sent) {
        let before = self.ledger.clone();
        self.client_sends(sent.five_tuple, &sent.bytes);
        promise::check(self, sent, &before);
    }

    /// Asks without credentials, to be challenged.
    pub(super) fn provoke(&mut self, five_tuple: FiveTuple) {
        let mut buf = [0; 64];
        let id = self.next_transaction_id();
        let mut builder = MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, id);
        let len = builder
            .attribute(&RequestedTransport::UDP)
            .finish()
            .expect("28 bytes");
        self.client_sends(five_tuple, &buf[..len]);
    }

    /// A packet from a client meets the lane first, and the server if the lane passes it.
    pub(super) fn client_sends(&mut self, five_tuple: FiveTuple, packet: &[u8]) {
        match self.forwarder.from_client(self.now, &five_tuple, packet) {
            Verdict::ToPeer(forward) => {
                self.ledger.justify_to_peer(self.now, &forward);
                assert!(
                    packet.get(forward.payload.clone()).is_some(),
                    "a payload from nowhere"
                );
                assert_reachable(forward.peer);
                let mut own = self.ledger.relayed(&five_tuple);
                assert!(
                    own.any(|relayed| relayed == forward.relayed),
                    "another's address"
                );
            }
            Verdict::ToClient(_) => unreachable!("a client's packet came back"),
            Verdict::Pass => self.tell_server(five_tuple, packet),
            Verdict::Drop(_) => {}
        }
    }

    /// A packet that the lane did not see, or passed.
    pub(super) fn tell_server(&mut self, five_tuple: FiveTuple, packet: &[u8]) {
        self.server.handle_input(self.now, five_tuple, packet);
        self.drain();
        let replies = &self.news.replies;
        assert!(replies.len() <= 1, "one packet, {} replies", replies.len());
        for (to, reply) in replies {
            assert_eq!(*to, five_tuple, "a reply to somebody else");
            let reply = Message::parse(reply).expect("a reply is a message");
            let request = Message::parse(packet).expect("only messages are answered");
            assert!(reply.class().is_response() && request.class() == Class::Request);
            assert_eq!(reply.transaction_id(), request.transaction_id());
            assert_eq!(reply.method(), request.method());
            let is_sealed = reply.has_integrity(IntegrityAlgorithm::Sha1)
                || reply.has_integrity(IntegrityAlgorithm::Sha256);
            if !is_sealed && self.setting != Setting::Anonymous {
                assert!(
                    reply.as_bytes().len() <= STRANGER_REPLY_MAX,
                    "too much for a stranger"
                );
            }
        }
    }

    pub(super) fn peer_sends(&mut self, relayed: RelayedAddr, peer: PeerAddr, len: usize) {
        match self.forwarder.from_peer(self.now, relayed, peer, len) {
            Verdict::ToClient(forward) => {
                self.ledger
                    .justify_to_client(self.now, relayed, peer, &forward);
            }
            Verdict::Drop(_) => {}
            other => unreachable!("a peer's packet came to {other:?}"),
        }
    }

    /// Lets the server look at its timers, as often as it wants to.
    pub(super) fn tick(&mut self) {
        for _ in 0..TICKS_MAX {
            self.server.handle_timeout(self.now);
            self.drain();
            if self
                .server
                .poll_timeout()
                .is_none_or(|deadline| deadline.at > self.now)
            {
                self.is_late = false;
                self.ledger.check_ends(self.now);
                return;
            }
        }
        unreachable!(
            "{:?} is due again and again at {}",
            self.server.poll_timeout(),
            self.now
        );
    }

    /// Carries out all that the server wants done.
    pub(super) fn drain(&mut self) {
        self.news = News::default();
        let mut buf = [0; TRANSMIT_MAX];
        for _ in 0..OUTPUTS_MAX {
            match self.server.poll_output(&mut buf) {
                None => return,
                Some(Output::Command(command)) => {
                    if let Err(error) = self.carry_out(&command.action) {
                        self.news.failed = true;
                        self.server
                            .handle_command_failed(self.now, command.id, error);
                    }
                }
                Some(Output::Transmit(Transmit { five_tuple, len })) => {
                    self.news.replies.push((five_tuple, buf[..len].to_vec()));
                }
                Some(Output::Event(Event::AllocationCreated { .. })) => self.created += 1,
                Some(Output::Event(Event::AllocationEnded { .. })) => self.ended += 1,
                Some(Output::Event(_)) => {}
            }
        }
        unreachable!("outputs without end");
    }

    fn carry_out(&mut self, action: &Action) -> Result<(), CommandError> {
        let may_fail = !matches!(action, Action::Revoke(_));
        if may_fail {
            self.news.installed = true;
            let fails = self.failures.0 & 1 == 1;
            self.failures.0 >>= 1;
            if fails {
                return Err(self.failures.1);
            }
        }
        let result = self.forwarder.apply(self.now, action);
        assert!(result.is_ok() || may_fail, "a revocation cannot fail");
        if result.is_ok() {
            self.ledger.book(action);
        }
        result
    }

    /// Learns from what came back on a five-tuple.
    pub(super) fn learn(&mut self, choice: u8) {
        let place = usize::from(choice % FIVE_TUPLES);
        for (_, reply) in &self.news.replies {
            let Ok(reply) = Message::parse(reply) else {
                continue;
            };
            if let Ok(Some(nonce)) = reply.get::<turnpike_stun::Nonce<'_>>() {
                let list = turnpike_stun::AttributeType::PASSWORD_ALGORITHMS;
                self.challenges[place] = Some(Challenge {
                    nonce: nonce.0.to_vec(),
                    offers_algorithms: reply.raw(list).is_some(),
                });
            }
            if let Ok(Some(ReservationToken(token))) = reply.get() {
                self.token = Some(token);
            }
        }
    }

    /// What must hold whenever a step is over.
    pub(super) fn check(&self) {
        self.ledger.check(&self.config.limits);
        assert_eq!(self.server.allocations(), self.ledger.allocations());
        assert_eq!(
            self.server.allocations(),
            self.created - self.ended,
            "an event was missed"
        );
        let ports = 2 * usize::from(PORTS.1 - PORTS.0 + 1);
        let held = self.ledger.addresses.len() + self.server.reservations();
        assert_eq!(
            self.server.free_ports() + held,
            ports,
            "a port was lost or given twice"
        );
        let counters = self.forwarder.counters();
        let accounted = counters.forwarded() + counters.passed + counters.dropped_total();
        assert_eq!(counters.received(), accounted);
        assert_eq!(self.server.counters().commands_failed_late, 0);
        assert_eq!(self.server.counters().replies_lost, 0);
        if !self.is_late {
            let deadline = self.server.poll_timeout();
            let is_ahead = deadline.is_none_or(|deadline| deadline.at > self.now);
            assert!(is_ahead, "{deadline:?} is not ahead of {}", self.now);
        }
    }
}

/// Whatever the policy: never port 0, loopback, a mapped or compatible address, or ourselves where
/// the server listens.
fn assert_reachable(PeerAddr(peer): PeerAddr) {
    assert!(peer.port() != 0 && peer != SERVER_V4, "{peer} was reached");
    match peer.ip() {
        std::net::IpAddr::V4(ip) => assert!(!ip.is_loopback(), "{peer} was reached"),
        std::net::IpAddr::V6(ip) => {
            assert!(ip.to_ipv4().is_none(), "{peer} embeds an IPv4 address");
        }
    }
}

/// A challenge is all that a stranger gets: header 20, ERROR-CODE 8, REALM 4 + 12, NONCE 4 + 32,
/// PASSWORD-ALGORITHMS 4 + 8, FINGERPRINT 8.
const STRANGER_REPLY_MAX: usize = 100;

const OUTPUTS_MAX: usize = 1_000;
const TICKS_MAX: usize = 64;
