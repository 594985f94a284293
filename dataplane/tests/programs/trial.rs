//! One frame through the real program and through the reference relay: both must agree on the verdict,
//! on every byte, and on the one reason that is counted.

use turnpike_abi::Reason;

use crate::kernel::{Kernel, XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX};
use crate::reference::{Chosen, Outcome, judge};
use crate::world::{INGRESS, World};

/// Runs a frame; the reason it was counted under. Panics where the two disagree.
pub(crate) fn agree(kernel: &Kernel, world: &World, frame: &[u8]) -> Reason {
    let ran = kernel.run(frame);
    let expected = judge(world, frame, Chosen::read(&ran.frame));
    let said = || format!("\nframe {frame:02x?}\nexpected {expected:02x?}\nran {ran:02x?}");
    let (reason, action) = match &expected {
        Outcome::Passed(reason) => {
            assert!(ran.frame == frame, "a passed frame was touched{}", said());
            (*reason, XDP_PASS)
        }
        Outcome::Dropped(reason) => (*reason, XDP_DROP),
        Outcome::Left(reason, device, bytes) => {
            assert!(ran.frame == *bytes, "the bytes differ{}", said());
            (
                *reason,
                if *device == INGRESS {
                    XDP_TX
                } else {
                    XDP_REDIRECT
                },
            )
        }
    };
    assert!(ran.reasons == [reason], "the reasons differ{}", said());
    assert!(ran.action == action, "the verdicts differ{}", said());
    reason
}

/// Runs a frame that must come to this reason.
#[track_caller]
pub(crate) fn expect(kernel: &Kernel, world: &World, frame: &[u8], reason: Reason) {
    assert_eq!(agree(kernel, world, frame), reason, "frame {frame:02x?}");
}
