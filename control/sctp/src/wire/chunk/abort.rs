//! ABORT and ERROR (RFC 9260 sections 3.3.7 and 3.3.10): error causes, with or without the end of
//! the association.

use super::tag_flags;
use crate::wire::{Cause, PacketWriter, cause, kind};

impl PacketWriter<'_> {
    /// Adds an ABORT; `is_tag_reflected` sets the T bit. Causes are cut or left out where they do
    /// not fit. False, and nothing written, when not even the chunk header fits.
    pub fn abort(&mut self, is_tag_reflected: bool, causes: &[Cause<'_>]) -> bool {
        self.with_causes(kind::ABORT, tag_flags(is_tag_reflected), causes)
    }

    /// Adds an ERROR. Causes are cut or left out where they do not fit. False, and nothing written,
    /// when not even the chunk header fits.
    pub fn error(&mut self, causes: &[Cause<'_>]) -> bool {
        self.with_causes(kind::ERROR, 0, causes)
    }

    fn with_causes(&mut self, kind: u8, flags: u8, causes: &[Cause<'_>]) -> bool {
        let room = self.value_room();
        let len = cause::list_len(causes, room);
        self.chunk(kind, flags, len, |value| {
            cause::write_list(causes, room, value);
        })
    }
}
