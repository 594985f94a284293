//! Load of millions a second: XDP programs make, count and drop the packets, and no packet passes
//! through user space.
//!
//! The kernel offers *live frames* to a `sender`'s program, which writes each one whole when it is due.
//! A `receiver` is attached to the devices where packets end. One thread on the generator's core sends
//! for both hosts, whenever the threads that receive there leave it the core.
//!
//! Not here: allocations, which the flows must have.

mod alarm;
pub mod far_end;
mod pace;
#[expect(unsafe_code, reason = "values of maps are plain memory")]
mod programs;
mod receiver;
pub mod redirect;
mod sender;
mod spare;
mod strangers;

use std::thread;
use std::time::Duration;

use turnpike_generator_layout::place;
use turnpike_generator_layout::stamp::sum;

use self::pace::Pace;
use self::receiver::Receiver;
use self::sender::Sender;

pub use self::strangers::Strangers;

use super::clock::monotonic;
use super::course::{Arrival, Course, Lane, Links};
use super::frame::Link;
use super::stamp::TO_CLIENT;
use super::{Flow, Load, LoadError, Path, Shape, Tally};
use crate::netns::bench::{BenchHosts, CLIENT_DEVICE, FAR_DEVICE};

/// Live frames over flows that a relay knows.
pub struct LiveFrames<'h> {
    hosts: &'h BenchHosts,
    flows: Vec<Flow>,
    sender: Sender<'h>,
    clients: Receiver,
    /// None where peers share the clients' wire.
    peers: Option<Receiver>,
    strangers: Option<Strangers>,
    run: u16,
}

impl<'h> LiveFrames<'h> {
    /// Loads the programs and attaches the receivers to the far ends of the wires, where they stay
    /// until this is dropped. What carries no stamp goes on to the host and its sockets. The flows'
    /// numbers are their places.
    ///
    /// # Errors
    /// When the programs were not built (the error names the command), and when the kernel refuses
    /// them.
    pub fn new(hosts: &'h BenchHosts, flows: Vec<Flow>) -> Result<Self, LoadError> {
        Self::among(None, hosts, flows)
    }

    /// The same, with requests of strangers between the flows' packets. They come on top of the rates
    /// asked for.
    ///
    /// # Errors
    /// As [`LiveFrames::new`].
    pub fn among(
        strangers: Option<Strangers>,
        hosts: &'h BenchHosts,
        flows: Vec<Flow>,
    ) -> Result<Self, LoadError> {
        let count = u32::try_from(flows.len())
            .map_err(|_| LoadError::Unfit("more than 2^32 flows".to_owned()))?;
        let shared = hosts.relay_peer_device() == CLIENT_DEVICE;
        let peers = (!shared).then(|| Receiver::new(hosts.peers(), FAR_DEVICE, count));
        Ok(Self {
            sender: Sender::new(hosts, DIRECTIONS * count * frames_a_packet(strangers))?,
            clients: Receiver::new(hosts.clients(), FAR_DEVICE, count)?,
            peers: peers.transpose()?,
            strangers,
            hosts,
            flows,
            run: 0,
        })
    }

    fn links(&self) -> Links {
        Links {
            clients: Link {
                source: self.hosts.client_mac(),
                destination: self.hosts.relay_client_mac(),
            },
            peers: Link {
                source: self.hosts.peer_mac(),
                destination: self.hosts.relay_peer_mac(),
            },
        }
    }

    /// Has the sender make the frames of this course, and the receivers expect them.
    fn prepare(&mut self, course: &Course, shape: &Shape) -> Result<(), LoadError> {
        self.run = self.run.wrapping_add(1);
        let link = self.links().clients;
        self.sender
            .prepare(course, self.run, link, self.strangers)?;
        let takes_answers = shape.path == Path::Binding;
        for receiver in [&mut self.clients].into_iter().chain(&mut self.peers) {
            receiver.begin(self.run, shape.payload, takes_answers)?;
        }
        for lane in &course.lanes {
            let receiver = match &mut self.peers {
                Some(peers) if ends_at_peer(lane, shape) => peers,
                _ => &mut self.clients,
            };
            receiver.expect(lane.flow, lane.direction, place_of(lane))?;
        }
        Ok(())
    }

    /// Waits until nothing comes any more: not long when as many have come as were sent.
    fn await_stragglers(&self) -> Result<(), LoadError> {
        let (mut came, mut quiet) = (0, Duration::ZERO);
        let sent = self.sender.course()?.sent;
        while quiet < if came < sent { QUIET } else { QUIET_AFTER_ALL } {
            thread::sleep(LOOK_EVERY);
            let now = sum_of(self.receivers().map(Receiver::came))?;
            quiet = if now == came {
                quiet + LOOK_EVERY
            } else {
                Duration::ZERO
            };
            came = now;
        }
        Ok(())
    }

    /// What became of the packets of a course.
    fn count(&self, course: &Course, shape: &Shape, tally: &mut Tally) -> Result<(), LoadError> {
        let places = (0..).step_by(frames_a_packet(self.strangers) as usize);
        for (place, lane) in places.zip(&course.lanes) {
            let receiver = match &self.peers {
                Some(peers) if ends_at_peer(lane, shape) => peers,
                _ => &self.clients,
            };
            let came = receiver.arrivals(lane.flow, lane.direction)?;
            let sent = self.sender.sent_by(place)?;
            tally.sent += sent;
            tally.received += came.received;
            tally.reordered += came.reordered;
            tally.duplicated += came.duplicated;
            tally.misdirected += came.misdirected;
            let lost = sent.saturating_sub(came.received);
            tally.worst_flow_loss = tally.worst_flow_loss.max(share(lost, sent));
        }
        for receiver in self.receivers() {
            let totals = receiver.totals()?;
            tally.corrupted += totals.corrupted + totals.unreadable;
            tally.misdirected += totals.strange;
            tally.received += totals.answered;
            receiver.add_latencies(&mut tally.latency)?;
        }
        Ok(())
    }

    /// Sends on a thread of its own, whose core and share of it are the generator's.
    fn send(&mut self, pace: Pace, burst: u32) -> Result<(), LoadError> {
        let sender = &mut self.sender;
        let last = pace.end() + OVERTIME;
        let sent =
            thread::scope(|scope| scope.spawn(move || sender.send(&pace, burst, last)).join());
        sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        [&self.clients].into_iter().chain(&self.peers)
    }
}

impl Load for LiveFrames<'_> {
    fn run(
        &mut self,
        shape: &Shape,
        packets_per_second: f64,
        duration: Duration,
    ) -> Result<Tally, LoadError> {
        shape.check()?;
        if !shape.payload.is_multiple_of(2) {
            let what = format!(
                "a live frame with a payload of {} bytes: odd",
                shape.payload
            );
            return Err(LoadError::Unfit(what));
        }
        let course = Course::new(&self.flows, shape, self.links())?;
        self.prepare(&course, shape)?;
        let before = self.hosts.drops()?;
        let frames = frames_a_packet(self.strangers);
        let rate = packets_per_second * f64::from(frames);
        let pace = Pace::new(rate, shape.burst, monotonic() + LEAD, duration)?;
        self.send(pace, shape.burst)?;
        let ended = monotonic();
        self.await_stragglers()?;
        let mut tally = Tally::empty();
        self.count(&course, shape, &mut tally)?;
        tally.wall = Duration::from_nanos(ended.saturating_sub(pace.start).max(1));
        tally.late = self.sender.course()?.late / u64::from(frames);
        tally.wanted = pace.packets() / u64::from(frames);
        // Answers to strangers may be lost too, and are nobody's loss.
        if self.strangers.is_none() {
            tally.own_loss = (self.hosts.drops()? - before).after_relay;
        }
        tally.lost = tally.sent.saturating_sub(tally.received + tally.own_loss);
        Ok(tally)
    }
}

/// Frames that leave for each packet of a flow.
fn frames_a_packet(strangers: Option<Strangers>) -> u32 {
    1 + strangers.map_or(0, |strangers| strangers.each)
}

/// Whether a lane's packets arrive on the peers' wire.
fn ends_at_peer(lane: &Lane, shape: &Shape) -> bool {
    lane.arrives_as == Arrival::Plain
        && shape.path != Path::Binding
        && !(shape.path == Path::Straight && lane.direction == TO_CLIENT)
}

/// Where a lane's packets arrive, as the receiver's program puts it.
fn place_of(lane: &Lane) -> u64 {
    let (addresses, ports) = lane
        .arrives
        .bytes()
        .split_last_chunk()
        .unwrap_or((&[], &[0; 4]));
    let [f0, f1, t0, t1] = *ports;
    let channel = match lane.arrives_as {
        Arrival::Plain => 0,
        Arrival::Wrapped { channel, .. } => channel,
    };
    place(
        u16::from_le_bytes([f0, f1]),
        u16::from_le_bytes([t0, t1]),
        channel.to_be(),
        sum(addresses),
    )
}

fn sum_of(counts: impl Iterator<Item = Result<u64, LoadError>>) -> Result<u64, LoadError> {
    counts.sum()
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 packets")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The two directions of a flow.
const DIRECTIONS: u32 = 2;

/// Nanoseconds from making a schedule to its first packet.
const LEAD: u64 = 5_000_000;

/// Nanoseconds after the end of a schedule in which what is late may still leave.
const OVERTIME: u64 = 100_000_000;

/// How often is looked whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long it must be quiet before what has not come counts as lost.
const QUIET: Duration = Duration::from_millis(100);

/// The same when as many have come as were sent: some of them could be others' twins.
const QUIET_AFTER_ALL: Duration = Duration::from_millis(20);
