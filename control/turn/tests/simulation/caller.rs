//! A client's host: an honest client most of the time, and somebody who probes by hand.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnpike_sim::{Delivery, HostId, SeededEntropy};
use turnpike_stun::{Class, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{Data, ReservationToken, XorPeerAddress};
use turnpike_turn::client::{
    Client, Config, Credential, Event, Families, Output, Port, Received, TRANSMIT_MAX,
};
use turnpike_types::{AddressFamily, PeerAddr, ServerAddr, Timestamp};

use crate::letter::{Author, Letter};
use crate::plan::{self, CallerPlan};
use crate::prober::{Probe, Prober};
use crate::stage::Stage;
use crate::violation::{Checked, ensure, violated};

/// One client's host.
pub(crate) struct Caller {
    number: usize,
    pub(crate) host: HostId,
    plan: CallerPlan,
    port: u16,
    client: Option<Client<SeededEntropy>>,
    probers: Vec<Prober>,
    /// Peers that it talks to most of the time.
    favourites: Vec<SocketAddr>,
    pub(crate) next_at: Timestamp,
    /// Relayed addresses that it was told of, or got letters by; the scenario checks them.
    pub(crate) heard: Vec<SocketAddr>,
}

impl Caller {
    pub(crate) fn new(number: usize, host: HostId, stage: &mut Stage) -> Self {
        let plan = stage.plan.callers[number].clone();
        let own = &stage.plan.accounts[plan.account];
        let other = &stage.plan.accounts[(plan.account + 1) % stage.plan.accounts.len()];
        Self {
            number,
            host,
            port: 30_000,
            client: None,
            probers: vec![Prober::new(own), Prober::new(other)],
            favourites: Vec::new(),
            next_at: Timestamp::from_millis(stage.dice.within(0..3_000)),
            heard: Vec::new(),
            plan,
        }
    }

    /// Where the world sees this host.
    pub(crate) fn public_ip(&self) -> IpAddr {
        self.plan
            .nat
            .as_ref()
            .map_or(self.plan.ip, |(outside, _)| *outside)
    }

    /// When the client wants its timers run.
    pub(crate) fn timeout_at(&self) -> Option<Timestamp> {
        self.client.as_ref()?.poll_timeout().map(|due| due.at)
    }

    pub(crate) fn handle_timeout(&mut self, stage: &mut Stage) -> Checked {
        if let Some(client) = &mut self.client {
            client.handle_timeout(stage.world.now());
        }
        self.pump(stage)
    }

    /// The host stops, and says nothing.
    pub(crate) fn vanish(&mut self) {
        self.client = None;
    }

    /// Takes a datagram that arrived.
    pub(crate) fn receive(&mut self, stage: &mut Stage, delivery: &Delivery) -> Checked {
        if delivery.destination.port() != self.port {
            return Ok(());
        }
        for at in 0..self.probers.len() {
            let (is_its, again) = self.probers[at].receive(&delivery.payload);
            if let Some(probe) = again {
                self.probe(stage, at, probe);
            }
            if is_its {
                return Ok(());
            }
        }
        let now = stage.world.now();
        let mut rest = &delivery.payload[..];
        while let Some(client) = &mut self.client {
            match client.handle_input(now, rest) {
                Received::Taken(taken) if taken < rest.len() => {
                    rest = &rest[taken..];
                    self.pump(stage)?;
                }
                Received::Data { peer, payload } => {
                    let payload = rest[payload].to_vec();
                    self.read(stage, peer, &payload)?;
                    break;
                }
                _ => break,
            }
        }
        self.pump(stage)
    }

    /// Does something.
    pub(crate) fn act(&mut self, stage: &mut Stage) -> Checked {
        self.next_at = stage.soon();
        let is_calm = stage.plan.is_calm;
        let Some(client) = &mut self.client else {
            self.start(stage);
            return self.pump(stage);
        };
        let has_allocation = client.allocation().is_some();
        match stage.below(if is_calm { 84 } else { 100 }) {
            0..10 => self.permit(stage),
            10..20 => self.bind(stage),
            20..70 => {
                for _ in 0..1 + stage.below(4) {
                    self.send(stage);
                }
            }
            70..78 => self.release(stage),
            78..80 => client.close(stage.world.now()),
            80 => self.client = None,
            81 if is_calm => {}
            81 => {
                let family = stage
                    .one_of(&[AddressFamily::Ipv4, AddressFamily::Ipv6])
                    .unwrap();
                let _ = client.close_family(stage.world.now(), family);
            }
            82..84 if !has_allocation => self.client = None,
            82..84 => {}
            84..90 => self.send_raw(stage),
            _ => {
                let probe = Probe::draw(stage);
                let hand = stage.below(2) as usize;
                self.probe(stage, hand, probe);
            }
        }
        self.pump(stage)
    }

    fn start(&mut self, stage: &mut Stage) {
        let server = ServerAddr(plan::listener(self.plan.ip, self.plan.transport));
        let account = &stage.plan.accounts[self.plan.account];
        let credential = Credential::new(&account.username, &account.password);
        let families = stage
            .one_of(&[Families::Ipv4, Families::Ipv6, Families::Both])
            .unwrap();
        let tokens = stage.tokens.clone();
        let port = match (stage.below(6), families) {
            (0, _) => Port::Even,
            (1, Families::Ipv4 | Families::Ipv6) => Port::EvenWithNext,
            (2, Families::Ipv4 | Families::Ipv6) => stage
                .one_of(&tokens)
                .map_or(Port::Any, |token| Port::Reserved(ReservationToken(token))),
            _ => Port::Any,
        };
        let config = Config {
            credential: Some(credential),
            families,
            port,
            lifetime: (stage.below(3) == 0).then(|| stage.dice.within(0..4_000) as u32),
            dont_fragment: stage.below(3) == 0,
            fingerprint: stage.below(3) == 0,
            ..Config::new(server, self.plan.transport)
        };
        self.port = self.port.wrapping_add(1).max(30_000);
        stage.note(|| format!("caller {} starts: {families:?}, {port:?}", self.number));
        let entropy = stage.dice.fork();
        self.client = Some(Client::new(config, entropy, stage.world.now()).unwrap());
    }

    /// A favourite most of the time; each client has its own few.
    fn peer(&mut self, stage: &mut Stage) -> SocketAddr {
        let peer = stage.any_peer();
        if self.favourites.len() < FAVOURITES {
            self.favourites.push(peer);
        }
        if stage.below(8) == 0 {
            return peer;
        }
        stage.one_of(&self.favourites).unwrap_or(peer)
    }

    fn permit(&mut self, stage: &mut Stage) {
        let count = 1 + stage.below(3);
        let mut peers: Vec<_> = (0..count).map(|_| self.peer(stage).ip()).collect();
        if !stage.plan.is_calm && stage.below(10) == 0 {
            peers.push(stage.odd_peer().ip());
        }
        if let Some(client) = &mut self.client {
            let _ = client.create_permission(stage.world.now(), &peers);
        }
    }

    fn bind(&mut self, stage: &mut Stage) {
        let peer = PeerAddr(self.peer(stage));
        if let Some(client) = &mut self.client {
            let _ = client.bind_channel(stage.world.now(), peer);
        }
    }

    fn release(&mut self, stage: &mut Stage) {
        let peer = self.peer(stage);
        let by_channel = stage.below(2) == 0;
        let now = stage.world.now();
        match &mut self.client {
            Some(client) if by_channel => client.release_channel(now, &PeerAddr(peer)),
            Some(client) => client.release_permission(now, &peer.ip()),
            None => {}
        }
    }

    /// Sends a letter as the client would.
    fn send(&mut self, stage: &mut Stage) {
        let peer = self.peer(stage);
        let letter = self.letter(stage, peer);
        let mut buf = vec![0; letter.len() + 64];
        let Some(client) = &mut self.client else {
            return;
        };
        // `send` goes by the time the client last heard of.
        client.handle_timeout(stage.world.now());
        // Clients keep the addresses they know; ports below 1024 are refused by the relay.
        let is_reachable = peer.port() >= 1_024;
        if let Ok(len) = client.send(PeerAddr(peer), &letter, &mut buf) {
            if is_reachable && stage.has_ip_of(peer.ip()) {
                stage.letters.vouch(&letter);
            }
            self.transmit(stage, &buf[..len]);
        }
    }

    /// Sends a letter that the client has no leave for.
    fn send_raw(&mut self, stage: &mut Stage) {
        let peer = if stage.below(4) == 0 {
            stage.odd_peer()
        } else {
            self.peer(stage)
        };
        let letter = self.letter(stage, peer);
        if stage.below(2) == 0 {
            let number = 0x4000 + stage.below(6) as u16;
            let header = [number.to_be_bytes(), (letter.len() as u16).to_be_bytes()].concat();
            // A channel may lead elsewhere than to the peer: not a letter then.
            let bytes = [
                &header[..],
                &letter[..letter.len() - 1],
                &[!letter[letter.len() - 1]],
            ];
            let bytes = bytes.concat();
            return self.transmit(stage, &bytes);
        }
        let mut buf = vec![0; letter.len() + 64];
        let id = TransactionId::random(&mut stage.dice);
        let len = MessageBuilder::new(&mut buf, Class::Indication, Method::SEND, id)
            .attribute(&XorPeerAddress(peer))
            .attribute(&Data(&letter))
            .finish()
            .unwrap();
        self.transmit(stage, &buf[..len]);
    }

    fn letter(&self, stage: &mut Stage, to: SocketAddr) -> Vec<u8> {
        let len = stage.below(900) as usize;
        let author = Author::Caller(self.number);
        stage.letters.write(
            Letter {
                author,
                to,
                is_permitted: false,
            },
            len,
        )
    }

    fn probe(&mut self, stage: &mut Stage, hand: usize, probe: Probe) {
        stage.note(|| format!("caller {} probes by hand {hand}: {probe:?}", self.number));
        let bytes = self.probers[hand].ask(probe, &mut stage.dice);
        self.transmit(stage, &bytes);
    }

    fn transmit(&self, stage: &mut Stage, bytes: &[u8]) {
        let source = SocketAddr::new(self.plan.ip, self.port);
        let server = plan::listener(self.plan.ip, self.plan.transport);
        stage.world.send(self.host, source, server, bytes);
    }

    /// Takes the client's outputs and sees that it wants no timer in the past.
    fn pump(&mut self, stage: &mut Stage) -> Checked {
        let now = stage.world.now();
        for _ in 0..ROUNDS_MAX {
            let mut buf = vec![0; BUF_LEN];
            let Some(client) = &mut self.client else {
                return Ok(());
            };
            match client.poll_output(&mut buf) {
                Some(Output::Transmit(len)) => self.transmit(stage, &buf[..len]),
                Some(Output::Data { peer, len }) => self.read(stage, peer, &buf[..len])?,
                Some(Output::Event(event)) => self.heed(stage, &event),
                None => {
                    let due = client.poll_timeout();
                    if due.is_none_or(|due| due.at > now) {
                        return Ok(());
                    }
                    client.handle_timeout(now);
                }
            }
        }
        violated!(
            DeadlineAhead,
            "caller {} does not come to rest",
            self.number
        )
    }

    fn heed(&mut self, stage: &mut Stage, event: &Event) {
        stage.note(|| format!("caller {}: {event:?}", self.number));
        let Some(client) = &mut self.client else {
            return;
        };
        match event {
            Event::Allocated => {
                let allocation = *client.allocation().unwrap();
                for relayed in [allocation.ipv4, allocation.ipv6].into_iter().flatten() {
                    self.heard.push(relayed.0);
                    stage.announce(relayed.0);
                }
                if let Some(ReservationToken(token)) = allocation.reservation_token {
                    stage.announce_token(token);
                }
            }
            Event::NewPortNeeded => {
                self.port += 1;
                let server = client.server();
                client.restart(stage.world.now(), server);
            }
            Event::AllocationFailed(_)
            | Event::AllocationLost(_)
            | Event::Closed
            | Event::Redirected(_) => {
                self.client = None;
                let pause = Duration::from_millis(stage.dice.within(10..20_000));
                self.next_at = self.next_at.max(stage.world.now() + pause);
            }
            _ => {}
        }
    }

    /// Checks a letter that arrived.
    fn read(&mut self, stage: &Stage, from: PeerAddr, bytes: &[u8]) -> Checked {
        let Some(letter) = stage.letters.read(bytes) else {
            return Ok(());
        };
        let is_calm = stage.plan.is_calm;
        match letter.author {
            Author::Peer(author) => {
                // A probe by hand may have bound a channel that the client knows as another's.
                ensure!(
                    author == from.0 || !is_calm,
                    PayloadIntact,
                    "from {author}, not {from}"
                );
                self.heard.push(letter.to);
            }
            // A capture may have been given another address before it was sent again.
            Author::Caller(_) if !is_calm => {}
            Author::Caller(_) => self.heard.push(letter.to),
        }
        Ok(())
    }
}

const FAVOURITES: usize = 4;

/// The most outputs and timers of one instant.
const ROUNDS_MAX: usize = 1_000;

const BUF_LEN: usize = if TRANSMIT_MAX > 2_048 {
    TRANSMIT_MAX
} else {
    2_048
};
