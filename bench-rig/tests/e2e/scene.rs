//! Hosts with a relay on them that serves every transport.

use std::time::Duration;

use turnpike_bench_rig::netns::Hosts;

use super::certificates::Authority;
use super::hosts;
use super::relay::{Relay, Setup};

/// Hosts with a relay that serves every transport.
pub(super) struct Scene {
    pub(super) hosts: Hosts,
    pub(super) authority: Authority,
    pub(super) relay: Relay,
}

impl Scene {
    /// `change` makes what is special about it.
    pub(super) fn new(change: impl FnOnce(Setup) -> Setup) -> Self {
        let hosts = hosts();
        let authority = Authority::new();
        let setup = Setup {
            tls: Some(authority.files()),
            ..Setup::default()
        };
        let relay = Relay::start_with(&hosts, &change(setup));
        Self {
            hosts,
            authority,
            relay,
        }
    }
}

/// Waits for a line of the relay that contains this.
#[track_caller]
pub(super) fn says(scene: &Scene, part: &str) {
    scene
        .relay
        .process
        .wait_for_line(part, SAID_WITHIN, |line| line.contains(part))
        .unwrap_or_else(|error| panic!("{error}"));
}

/// How long the relay may take to notice what it has a word on.
const SAID_WITHIN: Duration = Duration::from_secs(10);
