//! A wire that nothing goes over, for a sender to be attached to.
//!
//! When frames are asked of a program that is attached nowhere, the kernel enters it into the list
//! of XDP programs that it calls directly and takes it off again, each time after waiting for all
//! readers of that list: 20 ms and more before the first frame. Attached anywhere, it stays in the
//! list.

use crate::netns::{Host, NetnsError};

/// A device on a host, taken away when this is dropped.
#[derive(Debug)]
pub(super) struct Spare<'h> {
    host: &'h Host,
}

impl<'h> Spare<'h> {
    /// Its name.
    pub(super) const DEVICE: &'static str = "spare0";

    pub(super) fn new(host: &'h Host) -> Result<Self, NetnsError> {
        let args = ["link", "add", Self::DEVICE, "type", "veth", "peer", "name"];
        host.run("ip", args.into_iter().chain(["spare1"]))?;
        Ok(Self { host })
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        // Should it fail: it goes with the host.
        self.host.run("ip", ["link", "del", Self::DEVICE]).ok();
    }
}
