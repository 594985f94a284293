//! A TURN client on one blocking socket: the engine of `turnpike-turn`, driven in steps.
//!
//! For proofs and tests, one step at a time; not for load.

use std::io;
use std::mem;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use turnpike_turn::attribute::Icmp;
use turnpike_turn::client::{
    Client, Config, Credential, Event, Failure, Families, Output, Received, RequestError,
    SEND_OVERHEAD_MAX, SendError,
};
use turnpike_types::{AddressFamily, ChannelNumber, PeerAddr, RelayedAddr, ServerAddr, Transport};

use super::wire::{self, Wire};
use crate::clock;
use crate::entropy::{EntropyError, SystemEntropy};

/// The largest datagram, and the most that one message carries.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How long the end of an allocation is waited for after a failure.
const FAREWELL: Duration = Duration::from_millis(300);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The socket, or the TLS upon it.
    #[error("the client's connection: {0}")]
    Socket(#[from] io::Error),
    /// The server said no, or something else than the protocol allows.
    #[error("{0:?}")]
    Failed(Failure),
    /// Nothing came in time.
    #[error("no answer in {0:?}")]
    Silence(Duration),
    /// The client cannot send this.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The client cannot ask for this.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The client's configuration.
    #[error("{0}")]
    Config(#[from] turnpike_turn::client::ConfigError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// A client with its way to the server.
#[derive(Debug)]
pub struct Caller<W = UdpSocket> {
    client: Client<SystemEntropy>,
    wire: W,
    patience: Duration,
    /// What is received, as it comes.
    received: Box<[u8]>,
    /// What the engine writes: messages to be sent, and data cut out of a stream.
    written: Box<[u8]>,
    events: Vec<Event>,
    data: Vec<(PeerAddr, Vec<u8>)>,
}

impl Caller<UdpSocket> {
    /// Asks `server` for an allocation of one family and waits for it.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn allocate(
        server: ServerAddr,
        credential: Option<(&str, &str)>,
        family: AddressFamily,
        patience: Duration,
    ) -> Result<Self, CallError> {
        let config = wish(server, Transport::Udp, credential, family);
        let mut caller = Self::start(config, patience)?;
        caller.wait_for_allocation()?;
        Ok(caller)
    }

    /// Starts a client with its own wishes over UDP; nothing is awaited yet.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn start(config: Config, patience: Duration) -> Result<Self, CallError> {
        let socket = wire::udp(config.server)?;
        Self::over(socket, config, patience)
    }

    /// The socket towards the server.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.wire
    }
}

/// What to ask for: one family from a server over a transport.
pub(super) fn wish(
    server: ServerAddr,
    transport: Transport,
    credential: Option<(&str, &str)>,
    family: AddressFamily,
) -> Config {
    let mut config = Config::new(server, transport);
    config.credential = credential.map(|(name, password)| Credential::new(name, password));
    config.families = match family {
        AddressFamily::Ipv4 => Families::Ipv4,
        AddressFamily::Ipv6 => Families::Ipv6,
    };
    config
}

impl<W: Wire> Caller<W> {
    /// Starts a client over a wire that is open, of the transport that the wishes name; nothing is
    /// awaited yet.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn over(wire: W, config: Config, patience: Duration) -> Result<Self, CallError> {
        let room = || vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice();
        Ok(Self {
            client: Client::new(config, SystemEntropy::new()?, clock::now())?,
            wire,
            patience,
            received: room(),
            written: room(),
            events: Vec::new(),
            data: Vec::new(),
        })
    }

    /// Waits until the allocation is there.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn wait_for_allocation(&mut self) -> Result<(), CallError> {
        self.wait_for(|event| match event {
            Event::Allocated => Some(Ok(())),
            Event::AllocationFailed(failure) => Some(Err(*failure)),
            _ => None,
        })
    }

    /// Installs a permission and waits for it.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn permit(&mut self, peer: IpAddr) -> Result<(), CallError> {
        self.client.create_permission(clock::now(), &[peer])?;
        self.wait_for(|event| match event {
            Event::PermissionCreated(ip) if *ip == peer => Some(Ok(())),
            Event::PermissionFailed { peer: ip, failure } if *ip == peer => Some(Err(*failure)),
            _ => None,
        })
    }

    /// Binds a channel, the number chosen by the client engine, and waits for it.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn bind_channel(&mut self, to: PeerAddr) -> Result<ChannelNumber, CallError> {
        self.client.bind_channel(clock::now(), to)?;
        self.wait_for(|event| match event {
            Event::ChannelBound { number, peer } if *peer == to => Some(Ok(*number)),
            Event::ChannelFailed { peer, failure, .. } if *peer == to => Some(Err(*failure)),
            _ => None,
        })
    }

    /// Sends to a peer: through its channel where there is one, else by indication.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn send(&mut self, peer: PeerAddr, payload: &[u8]) -> Result<(), CallError> {
        let mut message = vec![0; payload.len() + SEND_OVERHEAD_MAX];
        let len = self.write(peer, payload, &mut message)?;
        Ok(self.wire.send(message.get(..len).unwrap_or(&[]))?)
    }

    /// Writes what [`send`](Self::send) would send, and says how long it is.
    ///
    /// # Errors
    /// [`SendError`]
    pub fn write(
        &mut self,
        peer: PeerAddr,
        payload: &[u8],
        message: &mut [u8],
    ) -> Result<usize, SendError> {
        self.client.send(peer, payload, message)
    }

    /// Waits for the next datagram of a peer.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn receive(&mut self) -> Result<(PeerAddr, Vec<u8>), CallError> {
        let until = Instant::now() + self.patience;
        loop {
            if !self.data.is_empty() {
                return Ok(self.data.remove(0));
            }
            if !self.step(until)? {
                return Err(CallError::Silence(self.patience));
            }
        }
    }

    /// Waits for the next word that the network refused what was sent to a peer.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn receive_icmp(&mut self) -> Result<(PeerAddr, Icmp), CallError> {
        self.wait_for(|event| match event {
            Event::Icmp { peer, icmp } => Some(Ok((*peer, *icmp))),
            _ => None,
        })
    }

    /// Ends the allocation and waits until the server agrees.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn close(mut self) -> Result<(), CallError> {
        self.client.close(clock::now());
        self.wait_for(|event| matches!(event, Event::Closed).then_some(Ok(())))
    }

    /// Ends the allocation without much waiting: for whoever has failed already. One whose end is
    /// lost on the way lasts as long as it was granted.
    pub fn abandon(mut self) {
        self.patience = self.patience.min(FAREWELL);
        let _lost = self.close();
    }

    /// The relayed address of a family.
    #[must_use]
    pub fn relayed(&self, family: AddressFamily) -> Option<RelayedAddr> {
        self.client.allocation()?.relayed(family)
    }

    /// The engine.
    #[must_use]
    pub const fn client(&self) -> &Client<SystemEntropy> {
        &self.client
    }

    /// Waits for an event that `pick` makes a result of.
    fn wait_for<T>(
        &mut self,
        pick: impl Fn(&Event) -> Option<Result<T, Failure>>,
    ) -> Result<T, CallError> {
        let until = Instant::now() + self.patience;
        loop {
            for event in mem::take(&mut self.events) {
                if let Some(result) = pick(&event) {
                    return result.map_err(CallError::Failed);
                }
            }
            if !self.step(until)? {
                return Err(CallError::Silence(self.patience));
            }
        }
    }

    /// Sends what is to be sent, then waits for one datagram or timer; `false` when time is up.
    fn step(&mut self, until: Instant) -> Result<bool, CallError> {
        self.flush()?;
        if !self.events.is_empty() {
            return Ok(true);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let now = clock::now();
        let due = self
            .client
            .poll_timeout()
            .map_or(left, |deadline| deadline.at.since(now));
        let at_most = due.min(left).max(Duration::from_millis(1));
        match self.wire.receive(&mut self.received, at_most)? {
            Some(len) => self.take(len)?,
            None => self.client.handle_timeout(clock::now()),
        }
        self.flush()?;
        Ok(true)
    }

    /// Hands the engine what was received: a datagram, or some of the stream.
    fn take(&mut self, len: usize) -> Result<(), CallError> {
        let received = mem::take(&mut self.received);
        let mut bytes = received.get(..len).unwrap_or(&[]);
        let mut result = Ok(());
        while !bytes.is_empty() && result.is_ok() {
            match self.client.handle_input(clock::now(), bytes) {
                // All that fits is taken; what is cut out of it makes room for the rest.
                Received::Taken(taken) => {
                    bytes = bytes.get(taken..).unwrap_or(&[]);
                    result = self.flush();
                }
                Received::Data { peer, payload } => {
                    let payload = bytes.get(payload).unwrap_or(&[]).to_vec();
                    self.data.push((peer, payload));
                    break;
                }
                Received::Control | Received::Dropped(_) => break,
            }
        }
        self.received = received;
        result
    }

    fn flush(&mut self) -> Result<(), CallError> {
        while let Some(output) = self.client.poll_output(&mut self.written) {
            let written = |len| self.written.get(..len).unwrap_or(&[]);
            match output {
                Output::Transmit(len) => self.wire.send(written(len))?,
                Output::Event(event) => self.events.push(event),
                Output::Data { peer, len } => self.data.push((peer, written(len).to_vec())),
            }
        }
        Ok(())
    }
}
