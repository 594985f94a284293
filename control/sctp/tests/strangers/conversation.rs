//! Two ends and a way between them, driven by a test's script in virtual time.

use std::time::Duration;

use turnpike_sctp::{CloseReason, Config, Event, Incoming, Outgoing, Ppid, Reliability, StreamId};
use turnpike_sim::{Chance, LinkConfig, SeededEntropy, World};
use turnpike_types::Timestamp;

use crate::pair::endpoint::{Endpoint, Output, Sort};
use crate::pair::wire::Wire;

pub(crate) struct Conversation {
    pub(crate) ends: [End; 2],
    wire: Wire,
}

/// One end, and all that it said and got.
pub(crate) struct End {
    pub(crate) name: &'static str,
    pub(crate) endpoint: Box<dyn Endpoint>,
    pub(crate) events: Vec<Event>,
    pub(crate) got: Vec<Incoming>,
}

/// Which path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    /// 10 ms each way.
    Clear,
    /// The same, with loss, duplicates and reordering; the seed of its dice.
    Foul(u64),
}

impl Weather {
    fn link(self) -> LinkConfig {
        let clear = LinkConfig {
            delay: Duration::from_millis(10),
            ..LinkConfig::PERFECT
        };
        match self {
            Self::Clear => clear,
            Self::Foul(_) => LinkConfig {
                loss: Chance::percent(5),
                duplication: Chance::percent(2),
                reordering: Chance::percent(5),
                reordering_delay: Duration::from_millis(15),
                ..clear
            },
        }
    }

    const fn seed(self) -> u64 {
        match self {
            Self::Clear => 0,
            Self::Foul(seed) => seed,
        }
    }
}

impl Conversation {
    /// Two ends that have not met.
    pub(crate) fn new(sorts: [Sort; 2], weather: Weather, config: &Config) -> Self {
        let link = weather.link();
        let mut entropy = SeededEntropy::new(weather.seed());
        Self {
            wire: Wire::new(World::new(weather.seed()), [link; 2]),
            ends: sorts.map(|sort| End {
                name: sort.name,
                endpoint: (sort.make)(config, &mut entropy, Timestamp::ZERO),
                events: Vec::new(),
                got: Vec::new(),
            }),
        }
    }

    /// The first of the two connects; returns when both are connected.
    pub(crate) fn connected(sorts: [Sort; 2], weather: Weather, config: &Config) -> Self {
        let mut conversation = Self::new(sorts, weather, config);
        conversation.ends[0].endpoint.connect(Timestamp::ZERO);
        conversation.run_until("both are connected", |it| {
            it.ends.iter().all(|end| end.has(&Event::Connected))
        });
        conversation
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.wire.now()
    }

    pub(crate) fn send(&mut self, from: usize, message: Outgoing) {
        let now = self.now();
        let end = &mut self.ends[from];
        let what = (message.stream, message.payload.len());
        if let Err(error) = end.endpoint.send(now, message) {
            panic!("{} does not take {what:?}: {error:?}", end.name);
        }
        self.settle();
    }

    /// Whether it was taken.
    pub(crate) fn try_send(&mut self, from: usize, message: Outgoing) -> bool {
        let now = self.now();
        let sent = self.ends[from].endpoint.send(now, message);
        self.settle();
        sent.is_ok()
    }

    pub(crate) fn reset(&mut self, by: usize, stream: StreamId) {
        let now = self.now();
        let end = &mut self.ends[by];
        if let Err(error) = end.endpoint.reset_streams(now, &[stream]) {
            panic!("{} does not reset {stream:?}: {error:?}", end.name);
        }
        self.settle();
    }

    /// Runs until the condition holds; two minutes are too long.
    pub(crate) fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        self.settle();
        while !condition(self) {
            assert!(
                self.now() < Timestamp::from_secs(120),
                "never: {what}; {:?}",
                self.ends
                    .each_ref()
                    .map(|end| (end.name, &end.events, end.got.len()))
            );
            self.step();
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now() + duration;
        self.settle();
        while self.now() < until {
            self.step_until(until);
        }
    }

    fn step(&mut self) {
        self.step_until(Timestamp::from_secs(120));
    }

    fn step_until(&mut self, until: Timestamp) {
        let next = self
            .ends
            .iter()
            .filter_map(|end| end.endpoint.poll_timeout())
            .fold(until, Timestamp::min)
            .max(self.now());
        if let Some((to, datagram)) = self.wire.poll(next) {
            let now = self.now();
            self.ends[to].endpoint.handle_input(now, &datagram);
        } else {
            let now = self.now();
            for end in &mut self.ends {
                if end.endpoint.poll_timeout().is_some_and(|at| at <= now) {
                    end.endpoint.handle_timeout(now);
                }
            }
        }
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        let now = self.now();
        for side in [0, 1] {
            loop {
                while let Some(output) = self.ends[side].endpoint.poll_output(now) {
                    match output {
                        Output::Datagram(datagram) => self.wire.send(side, &datagram),
                        Output::Event(event) => self.ends[side].events.push(event),
                    }
                }
                let Some(incoming) = self.ends[side].endpoint.receive(now) else {
                    break;
                };
                self.ends[side].got.push(incoming);
            }
        }
    }
}

impl End {
    pub(crate) fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// The payloads that came on a stream, parts put together.
    pub(crate) fn messages(&self, stream: u16) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        let mut parts = Vec::new();
        for incoming in self.got.iter().filter(|it| it.stream == StreamId(stream)) {
            parts.extend_from_slice(&incoming.payload);
            if incoming.is_end {
                whole.push(std::mem::take(&mut parts));
            }
        }
        whole
    }
}

/// A reliable, ordered binary message of so many bytes, all alike.
pub(crate) fn message(stream: u16, byte: u8, len: usize) -> Outgoing {
    Outgoing {
        stream: StreamId(stream),
        ppid: Ppid(53),
        payload: vec![byte; len].into(),
        is_unordered: false,
        reliability: Reliability::Reliable,
        id: None,
    }
}
