//! The least that a relay in the kernel could do: new Ethernet addresses, out of the other device.
//! No look-up, no check, no rewriting. Frames that are not UDP are the host's.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, DevMap};
use aya_ebpf::programs::XdpContext;
use turnpike_generator_layout::Addresses;

use crate::packet::{is_udp, pointer};

#[map]
static ADDRESSES: Array<Addresses> = Array::with_max_entries(1, 0);

/// A redirect has one way; a sender has one for each host that it sends for.
#[map]
static WAY_OUT: DevMap = DevMap::with_max_entries(2, 0);

#[xdp]
pub fn redirect(ctx: XdpContext) -> u32 {
    if !is_udp(&ctx) {
        return XDP_PASS;
    }
    let (Some(to), Some(addresses)) = (pointer::<Addresses>(&ctx, 0), ADDRESSES.get(0)) else {
        return XDP_ABORTED;
    };
    // SAFETY: `to` was held against the end of the frame, and has no alignment to keep.
    unsafe { *to = *addresses };
    out(0)
}

/// Sends a frame out of a device that the rig has chosen.
#[inline(always)]
pub fn out(way: u32) -> u32 {
    WAY_OUT.redirect(way, 0).unwrap_or(XDP_ABORTED)
}
