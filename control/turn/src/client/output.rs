//! The queue of outputs, and what a stream still holds (contract: first in, first out).
//!
//! A request stands in the queue by its ID alone: its bytes are copied when it is polled, and one
//! that was answered meanwhile is not sent. Bounded by [`EVENTS_MAX`] and what the tables can say.

use turnpike_stun::TransactionId;
use turnpike_stun::stream::Frame;
use turnpike_types::Entropy;

use super::{Client, Event, Failure, Output, Received, State};

/// Above this many outputs, nothing more is taken up that could add another unasked.
pub(super) const EVENTS_MAX: usize = 256;

/// An output before it is polled.
#[derive(Clone, Debug)]
pub(super) enum Queued {
    Transmit(TransactionId),
    Event(Event),
}

impl<E: Entropy> Client<E> {
    /// Yields the next output; bytes are written to `buf`.
    ///
    /// [`TRANSMIT_MAX`](super::TRANSMIT_MAX) bytes suffice for what is sent. What does not fit is
    /// skipped: a request is sent again in time, a stream's data is lost as a datagram may be.
    pub fn poll_output(&mut self, buf: &mut [u8]) -> Option<Output> {
        loop {
            match self.outputs.pop_front() {
                Some(Queued::Event(event)) => return Some(Output::Event(event)),
                Some(Queued::Transmit(id)) => {
                    if let Some(len) = self.copy_request(id, buf) {
                        return Some(Output::Transmit(len));
                    }
                }
                None => match self.poll_stream(buf) {
                    Polled::Data(output) => return Some(output),
                    Polled::Control => {}
                    Polled::Nothing => return None,
                },
            }
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.outputs.push_back(Queued::Event(event));
    }

    pub(super) fn has_room_for_output(&self) -> bool {
        self.outputs.len() < EVENTS_MAX
    }

    fn copy_request(&mut self, id: TransactionId, buf: &mut [u8]) -> Option<usize> {
        let transaction = self.transactions.by_id(id)?;
        transaction.is_queued = false;
        let len = transaction.bytes.len();
        buf.get_mut(..len)?.copy_from_slice(&transaction.bytes);
        Some(len)
    }

    /// Takes up one frame of the stream.
    fn poll_stream(&mut self, buf: &mut [u8]) -> Polled {
        let Some(mut framer) = self.framer.take() else {
            return Polled::Nothing;
        };
        let polled = match framer.next_frame() {
            None => Polled::Nothing,
            Some(Ok(Frame::Stun(bytes) | Frame::ChannelData(bytes))) => self.take_frame(bytes, buf),
            Some(Err(_)) => {
                self.break_stream();
                return Polled::Control;
            }
        };
        self.framer = Some(framer);
        polled
    }

    fn take_frame(&mut self, bytes: &[u8], buf: &mut [u8]) -> Polled {
        match self.receive(bytes) {
            Received::Data { peer, payload } => {
                let len = payload.len();
                match (buf.get_mut(..len), bytes.get(payload)) {
                    (Some(room), Some(payload)) => {
                        room.copy_from_slice(payload);
                        Polled::Data(Output::Data { peer, len })
                    }
                    _ => Polled::Control,
                }
            }
            Received::Control => {
                self.handle_control(bytes);
                Polled::Control
            }
            Received::Taken(_) | Received::Dropped(_) => Polled::Control,
        }
    }

    /// The stream has lost its place and with it the server: nothing more can come of it.
    fn break_stream(&mut self) {
        match self.state {
            State::Allocating { .. } => {
                self.transactions.clear();
                self.fail_allocation(Failure::StreamBroken);
            }
            State::Allocated(_) => self.lose_allocation(Failure::StreamBroken),
            State::Closing => self.delete_ended(None),
            State::Discarding | State::Waiting | State::Ended => self.transactions.clear(),
        }
    }
}

/// What one frame of a stream came to.
enum Polled {
    Data(Output),
    Control,
    Nothing,
}
