//! The sender: the program that makes frames for both hosts, and the flows it takes turns with.
//!
//! One call of the kernel's goes on for a whole run: to begin and to end one costs more than a thousand
//! frames, and leaves behind what only time frees. So the program keeps the schedule, and an alarm ends
//! the call.

use std::io::ErrorKind;

use aya::maps::{Array, MapData};
use aya::programs::{ProgramError, TestRun, TestRunAttrs, TestRunOptions};
use turnpike_generator_layout::stamp::{self, Stamp};
use turnpike_generator_layout::{Course as Schedule, FILLER_MAX, HEAD_MAX, Outgoing};

use super::super::clock::monotonic;
use super::super::course::Course;
use super::super::frame::{FRAME_MAX, Link, Template};
use super::super::{LoadError, Tally, core, stamp as layout};
use super::alarm::Alarm;
use super::pace::Pace;
use super::programs::{Programs, Value, refused};
use super::spare::Spare;
use super::strangers::Strangers;
use crate::netns::Host;
use crate::netns::bench::{BenchHosts, FAR_DEVICE};

/// Sends out of the far ends of both wires.
pub(super) struct Sender<'h> {
    programs: Programs,
    course: Array<MapData, Value<Schedule>>,
    outgoing: Array<MapData, Value<Outgoing>>,
    filler: Array<MapData, [u8; FILLER_MAX]>,
    flows: u32,
    /// The kernel wants a frame to begin with. Longer than any of this run's, so that each has its end
    /// moved: else the kernel leaves the length that a relay's program gave it on its last way round.
    blank: Vec<u8>,
    /// To be dropped after the program that is attached to it.
    _spare: Spare<'h>,
}

impl<'h> Sender<'h> {
    /// A sender with room for so many directions of flows.
    pub(super) fn new(hosts: &'h BenchHosts, flows: u32) -> Result<Self, LoadError> {
        let mut programs = Programs::load(flows, 0)?;
        for (way, host) in ways(hosts) {
            programs.send_out_of(way, host, FAR_DEVICE)?;
        }
        let spare = Spare::new(hosts.clients())?;
        programs.attach("sender", hosts.clients(), Spare::DEVICE)?;
        Ok(Self {
            course: programs.array("COURSE")?,
            outgoing: programs.array("OUTGOING")?,
            filler: programs.array("FILLER")?,
            programs,
            flows: 0,
            blank: Vec::new(),
            _spare: spare,
        })
    }

    /// Sets what the next run sends: the frames of these lanes, which take turns, each followed by
    /// strangers' requests.
    pub(super) fn prepare(
        &mut self,
        course: &Course,
        run: u16,
        link: Link,
        strangers: Option<Strangers>,
    ) -> Result<(), LoadError> {
        self.blank.clear();
        self.flows = 0;
        for lane in &course.lanes {
            let stamp = Stamp {
                magic: stamp::MAGIC,
                flow: lane.flow,
                direction: lane.direction,
                run,
                ..Stamp::default()
            };
            self.add(Some(&lane.template), stamp, &course.filler, false)?;
            for request in 0..strangers.map_or(0, |strangers| strangers.each) {
                let number = lane.flow.wrapping_mul(STRANGERS_A_FLOW) + request;
                let frame = strangers.and_then(|strangers| strangers.frame(link, number));
                let stamp = Stamp {
                    direction: layout::TO_PEER,
                    ..stamp
                };
                let spoofed = strangers.is_some_and(|strangers| strangers.spoofed);
                self.add(frame.as_ref(), stamp, &[], spoofed)?;
            }
        }
        self.fill(&course.filler)
    }

    /// Adds the frames of one more that takes turns.
    fn add(
        &mut self,
        frame: Option<&Template>,
        stamp: Stamp,
        filler: &[u8],
        spoofed: bool,
    ) -> Result<(), LoadError> {
        let made = frame.and_then(|frame| outgoing(frame, stamp, filler));
        let (mut flow, length) = made.ok_or_else(|| {
            LoadError::Unfit(format!("flow {} has too long a head", { stamp.flow }))
        })?;
        flow.spoofed = spoofed.into();
        self.outgoing
            .set(self.flows, Value(flow), 0)
            .map_err(refused("writing a flow"))?;
        self.blank.resize((length + 1).max(self.blank.len()), 0);
        self.flows += 1;
        Ok(())
    }

    /// Writes what follows the stamp in every frame: the filler, then zeros for padding.
    fn fill(&mut self, filler: &[u8]) -> Result<(), LoadError> {
        let mut whole = [0; FILLER_MAX];
        for (place, byte) in whole.iter_mut().zip(filler) {
            *place = *byte;
        }
        self.filler
            .set(0, whole, 0)
            .map_err(refused("writing the filler"))
    }

    /// Sends what is due, in bursts of so many packets a flow, until all of it has left or until this
    /// time, in nanoseconds of `CLOCK_MONOTONIC`. Takes the calling thread's core.
    pub(super) fn send(&mut self, pace: &Pace, burst: u32, last: u64) -> Result<(), LoadError> {
        core::take()?;
        core::give_way()?;
        let course = Schedule {
            flows: self.flows,
            burst,
            left: burst,
            train: pace.train,
            trains: pace.trains,
            due: pace.start.wrapping_sub(pace.interval),
            interval: pace.interval,
            tolerance: u64::try_from(Tally::LATE.as_nanos()).unwrap_or(u64::MAX),
            ..Schedule::default()
        };
        self.course
            .set(0, Value(course), 0)
            .map_err(refused("setting the course"))?;
        let alarm = Alarm::at(pace.end())?;
        while !alarm.has_rung() || (self.course()?.sent < pace.packets() && monotonic() < last) {
            self.offer_frames()?;
        }
        Ok(())
    }

    /// Has the kernel offer frames to the program until a signal comes.
    fn offer_frames(&self) -> Result<(), LoadError> {
        let options = TestRunOptions {
            data_in: Some(&self.blank),
            repeat: u32::MAX,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        match self.programs.loaded("sender")?.test_run(options) {
            Err(ProgramError::SyscallError(error))
                if error.io_error.kind() == ErrorKind::Interrupted => {}
            Ok(_) => {}
            Err(error) => return Err(refused("sending live frames")(error)),
        }
        Ok(())
    }

    /// What the last run came to.
    pub(super) fn course(&self) -> Result<Schedule, LoadError> {
        let course = self
            .course
            .get(&0, 0)
            .map_err(refused("reading the course"))?;
        Ok(course.0)
    }

    /// Packets that the lane at this place sent in this run.
    pub(super) fn sent_by(&self, place: u32) -> Result<u64, LoadError> {
        let flow = self
            .outgoing
            .get(&place, 0)
            .map_err(refused("reading a flow"))?;
        Ok(u64::from(flow.0.next))
    }
}

/// The hosts that are sent for, each at the place of its direction.
fn ways(hosts: &BenchHosts) -> [(u32, &Host); 2] {
    let ways = [
        (layout::TO_PEER, hosts.clients()),
        (layout::TO_CLIENT, hosts.peers()),
    ];
    ways.map(|(direction, host)| (direction.into(), host))
}

/// The beginning of a flow's frames, and their length.
fn outgoing(frame: &Template, mut stamp: Stamp, filler: &[u8]) -> Option<(Outgoing, usize)> {
    let constant = u32::from(stamp.constant()) + u32::from(stamp::sum(filler));
    stamp.check = stamp.check(constant);
    let bytes = bytes(&stamp);
    let mut whole = [0; FRAME_MAX];
    let length = frame.write(&mut whole, &bytes, filler)?;
    let whole = whole.get(..length)?;
    let at = whole
        .windows(bytes.len())
        .position(|window| window == bytes)?;
    let start = HEAD_MAX.checked_sub(at)?;
    let mut head = [0; HEAD_MAX];
    head.get_mut(start..)?.copy_from_slice(whole.get(..at)?);
    let flow = Outgoing {
        head,
        stamp,
        start: u32::try_from(start).ok()?,
        constant,
        next: 0,
        behind: u32::try_from(length.checked_sub(at + stamp::LEN)?).ok()?,
        way: stamp.direction.into(),
        spoofed: 0,
        slack: [0; 12],
    };
    Some((flow, length))
}

/// A stamp as it is sent.
fn bytes(stamp: &Stamp) -> [u8; stamp::LEN] {
    let mut bytes = [0; stamp::LEN];
    let fields = [
        (layout::MAGIC_AT, &stamp.magic.to_le_bytes()[..]),
        (layout::FLOW_AT, &stamp.flow.to_le_bytes()),
        (layout::DUE_AT, &stamp.due.to_le_bytes()),
        (layout::SEQUENCE_AT, &stamp.sequence.to_le_bytes()),
        (layout::DIRECTION_AT, &stamp.direction.to_le_bytes()),
        (layout::RUN_AT, &stamp.run.to_le_bytes()),
        (layout::CHECK_AT, &stamp.check.to_le_bytes()),
    ];
    for (at, field) in fields {
        for (place, byte) in bytes.iter_mut().skip(at).zip(field) {
            *place = *byte;
        }
    }
    bytes
}

/// Tells the strangers of one flow from those of the next: more than a flow ever has.
const STRANGERS_A_FLOW: u32 = 61;

/// Frames that the kernel offers before it looks whether another thread has to run. A veth's ring
/// holds 256.
const BATCH: u32 = 64;
