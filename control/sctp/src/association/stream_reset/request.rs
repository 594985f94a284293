//! Our own requests: sent, sent again, answered (RFC 6525 sections 5.1 and 5.2.7).

use turnpike_types::Timestamp;

use super::super::{Association, State};
use super::{STREAMS_PER_REQUEST_MAX, Streams};
use crate::wire::{PacketWriter, ReConfigParameter, StreamList};
use crate::{Event, Tsn};

/// What we want of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Our outgoing streams start anew.
    Reset(Streams),
    /// More streams for us to send on.
    AddOutgoing(u16),
    /// More streams for the peer to send on.
    AddIncoming(u16),
    /// Everything starts anew.
    ResetAssociation,
}

impl Wish {
    pub(super) const fn is_empty(&self) -> bool {
        match self {
            Self::Reset(streams) => streams.is_empty(),
            Self::AddOutgoing(count) | Self::AddIncoming(count) => *count == 0,
            Self::ResetAssociation => false,
        }
    }
}

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Request {
    number: u32,
    pub(super) wish: Wish,
    /// Whether it goes with the next packet.
    is_due: bool,
    retransmit_at: Timestamp,
}

impl Association {
    /// Sends the next request, when none is out.
    pub(in super::super) fn progress_reset(&mut self, now: Timestamp) {
        if self.stream_reset.outstanding.is_some() || self.state != State::Established {
            return;
        }
        self.progress_deferred_reset();
        let reset = Wish::Reset(self.sender.queue.take_settled(STREAMS_PER_REQUEST_MAX));
        let wish = if reset.is_empty() {
            self.next_wish()
        } else {
            Some(reset)
        };
        let Some(wish) = wish else {
            return;
        };
        let number = self.stream_reset.next_request;
        self.stream_reset.next_request = number.wrapping_add(1);
        self.stream_reset.outstanding = Some(Request {
            number,
            wish,
            is_due: true,
            retransmit_at: now + self.path.rto.rto(),
        });
    }

    fn next_wish(&mut self) -> Option<Wish> {
        let wishes = &mut self.stream_reset.wishes;
        if wishes.front() == Some(&Wish::ResetAssociation) && !self.sender.is_done() {
            return None;
        }
        wishes.pop_front()
    }

    pub(in super::super) fn reset_at(&self) -> Option<Timestamp> {
        let request = self.stream_reset.outstanding.as_ref();
        request.map(|request| request.retransmit_at)
    }

    /// Sends a request again whose answer is late.
    pub(in super::super) fn handle_reset_timeout(&mut self, now: Timestamp) {
        let Some(request) = &mut self.stream_reset.outstanding else {
            return;
        };
        if request.retransmit_at > now {
            return;
        }
        self.path.rto.back_off();
        request.is_due = true;
        request.retransmit_at = now + self.path.rto.rto();
        self.missed();
    }

    pub(super) fn is_request_due(&self) -> bool {
        let request = self.stream_reset.outstanding.as_ref();
        request.is_some_and(|request| request.is_due)
    }

    /// Adds the request.
    ///
    /// DEVIATION(rfc6525-4.1): the last assigned TSN is said to be the last acknowledged one. All
    /// that the streams have sent is before it, and so the peer need not make the reset wait for
    /// what other streams have in flight.
    pub(super) fn write_request(&mut self, writer: &mut PacketWriter<'_>) {
        let last_tsn = self.sender.cumulative();
        let response = self.stream_reset.next_peer_request.wrapping_sub(1);
        let Some(request) = &mut self.stream_reset.outstanding else {
            return;
        };
        let number = request.number;
        let parameter = match &request.wish {
            Wish::Reset(streams) => ReConfigParameter::OutgoingReset {
                request: number,
                response,
                last_tsn,
                streams: StreamList::from(streams.as_slice()),
            },
            Wish::AddOutgoing(count) => ReConfigParameter::AddOutgoing {
                request: number,
                count: *count,
            },
            Wish::AddIncoming(count) => ReConfigParameter::AddIncoming {
                request: number,
                count: *count,
            },
            Wish::ResetAssociation => ReConfigParameter::SsnTsnReset { request: number },
        };
        request.is_due = !writer.re_config(&[parameter]);
    }

    /// Takes the answer to our request.
    pub(super) fn handle_answer(
        &mut self,
        now: Timestamp,
        response: u32,
        result: u32,
        next_tsns: Option<(Tsn, Tsn)>,
    ) {
        let request = self.stream_reset.outstanding.take_if(|request| {
            // In progress: it is asked again in time.
            request.number == response && result != ReConfigParameter::IN_PROGRESS
        });
        let is_ours = request.is_some()
            || (self.stream_reset.outstanding.as_ref()).is_some_and(|it| it.number == response);
        if is_ours {
            self.path.rto.forget_back_off();
            self.heard();
        }
        let Some(request) = request else {
            return;
        };
        let is_done = matches!(
            result,
            ReConfigParameter::PERFORMED | ReConfigParameter::NOTHING_TO_DO
        );
        if request.wish == Wish::ResetAssociation {
            self.conclude_reset(result, next_tsns);
        } else {
            self.conclude(request.wish, is_done);
        }
        self.progress_reset(now);
    }

    fn conclude(&mut self, wish: Wish, is_done: bool) {
        match wish {
            Wish::ResetAssociation => {}
            Wish::Reset(streams) => {
                for &stream in &streams {
                    self.sender.queue.finish_reset(stream, is_done);
                }
                self.events.push_back(if is_done {
                    Event::OutgoingStreamsReset(streams)
                } else {
                    Event::ResetRefused(streams)
                });
            }
            Wish::AddOutgoing(count) if is_done => {
                if let Some(negotiated) = &mut self.negotiated {
                    negotiated.outgoing_streams = negotiated.outgoing_streams.saturating_add(count);
                }
                self.say_streams_added();
            }
            // The peer adds them by a request of its own.
            Wish::AddIncoming(_) if is_done => {}
            Wish::AddOutgoing(_) | Wish::AddIncoming(_) => {
                self.events.push_back(Event::AddStreamsRefused);
            }
        }
    }

    pub(super) fn say_streams_added(&mut self) {
        self.events
            .extend(self.negotiated.map(|n| Event::StreamsAdded {
                outgoing: n.outgoing_streams,
                incoming: n.incoming_streams,
            }));
    }
}
