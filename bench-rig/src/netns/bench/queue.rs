//! The queue before a wire, which a veth's own ring of 256 frames is too short for.
//!
//! A network card's ring has 1,024 frames or more, and a machine that runs on other machines' cores
//! stands still for milliseconds: without a queue a generator that catches up loses what no card
//! would. With one the kernel (since Linux 6.16) stops where the ring is full and goes on when there
//! is room. It is on every end, the same for all subjects. XDP's redirects pass it by.

use super::{Host, NetnsError};

/// With the ring, 1,024.
const FRAMES: &str = "768";

/// Puts the queue before a device.
pub(super) fn set(host: &Host, device: &str) -> Result<(), NetnsError> {
    let args = [
        "qdisc", "replace", "dev", device, "root", "pfifo", "limit", FRAMES,
    ];
    host.run("tc", args).map(drop)
}

/// How many packets found it full.
pub(super) fn dropped(host: &Host, device: &str) -> Result<u64, NetnsError> {
    let said = host.run("tc", ["-s", "qdisc", "show", "dev", device])?;
    Ok(read(&said))
}

fn read(said: &str) -> u64 {
    said.split("(dropped ")
        .skip(1)
        .filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dropped_are_read_from_what_tc_says() {
        let said = "qdisc pfifo 8001: root refcnt 2 limit 768p\n Sent 7 bytes 1 pkt (dropped 261, overlimits 0 requeues 3)\n";
        assert_eq!(read(said), 261);
        assert_eq!(read("qdisc noqueue 0: root refcnt 2\n"), 0);
    }
}
