//! A flood from nowhere: a packet that has not authenticated leaves nothing behind. Alone in its
//! process, so that its resident memory can be measured.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a test's way to report"
)]

#[expect(dead_code, reason = "shared with the other tests of the server")]
#[path = "server/support.rs"]
mod support;

use std::net::Ipv4Addr;

use turnpike_stun::{
    IntegrityAlgorithm, IntegrityKey, Method, Nonce, Realm, TransactionId, Username,
};
use turnpike_turn::attribute::RequestedTransport;
use turnpike_turn::server::{Procedure, Refusal};
use turnpike_types::ClientAddr;

use crate::support::{Client, REALM, World, build, config};

/// Resident memory in KiB; 0 where the system does not say.
fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4
}

fn spoofed(number: u32) -> Client {
    let mut client = Client::new(0, "alice");
    let ip = Ipv4Addr::from_bits(0x0B00_0000 + number);
    client.five_tuple.client =
        ClientAddr((ip, 1_024 + u16::try_from(number % 60_000).unwrap()).into());
    client
}

#[test]
fn flood_of_spoofed_allocates_leaves_no_state() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    let garbage = IntegrityKey::short_term("garbage");
    let bare = build(Method::ALLOCATE, TransactionId([1; 12]), |message| {
        message.attribute(&RequestedTransport::UDP);
    });
    let signed = build(Method::ALLOCATE, TransactionId([2; 12]), |message| {
        message
            .attribute(&RequestedTransport::UDP)
            .attribute(&Username(b"alice"));
        message
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(b"obMatJos2AAADgarbagegarbage"));
        message.integrity(IntegrityAlgorithm::Sha1, &garbage);
    });
    let flood = |world: &mut World, count: u32| {
        for number in 0..count {
            let five_tuple = spoofed(number).five_tuple;
            assert_eq!(world.send(five_tuple, &bare).unwrap().code(), 401);
            assert_eq!(world.send(five_tuple, &signed).unwrap().code(), 438);
            world.seen.clear();
        }
    };
    flood(&mut world, 1_000);
    let before = resident_kib();
    flood(&mut world, 50_000);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 1_024, "{grown} KiB for 100,000 packets");
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
    assert_eq!(world.server.free_ports(), free);
    let counters = world.server.counters();
    assert_eq!(
        counters.refused(Procedure::Allocate, Refusal::Unauthenticated),
        51_000
    );
    assert_eq!(
        counters.refused(Procedure::Allocate, Refusal::StaleNonce),
        51_000
    );
}
