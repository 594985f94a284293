//! Drives one association over one UDP socket (RFC 6951): the clock, the socket and the randomness
//! that the engine does not have. One thread, one peer; for tools and tests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turnpike_sctp::wire::{ChecksumRule, Packet};
use turnpike_sctp::{Association, Config, Event, Incoming, Output};
use turnpike_sim::{Chance, SeededEntropy};
use turnpike_types::Timestamp;

/// One end on a socket.
pub(crate) struct Driver {
    pub(crate) association: Association,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Incoming>,
    /// How often a datagram is lost, in each direction.
    pub(crate) loss: Chance,
    socket: UdpSocket,
    /// Where the last datagram came from; replies go there (RFC 6951 section 5.4). Who listens
    /// learns it, and the peer's SCTP port, from the first.
    remote: Option<SocketAddr>,
    config: Config,
    born: Instant,
    dice: SeededEntropy,
    packet: Vec<u8>,
    datagram: Vec<u8>,
}

impl Driver {
    /// An end on a port of loopback, zero for any; `remote` where it is known.
    pub(crate) fn bind(config: Config, port: u16, remote: Option<SocketAddr>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        // Predictable between runs of a test would be fine, between two ends it is not.
        let mut dice = SeededEntropy::new(u64::from(socket.local_addr()?.port()));
        let packet = vec![0; config.packet_size_max];
        let association = make(&config, &mut dice, Timestamp::ZERO)?;
        Ok(Self {
            association,
            events: Vec::new(),
            received: Vec::new(),
            loss: Chance::NEVER,
            socket,
            remote,
            config,
            born: Instant::now(),
            dice,
            packet,
            datagram: vec![0; 65_536],
        })
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// The engine's time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.born.elapsed()
    }

    /// Runs until `is_done`; false when that takes longer than `limit`.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut is_done: impl FnMut(&mut Self) -> bool,
    ) -> io::Result<bool> {
        let until = self.now() + limit;
        loop {
            self.drain()?;
            if is_done(self) {
                self.drain()?;
                return Ok(true);
            }
            if self.now() >= until {
                return Ok(false);
            }
            self.wait(until)?;
        }
    }

    /// Sends what is to be sent, and takes what has come.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            while let Some(output) = self.association.poll_output(&mut self.packet) {
                match output {
                    Output::Event(event) => self.events.push(event),
                    Output::Transmit(transmit) => {
                        let is_lost = self.loss.happens(&mut self.dice);
                        let packet = self.packet.get(..transmit.len).unwrap_or_default();
                        if let Some(remote) = self.remote.filter(|_| !is_lost) {
                            self.socket.send_to(packet, remote)?;
                        }
                    }
                }
            }
            match self.association.receive() {
                Some(incoming) => self.received.push(incoming),
                None => return Ok(()),
            }
        }
    }

    /// Waits for a datagram, a timeout of the association, or a little.
    fn wait(&mut self, until: Timestamp) -> io::Result<()> {
        let now = self.now();
        let deadline = self.association.poll_timeout().map(|deadline| deadline.at);
        let wait = deadline.unwrap_or(until).min(until).since(now);
        if !wait.is_zero() {
            let wait = wait.clamp(Duration::from_micros(100), Duration::from_millis(20));
            self.socket.set_read_timeout(Some(wait))?;
            self.take_datagram()?;
        }
        let now = self.now();
        if deadline.is_some_and(|at| at <= now) {
            self.association.handle_timeout(now);
        }
        Ok(())
    }

    fn take_datagram(&mut self) -> io::Result<()> {
        let (len, from) = match self.socket.recv_from(&mut self.datagram) {
            Ok(received) => received,
            Err(error) if is_nothing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.loss.happens(&mut self.dice) {
            return Ok(());
        }
        let now = self.now();
        let datagram = self.datagram.get(..len).unwrap_or_default();
        if self.remote.is_none()
            && let Ok(packet) = Packet::parse(datagram, ChecksumRule::MayBeZero)
        {
            self.config.remote_port = packet.header().source_port;
            self.association = make(&self.config, &mut self.dice, now)?;
            self.remote = Some(from);
        }
        // What is not for this association is ignored, as it should be.
        if self.association.handle_input(now, datagram).is_ok() {
            self.remote = Some(from);
        }
        Ok(())
    }
}

fn make(config: &Config, dice: &mut SeededEntropy, now: Timestamp) -> io::Result<Association> {
    Association::new(config.clone(), dice, now)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
}

/// Nothing came in time, or nobody listens yet.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}
