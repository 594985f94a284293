//! Churn: clients that allocate, bind and let go again, as fast as the relay answers.
//!
//! Each client of the crowd is in one cycle at a time: Allocate, CreatePermission, ChannelBind,
//! Refresh with lifetime 0. Each cycle comes from an address of its own and answers a challenge first, as
//! a client does that calls anew. This is not the engine's client: requests are built anew for each step and answers are
//! matched by address and transaction ID, so that the generator costs less than any relay.
//!
//! Bounded: a client has one request out, which is sent `cycle::TRIES` times at most.

mod cycle;

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use turnpike_stun::Message;

use self::cycle::{Answer, Cycle};
use super::super::clock::monotonic;
use super::super::frame::{self, Link};
use super::super::packet::{Ring, Sender, Wanted, Wire};
use super::super::{LoadError, core, latency_histogram};
use super::{Crowd, address};

pub use self::cycle::Step;

/// What came of a time of churn.
#[derive(Clone)]
pub struct Churn {
    /// How long cycles were counted.
    pub wall: Duration,
    /// Whole cycles in that time.
    pub cycles: u64,
    /// Cycles in which a step was refused or not answered.
    pub failures: u64,
    /// Requests sent again because no answer came.
    pub retransmissions: u64,
    /// What the relay did in the first cycle that failed.
    pub first_failure: Option<String>,
    /// From a step's request to its success, challenges included, nanoseconds; in [`Step::ALL`]'s
    /// order.
    pub steps: [Histogram<u64>; 4],
}

/// Latencies as medians: a histogram has thousands of counts.
impl fmt::Debug for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let medians = self
            .steps
            .each_ref()
            .map(|step| step.value_at_quantile(0.5));
        f.debug_struct("Churn")
            .field("wall", &self.wall)
            .field("cycles", &self.cycles)
            .field("failures", &self.failures)
            .field("retransmissions", &self.retransmissions)
            .field("first_failure", &self.first_failure)
            .field("step_medians_ns", &medians)
            .finish()
    }
}

impl Churn {
    /// Whole cycles a second.
    #[must_use]
    pub fn cycles_per_second(&self) -> f64 {
        // No run has 2^32 cycles.
        f64::from(u32::try_from(self.cycles).unwrap_or(u32::MAX)) / self.wall.as_secs_f64()
    }
}

/// Has all clients of the crowd go through cycles for `duration`; of the crowd, `peers` and
/// `channels` do not matter. Addresses are counted from `first` on, one a cycle: two times of churn of
/// one relay must not have the same.
///
/// # Errors
/// When the generator fails. A relay that refuses or is silent is no error.
pub fn churn(
    wire: &Wire<'_>,
    crowd: &Crowd,
    first: u32,
    duration: Duration,
) -> Result<Churn, LoadError> {
    go_through(wire, crowd, first, duration, || Ok(()))
}

/// The same of clients beside whatever else the generator does: their thread goes first.
///
/// # Errors
/// As [`churn`].
pub fn newcomers(
    wire: &Wire<'_>,
    crowd: &Crowd,
    first: u32,
    duration: Duration,
) -> Result<Churn, LoadError> {
    go_through(wire, crowd, first, duration, core::go_first)
}

fn go_through(
    wire: &Wire<'_>,
    crowd: &Crowd,
    first: u32,
    duration: Duration,
    class: impl FnOnce() -> Result<(), LoadError> + Send,
) -> Result<Churn, LoadError> {
    let cycles: Result<Vec<Cycle>, LoadError> = (0..crowd.count)
        .map(|number| Cycle::new(crowd, first, number))
        .collect();
    let mut churning = Churning {
        cycles: cycles?,
        link: wire.link,
        sender: Sender::new(wire)?,
        ring: Ring::new(wire, Wanted::Responses, SLOTS)?,
        first,
        end: 0,
        churn: Churn {
            wall: duration,
            cycles: 0,
            failures: 0,
            retransmissions: 0,
            first_failure: None,
            steps: [(); 4].map(|()| latency_histogram()),
        },
    };
    let churned = thread::scope(|scope| {
        let work = || {
            core::take()?;
            class()?;
            churning.run(duration)
        };
        scope.spawn(work).join()
    });
    churned.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(churning.churn)
}

/// Churn under way.
struct Churning {
    cycles: Vec<Cycle>,
    link: Link,
    sender: Sender,
    ring: Ring,
    /// The number of the first address.
    first: u32,
    /// When no new cycle begins any more.
    end: u64,
    churn: Churn,
}

impl Churning {
    fn run(&mut self, duration: Duration) -> Result<(), LoadError> {
        let began = monotonic();
        self.end = began + nanoseconds(duration);
        for cycle in &mut self.cycles {
            cycle.begin(began);
            send(&mut self.sender, self.link, cycle)?;
        }
        let mut timers = began;
        loop {
            let now = monotonic();
            if now > self.end + nanoseconds(LAST_CYCLES) || self.cycles.iter().all(Cycle::is_over) {
                return Ok(());
            }
            if now > timers {
                timers = now + nanoseconds(TIMERS_EVERY);
                self.send_again(now)?;
            }
            self.sender.flush()?;
            if self.receive(now)? == 0 {
                self.ring.wait(1)?;
            }
        }
    }

    /// Takes up what has come; how much that was.
    fn receive(&mut self, now: u64) -> Result<usize, LoadError> {
        let Self {
            cycles,
            link,
            sender,
            ring,
            first,
            end,
            churn,
        } = self;
        let mut outcome = Ok(());
        let received = ring.drain(RECEIVED_A_TURN, |received| {
            let Some((to, message)) = read(received.frame) else {
                return;
            };
            let since = address::number(to).and_then(|number| number.checked_sub(*first));
            let place =
                since.and_then(|since| usize::try_from(since).ok()?.checked_rem(cycles.len()));
            let Some(cycle) = place.and_then(|place| cycles.get_mut(place)) else {
                return;
            };
            if take(cycle, &message, now, *end, churn)
                && let Err(error) = send(sender, *link, cycle)
            {
                outcome = Err(error);
            }
        });
        outcome.map(|()| received)
    }

    /// Sends again what has waited too long, and gives up what was sent too often.
    fn send_again(&mut self, now: u64) -> Result<(), LoadError> {
        for cycle in &mut self.cycles {
            if !cycle.has_waited_too_long(now) {
                continue;
            }
            if cycle.may_try_again(now) {
                self.churn.retransmissions += 1;
            } else {
                fail(
                    cycle,
                    "did not answer".to_owned(),
                    now,
                    self.end,
                    &mut self.churn,
                );
            }
            if !cycle.is_over() {
                send(&mut self.sender, self.link, cycle)?;
            }
        }
        Ok(())
    }
}

/// Takes up an answer; whether there is a request to send now.
fn take(cycle: &mut Cycle, message: &Message<'_>, now: u64, end: u64, churn: &mut Churn) -> bool {
    match cycle.take(message) {
        Answer::Stray => return false,
        Answer::Challenged => cycle.ask_again(now),
        Answer::Granted => {
            let (step, waited) = (cycle.step(), now.saturating_sub(cycle.began()));
            if let Some(histogram) = churn.steps.get_mut(step.place()) {
                histogram.saturating_record(waited);
            }
            if step == Step::Refresh && !cycle.has_failed() && now <= end {
                churn.cycles += 1;
            }
            cycle.go_on(now, end);
        }
        Answer::Refused(why) => fail(cycle, why, now, end, churn),
    }
    !cycle.is_over()
}

fn fail(cycle: &mut Cycle, why: String, now: u64, end: u64, churn: &mut Churn) {
    if !cycle.has_failed() {
        churn.failures += 1;
        let step = cycle.step();
        churn
            .first_failure
            .get_or_insert_with(|| format!("{why} ({step:?})"));
    }
    cycle.fail(now, end);
}

fn send(sender: &mut Sender, link: Link, cycle: &Cycle) -> Result<(), LoadError> {
    let mut buf = [0; cycle::REQUEST_MAX];
    let request = cycle.request(&mut buf);
    let (from, to) = (cycle.address, cycle.server);
    sender.push(|frame| frame::write(link, from, to, request?, frame))
}

/// The message in a frame, and whom it is for.
fn read(frame: &[u8]) -> Option<(SocketAddr, Message<'_>)> {
    let datagram = frame::parse(frame).filter(frame::Datagram::is_whole)?;
    let (_, to) = datagram.addresses()?;
    Some((to, Message::parse(datagram.payload).ok()?))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long cycles that are under way at the end may take to come to theirs.
const LAST_CYCLES: Duration = Duration::from_secs(2);

/// How often is looked for requests to send again.
const TIMERS_EVERY: Duration = Duration::from_millis(20);

/// Frames of the ring; no more responses come than there are clients.
const SLOTS: usize = 4_096;

/// Responses taken up before frames are sent.
const RECEIVED_A_TURN: usize = 32;
