//! Which shard a client belongs to, as a function that the kernel can compute too.
//!
//! A five-tuple is owned by one shard, found from the client's address and port alone: the server
//! address adds nothing, and a client that uses two of our addresses stays on one core. The kernel
//! runs the same arithmetic as a classic BPF program over the sockets of a listener, so that a
//! datagram comes in where it belongs. That saves a hop and nothing else: the program reads IPv6
//! without extension headers, and a shard that is handed a stranger passes it on (`hop`).
//!
//! The function is the same in every process and needs no secret: whoever picks a client port picks
//! a shard, and can crowd no more than its quota there.

use std::net::IpAddr;

use socket2::SockFilter;
use turnpike_types::{AddressFamily, ClientAddr};

/// Odd multipliers with well-spread bits, from 2^32 over the golden ratio and MurmurHash3.
const STEP: u32 = 0x9E37_79B1;
const FINISH: u32 = 0x85EB_CA6B;

/// The shard, of `shards`, that owns the five-tuples of this client; 0 where there is one.
#[must_use]
pub fn owner_of(client: ClientAddr, shards: u16) -> u16 {
    let step = |hash: u32, word: u32| (hash ^ word).wrapping_mul(STEP);
    let hash = match client.ip() {
        IpAddr::V4(ip) => step(0, ip.to_bits()),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            let words = [96, 64, 32, 0].map(|shift| (bits >> shift) as u32);
            words.into_iter().fold(0, step)
        }
    };
    let hash = step(hash, u32::from(client.port()));
    let hash = (hash ^ hash >> 16).wrapping_mul(FINISH);
    (((hash >> 16) * u32::from(shards)) >> 16) as u16
}

/// Where the kernel's negative offsets begin that count from the network header: in a program over
/// a listener's sockets, offset 0 is the payload (Linux: filter.h, `SKF_NET_OFF`).
const NETWORK: u32 = (-0x10_0000_i32) as u32;

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_HALF_FROM_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const X_IS_HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const X_IS_SAVED: u32 = libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM;
const SAVE: u32 = libc::BPF_ST;
const XOR_X: u32 = libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X;
const MULTIPLY: u32 = libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K;
const SHIFT_RIGHT: u32 = libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K;
const RETURN_A: u32 = libc::BPF_RET | libc::BPF_A;

/// [`owner_of`] as a program for the sockets of a listener of a family, the n-th socket being that
/// of the n-th shard.
pub(super) fn program(family: AddressFamily, shards: u16) -> Vec<SockFilter> {
    // A holds the word to mix in, memory 0 the hash.
    const MIX: [(u32, u32); 4] = [(X_IS_SAVED, 0), (XOR_X, 0), (MULTIPLY, STEP), (SAVE, 0)];
    let mut code = Vec::new();
    match family {
        AddressFamily::Ipv4 => {
            code.extend([(LOAD_WORD, NETWORK + 12), (MULTIPLY, STEP), (SAVE, 0)]);
            code.extend([(X_IS_HEADER_LENGTH, NETWORK), (LOAD_HALF_FROM_X, NETWORK)]);
        }
        AddressFamily::Ipv6 => {
            code.extend([(LOAD_WORD, NETWORK + 8), (MULTIPLY, STEP), (SAVE, 0)]);
            for offset in [12, 16, 20] {
                code.push((LOAD_WORD, NETWORK + offset));
                code.extend(MIX);
            }
            code.push((LOAD_HALF, NETWORK + 40));
        }
    }
    code.extend(MIX);
    code.extend([
        (SHIFT_RIGHT, 16),
        (X_IS_SAVED, 0),
        (XOR_X, 0),
        (MULTIPLY, FINISH),
    ]);
    code.extend([
        (SHIFT_RIGHT, 16),
        (MULTIPLY, u32::from(shards)),
        (SHIFT_RIGHT, 16),
    ]);
    code.push((RETURN_A, 0));
    code.into_iter()
        .map(|(instruction, value)| SockFilter::new(instruction as u16, 0, 0, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(ip: &str, port: u16) -> ClientAddr {
        ClientAddr((ip.parse::<IpAddr>().unwrap(), port).into())
    }

    #[test]
    fn every_owner_is_a_shard_and_clients_spread_evenly() {
        for shards in [1, 2, 3, 7, 64] {
            for ip in ["127.0.0.1", "198.51.100.7", "::1", "2001:db8::1234"] {
                let mut owned = vec![0_u32; usize::from(shards)];
                for port in 1_024..u16::MAX {
                    owned[usize::from(owner_of(client(ip, port), shards))] += 1;
                }
                let fair = u32::from(u16::MAX - 1_024) / u32::from(shards);
                let is_fair = |count: &u32| (fair * 3 / 4..=fair * 5 / 4 + 1).contains(count);
                assert!(owned.iter().all(is_fair), "{ip}, {shards}: {owned:?}");
            }
        }
    }

    #[test]
    fn owner_is_the_same_in_every_process() {
        let owners = |ip| [2, 3, 16, 1_000].map(|shards| owner_of(client(ip, 50_000), shards));
        assert_eq!(owners("192.0.2.1"), [1, 1, 9, 621]);
        assert_eq!(owners("2001:db8::1"), [0, 0, 3, 202]);
        assert_eq!(owner_of(client("192.0.2.1", 50_000), 1), 0);
        assert_eq!(owner_of(client("192.0.2.1", 50_000), 0), 0);
    }
}
