//! Everything starts anew (RFC 6525 sections 5.1.4 and 5.2.4): the SSNs of both directions at zero, and
//! both directions' TSNs far from those before.
//!
//! Nothing is lost on either side: ours is asked for when all that was sent is acknowledged, and the
//! peer's request is put off until the same is true here. The RFC would drop what is on its way.

use turnpike_types::Timestamp;

use super::super::{Association, State};
use super::request::Wish;
use crate::wire::{Cause, ReConfigParameter};
use crate::{Event, ResetError, Tsn};

impl Association {
    /// Starts all streams of both directions and both sides' TSNs anew, as soon as everything that
    /// both sides have sent is acknowledged or given up. Until
    /// [`Event::AssociationReset`] tells the end, or [`Event::ResetRefused`] without streams that the
    /// peer would not, `send` refuses every stream. A peer that never stops sending keeps it waiting.
    ///
    /// # Errors
    ///
    /// [`ResetError`]; `Busy` while an earlier wish is not answered.
    pub fn reset_association(&mut self, now: Timestamp) -> Result<(), ResetError> {
        let now = self.advance_clock(now);
        self.check_reset()?;
        if self.is_association_resetting() || !self.stream_reset.wishes.is_empty() {
            return Err(ResetError::Busy);
        }
        self.stream_reset.wishes.push_back(Wish::ResetAssociation);
        self.progress_reset(now);
        Ok(())
    }

    /// Whether `send` has to wait for everything to start anew, or for the application to hear of it.
    pub(in super::super) fn is_association_resetting(&self) -> bool {
        let reset = &self.stream_reset;
        reset.is_reset_untold
            || reset.wishes.contains(&Wish::ResetAssociation)
            || self.is_association_reset_asked()
    }

    /// The application has heard that everything started anew.
    pub(in super::super) fn association_reset_told(&mut self) {
        self.stream_reset.is_reset_untold = false;
    }

    /// The peer wants everything to start anew. It is answered once we are ready; if it asks again
    /// before, it hears that we are at it.
    pub(super) fn handle_wish_for_reset(&mut self, request: u32) {
        if self.state != State::Established {
            return self.answer(request, ReConfigParameter::DENIED, None);
        }
        if self.is_association_reset_asked() {
            return self.answer(request, ReConfigParameter::REQUEST_IN_PROGRESS, None);
        }
        if self.stream_reset.deferred.replace(request) == Some(request) {
            self.answer(request, ReConfigParameter::IN_PROGRESS, None);
        }
        self.progress_deferred_reset();
    }

    /// Starts everything anew as the peer wishes, as soon as nothing of ours is on its way.
    ///
    /// Our TSNs go back by a quarter of all numbers, where the RFC would have them go on (a SHOULD):
    /// what we send before the peer has the answer is old to it, and not taken for what came before.
    pub(super) fn progress_deferred_reset(&mut self) {
        let is_busy = self.stream_reset.outstanding.is_some() || !self.sender.is_done();
        if is_busy || !self.receiver.has_room_for_reset() {
            return;
        }
        if let Some(request) = self.stream_reset.deferred.take() {
            // What we may wish ourselves is fulfilled by this.
            let wishes = &mut self.stream_reset.wishes;
            wishes.retain(|wish| *wish != Wish::ResetAssociation);
            let own_next = self.sender.cumulative().next().minus(1 << 30);
            let peer_next = self.receiver.cumulative().next().plus(1 << 31);
            self.begin_again(own_next, peer_next);
            let next_tsns = Some((own_next, peer_next));
            self.answer(request, ReConfigParameter::PERFORMED, next_tsns);
        }
    }

    /// The peer has answered our wish that everything start anew.
    pub(super) fn conclude_reset(&mut self, result: u32, next_tsns: Option<(Tsn, Tsn)>) {
        if result != ReConfigParameter::PERFORMED {
            self.events.push_back(Event::ResetRefused([].into()));
        } else if let Some((peer_next, own_next)) = next_tsns {
            self.begin_again(own_next, peer_next);
        } else {
            self.abort_for(&Cause::ProtocolViolation(b"reset without TSNs"));
        }
    }

    fn begin_again(&mut self, own_next: Tsn, peer_next: Tsn) {
        self.sender.restart(own_next);
        self.receiver.restart(peer_next);
        self.stream_reset.is_reset_untold = true;
    }

    fn is_association_reset_asked(&self) -> bool {
        let request = self.stream_reset.outstanding.as_ref();
        request.is_some_and(|request| request.wish == Wish::ResetAssociation)
    }
}
