//! RE-CONFIG (RFC 6525): streams start anew, or become more, or everything starts anew.
//!
//! One request of ours is out at a time. Of the peer's, answered in their order, only the last
//! answers are kept, so the peer cannot make us keep anything. Of its requests only the one for
//! everything is ever deferred; our own resets wait until all that the streams have sent is
//! acknowledged.

mod answer;
mod everything;
mod request;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use turnpike_types::Timestamp;

use super::{Association, State};
use crate::{ResetError, StreamId, Tsn};
use answer::Answer;
use request::{Request, Wish};

/// Both sides' requests.
#[derive(Debug, Default)]
pub(super) struct StreamReset {
    next_request: u32,
    outstanding: Option<Request>,
    /// Wishes for more streams, or to start everything anew, that wait for their turn.
    wishes: VecDeque<Wish>,
    /// Whether everything started anew, and the application has not heard of it.
    is_reset_untold: bool,
    next_peer_request: u32,
    /// The peer's wish that everything start anew, which waits until we are ready.
    deferred: Option<u32>,
    /// The last answers, newest last, in case they were lost.
    answers: VecDeque<Answer>,
}

impl StreamReset {
    /// Requests are numbered from each side's initial TSN on (RFC 6525 section 4.1).
    pub(super) fn new(local_initial_tsn: Tsn, peer_initial_tsn: Tsn) -> Self {
        Self {
            next_request: local_initial_tsn.0,
            next_peer_request: peer_initial_tsn.0,
            ..Self::default()
        }
    }
}

impl Association {
    /// Starts outgoing streams anew, each as soon as everything sent on it is acknowledged or given
    /// up; [`purge`](Self::purge) first where that must not take long. Until the event that tells
    /// the end, `send` refuses the stream.
    ///
    /// # Errors
    ///
    /// [`ResetError`]; then none of the streams is reset.
    pub fn reset_streams(
        &mut self,
        now: Timestamp,
        streams: &[StreamId],
    ) -> Result<(), ResetError> {
        let now = self.advance_clock(now);
        self.check_reset()?;
        let outgoing = self.negotiated.map_or(0, |n| n.outgoing_streams);
        if streams.iter().any(|stream| stream.0 >= outgoing) {
            return Err(ResetError::NoSuchStream);
        }
        for &stream in streams {
            self.sender.queue.start_reset(stream);
        }
        self.progress_reset(now);
        Ok(())
    }

    /// Asks for more streams: `outgoing` for us to send on, `incoming` for the peer.
    ///
    /// # Errors
    ///
    /// [`ResetError`]; `Busy` while an earlier wish is not answered.
    pub fn add_streams(
        &mut self,
        now: Timestamp,
        outgoing: u16,
        incoming: u16,
    ) -> Result<(), ResetError> {
        let now = self.advance_clock(now);
        self.check_reset()?;
        let Some(negotiated) = self.negotiated else {
            return Err(ResetError::NotConnected);
        };
        if negotiated.outgoing_streams.checked_add(outgoing).is_none()
            || negotiated.incoming_streams.checked_add(incoming).is_none()
        {
            return Err(ResetError::NoSuchStream);
        }
        if !self.stream_reset.wishes.is_empty() {
            return Err(ResetError::Busy);
        }
        let wishes = [Wish::AddOutgoing(outgoing), Wish::AddIncoming(incoming)];
        self.stream_reset
            .wishes
            .extend(wishes.into_iter().filter(|wish| !wish.is_empty()));
        self.progress_reset(now);
        Ok(())
    }

    fn check_reset(&self) -> Result<(), ResetError> {
        match self.negotiated {
            Some(negotiated) if self.state == State::Established => {
                if negotiated.has_stream_reset {
                    Ok(())
                } else {
                    Err(ResetError::Unsupported)
                }
            }
            _ => Err(ResetError::NotConnected),
        }
    }
}

/// How many streams one request names: twice as many bytes have to fit the smallest packet.
const STREAMS_PER_REQUEST_MAX: usize = 200;

/// Streams of a request, for events.
type Streams = Vec<StreamId>;
