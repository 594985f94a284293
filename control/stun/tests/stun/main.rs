//! What the crate promises, asked from outside: vectors of the RFCs, hostile bytes, a naive parser
//! that must agree, and a stranger's implementation.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod agreement;
mod bad_frame;
mod bad_seal;
mod bad_value;
mod client_credential;
mod foreign;
mod naive;
mod nonce;
mod round_trip;
mod samples;
mod stream;
mod vectors;
