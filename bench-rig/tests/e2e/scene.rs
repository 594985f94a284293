//! Hosts with a relay on them that serves every transport.

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
