//! The relay in the kernel.
//!
//! * [`relay`] sees every packet of a device: it forwards those of live channels and permissions,
//!   answers Binding requests, drops what is proven to be nobody's, and lets everything else through
//!   to the host, untouched.
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

use self::from_client::Decision;
use self::packet::Packet;
use self::tables::{config, is_relayed};

#[xdp]
pub fn relay(ctx: XdpContext) -> u32 {
    let (reason, action) = match forward(&ctx) {
        Ok(forwarded) => forwarded,
        Err(reason) if matches!(reason.fate(), Fate::Passed) => (reason, XDP_PASS),
        Err(reason) => (reason, XDP_DROP),
    };
    account::count_reason(&config(), reason);
    action
}

#[xdp]
pub fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// The reason and the action of a packet that leaves, or why it does not.
#[inline(always)]
fn forward(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    // SAFETY: the helper takes nothing and may be called anywhere.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let packet = Packet::parse(ctx)?.forgotten(now);
    let plan = if is_relayed(packet.near.port) {
        from_peer::decide(&packet, now)?
    } else {
        match from_client::decide(ctx, &packet, now)? {
            Decision::Relay(plan) => plan,
            Decision::Answer(request) => return binding::answer(ctx, &packet, &request),
        }
    };
    rewrite::leave(ctx, &packet, &plan.forgotten(now), now)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
