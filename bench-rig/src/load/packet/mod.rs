//! Load through packet sockets: frames with our own addresses and checksums, at a pace.
//!
//! One thread on the generator's core sends what is due, reads what has come, rests until the next
//! tick, and goes round again. What is due within a tick leaves together, as a network
//! card that moderates its interrupts would hand it to its machine. It never spins: while it rests the
//! far ends receive, and a core that does nothing is woken without an interrupt, which the relay's core
//! would have to send. It does not use the kernel's sockets, routes or neighbours: virtual clients and
//! peers cost nothing but memory.
//!
//! Bounded by the schedule: it ends `OVERTIME` after its end whether or not all has been sent, and
//! waits at most `PATIENCE` for stragglers.

mod filter;
mod judge;
mod pace;
#[expect(unsafe_code, reason = "memory shared with the kernel")]
mod ring;
#[expect(unsafe_code, reason = "one call sends many frames")]
mod sender;
#[expect(unsafe_code, reason = "options of packet sockets")]
mod socket;
mod wire;

use std::thread;
use std::time::Duration;

pub use self::filter::Wanted;
pub use self::ring::{Received, Ring};
pub use self::sender::Sender;
pub use self::wire::{CLIENTS, PEERS, VirtualNet, Wire};

use self::judge::{Judge, Side};
use self::pace::Pace;
use super::clock::{monotonic, realtime_lead};
use super::course::{Course, Links};
use super::{Flow, Load, LoadError, Path, Shape, Tally, core, stamp};

/// Flows over packet sockets.
#[derive(Debug)]
pub struct PacketLoad {
    clients: End,
    peers: End,
    links: Links,
    flows: Vec<Flow>,
    run: u16,
}

/// The sockets on one wire.
#[derive(Debug)]
struct End {
    sender: Sender,
    ring: Ring,
}

impl End {
    fn new(wire: &Wire<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            sender: Sender::new(wire)?,
            ring: Ring::new(wire, Wanted::Data, SLOTS)?,
        })
    }
}

impl PacketLoad {
    /// Load over these flows, whose numbers are their places.
    ///
    /// # Errors
    /// When the kernel refuses the sockets.
    pub fn new(clients: &Wire<'_>, peers: &Wire<'_>, flows: Vec<Flow>) -> Result<Self, LoadError> {
        Ok(Self {
            clients: End::new(clients)?,
            peers: End::new(peers)?,
            links: Links {
                clients: clients.link,
                peers: peers.link,
            },
            flows,
            run: 0,
        })
    }
}

impl Load for PacketLoad {
    fn run(
        &mut self,
        shape: &Shape,
        packets_per_second: f64,
        duration: Duration,
    ) -> Result<Tally, LoadError> {
        shape.check()?;
        if shape.path == Path::Binding {
            let what = "packet sockets do not count answers to Binding requests";
            return Err(LoadError::Unfit(what.to_owned()));
        }
        let course = Course::new(&self.flows, shape, self.links)?;
        self.run = self.run.wrapping_add(1);
        let driven = thread::scope(|scope| {
            let work = || {
                core::take()?;
                core::go_first()?;
                let began = monotonic() + LEAD;
                let lanes = course.lanes.len();
                let pace = Pace::new(began, packets_per_second, shape.burst, duration, lanes)?;
                let packets_a_lane = pace.bursts_a_lane() * u64::from(shape.burst);
                Drive {
                    judge: Judge::new(self.run, lanes, packets_a_lane),
                    stamp_sum: stamp::filler_sum(shape.payload),
                    clients: &mut self.clients,
                    peers: &mut self.peers,
                    course: &course,
                    pace,
                    burst: shape.burst,
                    lead: realtime_lead(),
                }
                .run(began)
            };
            scope.spawn(work).join()
        });
        driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A run under way.
struct Drive<'r> {
    clients: &'r mut End,
    peers: &'r mut End,
    course: &'r Course,
    pace: Pace,
    burst: u32,
    stamp_sum: u32,
    judge: Judge,
    /// By how much the received frames' clock is ahead of the stamps'.
    lead: u64,
}

impl Drive<'_> {
    fn run(mut self, began: u64) -> Result<Tally, LoadError> {
        self.clients.ring.clear()?;
        self.peers.ring.clear()?;
        self.send_all()?;
        let ended = monotonic();
        self.await_stragglers(ended);
        let own_loss = self.clients.ring.dropped()? + self.peers.ring.dropped()?;
        let wanted = self.pace.bursts() * u64::from(self.burst);
        let mut tally = self.judge.close(self.course.lanes_a_flow(), own_loss);
        tally.wall = Duration::from_nanos(ended.saturating_sub(began).max(1));
        tally.wanted = wanted;
        Ok(tally)
    }

    /// Sends the whole schedule, or what of it can be sent until its overtime ends.
    fn send_all(&mut self) -> Result<(), LoadError> {
        let last = self.pace.end() + nanoseconds(OVERTIME);
        let mut look_at_clocks = 0;
        loop {
            let now = monotonic();
            if now > last {
                break;
            }
            if now > look_at_clocks {
                look_at_clocks = now + nanoseconds(CLOCKS_EVERY);
                self.lead = realtime_lead();
            }
            self.send_due(now)?;
            self.receive();
            let Some(due) = self.pace.next_due() else {
                break;
            };
            rest_until(due);
        }
        Ok(())
    }

    /// Sends what is due by `now`, a bounded part of it at a time.
    #[inline]
    fn send_due(&mut self, now: u64) -> Result<(), LoadError> {
        let mut sent = 0;
        while sent < SENT_A_TURN {
            let Some(turn) = self.pace.take_due(now) else {
                break;
            };
            for _ in 0..self.burst {
                self.send_packet(turn.lane, turn.due)?;
            }
            if now.saturating_sub(turn.due) > nanoseconds(Tally::LATE) {
                self.judge.tally.late += u64::from(self.burst);
            }
            sent += self.burst;
        }
        self.clients.sender.flush()?;
        self.peers.sender.flush()
    }

    #[inline]
    fn send_packet(&mut self, place: usize, due: u64) -> Result<(), LoadError> {
        let Some(lane) = self.course.lanes.get(place) else {
            return Ok(());
        };
        let Some(stamp) = self.judge.stamp(place, lane, due) else {
            return Ok(());
        };
        let end = match lane.direction {
            stamp::TO_PEER => &mut *self.clients,
            _ => &mut *self.peers,
        };
        let stamp = stamp.to_bytes(self.stamp_sum);
        end.sender
            .push(|frame| lane.template.write(frame, &stamp, &self.course.filler))
    }

    /// Judges what has come, a bounded part of it; how many frames that was.
    #[inline]
    fn receive(&mut self) -> usize {
        let Self {
            clients,
            peers,
            course,
            judge,
            lead,
            ..
        } = self;
        let [of_clients, of_peers] =
            [(clients, Side::Clients), (peers, Side::Peers)].map(|(end, side)| {
                end.ring.drain(RECEIVED_A_TURN, |received| {
                    let at = received.at.saturating_sub(*lead);
                    judge.judge(course, side, received, at);
                })
            });
        of_clients + of_peers
    }

    /// Receives until nothing has come for a while.
    fn await_stragglers(&mut self, ended: u64) {
        let mut last_came = ended;
        loop {
            let now = monotonic();
            let Tally { sent, received, .. } = self.judge.tally;
            let quiet = if sent == received {
                QUIET_AFTER_ALL
            } else {
                QUIET
            };
            if now > ended + nanoseconds(PATIENCE) || now > last_came + nanoseconds(quiet) {
                return;
            }
            if self.receive() > 0 {
                last_came = now;
            } else {
                thread::sleep(STRAGGLERS_EVERY);
            }
        }
    }
}

/// Sleeps until `due`, and a little in any case: the far ends receive meanwhile.
fn rest_until(due: u64) {
    let rest = due.saturating_sub(monotonic());
    thread::sleep(Duration::from_nanos(rest).max(REST));
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds between making a schedule and its first packet: the rings are cleared meanwhile.
const LEAD: u64 = 5_000_000;

/// How long after the end of the schedule what is late may still be sent.
const OVERTIME: Duration = Duration::from_millis(100);

/// How long it must be quiet before what has not come counts as lost.
const QUIET: Duration = Duration::from_millis(300);

/// The same when everything has come: only packets that come twice could follow.
const QUIET_AFTER_ALL: Duration = Duration::from_millis(20);

/// How long stragglers are waited for, should they never end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often is looked for stragglers.
const STRAGGLERS_EVERY: Duration = Duration::from_millis(1);

/// How often the distance between the two clocks is measured.
const CLOCKS_EVERY: Duration = Duration::from_millis(100);

/// The least rest after a turn, should the generator be late.
const REST: Duration = Duration::from_micros(5);

/// Frames of a ring: 40 ms at 400,000 packets a second, in 32 MiB.
const SLOTS: usize = 16_384;

/// Packets sent before what has come is looked at; a veth holds 256.
const SENT_A_TURN: u32 = 32;

/// Frames of each ring judged before what is due is looked at.
const RECEIVED_A_TURN: usize = 64;
