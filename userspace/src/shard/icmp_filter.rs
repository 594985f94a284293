//! Which ICMP errors reach a shard: those that quote a datagram from one of its relayed ports.
//!
//! A classic BPF program on the raw socket, so that a flood of errors about nothing of ours costs no
//! turn of the loop, and an error costs one shard. Not the check itself: what gets through is parsed
//! and looked up (`turnpike_turn::icmp_quote`), and nothing else is relied on.

use std::ops::RangeInclusive;

use socket2::SockFilter;
use turnpike_types::AddressFamily;

/// Header of an ICMP error, before what it quotes (RFC 792, RFC 4443).
const HEADER: u32 = 8;
/// Where a quoted IPv6 header names the next one, and how long it is (RFC 8200 section 3).
const NEXT_HEADER: u32 = HEADER + 6;
const IPV6_HEADER: u32 = 40;
/// The fragment header (RFC 8200 section 4.5).
const FRAGMENT: u32 = 44;
const FRAGMENT_HEADER: u32 = 8;

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_BYTE_FROM_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_HALF_FROM_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const X_IS_HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const SHIFT_LEFT: u32 = libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K;
const ADD_X: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X;
const X_IS_A: u32 = libc::BPF_MISC | libc::BPF_TAX;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_ABOVE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The program for a raw socket of a family. A load beyond the packet's end refuses it.
pub(super) fn program(family: AddressFamily, ports: &RangeInclusive<u16>) -> Vec<SockFilter> {
    let mut code = match family {
        // The packet begins with its own IP header.
        AddressFamily::Ipv4 => vec![
            step(X_IS_HEADER_LENGTH, 0),
            step(LOAD_BYTE_FROM_X, HEADER),
            step(AND, 0x0F),
            step(SHIFT_LEFT, 2),
            step(ADD_X, 0),
            step(X_IS_A, 0),
            step(LOAD_HALF_FROM_X, HEADER),
        ],
        AddressFamily::Ipv6 => vec![
            step(LOAD_BYTE, NEXT_HEADER),
            branch(IF_EQUAL, FRAGMENT, 0, 2),
            step(LOAD_HALF, HEADER + IPV6_HEADER + FRAGMENT_HEADER),
            step(JUMP, 1),
            step(LOAD_HALF, HEADER + IPV6_HEADER),
        ],
    };
    code.extend([
        branch(IF_AT_LEAST, (*ports.start()).into(), 0, 2),
        branch(IF_ABOVE, (*ports.end()).into(), 1, 0),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ]);
    code
}

const fn step(instruction: u32, value: u32) -> SockFilter {
    branch(instruction, value, 0, 0)
}

const fn branch(instruction: u32, value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new(instruction as u16, then, otherwise, value)
}
