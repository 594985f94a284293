//! The client engine before a server that may say anything at any time.
//!
//! The first two bytes configure the client. The steps that follow are responses to what it has
//! sent, data, raw bytes, lapses of time, and wishes of its caller. It must come to rest after each,
//! believe nothing that is not sealed, and send nothing that it may not.

mod answer;

use std::net::IpAddr;
use std::time::Duration;

use turnpike_stun::{Class, Message};
use turnpike_turn::attribute::{Data, XorPeerAddress};
use turnpike_turn::channel_data::ChannelData;
use turnpike_turn::client::{
    Client, Config, Credential, Event, Families, Limits, Output, Port, Received, SEND_OVERHEAD_MAX,
    TRANSMIT_MAX,
};
use turnpike_types::{AddressFamily, ChannelNumber, PeerAddr, ServerAddr, Timestamp, Transport};

use crate::addresses::{self, SERVER_V4};
use crate::choices::Choices;
use crate::entropy::Seeded;
use answer::Answer;

const USERNAME: &str = "alice";
const PASSWORD: &str = "wonderland";

/// Plays the steps.
pub fn turn_client(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut bench = Bench::new(&mut choices);
    bench.settle();
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        bench.step(&mut choices);
        bench.settle();
    }
}

/// A client and what is known of it from outside.
struct Bench {
    client: Client<Seeded>,
    now: Timestamp,
    is_stream: bool,
    /// The last requests, newest first.
    requests: Vec<Vec<u8>>,
    /// Peers that may have a permission, since the last allocation.
    permitted: Vec<IpAddr>,
    /// Channels the client asked for, since the last allocation.
    channels: Vec<(ChannelNumber, PeerAddr)>,
    events: Vec<Event>,
    transmits: usize,
}

impl Bench {
    fn new(choices: &mut Choices<'_>) -> Self {
        let (shape, more) = (choices.byte(), choices.byte());
        let transport = if shape & 1 == 0 {
            Transport::Udp
        } else {
            Transport::Tcp
        };
        let mut config = Config::new(ServerAddr(SERVER_V4), transport);
        if shape & 2 == 0 {
            config.credential = Some(Credential::new(USERNAME, PASSWORD));
        }
        config.families = [
            Families::Ipv4,
            Families::Ipv6,
            Families::Both,
            Families::Both,
        ][usize::from(shape >> 2 & 3)];
        config.port = match (config.families, shape >> 4 & 3) {
            (Families::Both, _) | (_, 0) => Port::Any,
            (_, 1) => Port::Even,
            (_, 2) => Port::EvenWithNext,
            _ => Port::Reserved(turnpike_turn::attribute::ReservationToken([9; 8])),
        };
        config.dont_fragment = more & 1 != 0;
        config.fingerprint = more & 2 != 0;
        config.lifetime = (more & 4 != 0).then_some(3_600);
        config.limits = Limits {
            permissions: 3,
            channels: 3,
        };
        let now = Timestamp::from_secs(1);
        Self {
            client: Client::new(config, Seeded(3), now).expect("wishes that go together"),
            now,
            is_stream: transport.is_stream(),
            requests: Vec::new(),
            permitted: Vec::new(),
            channels: Vec::new(),
            events: Vec::new(),
            transmits: 0,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.events.clear();
        self.transmits = 0;
        match choices.byte() % 16 {
            0..=6 => self.answer(choices),
            7 => {
                let bytes = choices.sized(PACKET_MAX);
                self.receive(bytes, choices.byte());
            }
            8 => {
                let packet = answer::data(choices);
                self.receive(&packet, choices.byte());
            }
            9 | 10 => self.time_passes(choices.byte()),
            11 => {
                let peers = [0; 2].map(|_| addresses::peer(choices.byte()).ip());
                let peers = &peers[..1 + usize::from(choices.byte() & 1)];
                // Refused or not is for the events to say.
                let _ = self.client.create_permission(self.now, peers);
            }
            12 => {
                let peer = addresses::peer(choices.byte());
                if let Ok(number) = self.client.bind_channel(self.now, peer) {
                    self.channels.push((number, peer));
                }
            }
            13 => self.send(choices),
            14 => self.let_go(choices),
            _ => self.restart_or_end(choices.byte()),
        }
    }

    fn answer(&mut self, choices: &mut Choices<'_>) {
        let which = usize::from(choices.byte() & 3);
        let Some(request) = self.requests.get(which).cloned() else {
            return;
        };
        let Answer {
            bytes,
            is_believable,
        } = answer::build(choices, &request);
        self.receive(&bytes, choices.byte());
        if !is_believable {
            let believed = self.events.iter().find(|event| is_good_news(event));
            assert_eq!(believed, None, "believed what was not sealed");
        }
    }

    /// Hands bytes over: a datagram, or a part of the stream in chunks.
    fn receive(&mut self, bytes: &[u8], chunk: u8) {
        if !self.is_stream {
            let received = self.client.handle_input(self.now, bytes);
            assert!(!matches!(received, Received::Taken(_)));
            if let Received::Data { peer, payload } = received {
                assert!(bytes.get(payload).is_some(), "a payload from nowhere");
                self.assert_expected(peer);
            }
            self.drain();
            return;
        }
        for chunk in bytes.chunks(1 + usize::from(chunk)) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let Received::Taken(taken) = self.client.handle_input(self.now, rest) else {
                    unreachable!("a stream hands no datagrams back");
                };
                assert!(taken > 0, "a drained client must take something");
                rest = &rest[taken..];
                self.drain();
            }
        }
    }

    fn assert_expected(&self, peer: PeerAddr) {
        let is_known = self.permitted.contains(&peer.ip())
            || self.channels.iter().any(|(_, bound)| *bound == peer);
        assert!(is_known, "data from {peer}, who has no permission");
    }

    fn time_passes(&mut self, shape: u8) {
        if shape == 0 {
            let deadline = self.client.poll_timeout();
            self.now = deadline.map_or(self.now, |deadline| self.now.max(deadline.at));
        } else {
            let unit = [10, 500, 5_000, 60_000][usize::from(shape & 3)];
            self.now = self.now + Duration::from_millis(unit * u64::from(shape >> 2));
        }
        self.client.handle_timeout(self.now);
        self.drain();
    }

    fn send(&mut self, choices: &mut Choices<'_>) {
        let peer = addresses::peer(choices.byte());
        let payload = choices.sized(64);
        let mut buf = [0; 64 + SEND_OVERHEAD_MAX];
        let Ok(len) = self.client.send(peer, payload, &mut buf) else {
            return;
        };
        assert!(len <= payload.len() + SEND_OVERHEAD_MAX);
        assert!(self.client.allocation().is_some() && self.permitted.contains(&peer.ip()));
        let packet = &buf[..len];
        if let Ok(ChannelData {
            number,
            payload: place,
        }) = ChannelData::parse(packet)
        {
            assert_eq!(&packet[place], payload);
            assert!(
                self.channels.contains(&(number, peer)),
                "sent over another's channel"
            );
            assert!(!self.is_stream || len.is_multiple_of(4));
        } else {
            let message = Message::parse(packet).expect("either ChannelData or STUN");
            assert_eq!(message.class(), Class::Indication);
            assert_eq!(message.get(), Ok(Some(XorPeerAddress(peer.0))));
            assert_eq!(message.get(), Ok(Some(Data(payload))));
        }
    }

    fn let_go(&mut self, choices: &mut Choices<'_>) {
        let (shape, peer) = (choices.byte(), addresses::peer(choices.byte()));
        if shape & 1 == 0 {
            self.client.release_permission(self.now, &peer.ip());
        } else {
            self.client.release_channel(self.now, &peer);
        }
    }

    fn restart_or_end(&mut self, shape: u8) {
        match shape & 7 {
            0 => self.client.close(self.now),
            n @ (1 | 2) => {
                let family = if n == 1 {
                    AddressFamily::Ipv4
                } else {
                    AddressFamily::Ipv6
                };
                let _ = self.client.close_family(self.now, family);
            }
            _ => {
                let port = SERVER_V4.port() + u16::from(shape >> 3 & 1);
                self.client
                    .restart(self.now, ServerAddr((SERVER_V4.ip(), port).into()));
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.requests.clear();
        self.permitted.clear();
        self.channels.clear();
    }

    /// Lets the client do what is due until it only waits.
    fn settle(&mut self) {
        self.drain();
        for _ in 0..SETTLE_MAX {
            let deadline = self.client.poll_timeout();
            if deadline.is_none_or(|deadline| deadline.at > self.now) {
                assert!(
                    self.transmits <= TRANSMITS_MAX,
                    "{} messages",
                    self.transmits
                );
                return;
            }
            self.client.handle_timeout(self.now);
            self.drain();
        }
        unreachable!(
            "{:?} is due again and again at {}",
            self.client.poll_timeout(),
            self.now
        );
    }

    fn drain(&mut self) {
        let mut buf = [0; TRANSMIT_MAX];
        for _ in 0..OUTPUTS_MAX {
            match self.client.poll_output(&mut buf) {
                None => return,
                Some(Output::Transmit(len)) => {
                    let request = Message::parse(&buf[..len]).expect("a client sends messages");
                    assert_eq!(request.class(), Class::Request);
                    self.transmits += 1;
                    self.requests.insert(0, buf[..len].to_vec());
                    self.requests.truncate(REQUESTS_KEPT);
                }
                Some(Output::Data { peer, len }) => {
                    assert!(self.is_stream && len <= buf.len());
                    self.assert_expected(peer);
                }
                Some(Output::Event(event)) => self.hear(event),
            }
        }
        unreachable!("outputs without end");
    }

    fn hear(&mut self, event: Event) {
        match &event {
            Event::Allocated => {
                self.permitted.clear();
                self.channels.clear();
            }
            Event::PermissionCreated(ip) => self.permitted.push(*ip),
            Event::ChannelBound { number, peer } => {
                assert!(
                    self.channels.contains(&(*number, *peer)),
                    "a channel nobody asked for"
                );
                self.permitted.push(peer.ip());
            }
            _ => {}
        }
        self.events.push(event);
    }
}

/// Events that only the server can bring about.
const fn is_good_news(event: &Event) -> bool {
    matches!(
        event,
        Event::Allocated
            | Event::Refreshed
            | Event::PermissionCreated(_)
            | Event::ChannelBound { .. }
            | Event::NewPortNeeded
            | Event::Redirected(_)
    )
}

const STEPS_MAX: usize = 64;
const PACKET_MAX: usize = 512;
const REQUESTS_KEPT: usize = 4;
/// Sixteen requests may be under way; each may be sent again or replaced within a step.
const TRANSMITS_MAX: usize = 64;
const OUTPUTS_MAX: usize = 1_000;
const SETTLE_MAX: usize = 64;
