//! Drives one association over one UDP socket (RFC 6951): the clock, the socket and the randomness
//! that the engine does not have. One thread, one peer; for tools and tests.

#[path = "trains.rs"]
mod trains;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turnpike_sctp::wire::{ChecksumRule, Packet};
use turnpike_sctp::{Association, Config, Discard, Event, Incoming, Output};
use turnpike_sim::{Chance, SeededEntropy};
use turnpike_types::Timestamp;

use trains::{Arrival, Trains};

/// One end on a socket.
pub(crate) struct Driver {
    pub(crate) association: Association,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Incoming>,
    /// How often a datagram is lost, in each direction.
    pub(crate) loss: Chance,
    socket: Trains,
    /// Where the last datagram came from; replies go there (RFC 6951 section 5.4). Who listens
    /// learns it, and the peer's SCTP port, from the first.
    remote: Option<SocketAddr>,
    config: Config,
    born: Instant,
    dice: SeededEntropy,
}

impl Driver {
    /// An end on a port of loopback, zero for any; `remote` where it is known.
    pub(crate) fn bind(config: Config, port: u16, remote: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Trains::bind(port, config.packet_size_max)?;
        // Predictable between runs of a test would be fine, between two ends it is not.
        let mut dice = SeededEntropy::new(u64::from(socket.port()?));
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
        })
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> io::Result<u16> {
        self.socket.port()
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
            while let Some(output) = self.association.poll_output(self.socket.next()) {
                match output {
                    Output::Event(event) => self.events.push(event),
                    Output::Transmit(transmit) => {
                        let is_lost = self.loss.happens(&mut self.dice);
                        if let Some(remote) = self.remote.filter(|_| !is_lost) {
                            self.socket.push(transmit.len, remote)?;
                        }
                    }
                }
            }
            if let Some(remote) = self.remote {
                self.socket.flush(remote)?;
            }
            match self.association.receive() {
                Some(incoming) => self.received.push(incoming),
                None => return Ok(()),
            }
        }
    }

    /// Waits for datagrams, a timeout of the association, or a little.
    fn wait(&mut self, until: Timestamp) -> io::Result<()> {
        let now = self.now();
        let deadline = self.association.poll_timeout().map(|deadline| deadline.at);
        let wait = deadline.unwrap_or(until).min(until).since(now);
        if !self.take_datagrams()? && wait > TOO_SHORT_TO_SLEEP {
            self.socket.wait(wait.min(LONGEST_WAIT))?;
            self.take_datagrams()?;
        }
        let now = self.now();
        if deadline.is_some_and(|at| at <= now) {
            self.association.handle_timeout(now);
        }
        Ok(())
    }

    /// Takes what one call brings; whether that was anything.
    fn take_datagrams(&mut self) -> io::Result<bool> {
        let Some(arrival) = self.socket.receive()? else {
            return Ok(false);
        };
        let now = self.now();
        if self.remote.is_none() {
            self.meet(now, &arrival)?;
        }
        let mut is_ours = false;
        for datagram in self.socket.datagrams(&arrival) {
            if !self.loss.happens(&mut self.dice) {
                let taken: Result<(), Discard> = self.association.handle_input(now, datagram);
                // What is not for this association is ignored, as it should be.
                is_ours |= taken.is_ok();
            }
        }
        if is_ours {
            self.remote = Some(arrival.from);
        }
        Ok(true)
    }

    /// The first datagram says who calls.
    fn meet(&mut self, now: Timestamp, arrival: &Arrival) -> io::Result<()> {
        let first = self.socket.datagrams(arrival).next().unwrap_or_default();
        if let Ok(packet) = Packet::parse(first, ChecksumRule::MayBeZero) {
            self.config.remote_port = packet.header().source_port;
            self.association = make(&self.config, &mut self.dice, now)?;
            self.remote = Some(arrival.from);
        }
        Ok(())
    }
}

fn make(config: &Config, dice: &mut SeededEntropy, now: Timestamp) -> io::Result<Association> {
    Association::new(config.clone(), dice, now)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
}

/// What is due sooner is awaited awake: to sleep and wake takes as long.
const TOO_SHORT_TO_SLEEP: Duration = Duration::from_micros(60);

/// Callers look whether they are done at least so often.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
