//! The load generator's XDP programs.
//!
//! * [`sender`] makes frames: `BPF_PROG_TEST_RUN` with live frames runs it, it writes each frame
//!   whole and sends it out of the device.
//! * [`receiver`] counts and drops what a sender made, wherever a relay has put it, and leaves
//!   everything else to the host.
//! * [`redirect`] is the least that a relay in the kernel could do: the ceiling of all of them.
//! * [`visit`] makes packets of random sessions for a program whose cost is measured.
//! * [`pass`] does nothing: a veth delivers redirected frames only to an end that has a program.
//!
//! Each host's device has an instance of its own with maps of its own, and a veth runs one program
//! at a time: nothing here needs an atomic step.

#![no_std]
#![no_main]

mod packet;
mod payload;
mod receiver;
mod redirect;
mod sender;
mod sum;
mod visit;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

#[xdp]
pub fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
