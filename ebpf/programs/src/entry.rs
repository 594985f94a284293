//! Looking entries up: each is copied, and its copy checked; one that does not hold is looked up once
//! more.

use turnpike_abi::{Client, Endpoint, Flow, FlowKey, Local, LocalKey, NextHop, Permission, Reason};

use crate::memory::copy;
use crate::tables::{CLIENTS, FLOWS, LOCALS, NEXT_HOPS, PERMISSIONS};

/// The live entry of a hash map under a key.
macro_rules! look_up {
    ($(#[$doc:meta])* $name:ident, $map:ident, $key:ty, $value:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(key: &$key, now: u64) -> Result<Option<$value>, Reason> {
            let key = key.words();
            for _ in 0..TRIES {
                let Some(found) = $map.get_ptr(&key) else {
                    return Ok(None);
                };
                // SAFETY: the look-up has just returned it.
                let words = unsafe { copy(found) };
                if let Some(value) = $value::open(&key, &words) {
                    return Ok((value.expires_at > now).then_some(value));
                }
            }
            Err(Reason::Torn)
        }
    };
}

look_up!(
    /// What becomes of a packet of a channel.
    flow, FLOWS, FlowKey, Flow
);
look_up!(
    /// A peer's permission.
    permission, PERMISSIONS, FlowKey, Permission
);
look_up!(
    /// A five-tuple's allocation.
    client, CLIENTS, FlowKey, Client
);
look_up!(
    /// What a transport address of ours is.
    local, LOCALS, LocalKey, Local
);

/// What an address of ours is, whatever the port.
#[inline(always)]
pub fn address(near: Endpoint, now: u64) -> Result<Option<Local>, Reason> {
    let key = LocalKey(Endpoint { port: 0, ..near });
    local(&key, now)
}

/// Where packets go next: MACs, VLAN and MTU as the map has them, and the device.
#[inline(always)]
pub fn next_hop(index: u32) -> Result<[u64; 3], Reason> {
    for _ in 0..TRIES {
        let found = NEXT_HOPS.get_ptr(index).ok_or(Reason::NoNextHop)?;
        // SAFETY: the look-up has just returned it.
        let words = unsafe { copy(found) };
        let [_, _, device] = words;
        if device == 0 {
            return Err(Reason::NoNextHop);
        }
        if NextHop::holds(index, &words) {
            return if device as u32 == 0 {
                Err(Reason::NoNextHop)
            } else {
                Ok(words)
            };
        }
    }
    Err(Reason::Torn)
}

const TRIES: u32 = 2;
