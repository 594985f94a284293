//! Reads packets on the wire, apart from the crate's own parser: the packet's form, and which
//! whole messages are in it.

use super::letter::{self, Number};
use super::violation::{Checked, ensure};

/// What a packet holds.
#[derive(Debug, Default)]
pub(crate) struct Sniffed {
    /// Messages that are in it whole, by their numbers.
    pub(crate) messages: Vec<Number>,
    pub(crate) has_data: bool,
    pub(crate) is_handshake: bool,
}

/// Checks the form of a packet (RFC 9260 section 3) and says what is in it.
pub(crate) fn read(packet: &[u8], size_max: usize) -> Checked<Sniffed> {
    let len = packet.len();
    ensure!(
        len <= size_max,
        PacketWithinBounds,
        "{len} bytes, {size_max} allowed"
    );
    ensure!(
        len > HEADER,
        PacketWithinBounds,
        "a packet without a chunk: {len} bytes"
    );
    ensure!(
        len.is_multiple_of(4),
        PacketWithinBounds,
        "unpadded: {len} bytes"
    );
    let mut sniffed = Sniffed::default();
    let mut rest = &packet[HEADER..];
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let padded = length.next_multiple_of(4);
        ensure!(
            length >= 4 && padded <= rest.len(),
            PacketWithinBounds,
            "chunk of type {} says {length} bytes, {} are left",
            rest[0],
            rest.len()
        );
        sniffed.chunk(rest[0], rest[1], &rest[4..length]);
        rest = &rest[padded..];
    }
    Ok(sniffed)
}

impl Sniffed {
    fn chunk(&mut self, kind: u8, flags: u8, value: &[u8]) {
        let header = match kind {
            DATA => 12,
            I_DATA => 16,
            INIT | INIT_ACK | COOKIE_ECHO => return self.is_handshake = true,
            _ => return,
        };
        self.has_data = true;
        let is_whole = flags & 0b11 == 0b11;
        if let Some(payload) = value.get(header..)
            && is_whole
        {
            self.messages.extend(letter::number(payload));
        }
    }
}

const HEADER: usize = 12;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;
const I_DATA: u8 = 64;
