//! The reference lane, from outside: commands go in, packets are judged.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod client_to_peer;
mod commands;
mod expiry;
mod model;
mod peer_to_client;
mod rates;
mod shared_rates;
mod world;
