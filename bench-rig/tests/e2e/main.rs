//! Real TURN clients against the real relay, on client, relay and peer hosts that are network
//! namespaces. Needs root, coturn's test programs and `.venv`: `make test` sees to all of them.
//!
//! `TURNPIKE_BIN` names the relay's binary (else it is built in release), `TURNPIKE_PYTHON` the
//! Python that has aioice (else the one in `.venv`).

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod ice;
mod life_cycle;
mod load;
mod relay;
mod uclient;

use std::path::{Path, PathBuf};

use turnpike_bench_rig::netns::Hosts;

/// The project's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench-rig is in the root")
        .to_owned()
}

fn hosts() -> Hosts {
    Hosts::new().unwrap_or_else(|error| panic!("{error}"))
}
