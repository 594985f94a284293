//! Makes frames: the headers and the stamp of the flow whose turn it is, then the filler. They leave
//! through `WAY_OUT`: the kernel would look for the device of a plain XDP_TX in the namespace of the
//! thread that asked for the frames, and one program sends for both hosts.
//!
//! The schedule is kept here. The kernel offers one blank frame after the other, as fast as it goes;
//! while no packet is due they are given back.
//!
//! Live frames come out of a pool whose pages keep what a relay left in them, so every byte is
//! written each time.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_xdp_adjust_tail, bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

use crate::packet::{ETHERNET, IPV4};
use crate::redirect::out;
use turnpike_generator_layout::{Course, FILLER_MAX, HEAD_MAX, HEAD_MIN, Outgoing, SPOOFED, stamp};

#[map]
static COURSE: Array<Course> = Array::with_max_entries(1, 0);

/// The rig sets its size when it loads the programs.
#[map]
static OUTGOING: Array<Outgoing> = Array::with_max_entries(1, 0);

#[map]
static FILLER: Array<[u8; FILLER_MAX]> = Array::with_max_entries(1, 0);

#[xdp]
pub fn sender(ctx: XdpContext) -> u32 {
    let Some(course) = COURSE.get_ptr_mut(0) else {
        return XDP_ABORTED;
    };
    // SAFETY: the kernel gives a pointer to a whole, aligned value; only this program, which never
    // runs twice at a time, writes it while it runs.
    let course = unsafe { &mut *course };
    if !is_due(course) {
        return XDP_DROP;
    }
    send(&ctx, course).map_or(XDP_ABORTED, out)
}

/// Whether a packet is due.
#[inline(always)]
fn is_due(course: &mut Course) -> bool {
    if course.train_left == 0 {
        if course.trains == 0 {
            return false;
        }
        // SAFETY: the helper takes nothing and may be called anywhere.
        let now = unsafe { bpf_ktime_get_ns() };
        let due = course.due + course.interval;
        if now < due {
            return false;
        }
        course.trains -= 1;
        course.train_left = course.train;
        course.due = due;
        if now - due > course.tolerance {
            course.late += u64::from(course.train);
        }
    }
    course.train_left -= 1;
    true
}

/// Makes the frame of the flow whose turn it is; the way that it leaves by.
#[inline(always)]
fn send(ctx: &XdpContext, course: &mut Course) -> Option<u32> {
    // SAFETY: as in `sender`.
    let flow = unsafe { &mut *OUTGOING.get_ptr_mut(course.flow)? };
    flow.stamp.due = course.due;
    flow.stamp.sequence = flow.next;
    let source = match flow.spoofed {
        0 => 0,
        _ => spoof(flow)?,
    };
    flow.stamp.check = flow.stamp.check(flow.constant + source);
    flow.next = flow.next.wrapping_add(1);

    let start = flow.start as usize;
    if start > HEAD_MAX - HEAD_MIN {
        return None;
    }
    let head = HEAD_MAX + stamp::LEN - start;
    let filler = flow.behind;
    let blank = ctx.data_end() - ctx.data();
    let growth = (head + filler as usize) as i32 - blank as i32;
    // SAFETY: the context is the kernel's own; no pointer into the frame is held.
    if growth != 0 && unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), growth) } != 0 {
        return None;
    }
    // SAFETY: `start` is inside of `head`, behind which the stamp follows without a gap, so these
    // are bytes of the one value; the helper refuses to write beyond the frame.
    let written = unsafe {
        let from = (&raw mut *flow).cast::<u8>().add(start);
        store(ctx, 0, from, head as u32)
    };
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
    let way = flow.way;
    take_turns(course);
    Some(way)
}

/// Gives the flow's next frame another source; its sum. The identification takes the sum out of the
/// IPv4 header's, and the stamp's check out of the UDP checksum.
#[inline(always)]
fn spoof(flow: &mut Outgoing) -> Option<u32> {
    let (first, differ) = SPOOFED;
    // SAFETY: the helper takes nothing and may be called anywhere.
    let random = unsafe { bpf_get_prandom_u32() };
    let address = (u32::from_be_bytes(first) | random & differ).to_be();
    let sum = stamp::fold(u64::from(address));
    let ip = flow.start as usize + ETHERNET;
    if ip > HEAD_MAX - IPV4 {
        return None;
    }
    let head = (&raw mut flow.head).cast::<u8>();
    // SAFETY: all of an IPv4 header is inside of `head` from `ip` on.
    unsafe {
        head.add(ip + 4).cast::<u16>().write_unaligned(!sum);
        head.add(ip + 12).cast::<u32>().write_unaligned(address);
    }
    Some(sum.into())
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
