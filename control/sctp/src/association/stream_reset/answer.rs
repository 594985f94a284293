//! The peer's requests, and our answers (RFC 6525 sections 5.2.1 to 5.2.6).

use turnpike_types::Timestamp;

use super::super::Association;
use super::Streams;
use crate::Tsn;
use crate::wire::{PacketWriter, ReConfig, ReConfigParameter};

/// What we said to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    request: u32,
    result: u32,
    /// After everything started anew: our next TSN and the peer's.
    next_tsns: Option<(Tsn, Tsn)>,
    /// Whether it goes with the next packet.
    is_due: bool,
}

impl Association {
    /// Takes a RE-CONFIG.
    pub(in super::super) fn handle_re_config(&mut self, now: Timestamp, chunk: &ReConfig<'_>) {
        if !self.negotiated.is_some_and(|n| n.has_stream_reset) {
            return;
        }
        for parameter in chunk.parameters().take(PARAMETERS_MAX) {
            let Ok(parameter) = parameter else {
                return;
            };
            match parameter {
                ReConfigParameter::Response {
                    response,
                    result,
                    next_tsns,
                } => self.handle_answer(now, response, result, next_tsns),
                ReConfigParameter::OutgoingReset { request, .. }
                | ReConfigParameter::IncomingReset { request, .. }
                | ReConfigParameter::SsnTsnReset { request }
                | ReConfigParameter::AddOutgoing { request, .. }
                | ReConfigParameter::AddIncoming { request, .. } => {
                    self.handle_request(now, request, &parameter);
                }
                ReConfigParameter::Unknown(_) => {}
            }
        }
    }

    /// Adds answers and our own request to the packet.
    pub(in super::super) fn write_stream_reset(&mut self, writer: &mut PacketWriter<'_>) {
        for answer in &mut self.stream_reset.answers {
            if answer.is_due {
                answer.is_due = !writer.re_config(&[ReConfigParameter::Response {
                    response: answer.request,
                    result: answer.result,
                    next_tsns: answer.next_tsns,
                }]);
            }
        }
        if self.is_request_due() {
            self.write_request(writer);
        }
    }

    /// Answers a request: as before where it was answered, anew where it is the next.
    fn handle_request(&mut self, now: Timestamp, number: u32, request: &ReConfigParameter<'_>) {
        let in_progress = ReConfigParameter::IN_PROGRESS;
        let known = self
            .stream_reset
            .answers
            .iter_mut()
            .find(|a| a.request == number);
        if let Some(answer) = known
            && answer.result != in_progress
        {
            answer.is_due = true;
            return;
        }
        let is_next = number == self.stream_reset.next_peer_request;
        let is_again = number == self.stream_reset.next_peer_request.wrapping_sub(1);
        if is_next {
            self.stream_reset.next_peer_request = number.wrapping_add(1);
        }
        match request {
            _ if !is_next && !is_again => {
                self.answer(number, ReConfigParameter::BAD_SEQUENCE_NUMBER, None);
            }
            ReConfigParameter::SsnTsnReset { .. } => self.handle_wish_for_reset(number),
            _ => {
                let result = self.perform(now, request);
                self.answer(number, result, None);
            }
        }
    }

    /// Says a result with the next packet, and keeps it in case it gets lost.
    pub(super) fn answer(&mut self, request: u32, result: u32, next_tsns: Option<(Tsn, Tsn)>) {
        let answers = &mut self.stream_reset.answers;
        answers.retain(|answer| answer.request != request);
        answers.push_back(Answer {
            request,
            result,
            next_tsns,
            is_due: true,
        });
        if answers.len() > ANSWERS_KEPT {
            answers.pop_front();
        }
    }

    fn perform(&mut self, now: Timestamp, request: &ReConfigParameter<'_>) -> u32 {
        match request {
            ReConfigParameter::OutgoingReset {
                last_tsn, streams, ..
            } => self.reset_incoming(*last_tsn, streams.clone().collect()),
            ReConfigParameter::IncomingReset { streams, .. } => {
                let streams: Streams = streams.clone().collect();
                if !streams.is_empty() && self.reset_streams(now, &streams).is_ok() {
                    ReConfigParameter::PERFORMED
                } else {
                    ReConfigParameter::DENIED
                }
            }
            ReConfigParameter::AddOutgoing { count, .. } => self.add_incoming(*count),
            ReConfigParameter::AddIncoming { count, .. } => self.add_outgoing(now, *count),
            _ => ReConfigParameter::DENIED,
        }
    }

    /// The peer's outgoing streams start anew, once all that it sent before is here.
    fn reset_incoming(&mut self, last_tsn: Tsn, streams: Streams) -> u32 {
        let incoming = self.negotiated.map_or(0, |n| n.incoming_streams);
        if streams.iter().any(|stream| stream.0 >= incoming) {
            return ReConfigParameter::WRONG_SSN;
        }
        let is_early = self.receiver.cumulative().is_before(last_tsn);
        if is_early || !self.receiver.reset_streams(streams) {
            return ReConfigParameter::IN_PROGRESS;
        }
        ReConfigParameter::PERFORMED
    }

    /// The peer sends on more streams.
    fn add_incoming(&mut self, count: u16) -> u32 {
        let Some(negotiated) = &mut self.negotiated else {
            return ReConfigParameter::DENIED;
        };
        let Some(streams) = negotiated.incoming_streams.checked_add(count) else {
            return ReConfigParameter::DENIED;
        };
        negotiated.incoming_streams = streams;
        self.receiver.streams = streams;
        self.say_streams_added();
        ReConfigParameter::PERFORMED
    }

    /// The peer wants us to send on more streams: we ask for them.
    fn add_outgoing(&mut self, now: Timestamp, count: u16) -> u32 {
        if self.add_streams(now, count, 0).is_ok() {
            ReConfigParameter::PERFORMED
        } else {
            ReConfigParameter::DENIED
        }
    }
}

/// RFC 6525 section 3.1: at most two requests or answers in a chunk.
const PARAMETERS_MAX: usize = 2;
/// As many answers may have been lost together.
const ANSWERS_KEPT: usize = 2;
