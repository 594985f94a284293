//! A relay that listens on UDP, TCP and TLS, clients for it, and peers.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    reason = "each test program uses a part of it; a panic is the failure report"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use socket2::{Domain, Socket, Type};
use turnpike::clock;
use turnpike::config::{LimitsConfig, ListenConfig};
use turnpike::entropy::SystemEntropy;
use turnpike::relay::{Options, Relay};
use turnpike::shard::{Snapshot, owner_of};
use turnpike_turn::attribute::ReservationToken;
use turnpike_turn::client::{
    self, Client, Event, Output, Port, Received, SEND_OVERHEAD_MAX, TRANSMIT_MAX,
};
use turnpike_types::{AddressFamily, ClientAddr, PeerAddr, RelayedAddr, ServerAddr, Transport};

use crate::support::{ANYBODY, options, plan};

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running relay.
pub struct Stage {
    pub relay: Relay,
    trust: Arc<ClientConfig>,
    servers: Vec<(Transport, ServerAddr)>,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::start(|_| {}, change)
    }

    pub fn with_shards(shards: u16, change: impl FnOnce(&mut LimitsConfig)) -> Self {
        Self::start(change, |options| options.shards = Some(shards))
    }

    pub fn with_limits(change: impl FnOnce(&mut LimitsConfig)) -> Self {
        Self::start(change, |_| {})
    }

    fn start(limit: impl FnOnce(&mut LimitsConfig), change: impl FnOnce(&mut Options)) -> Self {
        let mut plan = plan(ANYBODY);
        limit(&mut plan.config.limits);
        for transport in [Transport::Tcp, Transport::Tls] {
            let address = ([127, 0, 0, 1], 0).into();
            plan.listen.push(ListenConfig { transport, address });
        }
        let (server, trust) = certificate();
        let mut options = Options {
            tls: Some(server),
            ..options()
        };
        change(&mut options);
        let relay = Relay::start(&plan, &options).unwrap();
        let transports = plan.listen.iter().map(|listen| listen.transport);
        let servers = transports.zip(relay.listeners().iter().copied()).collect();
        Self {
            relay,
            trust,
            servers,
        }
    }

    pub fn server(&self, transport: Transport) -> ServerAddr {
        let found = self.servers.iter().find(|(its, _)| *its == transport);
        found.unwrap().1
    }

    /// A connection that says nothing yet.
    pub fn connect(&self, transport: Transport) -> TcpStream {
        TcpStream::connect(self.server(transport).0).unwrap()
    }

    pub fn stream(&self, transport: Transport) -> Stream {
        match transport {
            Transport::Tcp | Transport::Tls => self.stream_on(transport, self.connect(transport)),
            _ => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(self.server(transport).0).unwrap();
                Stream::Udp(socket)
            }
        }
    }

    fn stream_on(&self, transport: Transport, socket: TcpStream) -> Stream {
        if transport == Transport::Tcp {
            return Stream::Tcp(socket);
        }
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.trust), name).unwrap();
        Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
    }

    /// A connection of a shard: its port is known before it connects.
    pub fn stream_at(&self, transport: Transport, shard: u16, shards: u16) -> Stream {
        let bound = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            socket.bind(&any.into()).unwrap();
            socket
        };
        let is_at = |it: &Socket| {
            let client = it.local_addr().unwrap().as_socket().unwrap();
            owner_of(ClientAddr(client), shards) == shard
        };
        let mut sockets = std::iter::repeat_with(bound).take(1_000);
        let socket = sockets.find(is_at).unwrap();
        socket.connect(&self.server(transport).0.into()).unwrap();
        self.stream_on(transport, socket.into())
    }

    /// A connection that is taken in, as soon as there is room for it: a place is free when the
    /// descriptor is closed, a moment after the connection is counted as closed.
    pub fn join(&self, connect: impl Fn() -> Stream) -> Stream {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut stream = connect();
            let is_in = stream.try_write(&binding_request(7))
                && stream.read(&mut [0; 512]).is_ok_and(|len| len > 0);
            if is_in {
                return stream;
            }
            assert!(Instant::now() < until, "no room in time");
        }
    }

    pub fn allocate(&self, transport: Transport) -> Caller {
        Caller::start(self.stream(transport), transport, self.server(transport))
    }

    /// Waits for numbers.
    pub fn until(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) {
        wait_until(what, || is_so(&self.relay.fresh_snapshot()));
    }

    /// A client with a channel to a peer.
    pub fn call(&self, transport: Transport) -> (Caller, Peer) {
        let (mut caller, peer) = (self.allocate(transport), Peer::new());
        caller.bind_channel(&peer);
        (caller, peer)
    }
}

/// Its transaction identifier is a number again and again.
pub fn binding_request(number: u8) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    request.resize(20, number);
    request
}

fn certificate() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// A client's way to the server.
pub enum Stream {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Self::Tcp(stream) => stream.write_all(bytes).unwrap(),
            Self::Tls(stream) => {
                stream.write_all(bytes).unwrap();
                stream.flush().unwrap();
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Udp(socket) => socket.send(bytes).is_ok(),
            Self::Tcp(stream) => stream.write_all(bytes).is_ok(),
            Self::Tls(stream) => stream
                .write_all(bytes)
                .and_then(|()| stream.flush())
                .is_ok(),
        }
    }

    /// Zero at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Udp(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.recv(buffer)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.read(buffer)
            }
            Self::Tls(stream) => {
                stream.sock.set_read_timeout(Some(PATIENCE))?;
                stream.read(buffer)
            }
        }
    }
}

/// A client engine on its stream.
pub struct Caller {
    client: Client<SystemEntropy>,
    stream: Stream,
    number: u16,
    events: Vec<Event>,
    data: Vec<(PeerAddr, Vec<u8>)>,
}

impl Caller {
    /// Waits for an allocation.
    pub fn start(stream: Stream, transport: Transport, server: ServerAddr) -> Self {
        Self::with_port(stream, transport, server, Port::Any)
    }

    /// Waits for an allocation with such a port.
    pub fn with_port(stream: Stream, transport: Transport, server: ServerAddr, port: Port) -> Self {
        let mut config = client::Config::new(server, transport);
        config.port = port;
        let entropy = SystemEntropy::new().unwrap();
        let mut caller = Self {
            client: Client::new(config, entropy, clock::now()).unwrap(),
            stream,
            number: 0,
            events: Vec::new(),
            data: Vec::new(),
        };
        caller.wait_for(|event| matches!(event, Event::Allocated));
        caller
    }

    pub fn relayed(&self) -> RelayedAddr {
        let allocation = self.client.allocation().unwrap();
        allocation.relayed(AddressFamily::Ipv4).unwrap()
    }

    pub fn reservation_token(&self) -> ReservationToken {
        let allocation = self.client.allocation().unwrap();
        allocation.reservation_token.unwrap()
    }

    pub fn permit(&mut self, peer: &Peer) {
        let ip = peer.address().ip();
        self.client.create_permission(clock::now(), &[ip]).unwrap();
        self.wait_for(|event| matches!(event, Event::PermissionCreated(_)));
    }

    pub fn bind_channel(&mut self, peer: &Peer) {
        let bound = self.client.bind_channel(clock::now(), peer.address());
        self.number = bound.unwrap().get();
        self.wait_for(|event| matches!(event, Event::ChannelBound { .. }));
    }

    pub fn release(&mut self) {
        self.client.close(clock::now());
        self.wait_for(|event| matches!(event, Event::Closed));
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }

    pub fn send(&mut self, peer: &Peer, payload: &[u8]) {
        let mut message = vec![0; payload.len() + SEND_OVERHEAD_MAX];
        let len = self.client.send(peer.address(), payload, &mut message);
        self.stream.write(&message[..len.unwrap()]);
    }

    /// A payload for the peer of the channel, as on a stream.
    pub fn channel_data(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write(bytes);
    }

    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub fn receive(&mut self) -> (PeerAddr, Vec<u8>) {
        while self.data.is_empty() {
            self.read();
        }
        self.data.remove(0)
    }

    /// Reads until the server ends the stream.
    pub fn expect_end(&mut self) {
        let mut buffer = [0; 4_096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    assert!(
                        !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                        "the connection stays open"
                    );
                    return;
                }
            }
        }
    }

    fn wait_for(&mut self, is_it: impl Fn(&Event) -> bool) {
        let until = Instant::now() + PATIENCE;
        self.flush();
        while !self.events.iter().any(&is_it) {
            assert!(Instant::now() < until, "not in time: {:?}", self.events);
            self.read();
        }
        self.events.clear();
    }

    fn read(&mut self) {
        let mut buffer = vec![0; 65_536];
        let len = self.stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed the connection");
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            match self.client.handle_input(clock::now(), rest) {
                Received::Taken(taken) => rest = &rest[taken..],
                Received::Data { peer, payload } => {
                    self.data.push((peer, rest[payload].to_vec()));
                    rest = &[];
                }
                _ => rest = &[],
            }
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut message = vec![0; TRANSMIT_MAX.max(65_536)];
        while let Some(output) = self.client.poll_output(&mut message) {
            match output {
                Output::Transmit(len) => self.stream.write(&message[..len]),
                Output::Event(event) => self.events.push(event),
                Output::Data { peer, len } => self.data.push((peer, message[..len].to_vec())),
            }
        }
    }
}

/// A host that speaks no TURN, on a port from the range that peers may have on the relay's host.
pub struct Peer(UdpSocket);

impl Peer {
    pub fn new() -> Self {
        let free = |port| UdpSocket::bind(("127.0.0.1", port)).ok();
        let socket = (61_000..=65_535).find_map(free).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> PeerAddr {
        PeerAddr(self.0.local_addr().unwrap())
    }

    pub fn send(&self, to: &Caller, payload: &[u8]) {
        self.0.send_to(payload, to.relayed().0).unwrap();
    }

    /// Sends payloads, all but the last of one length, by one system call.
    pub fn send_run(&self, to: &Caller, payloads: &[Vec<u8>]) {
        let segment = payloads[0].len() as i32;
        setsockopt(&self.0, sockopt::UdpGsoSegment, &segment).unwrap();
        self.send(to, &payloads.concat());
        setsockopt(&self.0, sockopt::UdpGsoSegment, &0).unwrap();
    }

    pub fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let (len, _source): (usize, SocketAddr) = self.0.recv_from(&mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the end, be it orderly or not.
pub fn assert_closed(mut stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = stream.read_to_end(&mut Vec::new());
    let is_late = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_late, "the connection stays open");
}
