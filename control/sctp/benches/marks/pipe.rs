//! Two engines in one thread, a round trip of a millisecond apart, with nothing lost: what is
//! measured is what the engines cost.
//!
//! The whole round trip is on the way back. So a window in flight stands in the sender's books, as it
//! does on a long path, and not in megabytes of packets in the memory of the bench.

use std::time::Duration;

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use turnpike_types::Timestamp;

/// What a pipe asks of an engine. Implemented as lean as each engine allows.
pub(crate) trait Core {
    /// An end with a receive buffer of so many bytes, and room for twice as many to send.
    fn new(setting: Setting) -> Self;
    fn connect(&mut self, now: Timestamp);
    fn is_connected(&mut self) -> bool;
    fn input(&mut self, now: Timestamp, packet: &[u8]);
    /// Puts everything it has to send on the wire.
    fn output(&mut self, now: Timestamp, wire: &mut Wire);
    /// Queues so many of these messages, or as many as its send buffer takes.
    fn queue(&mut self, now: Timestamp, payload: &Bytes, most: usize);
    /// Takes all messages; how many bytes they are.
    fn receive(&mut self, now: Timestamp) -> usize;
    fn handle_timeout(&mut self, now: Timestamp);
}

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) window_bytes: u32,
    pub(crate) has_zero_checksum: bool,
    /// Differs between the two ends.
    pub(crate) seed: u64,
}

/// The largest packet of every engine.
pub(crate) const PACKET_SIZE_MAX: usize = 1191;

/// Packets behind each other in one buffer that is used again and again.
#[derive(Default)]
pub(crate) struct Wire {
    bytes: Vec<u8>,
    lens: Vec<usize>,
    /// What has been taken off.
    taken: usize,
    taken_bytes: usize,
}

pub(crate) struct Pipe<C> {
    sender: C,
    receiver: C,
    /// On the way to the receiver; empty between steps.
    forth: Wire,
    /// What arrives at the sender now, and a round trip from now.
    back: Wire,
    back_later: Wire,
    now: Timestamp,
    payload: Bytes,
}

impl<C: Core> Pipe<C> {
    /// Two ends that are connected; the first sends such messages, unless they are empty.
    pub(crate) fn new(window_bytes: u32, has_zero_checksum: bool, payload: Bytes) -> Self {
        let end = |seed| {
            C::new(Setting {
                window_bytes,
                has_zero_checksum,
                seed,
            })
        };
        let mut pipe = Self {
            sender: end(1),
            receiver: end(2),
            forth: Wire::default(),
            back: Wire::default(),
            back_later: Wire::default(),
            now: Timestamp::from_secs(1),
            payload: Bytes::new(),
        };
        pipe.sender.connect(pipe.now);
        for _ in 0..100 {
            pipe.step();
        }
        assert!(pipe.sender.is_connected() && pipe.receiver.is_connected());
        pipe.payload = payload;
        pipe
    }

    /// Runs for about so much CPU time; how many bytes arrived, and the time it took.
    pub(crate) fn run(&mut self, limit: Duration) -> (usize, Duration) {
        let began = cpu_time();
        let mut arrived = 0;
        loop {
            for _ in 0..STEPS_A_LOOK {
                arrived += self.step();
            }
            let took = cpu_time() - began;
            if took >= limit {
                return (arrived, took);
            }
        }
    }

    /// The two ends, after such a message has crossed and was acknowledged.
    pub(crate) fn into_idle_ends(mut self, payload: &Bytes) -> [C; 2] {
        self.sender.queue(self.now, payload, 1);
        let until = self.now + Duration::from_millis(200);
        while self.now < until {
            self.step();
        }
        [self.sender, self.receiver]
    }

    /// The sender gets one packet, or time passes; how many bytes arrived at the receiver.
    fn step(&mut self) -> usize {
        let Some(packet) = self.back.take() else {
            self.back.clear();
            std::mem::swap(&mut self.back, &mut self.back_later);
            self.now = self.now + ROUND_TRIP;
            self.sender.handle_timeout(self.now);
            self.receiver.handle_timeout(self.now);
            return self.send();
        };
        self.sender.input(self.now, packet);
        self.send()
    }

    /// What the sender has to send arrives, and the answers go on their way.
    fn send(&mut self) -> usize {
        if !self.payload.is_empty() {
            self.sender.queue(self.now, &self.payload, usize::MAX);
        }
        self.sender.output(self.now, &mut self.forth);
        let mut arrived = 0;
        while let Some(packet) = self.forth.take() {
            self.receiver.input(self.now, packet);
            arrived += self.receiver.receive(self.now);
            self.receiver.output(self.now, &mut self.back_later);
        }
        self.forth.clear();
        self.receiver.output(self.now, &mut self.back_later);
        arrived
    }
}

impl Wire {
    /// Puts a packet on.
    pub(crate) fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.lens.push(packet.len());
    }

    /// Room for a packet to be written in place, and how much of it is one.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let start = self.bytes.len();
        self.bytes.resize(start + PACKET_SIZE_MAX, 0);
        let written = write(&mut self.bytes[start..]);
        self.bytes.truncate(start + written.unwrap_or(0));
        if let Some(len) = written.filter(|len| *len > 0) {
            self.lens.push(len);
        }
        written.is_some()
    }

    fn take(&mut self) -> Option<&[u8]> {
        let len = *self.lens.get(self.taken)?;
        let start = self.taken_bytes;
        self.taken += 1;
        self.taken_bytes += len;
        Some(&self.bytes[start..start + len])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lens.clear();
        (self.taken, self.taken_bytes) = (0, 0);
    }
}

/// What this thread has had of its core.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// How many packets between two looks at the clock.
const STEPS_A_LOOK: usize = 64;

const ROUND_TRIP: Duration = Duration::from_millis(1);
