//! What the codecs promise, asked from outside: bytes by hand from the RFCs' diagrams, round trips,
//! packets cut at every byte, bounds of the writer.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod bounds;
mod by_hand;
mod checksum;
mod frame;
mod round_trip;
mod samples;
mod truncation;
