//! A wire that nothing goes over, for senders to be attached to.
//!
//! When frames are asked of a program that is attached nowhere, the kernel enters it into the list
//! of XDP programs that it calls directly and takes it off again, each time after waiting for all
//! readers of that list: 20 ms and more a train. Attached anywhere, it stays in the list.

use crate::netns::{Host, NetnsError};

/// Two devices on one host, taken away when this is dropped.
#[derive(Debug)]
pub(super) struct Spare<'h> {
    host: &'h Host,
}

impl<'h> Spare<'h> {
    pub(super) fn new(host: &'h Host) -> Result<Self, NetnsError> {
        let [one, other] = DEVICES;
        host.run(
            "ip",
            ["link", "add", one, "type", "veth", "peer", "name", other],
        )?;
        Ok(Self { host })
    }

    /// Both ends.
    pub(super) fn ends(&self) -> [(&'h Host, &'static str); 2] {
        DEVICES.map(|device| (self.host, device))
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        let [one, _] = DEVICES;
        // Should it fail: it goes with the host.
        self.host.run("ip", ["link", "del", one]).ok();
    }
}

const DEVICES: [&str; 2] = ["spare0", "spare1"];
