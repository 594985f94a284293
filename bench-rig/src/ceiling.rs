//! What no relay on these hosts can beat, measured in the same run: the kernel's own routing, which
//! touches a packet's header and nothing in it.
//!
//! Client and peer send to each other, unwrapped ([`Path::Straight`](crate::load::Path)); the relay
//! host does between them what the guard here stands for, and is charged for it as a relay is.

use crate::netns::NetnsError;
use crate::netns::bench::BenchHosts;

/// The relay host's kernel routes between clients and peers while this lives. It has no process: all
/// it costs is the receiving threads' time.
#[derive(Debug)]
pub struct KernelRoutes<'h> {
    hosts: &'h BenchHosts,
}

impl<'h> KernelRoutes<'h> {
    /// Turns routing on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start(hosts: &'h BenchHosts) -> Result<Self, NetnsError> {
        let routes = Self { hosts };
        hosts.route(true)?;
        Ok(routes)
    }
}

impl Drop for KernelRoutes<'_> {
    fn drop(&mut self) {
        // Should the kernel refuse, the hosts' own guard takes the host away.
        self.hosts.route(false).ok();
    }
}
