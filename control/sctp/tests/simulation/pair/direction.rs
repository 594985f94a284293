//! What was said in one direction, and what must become of it.
//!
//! It sees what the sender was told, what is on the wire, and what the receiver got; never into
//! either end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use turnpike_sctp::{Event, Incoming, Outgoing, Ppid, Reliability, StreamId};
use turnpike_types::Timestamp;

use super::letter::{self, Number};
use super::violation::{Checked, ensure};

/// The book of one direction.
#[derive(Debug, Default)]
pub(crate) struct Direction {
    records: Vec<Record>,
    sending: BTreeMap<StreamId, u32>,
    arriving: BTreeMap<StreamId, Arriving>,
    /// How often either end began anew; the ends learn of it at different times.
    sent_generation: u32,
    received_generation: u32,
    pub(crate) delivered: u64,
    pub(crate) expired: u64,
    undelivered_reliable: usize,
    /// Nobody is there to receive, and the sender does not know yet.
    is_receiver_gone: bool,
}

/// A message and what became of it.
#[derive(Clone, Debug)]
struct Record {
    stream: StreamId,
    ppid: Ppid,
    len: usize,
    is_unordered: bool,
    reliability: Reliability,
    sent_at: Timestamp,
    generation: u32,
    /// How often the stream had been reset.
    epoch: u32,
    transmissions: u32,
    is_sent: bool,
    last_word: Option<LastWord>,
    is_delivered: bool,
    /// An end or the association is gone, and the message may be as well.
    is_void: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastWord {
    Acknowledged,
    Expired { was_sent: bool },
}

/// A stream as its receiver sees it.
#[derive(Debug, Default)]
struct Arriving {
    epoch: u32,
    /// Reliable ordered messages that are still to come, in order.
    reliable: VecDeque<Number>,
    last_ordered: Option<Number>,
    parts: Vec<u8>,
    is_amid: bool,
    /// Up to which size the message at hand should stay whole.
    part_max: usize,
}

impl Direction {
    /// The number of the next message.
    pub(crate) fn next_number(&self) -> Number {
        Number::try_from(self.records.len()).unwrap()
    }

    /// The sender handed a message over.
    pub(crate) fn sent(&mut self, now: Timestamp, message: &Outgoing) {
        let number = self.next_number();
        let is_reliable = message.reliability == Reliability::Reliable;
        let is_awaited = is_reliable && !self.is_receiver_gone;
        if is_awaited {
            self.undelivered_reliable += 1;
        }
        if is_awaited && !message.is_unordered {
            let arriving = self.arriving.entry(message.stream).or_default();
            arriving.reliable.push_back(number);
        }
        self.records.push(Record {
            stream: message.stream,
            ppid: message.ppid,
            len: message.payload.len(),
            is_unordered: message.is_unordered,
            reliability: message.reliability,
            sent_at: now,
            generation: self.sent_generation,
            epoch: self.sending.get(&message.stream).copied().unwrap_or(0),
            transmissions: 0,
            is_sent: false,
            last_word: None,
            is_delivered: false,
            is_void: self.is_receiver_gone,
        });
    }

    /// A packet with this whole message is on the wire.
    pub(crate) fn seen(&mut self, now: Timestamp, number: Number) -> Checked {
        let Some(record) = self.records.get_mut(number as usize) else {
            ensure!(
                false,
                PayloadIntact,
                "message {number} on the wire was never sent"
            );
            return Ok(());
        };
        record.transmissions += 1;
        let after = now.since(record.sent_at);
        let times = record.transmissions;
        match record.reliability {
            Reliability::Retransmissions(most) => ensure!(
                times <= u32::from(most) + 1,
                PolicyKept,
                "message {number} sent {times} times, {most} retransmissions allowed"
            ),
            Reliability::Lifetime(most) => ensure!(
                after <= most,
                PolicyKept,
                "message {number} sent {after:?} after it was handed over, its lifetime is {most:?}"
            ),
            Reliability::Reliable | Reliability::Priority(_) => {}
        }
        Ok(())
    }

    /// The receiver got a message or a part of one.
    pub(crate) fn got(&mut self, incoming: &Incoming, part_max: usize) -> Checked {
        let arriving = self.arriving.entry(incoming.stream).or_default();
        let stream = incoming.stream;
        ensure!(
            incoming.is_begin || arriving.is_amid,
            PayloadIntact,
            "{stream:?}: a part without a beginning"
        );
        ensure!(
            !incoming.is_begin || !arriving.is_amid,
            PayloadIntact,
            "{stream:?}: {:?} ends halfway",
            letter::number(&arriving.parts)
        );
        if incoming.payload.is_empty() {
            return self.given_up(stream);
        }
        if incoming.is_begin {
            arriving.part_max = part_max;
        }
        arriving.parts.extend_from_slice(&incoming.payload);
        arriving.is_amid = !incoming.is_end;
        ensure!(
            incoming.is_begin || arriving.parts.len() > arriving.part_max,
            PayloadIntact,
            "{stream:?}: cut into parts at {} bytes, {} should stay whole",
            arriving.parts.len(),
            arriving.part_max
        );
        if !incoming.is_end {
            return Ok(());
        }
        let bytes = std::mem::take(&mut arriving.parts);
        let number = letter::number(&bytes).or_else(|| arriving.reliable.front().copied());
        let Some(number) = number.filter(|it| (*it as usize) < self.records.len()) else {
            ensure!(
                false,
                PayloadIntact,
                "{stream:?}: {} bytes of nobody",
                bytes.len()
            );
            return Ok(());
        };
        self.check_content(number, incoming, &bytes)?;
        self.check_place(number)?;
        let record = &mut self.records[number as usize];
        record.is_delivered = true;
        self.delivered += 1;
        if record.reliability == Reliability::Reliable && !record.is_void {
            self.undelivered_reliable -= 1;
        }
        Ok(())
    }

    /// The receiver heard that no more of a message will come.
    fn given_up(&mut self, stream: StreamId) -> Checked {
        let arriving = self.arriving.entry(stream).or_default();
        arriving.is_amid = false;
        let number = letter::number(&std::mem::take(&mut arriving.parts));
        let record = number.and_then(|it| self.records.get(it as usize));
        let may_be = record.is_some_and(|it| it.is_void || it.reliability != Reliability::Reliable);
        ensure!(
            may_be,
            ReliableArrives,
            "{stream:?}: {number:?} is given up: {record:?}"
        );
        Ok(())
    }

    fn check_content(&self, number: Number, incoming: &Incoming, bytes: &[u8]) -> Checked {
        let record = &self.records[number as usize];
        ensure!(
            bytes == &letter::write(number, record.len)[..],
            PayloadIntact,
            "message {number} has other bytes: {} for {}",
            bytes.len(),
            record.len
        );
        let got = (incoming.stream, incoming.ppid, incoming.is_unordered);
        let meant = (record.stream, record.ppid, record.is_unordered);
        ensure!(
            got == meant,
            PayloadIntact,
            "message {number} is {got:?}, not {meant:?}"
        );
        ensure!(
            !record.is_delivered,
            DeliveredOnce,
            "message {number} came again"
        );
        ensure!(
            record.generation == self.received_generation,
            RestartForgets,
            "message {number} of generation {} came in generation {}",
            record.generation,
            self.received_generation
        );
        ensure!(
            record.last_word != Some(LastWord::Expired { was_sent: false }),
            LifeTold,
            "message {number} came, though it expired unsent"
        );
        Ok(())
    }

    fn check_place(&mut self, number: Number) -> Checked {
        let record = &self.records[number as usize];
        let stream = record.stream;
        let arriving = self.arriving.entry(stream).or_default();
        ensure!(
            record.epoch == arriving.epoch,
            ResetInPlace,
            "message {number} was sent after {} resets of {stream:?} and came after {}",
            record.epoch,
            arriving.epoch
        );
        if record.is_unordered {
            return Ok(());
        }
        let last = arriving.last_ordered.replace(number);
        ensure!(
            last < Some(number),
            InOrder,
            "{stream:?}: {last:?}, then {number}"
        );
        let is_reliable = record.reliability == Reliability::Reliable;
        let next = arriving.reliable.front().copied();
        let is_next = next.is_none_or(|next| next > number || is_reliable && next == number);
        ensure!(
            is_next,
            InOrder,
            "{stream:?}: {number} came before the reliable {next:?}: {:?}",
            next.map(|next| &self.records[next as usize])
        );
        if is_reliable {
            arriving.reliable.pop_front();
        }
        Ok(())
    }

    /// The sender heard of one of its messages.
    pub(crate) fn told(&mut self, event: &Event) -> Checked {
        let (id, word) = match event {
            Event::MessageSent(id) => (id, None),
            Event::MessageAcknowledged(id) => (id, Some(LastWord::Acknowledged)),
            Event::MessageExpired { id, was_sent } => {
                self.expired += 1;
                let was_sent = *was_sent;
                (id, Some(LastWord::Expired { was_sent }))
            }
            _ => return Ok(()),
        };
        let Some(record) = usize::try_from(id.0)
            .ok()
            .and_then(|at| self.records.get_mut(at))
        else {
            ensure!(false, LifeTold, "{event:?}: there is no such message");
            return Ok(());
        };
        let last = record.last_word;
        ensure!(last.is_none(), LifeTold, "{event:?} after {last:?}");
        match word {
            None => {
                ensure!(!record.is_sent, LifeTold, "{event:?} twice");
                record.is_sent = true;
            }
            Some(LastWord::Acknowledged) => {
                ensure!(record.is_sent, LifeTold, "{event:?} before it was sent");
            }
            Some(LastWord::Expired { was_sent }) if !record.is_void => {
                record.check_expiry(id.0, was_sent)?;
            }
            Some(LastWord::Expired { .. }) => {}
        }
        record.last_word = word;
        Ok(())
    }

    /// The sender's streams begin anew.
    pub(crate) fn reset_by_sender(&mut self, streams: &[StreamId]) {
        for stream in streams {
            *self.sending.entry(*stream).or_default() += 1;
        }
    }

    /// The receiver hears that streams begin anew.
    pub(crate) fn reset_heard(&mut self, streams: &[StreamId]) -> Checked {
        for stream in streams {
            let arriving = self.arriving.entry(*stream).or_default();
            let (epoch, records) = (arriving.epoch, &self.records);
            let missing = arriving.reliable.front().copied();
            let missing = missing.map(|it| (it, &records[it as usize]));
            let missing = missing
                .filter(|(_, it)| it.generation == self.received_generation && it.epoch <= epoch);
            ensure!(
                missing.is_none(),
                ResetInPlace,
                "{stream:?} is reset before the reliable {missing:?} came"
            );
            arriving.epoch += 1;
            arriving.last_ordered = None;
        }
        Ok(())
    }

    /// The sender's end is another one, or knows that the receiver's is.
    pub(crate) fn restart_sender(&mut self) {
        self.sent_generation += 1;
        self.sending.clear();
        self.void();
        self.is_receiver_gone = false;
    }

    /// The receiver's end is another one.
    pub(crate) fn replace_receiver(&mut self) {
        self.restart_receiver();
        self.void();
        self.is_receiver_gone = true;
    }

    /// The receiver knows that the sender's end is another one.
    pub(crate) fn restart_receiver(&mut self) {
        self.received_generation += 1;
        let (generation, records) = (self.received_generation, &self.records);
        for arriving in self.arriving.values_mut() {
            *arriving = Arriving {
                reliable: std::mem::take(&mut arriving.reliable),
                ..Arriving::default()
            };
            arriving
                .reliable
                .retain(|number| records[*number as usize].generation >= generation);
        }
    }

    /// Whatever has not arrived need not any more, and may be told as given up even where it has.
    pub(crate) fn void(&mut self) {
        for record in &mut self.records {
            record.is_void = true;
        }
        self.undelivered_reliable = 0;
    }

    /// Reliable messages that have not arrived.
    pub(crate) const fn undelivered(&self) -> usize {
        self.undelivered_reliable
    }

    /// Bytes of all that was handed over.
    pub(crate) fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.len as u64).sum()
    }

    pub(crate) fn messages(&self) -> u64 {
        self.records.len() as u64
    }

    /// When all is over: what had to arrive has, and what was told is true.
    pub(crate) fn check_end(&self, is_tracked: bool, is_calm: bool) -> Checked {
        for (number, record) in self
            .records
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.is_void)
        {
            let Record {
                is_delivered,
                last_word,
                reliability,
                ..
            } = *record;
            let is_reliable = reliability == Reliability::Reliable;
            ensure!(
                is_delivered || !is_reliable,
                ReliableArrives,
                "message {number} never came: {record:?}"
            );
            let may_be_lost = !is_calm || matches!(reliability, Reliability::Lifetime(_));
            ensure!(
                is_delivered || may_be_lost,
                ReliableArrives,
                "message {number} never came, on a clean path: {record:?}"
            );
            ensure!(
                is_delivered || last_word != Some(LastWord::Acknowledged),
                LifeTold,
                "message {number} is acknowledged and never came: {record:?}"
            );
            ensure!(
                !is_tracked || last_word.is_some(),
                LifeTold,
                "message {number} has no last word: {record:?}"
            );
        }
        Ok(())
    }
}

impl Record {
    fn check_expiry(&self, number: u64, was_sent: bool) -> Checked {
        ensure!(
            self.reliability != Reliability::Reliable,
            LifeTold,
            "message {number} is reliable and expired"
        );
        ensure!(
            was_sent || self.transmissions == 0,
            LifeTold,
            "message {number} expired, sent: {was_sent}, and was sent {} times",
            self.transmissions
        );
        let has_time = matches!(self.reliability, Reliability::Retransmissions(_));
        ensure!(
            !has_time || was_sent,
            NotAbandonedUnsent,
            "message {number} may be sent once at least and was not"
        );
        Ok(())
    }
}

/// A lifetime, as far as worlds draw one.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_secs(3);
