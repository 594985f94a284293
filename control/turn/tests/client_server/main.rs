//! Our client against our server and forwarder: do the two of us agree?

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

#[path = "../support_client/relay.rs"]
mod relay;

mod allocations;
mod lossy;
mod meeting;
mod relaying;
