//! FORWARD-TSN and I-FORWARD-TSN: the peer has given something up (RFC 3758 section 3.6, RFC 8260
//! section 2.3).

use super::Receiver;
use crate::Tsn;
use crate::tsn_set::SPAN_MAX;
use crate::wire::{ForwardTsn, IForwardTsn};

impl Receiver {
    /// Takes a FORWARD-TSN.
    pub(crate) fn handle_forward_tsn(&mut self, forward: &ForwardTsn<'_>) {
        if !self.skip_to(forward.new_cumulative_tsn) {
            return;
        }
        for (stream, ssn) in forward.streams() {
            if stream.0 < self.streams {
                self.reassembly.skip_messages(stream, false, ssn.into());
            }
        }
    }

    /// Takes an I-FORWARD-TSN.
    pub(crate) fn handle_i_forward_tsn(&mut self, forward: &IForwardTsn<'_>) {
        if !self.skip_to(forward.new_cumulative_tsn) {
            return;
        }
        for (stream, is_unordered, mid) in forward.streams() {
            if stream.0 < self.streams {
                self.reassembly.skip_messages(stream, is_unordered, mid);
            }
        }
    }

    /// Moves the cumulative point. `false` where the chunk is old, or skips more than could be in
    /// flight. Either way the peer hears where we are.
    fn skip_to(&mut self, new_cumulative: Tsn) -> bool {
        self.is_sack_due = true;
        let cumulative = self.tsns.cumulative();
        if !cumulative.is_before(new_cumulative)
            || new_cumulative.offset_from(cumulative) > SPAN_MAX
        {
            return false;
        }
        self.tsns.advance_to(new_cumulative);
        self.reassembly.skip_up_to(new_cumulative);
        true
    }
}
