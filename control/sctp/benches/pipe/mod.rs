//! Two associations and a wire of one millisecond between them, as the engine contract drives them:
//! after every datagram all outputs are polled.

use std::time::Duration;

use bytes::Bytes;
use turnpike_sctp::{Association, Config, Outgoing, Output, Ppid, SendError, State, StreamId};
use turnpike_types::{Entropy, Timestamp};

/// Two ends and what is on its way between them.
pub(crate) struct Pipe {
    now: Timestamp,
    ends: [Association; 2],
    wires: [Wire; 2],
    payload: Bytes,
    stream: u16,
    streams: u16,
    /// Bytes to arrive, and those that have, as far as they do not make each other up: what arrives
    /// at once may be more than was asked for.
    owed: usize,
    ahead: usize,
}

/// Packets in one buffer that is used again and again.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    lens: Vec<usize>,
}

struct Numbers(u64);

impl Entropy for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

impl Pipe {
    /// An established association that sends messages of `message_bytes`, round robin on `streams`.
    pub(crate) fn new(config: &Config, message_bytes: usize, streams: u16) -> Self {
        let now = Timestamp::from_secs(1);
        let ends = [1, 2].map(|seed| {
            Association::new(config.clone(), &mut Numbers(seed), now).expect("a valid config")
        });
        let mut pipe = Self {
            now,
            ends,
            wires: [Wire::default(), Wire::default()],
            payload: Bytes::from(vec![7; message_bytes]),
            stream: 0,
            streams,
            owed: 0,
            ahead: 0,
        };
        pipe.ends[0].connect(now);
        for _ in 0..10 {
            pipe.cross();
        }
        assert_eq!(pipe.ends[0].state(), State::Established);
        pipe
    }

    /// Lets the next messages of altogether at least `bytes` arrive.
    pub(crate) fn transfer(&mut self, bytes: usize) {
        self.owed += bytes;
        while self.owed > self.ahead {
            self.ahead += self.cross();
        }
        self.ahead -= self.owed;
        self.owed = 0;
    }

    /// Half a millisecond for each direction; says how many bytes arrived.
    fn cross(&mut self) -> usize {
        let mut arrived = 0;
        self.queue_messages();
        self.poll(0);
        for to in [1, 0] {
            self.now = self.now + Duration::from_micros(500);
            let mut wire = std::mem::take(&mut self.wires[to]);
            let mut rest = wire.bytes.as_slice();
            for len in wire.lens.drain(..) {
                let (packet, after) = rest.split_at(len);
                rest = after;
                self.ends[to]
                    .handle_input(self.now, packet)
                    .expect("a good packet");
                while let Some(message) = self.ends[to].receive() {
                    arrived += message.payload.len();
                }
                if to == 0 {
                    self.queue_messages();
                }
                self.poll(to);
            }
            wire.bytes.clear();
            self.wires[to].swap_in(wire);
            if self.ends[to]
                .poll_timeout()
                .is_some_and(|due| due.at <= self.now)
            {
                self.ends[to].handle_timeout(self.now);
                self.poll(to);
            }
        }
        arrived
    }

    /// Sends as much as the send buffer takes.
    fn queue_messages(&mut self) {
        if self.ends[0].state() != State::Established {
            return;
        }
        loop {
            let stream = StreamId(self.stream);
            let message = Outgoing::new(stream, Ppid(53), self.payload.clone());
            match self.ends[0].send(self.now, message) {
                Ok(()) => self.stream = (self.stream + 1) % self.streams,
                Err(SendError::BufferFull) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn poll(&mut self, from: usize) {
        let wire = &mut self.wires[1 - from];
        loop {
            let start = wire.bytes.len();
            wire.bytes.resize(start + PACKET_ROOM, 0);
            match self.ends[from].poll_output(&mut wire.bytes[start..]) {
                Some(Output::Transmit(transmit)) => {
                    wire.bytes.truncate(start + transmit.len);
                    wire.lens.push(transmit.len);
                }
                Some(Output::Event(_)) => wire.bytes.truncate(start),
                None => {
                    wire.bytes.truncate(start);
                    return;
                }
            }
        }
    }
}

impl Wire {
    /// Keeps the larger buffer, and what was put on the wire meanwhile.
    fn swap_in(&mut self, empty: Self) {
        if self.lens.is_empty() {
            *self = empty;
        }
    }
}

const PACKET_ROOM: usize = 1200;
