//! Two associations, a way between them that the input rules, and somebody who knows their tags.
//!
//! The first bytes configure the ends. The steps that follow deliver, lose, repeat and exchange
//! datagrams, let time pass, and are wishes of the callers; some are packets of somebody hostile,
//! sealed with the right tag and checksum. Neither end may panic or send without end, its memory
//! stays within its buffers, and each packet it sends can be read. Where nobody was hostile, all that
//! was promised arrives, each message once and as it was sent.

mod end;
mod ledger;
mod stranger;

use std::collections::VecDeque;
use std::time::Duration;

use turnpike_sctp::{Config, Outgoing, Ppid, Reliability, RtoConfig, Scheduling, StreamId};
use turnpike_types::Timestamp;

use crate::choices::Choices;
use end::End;
use ledger::Ledger;

/// Plays the steps.
pub fn sctp_association(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        world.step(&mut choices);
    }
    world.finish();
}

struct World {
    ends: [End; 2],
    /// Datagrams on their way, by sender.
    ways: [VecDeque<Vec<u8>>; 2],
    /// Those that have been, to come again.
    history: [Vec<Vec<u8>>; 2],
    ledgers: [Ledger; 2],
    now: Timestamp,
    /// Somebody else has had a say, or an end gave up: nothing is promised any more.
    is_disturbed: bool,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let shape = choices.byte();
        let configs = [config(choices), config(choices)];
        let seed = u64::from(choices.byte());
        let mut world = Self {
            ends: [
                End::new(configs[0].clone(), 2 * seed),
                End::new(configs[1].clone(), 2 * seed + 1),
            ],
            ways: Default::default(),
            history: Default::default(),
            ledgers: Default::default(),
            now: Timestamp::ZERO,
            is_disturbed: false,
        };
        world.ends[0].association.connect(world.now);
        if shape & 1 != 0 {
            world.ends[1].association.connect(world.now);
        }
        world.settle();
        // Most inputs should not have to find out how to shake hands.
        if shape & 2 == 0 {
            world.exchange(8);
        }
        world
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let (kind, detail) = (choices.byte(), choices.byte());
        let side = usize::from(kind >> 7);
        match kind & 0x1F {
            0..=3 => self.deliver(side, detail),
            4 => drop(self.ways[side].pop_front()),
            5 => self.repeat(side, detail),
            6 => self.ways[side].rotate_left(usize::from(detail) % self.ways[side].len().max(1)),
            7 | 8 => self.pass(Duration::from_millis(1 << (detail % 16))),
            9 | 10 => self.lapse(),
            11 => self.exchange(usize::from(detail % 32) + 1),
            12..=16 => self.send(side, detail, choices),
            17 => self.reset(side, detail),
            18 => self.wish(side, detail),
            19 => self.bend(side, detail, choices),
            20..=25 => {
                let packet = stranger::packet(&self.ends[1 - side], detail, choices);
                self.intrude(side, packet);
            }
            26 => self.ends[side].is_reading = detail & 1 == 0,
            _ => self.exchange(4),
        }
        self.settle();
    }

    /// The next datagram from a side arrives.
    fn deliver(&mut self, from: usize, at: u8) {
        let at = usize::from(at >> 6).min(self.ways[from].len().saturating_sub(1));
        if let Some(datagram) = self.ways[from].remove(at) {
            self.hand_over(from, &datagram);
        }
    }

    fn hand_over(&mut self, from: usize, datagram: &[u8]) {
        self.ends[1 - from].take(self.now, datagram);
    }

    /// One that has been comes again; while the ends live, that must not disturb.
    fn repeat(&mut self, from: usize, which: u8) {
        let history = &self.history[from];
        if let Some(datagram) = history.get(usize::from(which) % history.len().max(1)) {
            self.ways[from].push_back(datagram.clone());
        }
    }

    /// The next datagram from a side arrives with other bytes, and another checksum.
    fn bend(&mut self, from: usize, at: u8, choices: &mut Choices<'_>) {
        if let Some(mut datagram) = self.ways[from].pop_front() {
            let at = 12 + usize::from(at) % (datagram.len() - 12).max(1);
            if let Some(byte) = datagram.get_mut(at) {
                *byte ^= choices.byte();
            }
            stranger::seal(&mut datagram);
            self.intrude(from, datagram);
        }
    }

    fn intrude(&mut self, from: usize, datagram: Vec<u8>) {
        self.is_disturbed = true;
        self.hand_over(from, &datagram);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for end in &mut self.ends {
            end.wake(self.now);
        }
    }

    /// Time passes to the next thing that is due.
    fn lapse(&mut self) {
        let due = self.ends.iter().filter_map(End::due).min();
        if let Some(at) = due {
            self.now = self.now.max(at);
            for end in &mut self.ends {
                end.wake(self.now);
            }
        }
    }

    /// So many rounds in which everything arrives.
    fn exchange(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for from in [0, 1] {
                for _ in 0..self.ways[from].len() {
                    self.deliver(from, 0);
                }
            }
            self.settle();
            if self.ways.iter().all(VecDeque::is_empty) {
                break;
            }
            self.now = self.now + Duration::from_millis(1);
        }
    }

    fn send(&mut self, side: usize, detail: u8, choices: &mut Choices<'_>) {
        let (policy, len) = (choices.byte(), usize::from(choices.byte()));
        let len = if detail & 0x80 == 0 { len } else { len * 64 };
        let number = self.ledgers[side].next_number();
        let stream = StreamId(u16::from(detail & 7));
        let message = Outgoing {
            stream,
            ppid: Ppid(u32::from(policy)),
            payload: ledger::payload(number, len).into(),
            is_unordered: policy & 0x80 != 0,
            reliability: match policy & 7 {
                0 => Reliability::Retransmissions(u16::from(policy >> 3 & 3)),
                1 => Reliability::Lifetime(Duration::from_millis(u64::from(policy))),
                2 => Reliability::Priority(u32::from(policy)),
                _ => Reliability::Reliable,
            },
            id: None,
        };
        if self.ends[side]
            .association
            .send(self.now, message.clone())
            .is_ok()
        {
            self.ledgers[side].sent(number, &message);
        }
    }

    /// Streams are reset only where nobody looks at the order: the ledger knows no generations.
    fn reset(&mut self, side: usize, detail: u8) {
        let streams = [
            StreamId(u16::from(detail & 7)),
            StreamId(u16::from(detail >> 4)),
        ];
        let count = 1 + usize::from(detail >> 3 & 1);
        let streams = if streams[0] == streams[1] {
            &streams[..1]
        } else {
            &streams[..count]
        };
        let _ = self.ends[side].association.reset_streams(self.now, streams);
    }

    fn wish(&mut self, side: usize, detail: u8) {
        let association = &mut self.ends[side].association;
        match detail & 7 {
            0 => association.shutdown(self.now),
            1 => {
                self.is_disturbed = true;
                association.abort(self.now, b"fuzz");
            }
            2 => drop(association.add_streams(self.now, u16::from(detail >> 3), 1)),
            3 => association.set_stream_weight(StreamId(u16::from(detail >> 5)), u16::from(detail)),
            4 => {
                self.is_disturbed = true;
                association.purge(self.now, StreamId(u16::from(detail >> 5)));
            }
            _ => association.set_buffered_amount_low_threshold(StreamId(1), usize::from(detail)),
        }
    }

    /// Takes what both ends have to send and to say.
    fn settle(&mut self) {
        for side in [0, 1] {
            let sent = self.ends[side].drain(self.now);
            for datagram in sent {
                if self.history[side].len() < HISTORY_MAX {
                    self.history[side].push(datagram.clone());
                }
                // A queue that is full loses the newest.
                if self.ways[side].len() < WAY_MAX {
                    self.ways[side].push_back(datagram);
                }
            }
            for message in self.ends[side].got.drain(..) {
                if !self.is_disturbed {
                    self.ledgers[1 - side].got(&message);
                }
            }
        }
    }

    /// The way is good from now on: whatever was promised arrives.
    fn finish(&mut self) {
        for end in &mut self.ends {
            end.is_reading = true;
        }
        let rounds = if self.is_disturbed {
            DISTURBED_ROUNDS_MAX
        } else {
            ROUNDS_MAX
        };
        for _ in 0..rounds {
            self.settle();
            self.exchange(200);
            if self.is_at_rest() {
                break;
            }
            self.lapse();
        }
        let is_broken = self.is_disturbed || self.ends.iter().any(End::has_failed);
        if !is_broken && self.ends.iter().all(|end| end.has_connected) {
            for ledger in &self.ledgers {
                ledger.assert_all_came();
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        self.ways.iter().all(VecDeque::is_empty) && self.ledgers.iter().all(Ledger::is_settled)
    }
}

/// A configuration of a few bits: small buffers, or all that there is.
fn config(choices: &mut Choices<'_>) -> Config {
    let bits = choices.byte();
    let schedulers = [
        Scheduling::FirstCome,
        Scheduling::RoundRobin,
        Scheduling::Priority,
        Scheduling::WeightedFair,
    ];
    let mut config = Config {
        streams_max: 8,
        packet_size_max: if bits & 1 == 0 { 1191 } else { 512 },
        has_interleaving: bits & 2 == 0,
        has_partial_reliability: bits & 4 == 0,
        has_stream_reset: bits & 8 == 0,
        has_zero_checksum: bits & 16 != 0,
        scheduling: schedulers[usize::from(bits >> 6)],
        rto: RtoConfig {
            max: Duration::from_secs(2),
            ..RtoConfig::default()
        },
        association_retransmissions_max: 1_000,
        path_retransmissions_max: 1_000,
        init_retransmissions_max: 1_000,
        ..Config::default()
    };
    if bits & 32 != 0 {
        config.send_buffer_bytes = 20_000;
        config.receive_buffer_bytes = 20_000;
        config.partial_delivery_bytes = 4_000;
    }
    config
}

const STEPS_MAX: usize = 200;
const WAY_MAX: usize = 512;
const HISTORY_MAX: usize = 64;
/// Timers that a good way may take until all has arrived: a slow one is paced packet by packet.
const ROUNDS_MAX: usize = 20_000;
/// Where nothing is promised, only the end of memory and packets is looked for.
const DISTURBED_ROUNDS_MAX: usize = 400;
