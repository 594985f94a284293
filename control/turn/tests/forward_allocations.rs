//! The hot path takes no memory: an allocator counts while packets go through.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

#[path = "forward/world.rs"]
#[expect(
    dead_code,
    reason = "the world of the other forwarder tests; some of it is theirs only"
)]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use turnpike_stun::{Class, Method};
use turnpike_turn::attribute::{Data, DontFragment, XorPeerAddress};
use turnpike_turn::forward::Verdict;
use turnpike_types::{PeerAddr, RelayedAddr, Transport};

use world::*;

struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    TAKEN.with(|taken| taken.set(taken.get() + 1));
}

// SAFETY: every call is handed to the system allocator as it came; counting touches a cell that
// needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn taken_by(run: impl FnOnce()) -> usize {
    let before = TAKEN.with(Cell::get);
    run();
    TAKEN.with(Cell::get) - before
}

#[test]
fn counter_sees_an_allocation() {
    assert_eq!(taken_by(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn packets_of_every_kind_take_no_memory() {
    let with_fingerprint = indication(Method::SEND, |builder| {
        builder
            .attribute(&XorPeerAddress(addr(PEER_V6)))
            .attribute(&DontFragment)
            .attribute(&Data(&[0; 500]))
            .fingerprint();
    });
    let packets = [
        channel_data(NUMBER, &[0; 500]),
        channel_data(NUMBER + 1, &[0; 500]),
        channel_data(0x5000, &[0; 500]),
        send_indication(PEER, &[0; 500]),
        send_indication("203.0.113.10:7000", &[0; 500]),
        send_indication(SERVICE, &[0; 500]),
        message(Class::Request, Method::BINDING, |_| {}),
        with_fingerprint,
        vec![0xFF; 20],
    ];
    let peers = [
        PEER,
        "203.0.113.9:7001",
        "203.0.113.10:7000",
        SERVICE,
        PEER_V6,
    ];
    let peers = peers.map(|peer| PeerAddr(addr(peer)));
    let relayed = [RELAYED, RELAYED_V6, "10.0.0.5:50001"].map(|text| RelayedAddr(addr(text)));
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::with_transport(transport)
            .permit("203.0.113.9")
            .permit("2001:db8:9::9")
            .bind(NUMBER, PEER);
        let mut forwarded = 0;
        let taken = taken_by(|| {
            for _ in 0..1_000 {
                let from_clients = packets.iter().map(|packet| world.client_sends(packet));
                forwarded += from_clients
                    .filter(|v| matches!(v, Verdict::ToPeer(_)))
                    .count();
                for relayed in relayed {
                    for peer in peers {
                        let verdict = world.forwarder.from_peer(world.now, relayed, peer, 500);
                        forwarded += usize::from(matches!(verdict, Verdict::ToClient(_)));
                    }
                }
            }
        });
        assert_eq!(taken, 0);
        assert_eq!(forwarded, 6_000);
    }
}
