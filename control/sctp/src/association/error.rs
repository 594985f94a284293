//! ERROR chunks (RFC 9260 section 3.3.10): what the peer reports.

use turnpike_types::Timestamp;

use super::Association;
use crate::Event;
use crate::wire::{Cause, Causes};

impl Association {
    /// Takes the causes of an ERROR. Only a stale cookie has a consequence of its own.
    pub(super) fn handle_error(&mut self, now: Timestamp, causes: Causes<'_>) {
        for cause in causes.take(CAUSES_MAX) {
            // Told first: nothing is told of an association that is over.
            self.events.push_back(Event::PeerError(cause.code()));
            if matches!(cause, Cause::StaleCookie(_)) {
                self.start_again(now);
            }
            if self.is_over {
                return;
            }
        }
    }
}

/// How many causes of one ERROR are told.
const CAUSES_MAX: usize = 4;
