//! The client engine against a server played by hand: each test is a sentence of RFC 8656 or 8489.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test helpers: a panic is the failure report"
)]

#[path = "../support_client/mod.rs"]
mod support_client;

mod allocate;
mod channels;
mod close;
mod credential;
mod data;
mod permissions;
mod redirect;
mod refresh;
mod stream;
mod transactions;
