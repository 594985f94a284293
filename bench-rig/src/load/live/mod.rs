//! Load of millions a second: XDP programs make, count and drop the packets, and no packet passes
//! through user space.
//!
//! A `sender` asks the kernel for a train of *live frames* whenever one is due; its
//! program writes each frame whole. A `receiver` is attached to the devices where
//! packets end. One thread on the generator's core sends for both hosts.
//!
//! Not here: allocations, which the flows must have; and what needs an even spacing of single
//! packets, since to ask for a train costs some microseconds and so packets come in trains.

mod drive;
pub mod far_end;
mod pace;
#[expect(unsafe_code, reason = "values of maps are plain memory")]
mod programs;
mod receiver;
pub mod redirect;
mod sender;
mod spare;

use std::thread;
use std::time::Duration;

use turnpike_generator_layout::place;
use turnpike_generator_layout::stamp::sum;

use self::drive::Drive;
use self::receiver::Receiver;
use self::sender::Sender;
use self::spare::Spare;
use super::course::{Arrival, Course, Lane, Links};
use super::frame::Link;
use super::stamp::{TO_CLIENT, TO_PEER};
use super::{Flow, Load, LoadError, Path, Shape, Tally, core};
use crate::netns::bench::{BenchHosts, CLIENT_DEVICE, FAR_DEVICE};

/// Live frames over flows that a relay knows.
pub struct LiveFrames<'h> {
    hosts: &'h BenchHosts,
    flows: Vec<Flow>,
    /// Those of clients, then those of peers: by direction.
    senders: [Sender; 2],
    clients: Receiver,
    /// None where peers share the clients' wire.
    peers: Option<Receiver>,
    /// To be dropped after the senders.
    _spare: Spare<'h>,
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
        let count = u32::try_from(flows.len())
            .map_err(|_| LoadError::Unfit("more than 2^32 flows".to_owned()))?;
        let shared = hosts.relay_peer_device() == CLIENT_DEVICE;
        let peers = (!shared).then(|| Receiver::new(hosts.peers(), FAR_DEVICE, count));
        let spare = Spare::new(hosts.clients())?;
        let [at, other] = spare.ends();
        Ok(Self {
            senders: [
                Sender::new(hosts.clients(), at, count)?,
                Sender::new(hosts.peers(), other, count)?,
            ],
            clients: Receiver::new(hosts.clients(), FAR_DEVICE, count)?,
            peers: peers.transpose()?,
            _spare: spare,
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

    /// Has the senders make the frames of this course, and the receivers expect them.
    fn prepare(&mut self, course: &Course, shape: &Shape) -> Result<(), LoadError> {
        self.run = self.run.wrapping_add(1);
        for (direction, sender) in (TO_PEER..).zip(&mut self.senders) {
            let lanes = course
                .lanes
                .iter()
                .filter(|lane| lane.direction == direction);
            sender.prepare(lanes, &course.filler, self.run)?;
        }
        self.clients.begin(self.run, shape.payload)?;
        if let Some(peers) = &mut self.peers {
            peers.begin(self.run, shape.payload)?;
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
        let sent = sum_of(self.senders.iter().map(Sender::sent))?;
        while quiet < if came < sent { QUIET } else { QUIET_AFTER_ALL } {
            thread::sleep(LOOK_EVERY);
            let now = sum_of(self.receivers().map(Receiver::stamped))?;
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
        for lane in &course.lanes {
            let receiver = match &self.peers {
                Some(peers) if ends_at_peer(lane, shape) => peers,
                _ => &self.clients,
            };
            let came = receiver.arrivals(lane.flow, lane.direction)?;
            let sender = self.senders.get(usize::from(lane.direction));
            let sent = sender.map_or(Ok(0), |sender| sender.sent_by(lane.flow))?;
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
            receiver.add_latencies(&mut tally.latency)?;
        }
        Ok(())
    }

    fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        [&self.clients].into_iter().chain(&self.peers)
    }
}

impl Load for LiveFrames<'_> {
    /// As many packets as go out if the rate is infinite.
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
        let mut tally = Tally::empty();
        let driven = thread::scope(|scope| {
            let work = || {
                core::take()?;
                let rate = packets_per_second
                    / f64::from(u32::try_from(course.lanes_a_flow()).unwrap_or(1));
                Drive::begin(&mut self.senders, rate, shape.burst, duration)?.run()
            };
            scope.spawn(work).join()
        });
        let driven = driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        self.await_stragglers()?;
        self.count(&course, shape, &mut tally)?;
        tally.wall = driven.wall;
        tally.late = driven.late;
        tally.wanted = driven.wanted.unwrap_or(tally.sent);
        tally.own_loss = (self.hosts.drops()? - before).after_relay;
        tally.lost = tally.sent.saturating_sub(tally.received + tally.own_loss);
        Ok(tally)
    }
}

/// Whether a lane's packets arrive on the peers' wire.
fn ends_at_peer(lane: &Lane, shape: &Shape) -> bool {
    lane.arrives_as == Arrival::Plain
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

/// How often is looked whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long it must be quiet before what has not come counts as lost.
const QUIET: Duration = Duration::from_millis(100);

/// The same when as many have come as were sent: some of them could be others' twins.
const QUIET_AFTER_ALL: Duration = Duration::from_millis(20);
