//! The programs tried out on this kernel: loaded with small tables of their own, attached to nothing, and
//! run on one packet, which grows at its head as much as any does.
//!
//! Not here: how much room a device's driver leaves, which only packets that came by it can tell
//! ([`Running::short_of_room`](crate::inspect::Running::short_of_room)).

use std::net::SocketAddr;

use aya::maps::Array;
use turnpike_abi::{Config, Endpoint, Flow, FlowKey, NextHop, Terms, maps};

use crate::loader::{self, LoadError, Loaded, Sizes};
use crate::plane;

/// Loads the programs and has them relay a peer's datagram from IPv4 to an IPv6 client, on no device.
///
/// # Errors
/// What the kernel refused, or that the packet was not relayed.
pub fn prove() -> Result<(), LoadError> {
    let layout = layout()?;
    let mut loaded = loader::load(&layout, &SIZES)?;
    fill(&loaded, layout)?;
    let frame = frame();
    let (action, length) = loaded.run_on(&frame)?;
    if (action, length) == (XDP_TX, frame.len() + GROWTH) {
        return Ok(());
    }
    Err(LoadError::Refused {
        what: "relay a packet on no device".to_owned(),
        said: format!("action {action}, {length} bytes"),
    })
}

fn layout() -> Result<Config, LoadError> {
    Ok(Config {
        stranger_cost: 0,
        stranger_full: 0,
        relay_port_min: RELAYED_PORT,
        relay_port_max: RELAYED_PORT,
        flags: 0,
        cpus: plane::cpus()?,
        shards: 1,
        allocations: 1,
    })
}

/// A channel of a client on IPv6 with a peer on IPv4, and the way to the client.
fn fill(loaded: &Loaded, layout: Config) -> Result<(), LoadError> {
    let failed = |error: &aya::maps::MapError| LoadError::refused("fill the tables", error);
    let ends: [SocketAddr; 3] = [
        ([192, 0, 2, 9], PEER_PORT).into(),
        ([192, 0, 2, 1], RELAYED_PORT).into(),
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2], PEER_PORT).into(),
    ];
    let [peer, relayed, client] = ends.map(Endpoint::new);
    let server = Endpoint::new(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 3_478).into());
    let terms = Terms {
        generation: 0,
        user: Terms::NO_USER,
        limit: turnpike_abi::Limit::default(),
    };
    plane::counters(loaded, layout)?.begin(0, &terms, 0);
    let loopback = nix::net::if_::if_nametoindex("lo");
    let hop = NextHop {
        to: [2; 6],
        from: [4; 6],
        vlan: 0,
        mtu: 1_500,
        device: loopback.map_err(|error| LoadError::refused("find the loopback", &error))?,
    };
    let mut hops: Array<_, [u64; 3]> = plane::typed(loaded.map(maps::NEXT_HOPS)?, Array::try_from)?;
    hops.set(HOP, hop.sealed(HOP), 0)
        .map_err(|error| failed(&error))?;
    let key = FlowKey {
        far: peer,
        near: relayed,
        channel: 0,
    };
    let flow = Flow {
        source: server,
        destination: client,
        channel: 0x4000_u16.to_be(),
        flags: 0,
        next_hop: HOP,
        allocation: 0,
        generation: 0,
        expires_at: u64::MAX,
    };
    let mut flows = plane::open_maps(loaded)?.flows;
    flows
        .insert(key.words(), flow.sealed(&key), 0)
        .map_err(|error| failed(&error))
}

/// A datagram of the peer's to the relayed address, in Ethernet and IPv4.
fn frame() -> Vec<u8> {
    let datagram = 8 + PAYLOAD.len() as u16;
    let mut ip = [
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1,
    ];
    let length = (20 + datagram).to_be_bytes();
    ip.iter_mut()
        .skip(2)
        .zip(length)
        .for_each(|(at, it)| *at = it);
    let words = ip.chunks_exact(2).filter_map(|it| it.first_chunk::<2>());
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip.iter_mut()
        .skip(10)
        .zip(sum.to_be_bytes())
        .for_each(|(at, it)| *at = it);
    let udp = [PEER_PORT, RELAYED_PORT, datagram, ANY_SUM].map(u16::to_be_bytes);
    let ethernet = [[4; 6].as_slice(), &[2; 6], &[8, 0]].concat();
    [ethernet.as_slice(), &ip, udp.as_flattened(), PAYLOAD].concat()
}

const SIZES: Sizes = Sizes {
    channels: 1,
    permissions: 1,
    own_addresses: 1,
    users: 1,
    strangers: 1,
};
const PEER_PORT: u16 = 5_000;
const RELAYED_PORT: u16 = 50_000;
const HOP: u32 = 2;
/// It is corrected, never looked at; only none at all could not go to IPv6.
const ANY_SUM: u16 = 0x1234;
/// As long as a frame must be.
const PAYLOAD: &[u8] = &[7; 40];
/// From IPv4's header to IPv6's, and ChannelData's.
const GROWTH: usize = 20 + 4;
const XDP_TX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_relay_a_packet_on_no_device() {
        prove().unwrap_or_else(|error| panic!("{error}"));
    }
}
