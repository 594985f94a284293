//! Reading and writing frames and map values.
//!
//! Offsets into a frame are held against its end each time; the verifier wants to see that, and so do
//! we. Words are read as they lie, in the machine's order.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;

/// A pointer to a `T` at `offset` of the frame, if all of it is there.
#[inline(always)]
pub fn pointer<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    // The verifier learns nothing of pointers that may lie further than 65,535 bytes on.
    if offset > OFFSET_MAX {
        return None;
    }
    let mut at = ctx.data();
    // The compiler must not work the pointer out twice, once to compare and once to use: the verifier
    // would not know them for the same.
    // SAFETY: an addition.
    unsafe {
        asm!("{at} += {offset}", at = inout(reg) at, offset = in(reg) offset,
            options(pure, nomem, nostack));
    }
    if at + size_of::<T>() > ctx.data_end() {
        return None;
    }
    Some(at as *mut T)
}

/// A copy of the `T` at `offset` of the frame, if all of it is there.
#[inline(always)]
pub fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
    let at = pointer::<T>(ctx, offset)?;
    // SAFETY: the whole value was held against the end of the frame just now.
    Some(unsafe { at.read_unaligned() })
}

/// Writes a `T` at `offset` of the frame, if there is room for all of it.
#[inline(always)]
pub fn write<T: Copy>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
    let at = pointer::<T>(ctx, offset)?;
    // SAFETY: the whole value was held against the end of the frame just now.
    unsafe { at.write_unaligned(value) };
    Some(())
}

/// The same value, of which the verifier has forgotten what it knew; below `BOUND`, a power of two.
///
/// The verifier walks a path anew for everything that it knows to be different there. Where paths meet,
/// what they brought along is made equal for it, or it would walk the rest of the program for each.
#[inline(always)]
pub fn forget<const BOUND: u64>(mut value: u64, unknown: u64) -> u64 {
    // SAFETY: twice the same bits, which undo each other.
    unsafe {
        asm!("{value} ^= {unknown}", "{value} ^= {unknown}", value = inout(reg) value,
            unknown = in(reg) unknown, options(pure, nomem, nostack));
    }
    if BOUND == 0 {
        value
    } else {
        value & (BOUND - 1)
    }
}

/// The same offset, of which is known here that it is inside of a frame, with a bound that the verifier
/// sees. Older ones (Linux 6.1) learn nothing from a comparison of two registers or a swap of bytes, and
/// fear what is subtracted; a comparison with a constant the compiler leaves out, because it knows.
#[inline(always)]
pub fn bounded(mut offset: usize) -> usize {
    // SAFETY: no frame is longer, so that nothing is cut off.
    unsafe {
        asm!("{offset} &= 0x3fff", offset = inout(reg) offset, options(pure, nomem, nostack));
    }
    offset
}

/// Copies a map's value word by word, each read once: the control plane may be writing it.
///
/// # Safety
/// `from` points to a value that a look-up has just returned.
#[inline(always)]
pub unsafe fn copy<const N: usize>(from: *const [u64; N]) -> [u64; N] {
    let from = from.cast::<u64>();
    // SAFETY: the caller answers for the pointer, and `index` stays below N.
    core::array::from_fn(|index| unsafe { from.add(index).read_volatile() })
}

/// Adds to a word of a map in one atomic step.
///
/// # Safety
/// `at` points to an aligned word of a map's value.
#[inline(always)]
pub unsafe fn add(at: *mut u64, amount: u64) {
    // SAFETY: the caller answers for the pointer; the instruction touches that word only.
    unsafe {
        asm!("lock *(u64 *)({at} + 0) += {amount}", at = in(reg) at, amount = in(reg) amount,
            options(nostack));
    }
}

/// Replaces a word of a map if it still is `before`; false when it is not.
///
/// # Safety
/// `at` points to an aligned word of a map's value.
#[inline(always)]
pub unsafe fn replace(at: *mut u64, before: u64, after: u64) -> bool {
    let found: u64;
    // SAFETY: the caller answers for the pointer; the instruction touches that word only.
    unsafe {
        asm!("r0 = cmpxchg_64({at} + 0, r0, {after})", at = in(reg) at, after = in(reg) after,
            inout("r0") before => found, options(nostack));
    }
    found == before
}

/// Longer than any frame that a program meets.
const OFFSET_MAX: usize = 0x3fff;
