//! A TURN client on one blocking UDP socket: the engine of `turnpike-turn`, driven in steps.
//!
//! For proofs and tests, one step at a time; not for load.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turnpike_turn::attribute::Icmp;
use turnpike_turn::client::{
    Client, Config, Credential, Event, Failure, Families, Output, Received, RequestError,
    SEND_OVERHEAD_MAX, SendError, TRANSMIT_MAX,
};
use turnpike_types::{AddressFamily, ChannelNumber, PeerAddr, RelayedAddr, ServerAddr, Transport};

use crate::clock;
use crate::entropy::{EntropyError, SystemEntropy};

/// The largest datagram that is received.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The socket.
    #[error("the client's socket: {0}")]
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

/// A client with its socket.
#[derive(Debug)]
pub struct Caller {
    client: Client<SystemEntropy>,
    socket: UdpSocket,
    patience: Duration,
    buffer: Box<[u8]>,
    events: Vec<Event>,
    data: Vec<(PeerAddr, Vec<u8>)>,
}

impl Caller {
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
        let mut config = Config::new(server, Transport::Udp);
        config.credential = credential.map(|(name, password)| Credential::new(name, password));
        config.families = match family {
            AddressFamily::Ipv4 => Families::Ipv4,
            AddressFamily::Ipv6 => Families::Ipv6,
        };
        let mut caller = Self::start(config, patience)?;
        caller.wait_for_allocation()?;
        Ok(caller)
    }

    /// Starts a client with its own wishes; nothing is awaited yet.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn start(config: Config, patience: Duration) -> Result<Self, CallError> {
        let any: SocketAddr = match config.server.ip() {
            IpAddr::V4(_) => ([0; 4], 0).into(),
            IpAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(config.server.0)?;
        let client = Client::new(config, SystemEntropy::new()?, clock::now())?;
        let buffer = vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice();
        let (events, data) = (Vec::new(), Vec::new());
        Ok(Self {
            client,
            socket,
            patience,
            buffer,
            events,
            data,
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
        self.socket.send(message.get(..len).unwrap_or(&[]))?;
        Ok(())
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

    /// The socket towards the server.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Waits for an event that `pick` makes a result of.
    fn wait_for<T>(
        &mut self,
        pick: impl Fn(&Event) -> Option<Result<T, Failure>>,
    ) -> Result<T, CallError> {
        let until = Instant::now() + self.patience;
        loop {
            for event in std::mem::take(&mut self.events) {
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
        self.socket
            .set_read_timeout(Some(due.min(left).max(Duration::from_millis(1))))?;
        match self.socket.recv(&mut self.buffer) {
            Ok(len) => {
                let bytes = self.buffer.get(..len).unwrap_or(&[]);
                if let Received::Data { peer, payload } =
                    self.client.handle_input(clock::now(), bytes)
                {
                    let payload = bytes.get(payload).unwrap_or(&[]).to_vec();
                    self.data.push((peer, payload));
                }
            }
            Err(error) if would_block(&error) => self.client.handle_timeout(clock::now()),
            // The server's host answers that nobody listens: another try may find it up.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        }
        self.flush()?;
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), CallError> {
        let mut message = [0; TRANSMIT_MAX];
        while let Some(output) = self.client.poll_output(&mut message) {
            match output {
                Output::Transmit(len) => {
                    self.socket.send(message.get(..len).unwrap_or(&[]))?;
                }
                Output::Event(event) => self.events.push(event),
                Output::Data { .. } => {}
            }
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
