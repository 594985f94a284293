//! Makes frames: the headers and the stamp of the flow whose turn it is, then the filler. They leave
//! through `WAY_OUT`: the kernel would look for the device of a plain XDP_TX in the namespace of the
//! thread that asked for the frames, and one thread sends for both hosts.
//!
//! Live frames come out of a pool whose pages keep what a relay left in them, so every byte is
//! written each time.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

use crate::redirect::out;
use turnpike_generator_layout::{Course, FILLER_MAX, HEAD_MAX, HEAD_MIN, Outgoing, stamp};

#[map]
static COURSE: Array<Course> = Array::with_max_entries(1, 0);

/// The rig sets its size when it loads the programs.
#[map]
static OUTGOING: Array<Outgoing> = Array::with_max_entries(1, 0);

#[map]
static FILLER: Array<[u8; FILLER_MAX]> = Array::with_max_entries(1, 0);

#[xdp]
pub fn sender(ctx: XdpContext) -> u32 {
    send(&ctx).map_or(XDP_ABORTED, |()| out())
}

#[inline(always)]
fn send(ctx: &XdpContext) -> Option<()> {
    // SAFETY: the kernel gives pointers to whole, aligned values; only this program, which never
    // runs twice at a time, writes them while it runs.
    let course = unsafe { &mut *COURSE.get_ptr_mut(0)? };
    // SAFETY: as above.
    let flow = unsafe { &mut *OUTGOING.get_ptr_mut(course.flow)? };
    flow.stamp.due = scheduled(course);
    flow.stamp.sequence = flow.next;
    flow.stamp.check = flow.stamp.check(flow.constant);
    flow.next = flow.next.wrapping_add(1);

    let start = flow.start as usize;
    if start > HEAD_MAX - HEAD_MIN {
        return None;
    }
    let head = HEAD_MAX + stamp::LEN - start;
    // SAFETY: `start` is inside of `head`, behind which the stamp follows without a gap, so these
    // are bytes of the one value; the helper refuses to write beyond the frame.
    let written = unsafe {
        let from = (&raw mut *flow).cast::<u8>().add(start);
        store(ctx, 0, from, head as u32)
    };
    let filler = course.filler as u32;
    if written != 0 || filler as usize > FILLER_MAX {
        return None;
    }
    if filler > 0 {
        let from = FILLER.get_ptr_mut(0)?.cast::<u8>();
        // SAFETY: `filler` bytes are inside of the value; the helper refuses to write beyond the
        // frame.
        if unsafe { store(ctx, head as u32, from, filler) } != 0 {
            return None;
        }
    }
    take_turns(course);
    Some(())
}

/// When this packet is due.
#[inline(always)]
fn scheduled(course: &mut Course) -> u64 {
    if course.train == 0 {
        // SAFETY: the helper takes nothing and may be called anywhere.
        return unsafe { bpf_ktime_get_ns() };
    }
    if course.train_left == 0 {
        course.train_left = course.train;
        course.due += course.interval;
    }
    course.train_left -= 1;
    course.due
}

#[inline(always)]
fn take_turns(course: &mut Course) {
    course.sent += 1;
    if course.left > 1 {
        course.left -= 1;
        return;
    }
    course.left = course.burst;
    course.flow += 1;
    if course.flow >= course.flows {
        course.flow = 0;
    }
}

/// Writes `length` bytes at `offset` of the frame; anything but zero is a refusal.
///
/// # Safety
/// `from` points to `length` readable bytes.
#[inline(always)]
unsafe fn store(ctx: &XdpContext, offset: u32, from: *mut u8, length: u32) -> i64 {
    // SAFETY: the context is the kernel's own, and the caller answers for the bytes.
    unsafe { bpf_xdp_store_bytes(ctx.as_ptr().cast(), offset, from.cast::<c_void>(), length) }
}
