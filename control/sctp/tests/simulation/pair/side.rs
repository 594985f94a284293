//! One side: an end, and somebody who uses it as the seed says.

use std::collections::BTreeSet;
use std::time::Duration;

use turnpike_sctp::{CloseReason, MessageId, Outgoing, Ppid, Reliability, SendError, StreamId};
use turnpike_sim::{Chance, SeededEntropy};
use turnpike_types::{Entropy, Timestamp};

use super::direction::{Direction, LIFETIME_MAX};
use super::endpoint::{Endpoint, Sort};
use super::letter::{self, NAMED_MIN};
use super::plan::{Plan, SidePlan};
use super::violation::{Checked, ensure};

pub(crate) struct Side {
    pub(crate) endpoint: Box<dyn Endpoint>,
    pub(crate) plan: SidePlan,
    sort: Sort,
    dice: SeededEntropy,
    has_policies: bool,
    is_tracked: bool,
    pub(crate) connects_at: Option<Timestamp>,
    pub(crate) is_connected: bool,
    pub(crate) closed: Option<CloseReason>,
    /// Whether it takes no more messages to send.
    pub(crate) is_closing: bool,
    pub(crate) acts_at: Timestamp,
    pub(crate) lazy_until: Timestamp,
    resetting: BTreeSet<StreamId>,
    pub(crate) resets: u64,
    /// Whether it waits for everything to begin anew.
    is_association_resetting: bool,
    /// Whether either end may make everything begin anew.
    has_association_resets: bool,
    pub(crate) association_resets: u64,
}

impl Side {
    pub(crate) fn new(plan: &Plan, side: usize, sort: Sort, dice: &mut SeededEntropy) -> Self {
        let configs = plan.sides.each_ref().map(|side| &side.config);
        let own = plan.sides[side].clone();
        let mut dice = dice.fork();
        Self {
            endpoint: (sort.make)(&own.config, &mut dice, Timestamp::ZERO),
            has_policies: plan.abilities.partial_reliability
                && configs.iter().all(|it| it.has_partial_reliability),
            is_tracked: sort.abilities.tracking,
            connects_at: own.connects_at,
            is_connected: false,
            closed: None,
            is_closing: false,
            acts_at: Timestamp::ZERO,
            lazy_until: Timestamp::ZERO,
            resetting: BTreeSet::new(),
            resets: 0,
            is_association_resetting: false,
            has_association_resets: plan
                .sides
                .iter()
                .any(|it| it.association_resets > Chance::NEVER),
            association_resets: 0,
            plan: own,
            sort,
            dice,
        }
    }

    /// The end is lost, with all it knew; a new one sets up at once.
    pub(crate) fn begin_anew(&mut self, now: Timestamp) {
        self.endpoint = (self.sort.make)(&self.plan.config, &mut self.dice, now);
        self.is_connected = false;
        self.connects_at = None;
        self.forget_streams();
        self.endpoint.connect(now);
    }

    /// The other end is another one.
    pub(crate) fn forget_streams(&mut self) {
        self.resetting.clear();
        self.is_association_resetting = false;
    }

    /// Does what the seed says: mostly sends some messages.
    pub(crate) fn act(&mut self, now: Timestamp, direction: &mut Direction) -> Checked {
        self.acts_at = now + Duration::from_millis(self.dice.within(0..self.plan.pause_ms + 1));
        if self.plan.laziness.happens(&mut self.dice) {
            self.lazy_until = now + Duration::from_millis(self.dice.within(10..3_000));
        }
        let has_begun =
            self.is_connected || self.connects_at.is_none() && self.plan.connects_at.is_some();
        if !has_begun || self.is_closing {
            return Ok(());
        }
        if self.is_connected && self.plan.resets.happens(&mut self.dice) {
            return self.reset(now);
        }
        if self.is_connected
            && self.has_association_resets
            && self.plan.association_resets.happens(&mut self.dice)
        {
            self.is_association_resetting |= self.endpoint.reset_association(now).is_ok();
            return Ok(());
        }
        for _ in 0..self.dice.within(1..9) {
            if !self.send_one(now, direction)? {
                break;
            }
        }
        Ok(())
    }

    /// Everything begins anew: says the streams that there are.
    pub(crate) fn association_reset_over(&mut self) -> Checked<Vec<StreamId>> {
        ensure!(
            self.has_association_resets,
            ResetInPlace,
            "everything begins anew, and nobody asked"
        );
        self.is_association_resetting = false;
        self.association_resets += 1;
        Ok((0..self.plan.config.streams_max).map(StreamId).collect())
    }

    /// Our streams were reset, or will not be; none named are all, which the other end would not.
    pub(crate) fn reset_over(&mut self, streams: &[StreamId]) -> Checked {
        if streams.is_empty() {
            ensure!(
                self.is_association_resetting,
                ResetInPlace,
                "everything does not begin anew, and nobody asked"
            );
            self.is_association_resetting = false;
        }
        for stream in streams {
            let was_asked = self.resetting.remove(stream);
            ensure!(
                was_asked,
                ResetInPlace,
                "{stream:?} is reset, and nobody asked"
            );
            self.resets += 1;
        }
        Ok(())
    }

    pub(crate) fn is_resetting(&self) -> bool {
        !self.resetting.is_empty() || self.is_association_resetting
    }

    fn reset(&mut self, now: Timestamp) -> Checked {
        let mut streams = Vec::new();
        for _ in 0..self.dice.within(1..4) {
            let stream = self.any_stream();
            if !self.resetting.contains(&stream) && !streams.contains(&stream) {
                streams.push(stream);
            }
        }
        if !streams.is_empty() && self.endpoint.reset_streams(now, &streams).is_ok() {
            self.resetting.extend(streams);
        }
        Ok(())
    }

    /// Whether it was taken.
    fn send_one(&mut self, now: Timestamp, direction: &mut Direction) -> Checked<bool> {
        let message = self.draw_message(direction);
        let stream = message.stream;
        let is_resetting = self.resetting.contains(&stream) || self.has_association_resets;
        match self.endpoint.send(now, message.clone()) {
            Ok(()) => direction.sent(now, &message),
            Err(SendError::StreamResetting) if is_resetting => {}
            Err(SendError::BufferFull | SendError::ShuttingDown) => return Ok(false),
            // Fewer streams than we asked for may be all there are.
            Err(SendError::NoSuchStream) if stream.0 > 0 => {}
            Err(error) => ensure!(
                self.closed.is_some(),
                EndsCleanly,
                "message on {stream:?} refused: {error:?}, resetting: {is_resetting}"
            ),
        }
        Ok(true)
    }

    fn draw_message(&mut self, direction: &Direction) -> Outgoing {
        let stream = self.any_stream();
        let number = direction.next_number();
        let doublings = self
            .dice
            .within(0..u64::from(self.plan.len_max.ilog2()) + 1);
        let len_max = (2 << doublings).min(u64::from(self.plan.len_max));
        let mut len = usize::try_from(self.dice.within(1..len_max + 1)).unwrap();
        // On the first stream all is reliable and ordered, so that the shortest need no name.
        let is_plain = stream.0 == 0;
        if !is_plain {
            len = len.max(NAMED_MIN);
        }
        Outgoing {
            stream,
            ppid: Ppid(self.dice.below(60)),
            payload: letter::write(number, len),
            is_unordered: !is_plain && Chance::percent(30).happens(&mut self.dice),
            reliability: if is_plain {
                Reliability::Reliable
            } else {
                self.draw_reliability()
            },
            id: self.is_tracked.then(|| MessageId(number.into())),
        }
    }

    fn draw_reliability(&mut self) -> Reliability {
        let lifetime_ms = u64::try_from(LIFETIME_MAX.as_millis()).unwrap();
        match self.dice.below(4) {
            0 if self.has_policies => {
                Reliability::Retransmissions(u16::try_from(self.dice.below(4)).unwrap())
            }
            1 if self.has_policies => {
                Reliability::Lifetime(Duration::from_millis(self.dice.within(1..lifetime_ms)))
            }
            _ => Reliability::Reliable,
        }
    }

    fn any_stream(&mut self) -> StreamId {
        StreamId(u16::try_from(self.dice.below(self.plan.config.streams_max.into())).unwrap())
    }
}
