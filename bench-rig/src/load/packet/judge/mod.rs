//! What arrives, judged: which packet it is, and whether it is whole, in order, new and in its place.
//!
//! A bit for each packet of a run, so that the sums are exact however late a packet comes.

use super::super::Tally;
use super::super::course::{Arrival, Course, Lane};
use super::super::frame::{self, Datagram, Unwrapped};
use super::super::stamp::{self, Read, Stamp};
use super::ring::Received;

/// On which wire something arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Clients,
    Peers,
}

/// The account of a run.
#[derive(Debug)]
pub(super) struct Judge {
    run: u16,
    lanes: Vec<Account>,
    /// A bit for each packet, lane by lane.
    seen: Vec<u64>,
    words_a_lane: usize,
    pub(super) tally: Tally,
}

/// What became of one lane's packets.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    sent: u32,
    received: u32,
    /// One more than the highest sequence number received.
    next: u32,
}

impl Judge {
    /// Nothing sent yet; a lane will send `packets_a_lane` at most.
    pub(super) fn new(run: u16, lanes: usize, packets_a_lane: u64) -> Self {
        let words_a_lane = usize::try_from(packets_a_lane.div_ceil(64)).unwrap_or(0);
        Self {
            run,
            lanes: vec![Account::default(); lanes],
            seen: vec![0; words_a_lane * lanes],
            words_a_lane,
            tally: Tally::empty(),
        }
    }

    /// The stamp of a lane's next packet, which counts as sent.
    #[inline]
    pub(super) fn stamp(&mut self, place: usize, lane: &Lane, due: u64) -> Option<Stamp> {
        let account = self.lanes.get_mut(place)?;
        let sequence = account.sent;
        account.sent += 1;
        self.tally.sent += 1;
        Some(Stamp {
            flow: lane.flow,
            due,
            sequence,
            direction: lane.direction,
            run: self.run,
        })
    }

    /// Judges a frame that arrived at `at`, nanoseconds of `CLOCK_MONOTONIC`.
    #[inline]
    pub(super) fn judge(&mut self, course: &Course, side: Side, received: Received<'_>, at: u64) {
        if received.is_offloaded {
            self.tally.offloaded += 1;
            return;
        }
        let Some(datagram) = frame::parse(received.frame) else {
            return;
        };
        if !datagram.is_whole() {
            self.tally.corrupted += 1;
            return;
        }
        match read(side, &datagram) {
            Some((Read::Whole(stamp), found)) if stamp.run == self.run => {
                self.place(course, stamp, &datagram, found, at);
            }
            Some((Read::Corrupted, _)) => self.tally.corrupted += 1,
            // Of another run, or no data at all.
            Some((Read::Whole(_), _)) | None => {}
        }
    }

    /// Finds the packet's lane and sees whether it belongs where it arrived.
    #[inline]
    fn place(
        &mut self,
        course: &Course,
        stamp: Stamp,
        datagram: &Datagram<'_>,
        found: Unwrapped<'_>,
        at: u64,
    ) {
        let place = course.place(stamp.flow, stamp.direction);
        let lane = place.and_then(|place| Some((place, course.lanes.get(place)?)));
        match lane {
            Some((place, lane)) if lane.arrives.are_of(datagram) && fits(lane, found) => {
                self.count(place, stamp, at);
            }
            _ => self.tally.misdirected += 1,
        }
    }

    #[inline]
    fn count(&mut self, place: usize, stamp: Stamp, at: u64) {
        let tally = &mut self.tally;
        let Some(account) = self.lanes.get_mut(place) else {
            return;
        };
        let sequence = usize::try_from(stamp.sequence).unwrap_or(usize::MAX);
        let word = (sequence / 64 < self.words_a_lane && stamp.sequence < account.sent)
            .then(|| self.seen.get_mut(place * self.words_a_lane + sequence / 64))
            .flatten();
        let Some(word) = word else {
            // Its check is right, and yet it was never sent.
            tally.misdirected += 1;
            return;
        };
        let bit = 1 << (sequence % 64);
        if *word & bit != 0 {
            tally.duplicated += 1;
            return;
        }
        *word |= bit;
        account.received += 1;
        tally.received += 1;
        if stamp.sequence < account.next {
            tally.reordered += 1;
        } else {
            account.next = stamp.sequence + 1;
        }
        tally
            .latency
            .saturating_record(at.saturating_sub(stamp.due));
    }

    /// Draws the balance. `own_loss`: packets that reached the generator and were lost there.
    pub(super) fn close(mut self, lanes_a_flow: usize, own_loss: u64) -> Tally {
        let missing = self.tally.sent - self.tally.received;
        self.tally.own_loss = own_loss;
        self.tally.lost = missing.saturating_sub(own_loss);
        let flows = self.lanes.chunks(lanes_a_flow.max(1));
        self.tally.worst_flow_loss = flows.map(loss_of_flow).fold(0.0, f64::max);
        self.tally
    }
}

fn loss_of_flow(lanes: &[Account]) -> f64 {
    let sent: u32 = lanes.iter().map(|lane| lane.sent).sum();
    let received: u32 = lanes.iter().map(|lane| lane.received).sum();
    if sent == 0 {
        return 0.0;
    }
    f64::from(sent - received) / f64::from(sent)
}

/// Reads the payload; `None` when what arrived carries no data.
#[inline]
fn read<'a>(side: Side, datagram: &Datagram<'a>) -> Option<(Read, Unwrapped<'a>)> {
    let plain = datagram.payload;
    if side == Side::Peers {
        return Some((stamp::read(plain), Unwrapped::Other));
    }
    match frame::unwrap(plain) {
        found @ (Unwrapped::Channel(_, data) | Unwrapped::Data(_, data)) => {
            Some((stamp::read(data), found))
        }
        // Without a relay nothing is wrapped.
        Unwrapped::Other => match stamp::read(plain) {
            Read::Corrupted => None,
            whole => Some((whole, Unwrapped::Other)),
        },
    }
}

/// Whether what is around the payload is what the lane's receiver must find.
#[inline]
fn fits(lane: &Lane, found: Unwrapped<'_>) -> bool {
    match (lane.arrives_as, found) {
        (Arrival::Plain, Unwrapped::Other) => true,
        (Arrival::Wrapped { channel, .. }, Unwrapped::Channel(number, _)) => number == channel,
        (Arrival::Wrapped { peer, .. }, Unwrapped::Data(from, _)) => from == peer,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
