//! Packets and chunks as bytes (RFC 9260 section 3).
