//! The classic BPF program in front of a packet socket: only UDP to the virtual addresses comes up,
//! and of that either STUN responses or everything else.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};

use super::wire::VirtualNet;

/// What of the virtual hosts' datagrams a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// STUN success and error responses.
    Responses,
    /// All that is no response.
    Data,
}

/// The program.
pub(super) fn program(net: VirtualNet, wanted: Wanted) -> Vec<sock_filter> {
    let [a, b] = net.v4;
    let [v6_a, v6_b, v6_c, v6_d] = net.v6.map(u32::from);
    let mut v4 = vec![
        load(BPF_B, 23),
        or_refuse(17),
        load(BPF_H, 30),
        or_refuse(u32::from(a) << 8 | u32::from(b)),
    ];
    v4.extend(ending(wanted, 42));
    let mut v6 = vec![
        load(BPF_B, 20),
        or_refuse(17),
        load(BPF_W, 38),
        or_refuse(v6_a << 16 | v6_b),
        load(BPF_W, 42),
        or_refuse(v6_c << 16 | v6_d),
    ];
    v6.extend(ending(wanted, 62));
    let mut all = vec![load(BPF_H, 12), jump(0x0800, 0, small(v4.len()))];
    all.extend(v4);
    all.push(or_refuse(0x86DD));
    all.extend(v6);
    resolve(&all)
}

/// Judges the first two bytes of what the datagram carries; nothing comes back from here.
fn ending(wanted: Wanted, payload_at: u32) -> [sock_filter; 5] {
    // STUN's first two bits are zero, and bit 8 is set in both kinds of response.
    let mask = statement(BPF_ALU | BPF_AND | BPF_K, 0xC100);
    let (take, refuse) = (
        statement(BPF_RET | BPF_K, WHOLE),
        statement(BPF_RET | BPF_K, 0),
    );
    let [if_response, otherwise] = match wanted {
        Wanted::Responses => [take, refuse],
        Wanted::Data => [refuse, take],
    };
    [
        load(BPF_H, payload_at),
        mask,
        jump(0x0100, 0, 1),
        if_response,
        otherwise,
    ]
}

/// Puts the refusal at the end and makes every `or_refuse` lead there.
fn resolve(all: &[sock_filter]) -> Vec<sock_filter> {
    let end = all.len();
    let mut resolved: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(at, instruction)| match instruction.jf {
            REFUSE => sock_filter {
                jf: small(end - at - 1),
                ..*instruction
            },
            _ => *instruction,
        })
        .collect();
    resolved.push(statement(BPF_RET | BPF_K, 0));
    resolved
}

const fn load(size: u32, at: u32) -> sock_filter {
    statement(BPF_LD | size | BPF_ABS, at)
}

/// Goes on when the accumulator is `k`, else refuses.
const fn or_refuse(k: u32) -> sock_filter {
    jump(k, 0, REFUSE)
}

const fn jump(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        jt,
        jf,
        ..statement(BPF_JMP | BPF_JEQ | BPF_K, k)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "operation codes have eight bits"
)]
const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// A distance; the programs here are short.
fn small(distance: usize) -> u8 {
    u8::try_from(distance).unwrap_or(0)
}

/// Marks a jump to the refusal, whose distance is not yet known.
const REFUSE: u8 = 0xFF;

/// Take all of the frame.
const WHOLE: u32 = 0x4_0000;
