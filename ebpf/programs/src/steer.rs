//! Hands datagrams to relayed ports to the socket of the shard that owns the port, so that one socket a
//! shard and family is enough. Everything else finds its socket as ever, also where the shard has none.

use core::ptr::read_volatile;

use aya_ebpf::bindings::sk_action::SK_PASS;
use aya_ebpf::macros::sk_lookup;
use aya_ebpf::programs::SkLookupContext;
use turnpike_abi::{Address, Config, Endpoint};

use crate::entry;
use crate::tables::{SOCKETS, config};

#[sk_lookup]
pub fn steer(ctx: SkLookupContext) -> u32 {
    // SAFETY: the context is the kernel's own.
    let lookup = unsafe { &*ctx.lookup };
    let is_v6 = lookup.family == AF_INET6;
    let port = lookup.local_port as u16;
    let Some(shard) = config().shard(port) else {
        return SK_PASS;
    };
    if lookup.protocol != PROTOCOL_UDP {
        return SK_PASS;
    }
    let address = if is_v6 {
        // One by one: the verifier refuses a load of two, which a compiler may make of them.
        // SAFETY: as above.
        let [a, b, c, d] = lookup
            .local_ip6
            .each_ref()
            .map(|word| u64::from(unsafe { read_volatile(word) }));
        Address([a | b << 32, c | d << 32])
    } else {
        Address::from_v4_word(lookup.local_ip4)
    };
    let near = Endpoint { address, port: 0 };
    if let Ok(Some(_)) = entry::address(near, 0) {
        // Without a socket there the kernel goes on looking.
        let _ = SOCKETS.redirect_sk_lookup(&ctx, Config::socket(shard, is_v6), 0);
    }
    SK_PASS
}

const AF_INET6: u32 = 10;
const PROTOCOL_UDP: u32 = 17;
