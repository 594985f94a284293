//! One host's sender: the program that makes frames, and the flows it takes turns with.

use aya::maps::{Array, MapData};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions};
use turnpike_generator_layout::stamp::{self, Stamp};
use turnpike_generator_layout::{Course, FILLER_MAX, HEAD_MAX, Outgoing};

use super::super::course::Lane;
use super::super::frame::{FRAME_MAX, Template};
use super::super::{LoadError, stamp as layout};
use super::pace::Pace;
use super::programs::{Programs, Value, refused};
use crate::netns::Host;
use crate::netns::bench::FAR_DEVICE;

/// Sends out of one host's device.
pub(super) struct Sender {
    programs: Programs,
    course: Array<MapData, Value<Course>>,
    outgoing: Array<MapData, Value<Outgoing>>,
    filler: Array<MapData, [u8; FILLER_MAX]>,
    flows: u32,
    /// Bytes behind the stamp.
    behind: usize,
    /// As long as this run's frames: the kernel wants a frame to begin with.
    blank: Vec<u8>,
}

impl Sender {
    /// A sender out of a host's far end with room for so many flows, attached to a spare device.
    pub(super) fn new(
        host: &Host,
        (spare_host, spare): (&Host, &str),
        flows: u32,
    ) -> Result<Self, LoadError> {
        let mut programs = Programs::load(flows, 0)?;
        programs.send_out_of(host, FAR_DEVICE)?;
        programs.attach("sender", spare_host, spare)?;
        Ok(Self {
            course: programs.array("COURSE")?,
            outgoing: programs.array("OUTGOING")?,
            filler: programs.array("FILLER")?,
            programs,
            flows: 0,
            behind: 0,
            blank: Vec::new(),
        })
    }

    /// Sets what the next run sends: the frames of these lanes, none to send nothing.
    pub(super) fn prepare<'l>(
        &mut self,
        lanes: impl Iterator<Item = &'l Lane>,
        filler: &[u8],
        run: u16,
    ) -> Result<(), LoadError> {
        let mut flows = 0;
        let mut length = None;
        for lane in lanes {
            let stamp = Stamp {
                magic: stamp::MAGIC,
                flow: lane.flow,
                direction: lane.direction,
                run,
                ..Stamp::default()
            };
            let (first, whole) = outgoing(&lane.template, stamp, filler).ok_or_else(|| {
                LoadError::Unfit(format!("flow {} has too long a head", lane.flow))
            })?;
            if *length.get_or_insert(whole.len()) != whole.len() {
                return Err(LoadError::Unfit(
                    "live frames of one direction have one length: flows of one address family"
                        .into(),
                ));
            }
            self.outgoing
                .set(flows, Value(first), 0)
                .map_err(refused("writing a flow"))?;
            if flows == 0 {
                self.fill(&whole, &first)?;
            }
            flows += 1;
        }
        self.flows = flows;
        Ok(())
    }

    /// Writes what follows the stamp in every frame, padding included.
    fn fill(&mut self, frame: &[u8], flow: &Outgoing) -> Result<(), LoadError> {
        let head = HEAD_MAX - flow.start as usize;
        let mut filler = [0; FILLER_MAX];
        let rest = frame.get(head + stamp::LEN..).unwrap_or_default();
        for (place, byte) in filler.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.behind = rest.len();
        self.blank = vec![0; frame.len()];
        self.filler
            .set(0, filler, 0)
            .map_err(refused("writing the filler"))
    }

    /// Begins a run: bursts of so many packets a flow, trains of so many from `due` on.
    pub(super) fn begin(&mut self, burst: u32, pace: &Pace) -> Result<(), LoadError> {
        let course = Course {
            flows: self.flows,
            burst,
            left: burst,
            train: pace.train,
            due: pace.start.wrapping_sub(pace.interval),
            interval: pace.interval,
            filler: self.behind as u64,
            ..Course::default()
        };
        self.course
            .set(0, Value(course), 0)
            .map_err(refused("setting the course"))
    }

    /// Whether this run sends anything here.
    pub(super) fn has_flows(&self) -> bool {
        self.flows > 0
    }

    /// Sends so many packets at once.
    pub(super) fn send(&self, packets: u32) -> Result<(), LoadError> {
        let options = TestRunOptions {
            data_in: Some(&self.blank),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH.min(packets)),
            ..TestRunOptions::new()
        };
        self.programs
            .loaded("sender")?
            .test_run(options)
            .map(drop)
            .map_err(refused("sending live frames"))
    }

    /// Packets sent in this run, in all.
    pub(super) fn sent(&self) -> Result<u64, LoadError> {
        if !self.has_flows() {
            return Ok(0);
        }
        let course = self
            .course
            .get(&0, 0)
            .map_err(refused("reading the course"))?;
        Ok(course.0.sent)
    }

    /// Packets that a flow sent in this run.
    pub(super) fn sent_by(&self, flow: u32) -> Result<u64, LoadError> {
        let flow = self
            .outgoing
            .get(&flow, 0)
            .map_err(refused("reading a flow"))?;
        Ok(u64::from(flow.0.next))
    }
}

/// The beginning of a flow's frames, and one whole frame.
fn outgoing(frame: &Template, mut stamp: Stamp, filler: &[u8]) -> Option<(Outgoing, Vec<u8>)> {
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
        slack: [0; 15],
    };
    Some((flow, whole.to_vec()))
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

/// Frames that leave together; a veth's ring holds 256.
const BATCH: u32 = 64;
