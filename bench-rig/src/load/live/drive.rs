//! A run under way: one thread asks for trains when they are due, for each host in turn.

use std::hint::spin_loop;
use std::thread;
use std::time::Duration;

use super::super::clock::monotonic;
use super::super::{LoadError, Tally};
use super::pace::Pace;
use super::sender::Sender;

/// A run under way.
pub(super) struct Drive<'s> {
    senders: Vec<Sending<'s>>,
    start: u64,
    end: u64,
    late: u64,
}

/// What a run says of itself.
pub(super) struct Driven {
    /// From when the first train was due to the end of the last one.
    pub(super) wall: Duration,
    /// Packets of all trains; None when there was no schedule.
    pub(super) wanted: Option<u64>,
    /// Packets that left later than [`Tally::LATE`] after they were due.
    pub(super) late: u64,
}

struct Sending<'s> {
    sender: &'s Sender,
    pace: Pace,
    /// Trains that have left.
    gone: u64,
}

impl<'s> Drive<'s> {
    /// Sets the course of every sender that has flows: so many packets a second each.
    pub(super) fn begin(
        senders: &'s mut [Sender],
        rate: f64,
        burst: u32,
        duration: Duration,
    ) -> Result<Self, LoadError> {
        let start = monotonic() + nanoseconds(LEAD);
        let sending = senders.iter_mut().filter(|sender| sender.has_flows());
        let sending = sending.map(|sender| {
            let pace = Pace::new(rate, burst, start, duration);
            sender.begin(burst, &pace)?;
            Ok(Sending {
                sender,
                pace,
                gone: 0,
            })
        });
        Ok(Self {
            senders: sending.collect::<Result<_, LoadError>>()?,
            start,
            end: start + nanoseconds(duration),
            late: 0,
        })
    }

    /// Sends until the schedule or its time is over.
    pub(super) fn run(mut self) -> Result<Driven, LoadError> {
        let last = self.end + nanoseconds(OVERTIME);
        let mut now = monotonic();
        loop {
            let next = self.senders.iter().filter_map(Sending::next).min();
            let Some(next) = next.filter(|_| now < last) else {
                break;
            };
            rest_until(next, now);
            for sending in &mut self.senders {
                self.late += sending.send_due(monotonic(), self.end)?;
            }
            now = monotonic();
        }
        let paced = self.senders.iter().all(|sending| sending.pace.train > 0);
        let wanted = self
            .senders
            .iter()
            .map(|sending| sending.pace.packets())
            .sum();
        Ok(Driven {
            wall: Duration::from_nanos(now.saturating_sub(self.start).max(1)),
            wanted: paced.then_some(wanted),
            late: self.late,
        })
    }
}

impl Sending<'_> {
    /// When the next train is due.
    fn next(&self) -> Option<u64> {
        (self.gone < self.pace.trains).then(|| self.pace.due(self.gone))
    }

    /// Sends trains that are due, a bounded part of them; how many packets of them are late.
    fn send_due(&mut self, now: u64, end: u64) -> Result<u64, LoadError> {
        if self.pace.train == 0 {
            if now >= end {
                self.gone = self.pace.trains;
            } else if now >= self.pace.start {
                self.sender.send(AT_ONCE)?;
            }
            return Ok(0);
        }
        let most = u64::from((AT_ONCE / self.pace.train).max(1));
        let trains = (self.pace.due_by(now) - self.gone).min(most);
        if trains == 0 {
            return Ok(0);
        }
        let late = self
            .pace
            .due_by(now.saturating_sub(nanoseconds(Tally::LATE)));
        let late = late.saturating_sub(self.gone).min(trains);
        let packets = trains * u64::from(self.pace.train);
        self.sender
            .send(u32::try_from(packets).unwrap_or(AT_ONCE))?;
        self.gone += trains;
        Ok(late * u64::from(self.pace.train))
    }
}

/// Sleeps while there is time to, then spins.
fn rest_until(due: u64, now: u64) {
    let margin = nanoseconds(WAKES_WITHIN);
    if let Some(rest) = due.checked_sub(now + margin).filter(|rest| *rest > margin) {
        thread::sleep(Duration::from_nanos(rest));
    }
    while monotonic() < due {
        spin_loop();
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From making a schedule to its first train.
const LEAD: Duration = Duration::from_millis(2);

/// How long after the end of a schedule what is late may still leave.
const OVERTIME: Duration = Duration::from_millis(100);

/// How long a sleeping thread may take to wake up; less than twice this is not slept.
const WAKES_WITHIN: Duration = Duration::from_micros(150);

/// Packets to ask for at once: about a millisecond's. A schedule that is behind catches up in parts.
const AT_ONCE: u32 = 4_096;
