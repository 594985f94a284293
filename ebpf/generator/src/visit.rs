//! A packet of a random session, made anew for another program: what a packet costs that program.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one frame and does not restore it, so a program that rewrites
//! packets would meet its own. [`visit`] moves the frame's head back to where it was, writes the first
//! 128 bytes of it for a session that it picks at random, and leaves it to the program at
//! `VISITED[0]`. With [`nothing`] there, the same steps cost what is to be taken off.

use core::ptr::read_volatile;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_xdp_adjust_head, bpf_xdp_get_buff_len};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::XdpContext;

use crate::packet::{ETHERNET, IPV4, pointer, read};

/// The program whose packets these are.
#[map]
static VISITED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The first bytes of a frame; what stands where a session's own numbers go does not count.
#[unsafe(no_mangle)]
static VISIT_FRAME: [u64; 16] = [0; 16];

/// The frame's length, how many sessions there are, whether it is IPv4, and the numbers of a session.
#[unsafe(no_mangle)]
static VISIT: [u64; 8] = [0; 8];

#[xdp]
pub fn visit(ctx: XdpContext) -> u32 {
    match renew(&ctx) {
        // SAFETY: nothing of this frame is in use when another program takes it over.
        Some(()) => unsafe { VISITED.tail_call(&ctx, 0) },
        None => return XDP_ABORTED,
    }
    XDP_ABORTED
}

#[xdp]
pub fn nothing(_: XdpContext) -> u32 {
    XDP_DROP
}

#[inline(always)]
fn renew(ctx: &XdpContext) -> Option<()> {
    // SAFETY: a static of this program. Volatile, or the compiler would take the zeros for granted.
    let [length, sessions, is_v4, numbers @ ..] = unsafe { read_volatile(&raw const VISIT) };
    // SAFETY: the context is the kernel's own.
    let moved = unsafe {
        let now = bpf_xdp_get_buff_len(ctx.as_ptr().cast());
        bpf_xdp_adjust_head(ctx.as_ptr().cast(), now as i32 - length as i32)
    };
    if moved != 0 {
        return None;
    }
    // SAFETY: the helper takes nothing and may be called anywhere.
    let random = unsafe { bpf_get_prandom_u32() };
    let session = (u64::from(random) * sessions >> 32) as u32;
    let frame = pointer::<[u64; 16]>(ctx, 0)?;
    for index in 0..16 {
        // SAFETY: all 16 words were held against the end of the frame; the index stays below.
        unsafe {
            let word = read_volatile((&raw const VISIT_FRAME).cast::<u64>().add(index));
            frame.cast::<u64>().add(index).write_unaligned(word);
        }
    }
    for number in numbers {
        write_number(ctx, number, session)?;
    }
    if is_v4 != 0 {
        seal(ctx)?;
    }
    Some(())
}

/// Writes what a session has at a place of the frame. A number is the place (12 bits), how it is made (4),
/// whether STUN's cookie covers it (1), zero (15), and what the first session has (32).
#[inline(always)]
fn write_number(ctx: &XdpContext, number: u64, session: u32) -> Option<()> {
    let place = (number & 0xfff) as usize;
    let first = (number >> 32) as u32;
    let mask = if number >> 16 & 1 == 0 { 0 } else { COOKIE };
    match number >> 12 & 15 {
        // None.
        0 => {}
        // 32 bits that differ between all sessions.
        1 => write(ctx, place, ((first + session) ^ mask).to_be())?,
        // 32 bits that differ between those who do not share an address.
        2 => write(ctx, place, (first + (session >> PORT_BITS)).to_be())?,
        // A port of those that share one.
        _ => write(
            ctx,
            place,
            (first as u16 + (session & PORTS) as u16).to_be(),
        )?,
    }
    Some(())
}

#[inline(always)]
fn write<T: Copy>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
    let at = pointer::<T>(ctx, offset)?;
    // SAFETY: the whole value was held against the end of the frame just now.
    unsafe { at.write_unaligned(value) };
    Some(())
}

/// Writes the IPv4 header's checksum.
#[inline(always)]
fn seal(ctx: &XdpContext) -> Option<()> {
    let [a, b, c, d, e] = read::<[u32; 5]>(ctx, ETHERNET)?;
    let sum = u64::from(a) + u64::from(b) + u64::from(c & 0xffff) + u64::from(d) + u64::from(e);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    write(ctx, ETHERNET + IPV4 - 10, !(sum as u16))
}

/// The cookie of STUN, that addresses in messages are covered with.
const COOKIE: u32 = 0x2112_a442;
/// Sessions share a relay address by so many bits of their number.
const PORT_BITS: u32 = 14;
const PORTS: u32 = (1 << PORT_BITS) - 1;
