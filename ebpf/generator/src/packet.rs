//! Where things are in a frame. Reads what XDP programs need, no more: IPv4 without options, IPv6
//! without extension headers, UDP.

use aya_ebpf::programs::XdpContext;

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Length of an IPv6 header.
pub const IPV6: usize = 40;
/// Length of a UDP header.
pub const UDP: usize = 8;

/// EtherTypes and protocol numbers as they lie in the frame.
pub const TYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const TYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const PROTOCOL_UDP: u8 = 17;

/// A pointer to a `T` at `offset` of the frame, if all of it is there.
#[inline(always)]
pub fn pointer<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let at = ctx.data() + offset;
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

/// Whether a frame carries UDP right behind an IP header.
#[inline(always)]
pub fn is_udp(ctx: &XdpContext) -> bool {
    let protocol = match read::<u16>(ctx, 12) {
        Some(TYPE_IPV4) => read::<u8>(ctx, ETHERNET + 9),
        Some(TYPE_IPV6) => read::<u8>(ctx, ETHERNET + 6),
        _ => None,
    };
    protocol == Some(PROTOCOL_UDP)
}
