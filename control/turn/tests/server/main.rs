//! The TURN server from outside: packets in, packets and commands out, in RFC 8656's words.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a test's way to report"
)]

mod allocate;
mod attributes;
mod authentication;
mod binding;
mod channel_bind;
mod command_failed;
mod create_permission;
mod determinism;
mod drain;
mod dual_allocation;
mod expiry;
mod flood;
mod icmp;
mod lane;
mod ledger;
mod peer_policy;
mod redirect;
mod refresh;
mod reservation;
mod rest;
mod robustness;
mod support;
