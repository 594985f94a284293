//! Drives many clients over one packet socket, a bounded number of them at a time.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use turnpike_turn::client::TRANSMIT_MAX;
use turnpike_types::Timestamp;

use super::super::clock::monotonic;
use super::super::frame::{self, Link};
use super::super::packet::{Ring, Sender, Wanted, Wire};
use super::super::{Flow, LoadError};
use super::address;
use super::caller::Caller;

/// Clients and their socket.
#[derive(Debug)]
pub(super) struct Crew {
    callers: Vec<Caller>,
    line: Line,
}

/// The socket.
#[derive(Debug)]
struct Line {
    link: Link,
    sender: Sender,
    ring: Ring,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(wire: &Wire<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            callers: Vec::new(),
            line: Line {
                link: wire.link,
                sender: Sender::new(wire)?,
                ring: Ring::new(wire, Wanted::Responses, SLOTS)?,
            },
        })
    }

    pub(super) fn add(&mut self, caller: Caller) {
        self.callers.push(caller);
    }

    /// Has each of `places` do `start`, and drives them until none has a request out. Stops early
    /// when clients keep failing or nothing comes to an end any more; then, and when a client
    /// failed, it says what the relay did.
    pub(super) fn settle(
        &mut self,
        places: &mut dyn Iterator<Item = usize>,
        start: impl Fn(&mut Caller, Timestamp),
    ) -> Result<Option<String>, LoadError> {
        self.line.ring.clear()?;
        let mut out: BTreeSet<usize> = BTreeSet::new();
        let mut failures = Failures::default();
        let mut progress = monotonic();
        let mut timers = 0;
        loop {
            let now = monotonic();
            while out.len() < WINDOW && !failures.are_too_many() {
                let Some(place) = places.next() else { break };
                self.with(place, |caller| start(caller, Timestamp::from_nanos(now)))?;
                out.insert(place);
            }
            if now >= timers {
                timers = now + TIMERS_EVERY;
                for place in &out {
                    self.wake(*place, Timestamp::from_nanos(now))?;
                }
            }
            self.line.sender.flush()?;
            let mut touched = self.receive()?;
            if touched.is_empty() {
                self.line.ring.wait(1)?;
                // What ended by itself, such as a request that was given up.
                touched.extend(&out);
            }
            let before = out.len();
            for place in touched {
                if self.is_quiet(place) && out.remove(&place) {
                    failures.note(self.callers.get_mut(place));
                }
            }
            if out.len() < before {
                progress = monotonic();
            }
            if out.is_empty() && (failures.are_too_many() || before == 0) {
                return Ok(failures.first);
            }
            if monotonic() > progress + STANDSTILL {
                return Ok(failures.first.or_else(|| Some(STANDSTILL_WORDS.to_owned())));
            }
        }
    }

    /// The places of the clients of which something is true.
    pub(super) fn able(&self, is: impl Fn(&Caller) -> bool) -> Vec<usize> {
        let able = self.callers.iter().enumerate();
        able.filter(|(_, caller)| is(caller))
            .map(|(place, _)| place)
            .collect()
    }

    /// The places of the clients that have something to refresh.
    pub(super) fn due(&self) -> Vec<usize> {
        let now = Timestamp::from_nanos(monotonic());
        self.able(|caller| caller.is_due(now))
    }

    pub(super) fn give_peer(&mut self, place: usize, peer: SocketAddr) {
        if let Some(caller) = self.callers.get_mut(place) {
            caller.give_peer(peer);
        }
    }

    /// The relayed addresses of these clients, with each two neighbours changed over.
    pub(super) fn relayed_by_twos(&self, places: &[usize]) -> Vec<SocketAddr> {
        let relayed = |place: &usize| self.callers.get(*place).and_then(Caller::relayed);
        let twos = places.as_chunks::<2>().0.iter();
        twos.flat_map(|[one, other]| [other, one].map(relayed))
            .flatten()
            .collect()
    }

    /// The flows of those of these clients that have all they need. Pairs stay together as long as
    /// none of them fails.
    pub(super) fn flows(&self, places: &[usize]) -> Vec<Flow> {
        let callers = places.iter().filter_map(|place| self.callers.get(*place));
        let mut flows = Vec::with_capacity(places.len());
        for caller in callers {
            let number = u32::try_from(flows.len()).unwrap_or(u32::MAX);
            flows.extend(caller.flow(number));
        }
        flows
    }

    fn is_quiet(&self, place: usize) -> bool {
        self.callers.get(place).is_none_or(Caller::is_quiet)
    }

    fn wake(&mut self, place: usize, now: Timestamp) -> Result<(), LoadError> {
        let is_due = |caller: &Caller| caller.is_due(now);
        if self.callers.get(place).is_some_and(is_due) {
            self.with(place, |caller| caller.wake(now))?;
        }
        Ok(())
    }

    /// Has a client do something, and sends what it then has to say.
    fn with(&mut self, place: usize, work: impl FnOnce(&mut Caller)) -> Result<(), LoadError> {
        let Some(caller) = self.callers.get_mut(place) else {
            return Ok(());
        };
        work(caller);
        self.line.send_all_of(caller)
    }

    /// Gives clients what has come for them; their places.
    fn receive(&mut self) -> Result<Vec<usize>, LoadError> {
        let now = Timestamp::from_nanos(monotonic());
        let mut touched = Vec::new();
        let callers = &mut self.callers;
        self.line.ring.drain(WINDOW, |received| {
            let Some(datagram) = frame::parse(received.frame).filter(frame::Datagram::is_whole)
            else {
                return;
            };
            let place = datagram.addresses().and_then(|(_, to)| address::number(to));
            let place = place.and_then(|number| usize::try_from(number).ok());
            if let Some(place) = place
                && let Some(caller) = callers.get_mut(place)
            {
                caller.receive(now, datagram.payload);
                touched.push(place);
            }
        });
        for place in &touched {
            self.with(*place, |_| ())?;
        }
        Ok(touched)
    }
}

impl Line {
    fn send_all_of(&mut self, caller: &mut Caller) -> Result<(), LoadError> {
        let mut buf = [0; TRANSMIT_MAX];
        while let Some(message) = caller.next_message(&mut buf) {
            let (from, to) = (caller.address, caller.server);
            let link = self.link;
            self.sender
                .push(|frame| frame::write(link, from, to, message, frame))?;
        }
        Ok(())
    }
}

/// Clients that did not get what they asked for.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    first: Option<String>,
}

impl Failures {
    fn note(&mut self, caller: Option<&mut Caller>) {
        if let Some(trouble) = caller.and_then(|caller| caller.trouble.take()) {
            self.count += 1;
            self.first.get_or_insert(trouble);
        }
    }

    /// The relay has come to its end: asking on would only take time.
    const fn are_too_many(&self) -> bool {
        self.count >= 8
    }
}

/// Clients with requests out: a veth holds 256 frames, a socket of Debian's defaults about as many.
const WINDOW: usize = 96;

/// Frames of the ring; no more responses come than there are requests out.
const SLOTS: usize = 1_024;

/// How often timers are looked at, nanoseconds.
const TIMERS_EVERY: u64 = 5_000_000;

/// How long nothing may come to an end, nanoseconds.
const STANDSTILL: u64 = 5_000_000_000;

const STANDSTILL_WORDS: &str = "has answered nothing for 5 seconds";
