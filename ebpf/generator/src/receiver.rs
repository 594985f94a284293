//! Counts and drops what a sender made, whatever a relay has wrapped around it, and leaves all else
//! to the host.
//!
//! A payload is a sender's when it begins with the stamp's magic. It is then counted once: corrupted
//! when its sum or length is not what was sent, stale when it is of another run, unreadable when a
//! socket would refuse its UDP checksum, misdirected when it came to another place than its flow's,
//! and else as an arrival of its flow.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use turnpike_generator_layout::stamp::{self, Stamp};
use turnpike_generator_layout::{Arrivals, Totals, histogram};

use crate::packet::read;
use crate::payload::Payload;
use crate::sum::sum;

#[map]
static TOTALS: Array<Totals> = Array::with_max_entries(1, 0);

/// The rig sets its size when it loads the programs.
#[map]
static ARRIVALS: Array<Arrivals> = Array::with_max_entries(1, 0);

/// Packets by latency, [`histogram`]'s buckets.
#[map]
static LATENCY: Array<u64> = Array::with_max_entries(histogram::BUCKETS, 0);

#[xdp]
pub fn receiver(ctx: XdpContext) -> u32 {
    let Some(totals) = TOTALS.get_ptr_mut(0) else {
        return XDP_PASS;
    };
    // SAFETY: the kernel gives a pointer to a whole, aligned value; only this program, which never
    // runs twice at a time, writes it.
    let totals = unsafe { &mut *totals };
    let payload = Payload::find(&ctx);
    let first = payload
        .as_ref()
        .and_then(|payload| read::<u32>(&ctx, payload.offset));
    if totals.takes_answers != 0 && first.is_some_and(is_answer) {
        totals.answered += 1;
        return XDP_DROP;
    }
    let stamped = payload.filter(|_| first == Some(stamp::MAGIC));
    let Some(payload) = stamped else {
        totals.passed += 1;
        return XDP_PASS;
    };
    count(&ctx, &payload, totals);
    XDP_DROP
}

/// Whether a message that begins so is the success response to a Binding request (RFC 8489 section
/// 5).
#[inline(always)]
fn is_answer(first: u32) -> bool {
    u32::from_be(first) >> 16 == 0x0101
}

#[inline(always)]
fn count(ctx: &XdpContext, payload: &Payload, totals: &mut Totals) {
    let whole = payload.length == totals.payload as usize;
    let found = if whole {
        sum(ctx, payload.offset, payload.length)
    } else {
        0
    };
    let stamp = read::<Stamp>(ctx, payload.offset);
    let Some(stamp) = stamp.filter(|_| found == u32::from(stamp::SUM)) else {
        totals.stamped += 1;
        totals.corrupted += 1;
        return;
    };
    if u32::from(stamp.run) != totals.run {
        totals.stale += 1;
        return;
    }
    totals.stamped += 1;
    let Some(place) = payload.place(ctx, found) else {
        totals.unreadable += 1;
        return;
    };
    let Some(flow) = ARRIVALS.get_ptr_mut(2 * stamp.flow + u32::from(stamp.direction & 1)) else {
        totals.strange += 1;
        return;
    };
    // SAFETY: as in `receiver`.
    let flow = unsafe { &mut *flow };
    if flow.place != place {
        flow.misdirected += 1;
    } else if arrive(flow, u64::from(stamp.sequence)) {
        clock(stamp.due);
    }
}

/// Counts a sequence number of a flow; false when it has come before.
#[inline(always)]
fn arrive(flow: &mut Arrivals, sequence: u64) -> bool {
    if sequence >= flow.next {
        let ahead = sequence - flow.next + 1;
        flow.window = if ahead < 64 { flow.window << ahead } else { 0 } | 1;
        flow.next = sequence + 1;
        flow.received += 1;
        return true;
    }
    let behind = flow.next - 1 - sequence;
    // Further behind than the window sees, a packet is taken for late: it is in any case not lost.
    let bit = if behind < 64 { 1 << behind } else { 0 };
    if flow.window & bit != 0 {
        flow.duplicated += 1;
        return false;
    }
    flow.window |= bit;
    flow.received += 1;
    flow.reordered += 1;
    true
}

#[inline(always)]
fn clock(sent: u64) {
    // SAFETY: the helper takes nothing and may be called anywhere.
    let now = unsafe { bpf_ktime_get_ns() };
    let bucket = histogram::bucket(now.saturating_sub(sent));
    if let Some(packets) = LATENCY.get_ptr_mut(bucket) {
        // SAFETY: as in `receiver`.
        unsafe { *packets += 1 };
    }
}
