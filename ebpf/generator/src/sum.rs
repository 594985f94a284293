//! The Internet sum of a part of a frame, in pieces of fixed size: the verifier follows pointers
//! that move, but wants to know how many bytes a helper reads.

use core::ptr::null_mut;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_csum_diff;
use aya_ebpf::programs::XdpContext;
use turnpike_generator_layout::stamp::fold;

/// The folded sum of `length` bytes of the frame at `offset`; 0 when they are not all there,
/// or an odd number.
#[inline(always)]
pub fn sum(ctx: &XdpContext, offset: usize, length: usize) -> u32 {
    // SAFETY: the context is the kernel's own.
    unsafe { sum_of(ctx.as_ptr().cast(), offset, length) }
}

/// A function of its own in the program: inlined at four places, the paths would multiply.
///
/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
unsafe fn sum_of(ctx: *mut aya_ebpf::bindings::xdp_md, offset: usize, length: usize) -> u32 {
    let ctx = XdpContext::new(ctx);
    if offset > REACH || length > REACH {
        return 0;
    }
    let mut summing = Summing {
        at: ctx.data() + offset,
        end: ctx.data_end(),
        total: 0,
    };
    let whole = summing.piece::<1024>(length)
        && summing.piece::<512>(length)
        && summing.piece::<256>(length)
        && summing.piece::<128>(length)
        && summing.piece::<64>(length)
        && summing.piece::<32>(length)
        && summing.piece::<16>(length)
        && summing.piece::<8>(length)
        && summing.piece::<4>(length)
        && summing.rest(length);
    if whole {
        u32::from(fold(summing.total))
    } else {
        0
    }
}

struct Summing {
    at: usize,
    end: usize,
    total: u64,
}

impl Summing {
    /// Adds the next `SIZE` bytes if that bit of the length is set; false when they are not there.
    #[inline(always)]
    fn piece<const SIZE: usize>(&mut self, length: usize) -> bool {
        if length & SIZE == 0 {
            return true;
        }
        if self.at + SIZE > self.end {
            return false;
        }
        // SAFETY: the bytes were held against the end of the frame just now; the helper reads only.
        let sum = unsafe { bpf_csum_diff(null_mut(), 0, self.at as *mut u32, SIZE as u32, 0) };
        self.total += sum as u64 & 0xffff_ffff;
        self.at += SIZE;
        true
    }

    /// Adds the last two bytes; a part of odd length has no sum.
    #[inline(always)]
    fn rest(&mut self, length: usize) -> bool {
        if length & 1 != 0 {
            return false;
        }
        if length & 2 != 0 {
            if self.at + 2 > self.end {
                return false;
            }
            // SAFETY: held against the end of the frame just now.
            self.total += u64::from(unsafe { (self.at as *const u16).read_unaligned() });
        }
        true
    }
}

/// No offset and no length in a frame is greater: a bound that the verifier can see. (It would lose
/// sight of a power of two less one, for which the compiler makes one test of two.)
const REACH: usize = 2000;
