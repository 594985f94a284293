//! A server with a lane that does what it is told, and a client that knows what to answer.

use std::net::SocketAddr;
use std::time::Duration;

use turnpike_sim::SeededEntropy;
use turnpike_stun::long_term::SecurityFeatures;
use turnpike_stun::{
    Attribute, AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message,
    MessageBuilder, Method, Nonce, PasswordAlgorithm, Realm, TransactionId, Username, userhash,
};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turnpike_turn::server::{
    Config, Credentials, Disposition, Event, Output, Server, TRANSMIT_MAX, UserKeys,
};
use turnpike_types::{
    Action, ChannelNumber, ClientAddr, Command, CommandError, DropReason, FiveTuple, ServerAddr,
    Timestamp, Transport,
};

pub(crate) const REALM: &str = "example.org";
pub(crate) const PASSWORD: &str = "correct horse";
/// A peer that the default policy admits.
pub(crate) const PEER: &str = "93.184.216.34:4000";

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn relay(ip: &str) -> RelayAddress {
    RelayAddress {
        ip: ip.parse().unwrap(),
        external: None,
    }
}

pub(crate) fn channel(number: u16) -> ChannelNumber {
    ChannelNumber::new(number).unwrap()
}

/// One relay address of each family, users alice and bob.
pub(crate) fn config() -> Config {
    let mut credentials = Credentials::new(REALM);
    for user in ["alice", "bob"] {
        let keys = UserKeys::of_password(user, REALM, PASSWORD).unwrap();
        credentials.add_user(user, keys).unwrap();
    }
    Config {
        realm: REALM.into(),
        relay_addresses: vec![relay("77.88.55.1"), relay("2a02:6b8::1")],
        credentials,
        ..Config::default()
    }
}

pub(crate) type Fails = Box<dyn FnMut(&Command) -> Option<CommandError>>;

/// What left the server, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Command(Action),
    Sent(FiveTuple, Vec<u8>),
    Event(Event),
}

/// A server, its clock, and all that it put out since the last look.
pub(crate) struct World {
    pub(crate) server: Server<SeededEntropy>,
    pub(crate) now: Timestamp,
    pub(crate) seen: Vec<Seen>,
    /// What the lane cannot do.
    pub(crate) fails: Option<Fails>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let now = Timestamp::from_secs(1_000);
        let server = Server::new(config, SeededEntropy::new(7), now).unwrap();
        Self {
            server,
            now,
            seen: Vec::new(),
            fails: None,
        }
    }

    pub(crate) fn pass(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
    }

    /// Lets time pass and has the server notice, as a shell would: whenever it asks.
    pub(crate) fn pass_and_wake(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while let Some(deadline) = self.server.poll_timeout().filter(|due| due.at <= end) {
            self.now = self.now.max(deadline.at);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn drain(&mut self) {
        let mut buf = [0; TRANSMIT_MAX];
        while let Some(output) = self.server.poll_output(&mut buf) {
            match output {
                Output::Command(command) => {
                    self.seen.push(Seen::Command(command.action));
                    if let Some(error) = self.fails.as_mut().and_then(|fails| fails(&command)) {
                        self.server
                            .handle_command_failed(self.now, command.id, error);
                    }
                }
                Output::Transmit(transmit) => {
                    let bytes = buf[..transmit.len].to_vec();
                    self.seen.push(Seen::Sent(transmit.five_tuple, bytes));
                }
                Output::Event(event) => self.seen.push(Seen::Event(event)),
            }
        }
    }

    /// What was put out since the last look.
    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        let actions = |seen| match seen {
            Seen::Command(action) => Some(action),
            _ => None,
        };
        self.take_seen().into_iter().filter_map(actions).collect()
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        let events = |seen| match seen {
            Seen::Event(event) => Some(event),
            _ => None,
        };
        self.take_seen().into_iter().filter_map(events).collect()
    }

    /// Puts a packet in and gives back the one response to it, if any.
    pub(crate) fn send(&mut self, five_tuple: FiveTuple, bytes: &[u8]) -> Option<Response> {
        self.server.handle_input(self.now, five_tuple, bytes);
        let before = self.seen.len();
        self.drain();
        let mut sent = self.seen[before..].iter().filter_map(|seen| match seen {
            Seen::Sent(to, bytes) => Some((*to, bytes.clone())),
            _ => None,
        });
        let response = sent.next().map(|(to, bytes)| {
            assert_eq!(to, five_tuple);
            Response(bytes)
        });
        assert_eq!(sent.next(), None);
        response
    }

    pub(crate) fn drop_reason(&mut self, five_tuple: FiveTuple, bytes: &[u8]) -> DropReason {
        let Disposition::Dropped(reason) = self.server.handle_input(self.now, five_tuple, bytes)
        else {
            panic!("not dropped");
        };
        let before = self.seen.len();
        self.drain();
        assert_eq!(self.seen.len(), before, "a dropped packet has no output");
        reason
    }
}

/// A message the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response(pub(crate) Vec<u8>);

impl Response {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.message().class() == Class::Success
    }

    /// The error code; 0 for a success.
    pub(crate) fn code(&self) -> u16 {
        self.get::<ErrorCode<'_>>().map_or(0, |error| error.code)
    }

    pub(crate) fn get<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        self.message().get().unwrap()
    }

    pub(crate) fn raw(&self, kind: AttributeType) -> Option<&[u8]> {
        self.message().raw(kind)
    }

    pub(crate) fn has(&self, kind: AttributeType) -> bool {
        self.raw(kind).is_some()
    }

    pub(crate) fn relayed(&self) -> Vec<SocketAddr> {
        let tid = self.message().transaction_id();
        let relayed = self.message().attributes();
        relayed
            .filter(|attribute| attribute.kind == AttributeType::XOR_RELAYED_ADDRESS)
            .map(|found| XorRelayedAddress::decode(found.value, &tid).unwrap().0)
            .collect()
    }

    pub(crate) fn lifetime(&self) -> u32 {
        self.get::<Lifetime>().unwrap().0
    }
}

/// A client on one five-tuple.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) five_tuple: FiveTuple,
    pub(crate) username: Vec<u8>,
    pub(crate) password: String,
    pub(crate) nonce: Vec<u8>,
    /// As the server offered them.
    pub(crate) algorithms: Option<Vec<u8>>,
    /// Whether USERHASH and SHA-256 are used where they are offered.
    pub(crate) is_modern: bool,
    pub(crate) fingerprint: bool,
    pub(crate) next_transaction: u64,
}

impl Client {
    /// Port 10,000 and up of one host, over UDP.
    pub(crate) fn new(number: u16, username: &str) -> Self {
        Self::at(([198, 41, 0, 4], 10_000 + number).into(), username)
    }

    pub(crate) fn at(address: SocketAddr, username: &str) -> Self {
        let server = if address.is_ipv4() {
            "77.88.55.1:3478"
        } else {
            "[2a02:6b8::1]:3478"
        };
        Self {
            five_tuple: FiveTuple {
                client: ClientAddr(address),
                server: ServerAddr(addr(server)),
                transport: Transport::Udp,
            },
            username: username.into(),
            password: PASSWORD.into(),
            nonce: Vec::new(),
            algorithms: None,
            is_modern: false,
            fingerprint: false,
            next_transaction: u64::from(address.port()) << 32,
        }
    }

    pub(crate) fn modern(mut self) -> Self {
        self.is_modern = true;
        self
    }

    pub(crate) fn transaction(&mut self) -> TransactionId {
        self.next_transaction += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.next_transaction.to_be_bytes());
        TransactionId(id)
    }

    pub(crate) fn key(&self) -> IntegrityKey {
        IntegrityKey::long_term(self.algorithm(), &self.username, REALM, &self.password)
    }

    pub(crate) fn algorithm(&self) -> PasswordAlgorithm {
        if self.is_modern && self.algorithms.is_some() {
            PasswordAlgorithm::Sha256
        } else {
            PasswordAlgorithm::Md5
        }
    }

    pub(crate) fn integrity(&self) -> IntegrityAlgorithm {
        match self.algorithm() {
            PasswordAlgorithm::Md5 => IntegrityAlgorithm::Sha1,
            PasswordAlgorithm::Sha256 => IntegrityAlgorithm::Sha256,
        }
    }

    /// A request with credentials, as bytes.
    pub(crate) fn signed(
        &self,
        method: Method,
        transaction: TransactionId,
        fill: impl FnOnce(&mut MessageBuilder<'_>),
    ) -> Vec<u8> {
        build(method, transaction, |message| {
            fill(message);
            self.identify(message);
            message.integrity(self.integrity(), &self.key());
            if self.fingerprint {
                message.fingerprint();
            }
        })
    }

    fn identify(&self, message: &mut MessageBuilder<'_>) {
        let features = SecurityFeatures::of_nonce(&self.nonce).unwrap_or_default();
        if self.is_modern && features.contains(SecurityFeatures::USERNAME_ANONYMITY) {
            message.raw(AttributeType::USERHASH, &userhash(&self.username, REALM));
        } else {
            message.attribute(&Username(&self.username));
        }
        message
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(&self.nonce));
        if let (true, Some(algorithms)) = (self.is_modern, &self.algorithms) {
            message.raw(AttributeType::PASSWORD_ALGORITHMS, algorithms);
            message.attribute(&self.algorithm());
        }
    }

    /// Takes what a challenge says.
    pub(crate) fn learn(&mut self, challenge: &Response) {
        self.nonce = challenge.raw(AttributeType::NONCE).unwrap().to_vec();
        self.algorithms = challenge
            .raw(AttributeType::PASSWORD_ALGORITHMS)
            .map(<[u8]>::to_vec);
    }

    /// Gets a nonce.
    pub(crate) fn greet(&mut self, world: &mut World) {
        let bytes = build(Method::ALLOCATE, self.transaction(), |_| {});
        let challenge = world.send(self.five_tuple, &bytes).unwrap();
        assert_eq!(challenge.code(), 401);
        self.learn(&challenge);
    }

    /// Sends a request with credentials and a nonce that is good unless it was spoiled.
    pub(crate) fn request(
        &mut self,
        world: &mut World,
        method: Method,
        fill: impl FnOnce(&mut MessageBuilder<'_>),
    ) -> Response {
        if self.nonce.is_empty() {
            self.greet(world);
        }
        let transaction = self.transaction();
        let bytes = self.signed(method, transaction, fill);
        let response = world.send(self.five_tuple, &bytes).unwrap();
        assert_eq!(response.message().transaction_id(), transaction);
        assert_eq!(response.message().method(), method);
        response
    }

    pub(crate) fn allocate_with(
        &mut self,
        world: &mut World,
        fill: impl FnOnce(&mut MessageBuilder<'_>),
    ) -> Response {
        self.request(world, Method::ALLOCATE, |message| {
            message.attribute(&RequestedTransport::UDP);
            fill(message);
        })
    }

    pub(crate) fn allocate(&mut self, world: &mut World) -> Response {
        self.allocate_with(world, |_| {})
    }

    pub(crate) fn refresh(&mut self, world: &mut World, lifetime: Option<u32>) -> Response {
        self.request(world, Method::REFRESH, |message| {
            if let Some(lifetime) = lifetime {
                message.attribute(&Lifetime(lifetime));
            }
        })
    }

    pub(crate) fn permit(&mut self, world: &mut World, peers: &[&str]) -> Response {
        self.request(world, Method::CREATE_PERMISSION, |message| {
            for peer in peers {
                message.attribute(&XorPeerAddress(addr(peer)));
            }
        })
    }

    pub(crate) fn bind(&mut self, world: &mut World, number: u16, peer: &str) -> Response {
        self.request(world, Method::CHANNEL_BIND, |message| {
            match ChannelNumber::new(number) {
                Some(number) => message.attribute(&ChannelNumberAttribute(number)),
                None => {
                    let [high, low] = number.to_be_bytes();
                    message.raw(AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0])
                }
            };
            message.attribute(&XorPeerAddress(addr(peer)));
        })
    }
}

/// A client that has allocated, and the world it did so in.
pub(crate) fn allocated(config: Config) -> (World, Client) {
    let mut world = World::new(config);
    let mut client = Client::new(0, "alice");
    assert!(client.allocate(&mut world).is_success());
    world.take_seen();
    (world, client)
}

/// A request as bytes, without credentials.
pub(crate) fn build(
    method: Method,
    transaction: TransactionId,
    fill: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    build_class(Class::Request, method, transaction, fill)
}

pub(crate) fn build_class(
    class: Class,
    method: Method,
    transaction: TransactionId,
    fill: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let mut buf = vec![0; 4_096];
    let mut message = MessageBuilder::new(&mut buf, class, method, transaction);
    fill(&mut message);
    let len = message.finish().unwrap();
    buf.truncate(len);
    buf
}

pub(crate) const TID: TransactionId = TransactionId([9; 12]);
