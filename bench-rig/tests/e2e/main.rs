//! Real TURN clients against the real relay, on client, relay and peer hosts that are network
//! namespaces. Needs root, coturn's test programs and `.venv`: `make test` sees to all of them.
//!
//! `TURNPIKE_BIN` names the relay's binary (else it is built in release), `TURNPIKE_PYTHON` the
//! Python that has aioice (else the one in `.venv`), `TURNPIKE_CHROMIUM` the browser (else
//! `chromium`). With `TURNPIKE_E2E_RELAY=coturn` the tests of streams and browsers run against
//! coturn's server: what fails there too is the rig's fault, but for what they say coturn does.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod abuse;
mod browser;
mod call;
mod certificates;
mod defaults;
mod degrade;
mod fast_path;
mod ice;
mod lane;
mod life_cycle;
mod live;
mod load;
mod metrics;
mod relay;
mod scene;
mod streams;
mod uclient;

use std::env;
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

/// A script that lies beside these tests.
fn script(name: &str) -> String {
    let path = root().join("bench-rig/tests/e2e").join(name);
    path.display().to_string()
}

/// The Python that has what the scripts need.
fn python() -> PathBuf {
    let python = env::var_os("TURNPIKE_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.is_file(),
        "{} is not there: run `make setup`",
        python.display()
    );
    python
}
