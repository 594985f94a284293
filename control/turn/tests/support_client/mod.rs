//! A client under virtual time, and the means to play its server by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use turnpike_sim::SeededEntropy;
use turnpike_stun::{
    Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method, Nonce,
    Realm, XorMappedAddress,
};
use turnpike_turn::attribute::{Lifetime, XorRelayedAddress};
use turnpike_turn::client::{Client, Config, Credential, Event, Output, Received};
use turnpike_types::{PeerAddr, ServerAddr, Timestamp, Transport};

pub(crate) const USERNAME: &str = "alice";
pub(crate) const PASSWORD: &str = "wonderland";
pub(crate) const REALM: &str = "example.org";
pub(crate) const NONCE: &str = "a nonce without cookie";
pub(crate) const LIFETIME: u32 = 600;

pub(crate) const SERVER: &str = "192.0.2.1:3478";
pub(crate) const RELAYED: &str = "198.51.100.1:50000";
pub(crate) const REFLEXIVE: &str = "203.0.113.9:40000";

/// A client, what it sent and what it said.
pub(crate) struct Stage {
    pub(crate) client: Client<SeededEntropy>,
    pub(crate) now: Timestamp,
    pub(crate) sent: VecDeque<Vec<u8>>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) data: VecDeque<(PeerAddr, Vec<u8>)>,
}

impl Stage {
    pub(crate) fn new(config: Config) -> Self {
        let now = Timestamp::from_secs(1_000);
        let client = Client::new(config, SeededEntropy::new(7), now).unwrap();
        let (sent, events, data) = Default::default();
        let mut stage = Self {
            client,
            now,
            sent,
            events,
            data,
        };
        stage.drain();
        stage
    }

    /// With an allocation, by default.
    pub(crate) fn allocated() -> Self {
        Self::allocated_with(config())
    }

    pub(crate) fn allocated_with(config: Config) -> Self {
        let mut stage = Self::new(config);
        stage.pass_challenge();
        let request = stage.request(Method::ALLOCATE);
        stage.answer(&allocated(&request));
        assert_eq!(stage.event(), Event::Allocated);
        stage
    }

    pub(crate) fn with_permission(peer: &str) -> Self {
        let mut stage = Self::allocated();
        stage
            .client
            .create_permission(stage.now, &[address(peer).ip()])
            .unwrap();
        stage.drain();
        let request = stage.request(Method::CREATE_PERMISSION);
        stage.answer(&success(&request));
        assert_eq!(stage.event(), Event::PermissionCreated(address(peer).ip()));
        stage
    }

    /// Answers the first Allocate with a 401.
    pub(crate) fn pass_challenge(&mut self) {
        let request = self.request(Method::ALLOCATE);
        self.answer(&challenge(&request, 401, NONCE));
    }

    pub(crate) fn drain(&mut self) {
        let mut buf = [0; 70_000];
        while let Some(output) = self.client.poll_output(&mut buf) {
            match output {
                Output::Transmit(len) => self.sent.push_back(buf[..len].into()),
                Output::Data { peer, len } => self.data.push_back((peer, buf[..len].into())),
                Output::Event(event) => self.events.push_back(event),
            }
        }
    }

    pub(crate) fn answer(&mut self, response: &[u8]) -> Received {
        let received = self.client.handle_input(self.now, response);
        self.drain();
        received
    }

    /// The oldest request sent and not looked at, which must be of this method.
    pub(crate) fn request(&mut self, method: Method) -> Vec<u8> {
        let bytes = self.sent.pop_front().expect("a request was sent");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.class(), message.method()),
            (Class::Request, method)
        );
        bytes
    }

    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("something happened")
    }

    /// Nothing was sent and nothing happened.
    pub(crate) fn assert_silent(&self) {
        assert_eq!((self.sent.len(), &self.events), (0, &VecDeque::new()));
    }

    /// Lets time pass, calling the client exactly when it wants to be.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.client.poll_timeout().filter(|due| due.at <= end) {
            assert!(due.at >= self.now, "a deadline in the past would spin");
            self.now = due.at;
            self.client.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.client.handle_timeout(end);
        self.drain();
    }

    pub(crate) fn pass_secs(&mut self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }

    /// Milliseconds from now at which the client next wants to be called.
    pub(crate) fn due_in_ms(&self) -> u128 {
        self.client
            .poll_timeout()
            .expect("a deadline")
            .at
            .since(self.now)
            .as_millis()
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn peer(text: &str) -> PeerAddr {
    PeerAddr(address(text))
}

pub(crate) fn server() -> ServerAddr {
    ServerAddr(address(SERVER))
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(server(), Transport::Udp);
    config.credential = Some(Credential::new(USERNAME, PASSWORD));
    config
}

pub(crate) fn key() -> IntegrityKey {
    IntegrityKey::long_term_md5(USERNAME, REALM, PASSWORD)
}

pub(crate) fn sha256_key() -> IntegrityKey {
    IntegrityKey::long_term_sha256(USERNAME, REALM, PASSWORD)
}

/// A response to `request`; `fill` writes everything after the header.
pub(crate) fn response(
    request: &[u8],
    class: Class,
    fill: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    let mut buf = [0; 2_048];
    let mut builder =
        MessageBuilder::new(&mut buf, class, request.method(), request.transaction_id());
    fill(&mut builder);
    let len = builder.finish().unwrap();
    buf[..len].into()
}

/// A success response with nothing but the integrity.
pub(crate) fn success(request: &[u8]) -> Vec<u8> {
    signed(request, Class::Success, |_| {})
}

/// An authenticated response.
pub(crate) fn signed(
    request: &[u8],
    class: Class,
    fill: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    response(request, class, |builder| {
        fill(builder);
        builder.integrity(IntegrityAlgorithm::Sha1, &key());
    })
}

/// An authenticated error response.
pub(crate) fn refused(request: &[u8], code: u16) -> Vec<u8> {
    signed(request, Class::Error, |builder| {
        builder.attribute(&ErrorCode { code, reason: "" });
    })
}

/// A 401 or 438 as a server before RFC 8489 sends it.
pub(crate) fn challenge(request: &[u8], code: u16, nonce: &str) -> Vec<u8> {
    response(request, Class::Error, |builder| {
        builder
            .attribute(&ErrorCode { code, reason: "" })
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(nonce.as_bytes()));
    })
}

/// What every Allocate success response holds.
pub(crate) fn granted(builder: &mut MessageBuilder<'_>) {
    builder
        .attribute(&XorRelayedAddress(address(RELAYED)))
        .attribute(&XorMappedAddress(address(REFLEXIVE)))
        .attribute(&Lifetime(LIFETIME));
}

pub(crate) fn allocated(request: &[u8]) -> Vec<u8> {
    signed(request, Class::Success, granted)
}

/// A success response to a Refresh.
pub(crate) fn refreshed(request: &[u8], lifetime: u32) -> Vec<u8> {
    signed(request, Class::Success, |builder| {
        builder.attribute(&Lifetime(lifetime));
    })
}
