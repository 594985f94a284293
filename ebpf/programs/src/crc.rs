//! The CRC-32 of FINGERPRINT (RFC 8489 section 14.7), for the few bytes of a Binding request.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;

use crate::memory::read;

/// The value of a FINGERPRINT attribute behind `length` bytes of message that begin at `offset` of the
/// frame, as it lies in the frame. At most [`BYTES_MAX`] bytes.
///
/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
pub unsafe fn fingerprint(ctx: *mut xdp_md, offset: usize, length: usize) -> u32 {
    let ctx = XdpContext::new(ctx);
    let mut crc = u32::MAX;
    for index in 0..BYTES_MAX {
        if index >= length {
            break;
        }
        let Some(byte) = read::<u8>(&ctx, offset + index) else {
            break;
        };
        let place = (crc as u8 ^ byte) as usize;
        crc = TABLE[place] ^ crc >> 8;
    }
    (!crc ^ 0x5354_554e).to_be()
}

/// What a message may have before its FINGERPRINT.
pub const BYTES_MAX: usize = 128;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0xedb8_8320
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}
