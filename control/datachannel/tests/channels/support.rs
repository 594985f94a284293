//! Two ends with 10 ms between them, in virtual time. One end may be a bare association, to say what
//! no data channel would.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use turnpike_datachannel::{
    Channel, ChannelId, Config, DataChannels, DtlsRole, Event, Kind, Message, Output,
};
use turnpike_sctp::{Association, Incoming, Outgoing, Ppid, StreamId};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

/// Either kind of end.
pub(crate) trait End {
    type Event;
    type Message;
    fn begin(&mut self, now: Timestamp);
    fn input(&mut self, now: Timestamp, datagram: &[u8]);
    fn timeout(&mut self, now: Timestamp);
    fn deadline(&self) -> Option<Timestamp>;
    fn output(&mut self, buffer: &mut [u8]) -> Option<Result<usize, Self::Event>>;
    fn message(&mut self) -> Option<Self::Message>;
}

impl End for DataChannels {
    type Event = Event;
    type Message = Message;

    fn begin(&mut self, now: Timestamp) {
        self.connect(now);
    }

    fn input(&mut self, now: Timestamp, datagram: &[u8]) {
        self.handle_input(now, datagram).unwrap();
    }

    fn timeout(&mut self, now: Timestamp) {
        self.handle_timeout(now);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.poll_timeout().map(|deadline| deadline.at)
    }

    fn output(&mut self, buffer: &mut [u8]) -> Option<Result<usize, Event>> {
        Some(match self.poll_output(buffer)? {
            Output::Transmit(transmit) => Ok(transmit.len),
            Output::Event(event) => Err(event),
        })
    }

    fn message(&mut self) -> Option<Message> {
        self.receive()
    }
}

impl End for Association {
    type Event = turnpike_sctp::Event;
    type Message = Incoming;

    fn begin(&mut self, now: Timestamp) {
        self.connect(now);
    }

    fn input(&mut self, now: Timestamp, datagram: &[u8]) {
        self.handle_input(now, datagram).unwrap();
    }

    fn timeout(&mut self, now: Timestamp) {
        self.handle_timeout(now);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.poll_timeout().map(|deadline| deadline.at)
    }

    fn output(&mut self, buffer: &mut [u8]) -> Option<Result<usize, Self::Event>> {
        Some(match self.poll_output(buffer)? {
            turnpike_sctp::Output::Transmit(transmit) => Ok(transmit.len),
            turnpike_sctp::Output::Event(event) => Err(event),
        })
    }

    fn message(&mut self) -> Option<Incoming> {
        self.receive()
    }
}

/// Two ends and what is under way between them.
pub(crate) struct Net<A: End, B: End> {
    pub(crate) now: Timestamp,
    pub(crate) a: A,
    pub(crate) b: B,
    /// What each end said, in order.
    pub(crate) a_events: Vec<A::Event>,
    pub(crate) b_events: Vec<B::Event>,
    pub(crate) a_messages: Vec<A::Message>,
    pub(crate) b_messages: Vec<B::Message>,
    /// Whether what is sent is lost.
    pub(crate) is_down: bool,
    /// Whether messages are left where they are.
    pub(crate) is_idle: bool,
    flying: BTreeMap<(Timestamp, u64), (bool, Vec<u8>)>,
    pub(crate) sent: u64,
}

impl<A: End, B: End> Net<A, B> {
    pub(crate) fn new(a: A, b: B) -> Self {
        Self {
            now: Timestamp::from_secs(1),
            a,
            b,
            a_events: Vec::new(),
            b_events: Vec::new(),
            a_messages: Vec::new(),
            b_messages: Vec::new(),
            is_down: false,
            is_idle: false,
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Connects and waits until both know.
    pub(crate) fn connected(mut self) -> Self {
        self.a.begin(self.now);
        self.run();
        self.a_events.clear();
        self.b_events.clear();
        self
    }

    /// Lets a second pass.
    pub(crate) fn run(&mut self) {
        self.run_for(Duration::from_secs(1));
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..STEPS_MAX {
            self.drain();
            let next = self.next_at().unwrap_or(Timestamp::MAX);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.step();
        }
        panic!("no end of steps at {}", self.now);
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                (true, datagram) => self.b.input(now, &datagram),
                (false, datagram) => self.a.input(now, &datagram),
            }
            self.drain();
        }
        if self.a.deadline().is_some_and(|at| at <= now) {
            self.a.timeout(now);
        }
        if self.b.deadline().is_some_and(|at| at <= now) {
            self.b.timeout(now);
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let deadlines = [arrival, self.a.deadline(), self.b.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Polls both ends until they have nothing to say.
    pub(crate) fn drain(&mut self) {
        let mut out = Vec::new();
        let mut sink = |datagram| out.push(datagram);
        drain_one(
            &mut self.a,
            &mut self.a_events,
            &mut self.a_messages,
            self.is_idle,
            |datagram| sink((true, datagram)),
        );
        drain_one(
            &mut self.b,
            &mut self.b_events,
            &mut self.b_messages,
            self.is_idle,
            |datagram| sink((false, datagram)),
        );
        for flight in out {
            self.sent += 1;
            if !self.is_down {
                let at = self.now + Duration::from_millis(10);
                self.flying.insert((at, self.sent), flight);
            }
        }
    }
}

fn drain_one<E: End>(
    end: &mut E,
    events: &mut Vec<E::Event>,
    messages: &mut Vec<E::Message>,
    is_idle: bool,
    mut sink: impl FnMut(Vec<u8>),
) {
    let mut buffer = [0; 1_500];
    loop {
        while let Some(output) = end.output(&mut buffer) {
            match output {
                Ok(len) => sink(buffer[..len].to_vec()),
                Err(event) => events.push(event),
            }
        }
        if is_idle {
            return;
        }
        let Some(message) = end.message() else {
            return;
        };
        messages.push(message);
    }
}

/// Two ends with data channels, connected.
pub(crate) fn pair() -> Net<DataChannels, DataChannels> {
    pair_with(|_| {})
}

/// The same, with a change to both configurations.
pub(crate) fn pair_with(change: impl Fn(&mut Config)) -> Net<DataChannels, DataChannels> {
    unconnected_with(change).connected()
}

pub(crate) fn unconnected_with(change: impl Fn(&mut Config)) -> Net<DataChannels, DataChannels> {
    let end = |role, seed| {
        let mut config = Config::new(role);
        change(&mut config);
        DataChannels::new(config, &mut SeededEntropy::new(seed), Timestamp::ZERO).unwrap()
    };
    Net::new(end(DtlsRole::Client, 1), end(DtlsRole::Server, 2))
}

/// Data channels of the DTLS client, and a bare association at the other end, connected.
pub(crate) fn against_bare(change: impl Fn(&mut Config)) -> Net<DataChannels, Association> {
    let mut config = Config::new(DtlsRole::Client);
    change(&mut config);
    let bare = turnpike_sctp::Config::default();
    let a = DataChannels::new(config, &mut SeededEntropy::new(1), Timestamp::ZERO).unwrap();
    let b = Association::new(bare, &mut SeededEntropy::new(2), Timestamp::ZERO).unwrap();
    Net::new(a, b).connected()
}

impl<A: End> Net<A, Association> {
    /// The bare end says something.
    pub(crate) fn say(&mut self, stream: u16, ppid: u32, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let message = Outgoing::new(StreamId(stream), Ppid(ppid), payload);
        self.b.send(self.now, message).unwrap();
    }
}

impl<B: End> Net<DataChannels, B> {
    /// The first end opens a channel, and the other end knows.
    pub(crate) fn open(&mut self, channel: Channel) -> ChannelId {
        let id = self.a.open(self.now, channel).unwrap();
        self.run();
        self.a_events.clear();
        self.b_events.clear();
        id
    }
}

pub(crate) fn whole(channel: ChannelId, kind: Kind, payload: &[u8]) -> Message {
    Message {
        channel,
        kind,
        payload: Bytes::copy_from_slice(payload),
        is_begin: true,
        is_end: true,
    }
}

const STEPS_MAX: u32 = 1_000_000;
