//! COOKIE ECHO and COOKIE ACK (RFC 9260 sections 3.3.11 and 3.3.12). What is in the cookie only its
//! maker knows.

use crate::wire::{PacketWriter, kind};

impl PacketWriter<'_> {
    /// Adds a COOKIE ECHO. False, and nothing written, when it does not fit.
    pub fn cookie_echo(&mut self, cookie: &[u8]) -> bool {
        self.chunk(kind::COOKIE_ECHO, 0, cookie.len(), |value| {
            value.put(cookie);
        })
    }

    /// Adds a COOKIE ACK. False, and nothing written, when it does not fit.
    pub fn cookie_ack(&mut self) -> bool {
        self.bare_chunk(kind::COOKIE_ACK, 0)
    }
}
