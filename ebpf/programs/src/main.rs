//! The relay in the kernel.
//!
//! * [`relay`] sees every packet of a device: it forwards those of live channels and permissions,
//!   drops what is proven to be nobody's, and lets everything else through
//!   to the host, untouched.
//! * [`send`] and [`bind`] are parts of it: one reads Send indications, the other answers Binding
//!   requests.
//! * [`steer`] hands datagrams to relayed ports that were let through to the socket of the shard that
//!   owns the port (`sk_lookup`), so that none of them needs a socket of its own.
//! * [`pass`] does nothing: a veth delivers redirected frames only to an end that has a program.
//!
//! A packet is parsed whole ([`packet`]), then decided on ([`from_client`], [`from_peer`]), and only
//! then changed ([`rewrite`]); from the first write on it leaves or is dropped. Every packet is counted
//! under one reason.
//!
//! The maps, and the order in which they are written, are described in `docs/fast-path.md`; nothing here
//! writes to one that holds sessions.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod account;
mod binding;
mod crc;
mod entry;
mod from_client;
mod from_peer;
mod indication;
mod memory;
mod packet;
mod plan;
mod rewrite;
mod steer;
mod stranger;
mod tables;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Fate, Reason};

use self::packet::Packet;
use self::tables::{PROGRAMS, config, is_relayed};

#[xdp]
pub fn relay(ctx: XdpContext) -> u32 {
    finish(forward(&ctx))
}

#[xdp]
pub fn send(ctx: XdpContext) -> u32 {
    finish(forward_indication(&ctx))
}

#[xdp]
pub fn bind(ctx: XdpContext) -> u32 {
    finish(answer_binding(&ctx))
}

#[xdp]
pub fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Counts a packet and says what becomes of it.
#[inline(always)]
fn finish(outcome: Result<(Reason, u32), Reason>) -> u32 {
    let (reason, action) = match outcome {
        Ok(forwarded) => forwarded,
        Err(reason) if matches!(reason.fate(), Fate::Passed) => (reason, XDP_PASS),
        Err(reason) => (reason, XDP_DROP),
    };
    account::count_reason(&config(), reason);
    action
}

/// The reason and the action of a packet that leaves, or why it does not.
#[inline(always)]
fn forward(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    let now = now();
    let packet = Packet::parse(ctx)?.forgotten(now);
    let plan = if is_relayed(packet.near.port) {
        from_peer::decide(&packet, now)?
    } else {
        if let Some(program) = from_client::program(ctx, &packet) {
            // Comes back only when the program is not there.
            // SAFETY: nothing of this frame is in use when another program takes it over.
            let _ = unsafe { PROGRAMS.tail_call(ctx, program) };
        }
        from_client::decide(ctx, &packet, now)?
    };
    rewrite::leave(ctx, &packet, &plan.forgotten(now), now)
}

/// The same for Send indications.
#[inline(always)]
fn forward_indication(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    let now = now();
    let packet = Packet::parse(ctx)?.forgotten(now);
    let plan = indication::send(ctx, &packet, now)?;
    rewrite::leave(ctx, &packet, &plan.forgotten(now), now)
}

/// The same for Binding requests.
#[inline(always)]
fn answer_binding(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    let now = now();
    let packet = Packet::parse(ctx)?.forgotten(now);
    binding::answer(ctx, &packet, now)
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and may be called anywhere.
    unsafe { bpf_ktime_get_coarse_ns() }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
