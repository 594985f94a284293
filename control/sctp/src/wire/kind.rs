//! Chunk type numbers (RFC 9260 section 3.2 and the IANA registry).

/// DATA (RFC 9260 section 3.3.1)
pub const DATA: u8 = 0;
/// INIT (RFC 9260 section 3.3.2)
pub const INIT: u8 = 1;
/// INIT ACK (RFC 9260 section 3.3.3)
pub const INIT_ACK: u8 = 2;
/// SACK (RFC 9260 section 3.3.4)
pub const SACK: u8 = 3;
/// HEARTBEAT (RFC 9260 section 3.3.5)
pub const HEARTBEAT: u8 = 4;
/// HEARTBEAT ACK (RFC 9260 section 3.3.6)
pub const HEARTBEAT_ACK: u8 = 5;
/// ABORT (RFC 9260 section 3.3.7)
pub const ABORT: u8 = 6;
/// SHUTDOWN (RFC 9260 section 3.3.8)
pub const SHUTDOWN: u8 = 7;
/// SHUTDOWN ACK (RFC 9260 section 3.3.9)
pub const SHUTDOWN_ACK: u8 = 8;
/// ERROR (RFC 9260 section 3.3.10)
pub const ERROR: u8 = 9;
/// COOKIE ECHO (RFC 9260 section 3.3.11)
pub const COOKIE_ECHO: u8 = 10;
/// COOKIE ACK (RFC 9260 section 3.3.12)
pub const COOKIE_ACK: u8 = 11;
/// SHUTDOWN COMPLETE (RFC 9260 section 3.3.13)
pub const SHUTDOWN_COMPLETE: u8 = 14;
/// I-DATA (RFC 8260 section 2.1)
pub const I_DATA: u8 = 64;
/// RE-CONFIG (RFC 6525 section 3.1)
pub const RE_CONFIG: u8 = 130;
/// PAD (RFC 4820 section 3)
pub const PAD: u8 = 132;
/// FORWARD TSN (RFC 3758 section 3.2)
pub const FORWARD_TSN: u8 = 192;
/// I-FORWARD-TSN (RFC 8260 section 2.3.1)
pub const I_FORWARD_TSN: u8 = 194;
