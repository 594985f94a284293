//! One side sends as much as it can over a bottleneck, or one message whose tail is lost.
//!
//! What is measured is virtual time, so a slow machine gives the same figures.

use std::time::Duration;

use turnpike_sctp::{Config, Event, Outgoing, Ppid, StreamId};
use turnpike_sim::{Chance, DropRule, LinkConfig, SeededEntropy, World};
use turnpike_types::Timestamp;

use super::endpoint::{Endpoint, Output, Sort};
use super::letter;
use super::wire::Wire;

/// A path with a bottleneck and a drop-tail queue, the same both ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) bits_per_second: u64,
    pub(crate) round_trip: Duration,
    /// How often a packet is lost beside those that the queue has no room for.
    pub(crate) loss: Chance,
}

impl Path {
    /// 100 Mbit/s, no random loss.
    pub(crate) const fn of_round_trip_ms(ms: u64) -> Self {
        Self {
            bits_per_second: 100_000_000,
            round_trip: Duration::from_millis(ms),
            loss: Chance::NEVER,
        }
    }

    /// What is under way when the path is full.
    pub(crate) const fn bdp_bytes(&self) -> u64 {
        self.bits_per_second * self.round_trip.as_micros() as u64 / 8_000_000
    }

    const fn link(&self) -> LinkConfig {
        LinkConfig {
            bits_per_second: Some(self.bits_per_second),
            queue_bytes: self.bdp_bytes(),
            framing_bytes: FRAMING,
            delay: Duration::from_micros(self.round_trip.as_micros() as u64 / 2),
            loss: self.loss,
            ..LinkConfig::PERFECT
        }
    }
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Payload that arrived in each second from the start.
    pub(crate) bytes_by_second: Vec<u64>,
    /// Packets that found the queue full.
    pub(crate) drops: u64,
    pub(crate) packets: u64,
    pub(crate) trace_hash: u64,
}

impl Transfer {
    /// Payload bits a second from then on.
    pub(crate) fn goodput_from(&self, second: usize) -> u64 {
        let seconds = &self.bytes_by_second[second..];
        seconds.iter().sum::<u64>() * 8 / seconds.len() as u64
    }
}

/// Sends messages of `len` bytes for so many seconds, side 0 to side 1.
pub(crate) fn transfer(sorts: [Sort; 2], path: Path, len: usize, seconds: usize) -> Transfer {
    let mut pair = Pair::new(sorts, &config(), path);
    let end = Timestamp::from_secs(seconds as u64);
    let mut bytes_by_second = vec![0; seconds];
    loop {
        let mut bytes = pair.settle();
        if pair.is_connected {
            pair.keep_full(len);
            bytes += pair.settle();
        }
        let now = pair.wire.now();
        if now >= end {
            break;
        }
        bytes_by_second[usize::try_from(now.as_secs()).unwrap()] += bytes;
        pair.step(end);
    }
    let ledger = pair.wire.world.ledger();
    Transfer {
        bytes_by_second,
        drops: ledger.dropped_by(DropRule::QueueFull),
        packets: ledger.copies(),
        trace_hash: pair.wire.world.trace_hash(),
    }
}

/// How long the last packet of a message of so many packets takes to arrive when it is lost once,
/// from when it was first sent.
pub(crate) fn tail_loss_recovery(sorts: [Sort; 2], path: Path, packets: usize) -> Duration {
    let config = config();
    let mut pair = Pair::new(sorts, &config, path);
    let end = Timestamp::from_secs(120);
    // Until the round trip is known and nothing is under way.
    for second in 1..=10 {
        if pair.is_connected {
            pair.send(20_000);
        }
        pair.run_until(Timestamp::from_secs(second));
    }
    assert!(pair.is_connected);
    pair.loses_tail = true;
    pair.send((packets - 1) * (config.packet_size_max - 32) + 100);
    loop {
        if pair.settle() > 0
            && let Some(lost_at) = pair.lost_at
        {
            return pair.wire.now().since(lost_at);
        }
        assert!(pair.wire.now() < end, "the tail never came");
        pair.step(end);
    }
}

struct Pair {
    wire: Wire,
    ends: [Box<dyn Endpoint>; 2],
    is_connected: bool,
    sent: u32,
    /// Whether the next packet that ends a message is lost.
    loses_tail: bool,
    lost_at: Option<Timestamp>,
}

impl Pair {
    fn new(sorts: [Sort; 2], config: &Config, path: Path) -> Self {
        let mut entropy = SeededEntropy::new(1);
        let mut ends = sorts.map(|sort| (sort.make)(config, &mut entropy, Timestamp::ZERO));
        ends[0].connect(Timestamp::ZERO);
        Self {
            wire: Wire::new(observed(), [path.link(); 2]),
            ends,
            is_connected: false,
            sent: 0,
            loses_tail: false,
            lost_at: None,
        }
    }

    fn send(&mut self, len: usize) -> bool {
        let payload = letter::write(self.sent, len);
        self.sent += 1;
        let message = Outgoing::new(STREAM, BINARY, payload);
        self.ends[0].send(self.wire.now(), message).is_ok()
    }

    fn keep_full(&mut self, len: usize) {
        while self.ends[0].buffered_amount(STREAM) + len <= BUFFERED && self.send(len) {}
    }

    /// Lets time pass until something happens.
    fn step(&mut self, until: Timestamp) {
        let timeouts = self.ends.each_ref().map(|end| end.poll_timeout());
        let next = timeouts.into_iter().flatten().fold(until, Timestamp::min);
        let next = next.max(self.wire.now());
        match self.wire.poll(next) {
            Some((to, datagram)) => self.ends[to].handle_input(self.wire.now(), &datagram),
            None => {
                let now = self.wire.now();
                for end in &mut self.ends {
                    if end.poll_timeout().is_some_and(|at| at <= now) {
                        end.handle_timeout(now);
                    }
                }
            }
        }
    }

    fn run_until(&mut self, until: Timestamp) {
        self.settle();
        while self.wire.now() < until {
            self.step(until);
            self.settle();
        }
    }

    /// Drains both ends; the bytes that side 1 got.
    fn settle(&mut self) -> u64 {
        let mut bytes = 0;
        for side in [0, 1] {
            loop {
                self.drain(side);
                let Some(incoming) = self.ends[side].receive(self.wire.now()) else {
                    break;
                };
                bytes += incoming.payload.len() as u64;
            }
        }
        bytes
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.ends[side].poll_output(self.wire.now()) {
            match output {
                Output::Datagram(datagram) => self.carry(side, &datagram),
                Output::Event(Event::Connected) if side == 0 => self.is_connected = true,
                Output::Event(Event::Closed(reason)) => panic!("closed: {reason:?}"),
                Output::Event(_) => {}
            }
        }
    }

    fn carry(&mut self, side: usize, datagram: &[u8]) {
        if self.loses_tail && side == 0 && ends_message(datagram) {
            self.loses_tail = false;
            self.lost_at = Some(self.wire.now());
            return;
        }
        self.wire.send(side, datagram);
    }
}

/// A world that tells what happens where `TURNPIKE_SIM_TRACE` is set.
fn observed() -> World {
    let mut world = World::new(1);
    if std::env::var("TURNPIKE_SIM_TRACE").is_ok() {
        world.observe(Box::new(|at, happening| println!("{at} {happening}")));
    }
    world
}

/// Whether the packet's first chunk is the last fragment of a message.
fn ends_message(packet: &[u8]) -> bool {
    matches!(packet.get(12..14), Some([0 | 64, flags]) if flags & 1 == 1)
}

/// Buffers that do not stand in the way of any path here.
fn config() -> Config {
    Config {
        send_buffer_bytes: 32 * 1_024 * 1_024,
        receive_buffer_bytes: 32 * 1_024 * 1_024,
        ..Config::default()
    }
}

/// What is kept ready to be sent, in bytes.
const BUFFERED: usize = 2_000_000;

/// What DTLS, UDP and IPv4 add to each packet.
const FRAMING: u64 = 57;

const STREAM: StreamId = StreamId(1);
const BINARY: Ppid = Ppid(53);
