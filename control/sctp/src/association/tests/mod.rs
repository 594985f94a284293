//! Two associations with nothing between them but lists of packets in virtual time.

mod association_reset;
mod handshake;
mod loss;
mod messages;
mod partial_reliability;
mod shutdown;
mod stream_reset;

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

use super::{Association, State};
use crate::{Config, Event, Incoming, Outgoing, Output, Ppid, RtoConfig, StreamId};

/// Two ends and what is on its way between them.
pub(super) struct Pair {
    pub(super) now: Timestamp,
    pub(super) ends: [Association; 2],
    /// Packets towards each end, with their arrival.
    wires: [Vec<(Timestamp, Vec<u8>)>; 2],
    pub(super) events: [Vec<Event>; 2],
    pub(super) one_way: Duration,
    /// Decides by sender and count of its packets which ones get lost.
    pub(super) lose: fn(usize, usize, &[u8]) -> bool,
    pub(super) sent: [usize; 2],
    pub(super) largest: usize,
}

impl Pair {
    pub(super) fn new(config: &Config) -> Self {
        Self::of([config.clone(), config.clone()])
    }

    pub(super) fn of(configs: [Config; 2]) -> Self {
        let mut seed = 0;
        Self {
            now: Timestamp::from_secs(1),
            ends: configs.map(|config| {
                seed += 1;
                let mut entropy = SeededEntropy::new(seed);
                Association::new(config, &mut entropy, Timestamp::from_secs(1)).unwrap()
            }),
            wires: [Vec::new(), Vec::new()],
            events: [Vec::new(), Vec::new()],
            one_way: Duration::from_millis(10),
            lose: |_, _, _| false,
            sent: [0, 0],
            largest: 0,
        }
    }

    /// A pair whose handshake is over.
    pub(super) fn connected(config: &Config) -> Self {
        let mut pair = Self::new(config);
        pair.connect();
        pair
    }

    pub(super) fn connect(&mut self) {
        self.ends[0].connect(self.now);
        self.run(Duration::from_millis(100));
        for (end, events) in self.ends.iter().zip(&mut self.events) {
            assert_eq!(end.state(), State::Established);
            assert_eq!(core::mem::take(events), [Event::Connected]);
        }
    }

    /// Polls both ends; packets go on their way.
    pub(super) fn flush(&mut self) {
        for from in 0..2 {
            let mut buf = vec![0; 65_536];
            while let Some(output) = self.ends[from].poll_output(&mut buf) {
                match output {
                    Output::Event(event) => self.events[from].push(event),
                    Output::Transmit(transmit) => {
                        let packet = buf[..transmit.len].to_vec();
                        self.largest = self.largest.max(packet.len());
                        self.sent[from] += 1;
                        if !(self.lose)(from, self.sent[from], &packet) {
                            self.wires[1 - from].push((self.now + self.one_way, packet));
                        }
                    }
                }
            }
        }
    }

    /// Lets time pass up to the next packet or timer, at most until `end`.
    fn step(&mut self, end: Timestamp) -> bool {
        self.flush();
        let arrivals = self.wires.iter().flatten().map(|(at, _)| *at);
        let timers = self
            .ends
            .iter()
            .filter_map(|e| e.poll_timeout())
            .map(|d| d.at);
        let Some(next) = arrivals.chain(timers).min().filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        for to in 0..2 {
            let (due, later): (Vec<_>, Vec<_>) = core::mem::take(&mut self.wires[to])
                .into_iter()
                .partition(|(at, _)| *at <= self.now);
            self.wires[to] = later;
            for (_, packet) in due {
                let _ = self.ends[to].handle_input(self.now, &packet);
            }
            if self.ends[to]
                .poll_timeout()
                .is_some_and(|d| d.at <= self.now)
            {
                self.ends[to].handle_timeout(self.now);
            }
        }
        self.flush();
        true
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 200_000, "busy loop at {}", self.now);
        }
    }

    /// Everything that an end has received.
    pub(super) fn receive_all(&mut self, end: usize) -> Vec<Incoming> {
        core::iter::from_fn(|| self.ends[end].receive()).collect()
    }
}

/// A message of a pattern that shows lost, doubled and moved bytes.
pub(super) fn message(stream: u16, len: usize, seed: usize) -> Outgoing {
    let payload: Vec<u8> = (0..len)
        .map(|n| ((n * 7 + n / 251 + seed) % 256) as u8)
        .collect();
    Outgoing::new(StreamId(stream), Ppid(51), Bytes::from(payload))
}
