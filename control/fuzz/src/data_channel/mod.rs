//! Data channels against a bare association that says whatever it likes on its streams.
//!
//! The input first goes through the DCEP codec, against a reading of RFC 8832's diagram by hand and
//! over another trip of the wire. Then it is read as steps: what the peer says, what we open, close
//! and send, and how time passes. A [`Book`] says what may be told of each channel and in which
//! order. The way between the two is good; the bytes on it are not.

mod book;
mod dcep;

use std::time::Duration;

use turnpike_datachannel::{
    Channel, ChannelId, Config, DataChannels, DtlsRole, Limits, Output, Reliability,
};
use turnpike_sctp::{Association, Outgoing, Ppid, StreamId};
use turnpike_types::Timestamp;

use crate::choices::Choices;
use crate::entropy::Seeded;
use book::Book;

/// Reads the input as a DCEP message, then plays it.
pub fn data_channel(data: &[u8]) {
    dcep::check(data);
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        world.step(&mut choices);
        world.settle();
    }
    world.finish();
}

struct World {
    ours: DataChannels,
    peer: Association,
    book: Book,
    now: Timestamp,
    is_reading: bool,
    buffer: Vec<u8>,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let bits = choices.byte();
        let role = if bits & 1 == 0 {
            DtlsRole::Server
        } else {
            DtlsRole::Client
        };
        let mut config = Config::new(role);
        config.association.streams_max = 16;
        config.association.has_interleaving = bits & 2 == 0;
        config.association.has_stream_reset = bits & 4 == 0;
        config.message_size_max = if bits & 8 == 0 { 256 * 1024 } else { 100 };
        if bits & 16 != 0 {
            config.association.receive_buffer_bytes = 20_000;
            config.association.send_buffer_bytes = 20_000;
            config.association.partial_delivery_bytes = 300;
        }
        config.limits = LIMITS;
        let theirs = config.association.clone();
        let now = Timestamp::ZERO;
        let mut world = Self {
            ours: DataChannels::new(config, &mut Seeded(1), now).expect("a valid configuration"),
            peer: Association::new(theirs, &mut Seeded(2), now).expect("a valid configuration"),
            book: Book::new(role),
            now,
            is_reading: true,
            buffer: vec![0; 1191],
        };
        if bits & 32 == 0 {
            world.ours.connect(now);
        } else {
            world.peer.connect(now);
        }
        world.settle();
        world
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let (kind, detail) = (choices.byte(), choices.byte());
        let id = ChannelId(u16::from(detail & 15));
        match kind & 15 {
            0..=4 => self.peer_says(detail, choices),
            5 => {
                let stream = StreamId(id.0);
                let _ = self.peer.reset_streams(self.now, &[stream]);
            }
            6 => self.open(choices),
            7 => self.open_negotiated(id, choices),
            8 => {
                self.ours.close(self.now, id);
                self.book.we_close(id);
            }
            9 => {
                self.ours.discard(self.now, id);
                self.book.we_close(id);
            }
            10 | 11 => self.send(id, choices),
            12 => self.pass(Duration::from_millis(1 << (detail % 16))),
            13 => self.is_reading = detail & 1 == 0,
            14 => self
                .ours
                .set_buffered_amount_low_threshold(id, usize::from(detail) * 64),
            _ if detail == 0xFF => self.ours.shutdown(self.now),
            _ => self.pass(Duration::from_millis(20)),
        }
    }

    /// A message of any kind on any stream, as one whole or as many bytes of one letter.
    fn peer_says(&mut self, detail: u8, choices: &mut Choices<'_>) {
        let ppid = match choices.byte() {
            byte @ 0..=0x7F => 50 + u32::from(byte % 8),
            byte => u32::from(byte),
        };
        let payload = match ppid {
            50 => dcep::message(choices),
            _ => {
                let len = usize::from(choices.byte()) * if detail & 0x80 == 0 { 1 } else { 16 };
                vec![b'x'; len.max(1)]
            }
        };
        let message = Outgoing {
            is_unordered: detail & 0x40 != 0,
            ..Outgoing::new(StreamId(u16::from(detail & 15)), Ppid(ppid), payload.into())
        };
        let _ = self.peer.send(self.now, message);
    }

    fn open(&mut self, choices: &mut Choices<'_>) {
        let channel = channel(choices);
        if let Ok(id) = self.ours.open(self.now, channel.clone()) {
            self.book.we_open(id, channel, false);
        }
    }

    fn open_negotiated(&mut self, id: ChannelId, choices: &mut Choices<'_>) {
        let channel = channel(choices);
        if self
            .ours
            .open_negotiated(self.now, id, channel.clone())
            .is_ok()
        {
            self.book.we_open(id, channel, true);
        }
    }

    fn send(&mut self, id: ChannelId, choices: &mut Choices<'_>) {
        let payload = vec![0_u8; usize::from(choices.byte()) * 8];
        let sent = self.ours.send(self.now, id, payload);
        assert!(
            sent.is_err() || self.book.is_open(id),
            "sent on {id:?}, which is not open"
        );
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.ours.handle_timeout(self.now);
        self.peer.handle_timeout(self.now);
    }

    /// Everything that either has to send arrives, until both are silent.
    fn settle(&mut self) {
        let falls_silent = (0..ROUNDS_MAX).any(|_| {
            let is_busy = self.drain_ours() | self.drain_peer();
            self.book.agrees_with(&self.ours);
            !is_busy
        });
        assert!(falls_silent, "they never fall silent");
    }

    fn drain_ours(&mut self) -> bool {
        let mut is_busy = self.poll_ours();
        while self.is_reading {
            if let Some(message) = self.ours.receive() {
                self.book.got(&message);
                is_busy = true;
            }
            // What ends an association is said when everything was received.
            if !self.poll_ours() {
                break;
            }
            is_busy = true;
        }
        is_busy
    }

    fn poll_ours(&mut self) -> bool {
        let mut is_busy = false;
        while let Some(output) = self.ours.poll_output(&mut self.buffer) {
            is_busy = true;
            match output {
                Output::Event(event) => self.book.hear(&event),
                Output::Transmit(transmit) => {
                    let _ = self
                        .peer
                        .handle_input(self.now, &self.buffer[..transmit.len]);
                }
            }
        }
        is_busy
    }

    fn drain_peer(&mut self) -> bool {
        let mut is_busy = false;
        loop {
            while let Some(output) = self.peer.poll_output(&mut self.buffer) {
                is_busy = true;
                if let turnpike_sctp::Output::Transmit(transmit) = output {
                    let _ = self
                        .ours
                        .handle_input(self.now, &self.buffer[..transmit.len]);
                }
            }
            if self.peer.receive().is_none() {
                return is_busy;
            }
        }
    }

    /// An association that ends takes every channel with it.
    fn finish(&mut self) {
        self.is_reading = true;
        self.settle();
        self.ours.abort(self.now, b"over");
        self.settle();
        assert_eq!(self.ours.channel_count(), 0, "channels outlive their end");
        self.book.assert_all_gone();
    }
}

/// A few bytes' worth of a channel.
fn channel(choices: &mut Choices<'_>) -> Channel {
    let bits = choices.byte();
    Channel {
        label: "l".repeat(usize::from(choices.byte() & 63)),
        protocol: String::new(),
        is_unordered: bits & 1 != 0,
        reliability: match bits >> 1 & 3 {
            0 => Reliability::Retransmissions(u32::from(bits >> 3)),
            1 => Reliability::LifetimeMs(u32::from(bits)),
            _ => Reliability::Reliable,
        },
        priority: u16::from(bits) * 8,
    }
}

const LIMITS: Limits = Limits {
    channels_max: 6,
    names_bytes_max: 200,
};

const STEPS_MAX: usize = 100;
/// A full send buffer crosses in far fewer.
const ROUNDS_MAX: usize = 2_000;
