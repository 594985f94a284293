//! One host's receiver: the program that counts and drops what senders made, and its counts.

use aya::maps::{Array, MapData};
use hdrhistogram::Histogram;
use turnpike_generator_layout::{Arrivals, Totals, histogram};

use super::super::LoadError;
use super::programs::{Programs, Value, refused};
use crate::netns::Host;

/// Counts what comes to one host's device, until it is dropped.
pub(super) struct Receiver {
    _programs: Programs,
    totals: Array<MapData, Value<Totals>>,
    arrivals: Array<MapData, Value<Arrivals>>,
    latency: Array<MapData, u64>,
}

/// The two directions of a flow.
const DIRECTIONS: u32 = 2;

impl Receiver {
    /// A receiver with room for so many flows.
    pub(super) fn new(host: &Host, device: &str, flows: u32) -> Result<Self, LoadError> {
        let mut programs = Programs::load(0, DIRECTIONS * flows)?;
        programs.attach("receiver", host, device)?;
        Ok(Self {
            totals: programs.array("TOTALS")?,
            arrivals: programs.array("ARRIVALS")?,
            latency: programs.array("LATENCY")?,
            _programs: programs,
        })
    }

    /// Forgets the run before. From now on packets of `run` count, with payloads of so many bytes, and
    /// answers to Binding requests where they are what is measured.
    pub(super) fn begin(
        &mut self,
        run: u16,
        payload: usize,
        takes_answers: bool,
    ) -> Result<(), LoadError> {
        for bucket in 0..histogram::BUCKETS {
            self.latency
                .set(bucket, 0, 0)
                .map_err(refused("clearing latencies"))?;
        }
        let totals = Totals {
            run: run.into(),
            payload: u32::try_from(payload).unwrap_or(u32::MAX),
            takes_answers: takes_answers.into(),
            ..Totals::default()
        };
        self.totals
            .set(0, Value(totals), 0)
            .map_err(refused("clearing totals"))
    }

    /// Has packets of a flow and direction come to this place.
    pub(super) fn expect(
        &mut self,
        flow: u32,
        direction: u16,
        place: u64,
    ) -> Result<(), LoadError> {
        let arrivals = Arrivals {
            place,
            ..Arrivals::default()
        };
        let index = DIRECTIONS * flow + u32::from(direction);
        self.arrivals
            .set(index, Value(arrivals), 0)
            .map_err(refused("writing a flow"))
    }

    /// What came in this run, in all.
    pub(super) fn totals(&self) -> Result<Totals, LoadError> {
        let totals = self.totals.get(&0, 0).map_err(refused("reading totals"))?;
        Ok(totals.0)
    }

    /// Stamped packets and answers that came in this run.
    pub(super) fn came(&self) -> Result<u64, LoadError> {
        let totals = self.totals()?;
        Ok(totals.stamped + totals.answered)
    }

    /// What came of a flow in one direction.
    pub(super) fn arrivals(&self, flow: u32, direction: u16) -> Result<Arrivals, LoadError> {
        let index = DIRECTIONS * flow + u32::from(direction);
        let arrivals = self
            .arrivals
            .get(&index, 0)
            .map_err(refused("reading a flow"))?;
        Ok(arrivals.0)
    }

    /// Adds this run's latencies.
    pub(super) fn add_latencies(&self, to: &mut Histogram<u64>) -> Result<(), LoadError> {
        for bucket in 0..histogram::BUCKETS {
            let packets = self
                .latency
                .get(&bucket, 0)
                .map_err(refused("reading latencies"))?;
            if packets > 0 {
                to.saturating_record_n(histogram::middle(bucket), packets);
            }
        }
        Ok(())
    }
}
