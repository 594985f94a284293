//! The fast path beside its plain relaying, which every stranger's test does in both lanes: how it starts
//! and ends, its relayed addresses, what becomes of calls whose allocation or room ends, what is counted,
//! and what the commands say that look at it.

mod asked;
mod calls;
mod counts;
mod one_socket;
mod start;

use std::time::{Duration, Instant};

use crate::call::{Call, PATIENCE};
use crate::lane::Ground;

/// How long the relay may take to say something, or to end.
const SAID_WITHIN: Duration = Duration::from_secs(20);

/// Waits until what a call sends is relayed in the kernel, both ways: neighbours are known then.
#[track_caller]
fn settle(ground: &Ground, call: &mut Call) {
    let forwarded = || ["channel_to_peer", "peer_to_channel"].map(|reason| ground.xdp(reason));
    let until = Instant::now() + PATIENCE;
    loop {
        let before = forwarded();
        if call.carried() == [true; 2] && forwarded() == before.map(|packets| packets + 1) {
            return;
        }
        assert!(Instant::now() < until, "not in the kernel");
    }
}
