//! Two engines in one thread and a wire of half a millisecond each way between them, which loses
//! nothing: what is measured is what the engines cost.

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
    /// Queues as many of these messages as its send buffer takes.
    fn queue(&mut self, now: Timestamp, payload: &Bytes);
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
    ends: [C; 2],
    /// By receiver.
    wires: [Wire; 2],
    now: Timestamp,
    /// Whose packets are being taken off.
    to: usize,
    payload: Bytes,
}

impl<C: Core> Pipe<C> {
    /// Two ends that are connected; the first sends such messages.
    pub(crate) fn new(window_bytes: u32, has_zero_checksum: bool, payload: Bytes) -> Self {
        let ends = [1, 2].map(|seed| {
            C::new(Setting {
                window_bytes,
                has_zero_checksum,
                seed,
            })
        });
        let mut pipe = Self {
            ends,
            wires: [Wire::default(), Wire::default()],
            now: Timestamp::from_secs(1),
            to: 1,
            payload: Bytes::new(),
        };
        pipe.ends[0].connect(pipe.now);
        for _ in 0..100 {
            pipe.step();
        }
        assert!(pipe.ends.iter_mut().all(C::is_connected));
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

    /// The two ends, after one of them has sent a window of messages and they are acknowledged.
    pub(crate) fn into_idle_ends(mut self, payload: &Bytes) -> [C; 2] {
        self.ends[0].queue(self.now, payload);
        self.ends[0].output(self.now, &mut self.wires[1]);
        let until = self.now + Duration::from_millis(200);
        while self.now < until {
            self.step();
        }
        self.ends
    }

    /// Delivers one packet, or turns the pipe round; how many bytes arrived.
    pub(crate) fn step(&mut self) -> usize {
        let to = self.to;
        let [wire_0, wire_1] = &mut self.wires;
        let (wire, back) = if to == 0 {
            (wire_0, wire_1)
        } else {
            (wire_1, wire_0)
        };
        let end = &mut self.ends[to];
        let Some(packet) = wire.take() else {
            wire.clear();
            self.turn_round();
            return 0;
        };
        end.input(self.now, packet);
        let arrived = end.receive(self.now);
        if to == 0 && !self.payload.is_empty() {
            end.queue(self.now, &self.payload);
        }
        end.output(self.now, back);
        arrived
    }

    /// All packets of a direction have arrived: the others' turn.
    fn turn_round(&mut self) {
        self.to = 1 - self.to;
        self.now = self.now + Duration::from_micros(500);
        let [wire_0, wire_1] = &mut self.wires;
        for (end, wire) in self.ends.iter_mut().zip([wire_1, wire_0]) {
            end.handle_timeout(self.now);
            end.output(self.now, wire);
        }
        if self.to == 1 && !self.payload.is_empty() {
            self.ends[0].queue(self.now, &self.payload);
            self.ends[0].output(self.now, &mut self.wires[1]);
        }
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
