//! A relayed packet allocates nothing: counted by the allocator, over the shard's whole thread.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]
#![expect(
    unsafe_code,
    reason = "a global allocator that counts can only be written so"
)]

mod stream_support;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use turnpike::probe::Caller;
use turnpike::relay::Relay;
use turnpike_types::{AddressFamily, PeerAddr, Transport};

use stream_support::Stage;
use support::{ANYBODY, options, plan};

const PATIENCE: Duration = Duration::from_secs(5);
const WARM_UP: usize = 3_000;
const PACKETS: usize = 20_000;
const RUNS: usize = 500;
const RUN_LENGTH: usize = 8;

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Set on the test's own thread, which may allocate.
    static IS_EXEMPT: Cell<bool> = const { Cell::new(false) };
}

impl Counting {
    fn note() {
        if COUNTS.load(Ordering::Relaxed) && !IS_EXEMPT.try_with(Cell::get).unwrap_or(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is passed to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promise; the pointer came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn relayed_packet_allocates_nothing() {
    IS_EXEMPT.set(true);
    let relay = Relay::start(&plan(ANYBODY), &options()).unwrap();
    let channel = Call::new(&relay, true);
    let indication = Call::new(&relay, false);
    for call in [&channel, &indication] {
        call.ping_pong(WARM_UP);
        call.ping_pong_runs(RUNS);
        // The control: a new allocation must be seen, or the count below would prove nothing.
        COUNTS.store(true, Ordering::Relaxed);
        let more = Call::new(&relay, true);
        COUNTS.store(false, Ordering::Relaxed);
        assert!(ALLOCATIONS.swap(0, Ordering::Relaxed) > 0);
        drop(more);
        COUNTS.store(true, Ordering::Relaxed);
        call.ping_pong(PACKETS);
        call.ping_pong_runs(RUNS);
        COUNTS.store(false, Ordering::Relaxed);
        assert_eq!(ALLOCATIONS.swap(0, Ordering::Relaxed), 0);
    }
    let last = relay.stop().unwrap();
    let in_runs = 2 * RUNS * RUN_LENGTH;
    assert_eq!(last.packets(), 4 * (WARM_UP + PACKETS + in_runs) as u64);
    assert_eq!(last.dropped(), 0);
}

#[test]
fn packet_relayed_to_and_from_a_tcp_client_allocates_nothing() {
    IS_EXEMPT.set(true);
    let stage = Stage::new();
    let (mut caller, peer) = stage.call(Transport::Tcp);
    let message = caller.channel_data(&[7; 172]);
    let mut ping_pong = |count: usize| {
        let mut buffer = [0; 512];
        for _ in 0..count {
            caller.write(&message);
            assert_eq!(peer.receive().len(), 172);
            peer.send(&caller, &[8; 172]);
            assert_eq!(caller.stream().read(&mut buffer).unwrap(), message.len());
        }
    };
    ping_pong(WARM_UP);
    // The control: a new connection must be seen, or the count below would prove nothing.
    COUNTS.store(true, Ordering::Relaxed);
    let more = stage.allocate(Transport::Tcp);
    COUNTS.store(false, Ordering::Relaxed);
    assert!(ALLOCATIONS.swap(0, Ordering::Relaxed) > 0);
    COUNTS.store(true, Ordering::Relaxed);
    ping_pong(PACKETS);
    COUNTS.store(false, Ordering::Relaxed);
    assert_eq!(ALLOCATIONS.swap(0, Ordering::Relaxed), 0);
    drop(more);
}

/// A client and a peer whose messages are made once.
struct Call {
    caller: Caller,
    peer: UdpSocket,
    relayed: SocketAddr,
    message: Vec<u8>,
}

impl Call {
    fn new(relay: &Relay, by_channel: bool) -> Self {
        let server = relay.listeners()[0];
        let mut caller = Caller::allocate(server, None, AddressFamily::Ipv4, PATIENCE).unwrap();
        let free = |port| UdpSocket::bind(("127.0.0.1", port)).ok();
        let peer = (61_000..=65_535).find_map(free).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let peer_at = PeerAddr(peer.local_addr().unwrap());
        if by_channel {
            caller.bind_channel(peer_at).unwrap();
        } else {
            caller.permit(peer_at.ip()).unwrap();
        }
        let relayed = caller.relayed(AddressFamily::Ipv4).unwrap().0;
        let mut message = vec![0; 300];
        let len = caller.write(peer_at, &[7; 172], &mut message).unwrap();
        message.truncate(len);
        caller.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            caller,
            peer,
            relayed,
            message,
        }
    }

    /// As [`ping_pong`](Self::ping_pong), several datagrams at a time, sent by one call.
    fn ping_pong_runs(&self, count: usize) {
        let mut buffer = [0; 512];
        let message = self.message.repeat(RUN_LENGTH);
        let payload = [7; 172].repeat(RUN_LENGTH);
        let cut = |socket: &UdpSocket, segment: usize| {
            setsockopt(socket, sockopt::UdpGsoSegment, &(segment as i32)).unwrap();
        };
        cut(self.caller.socket(), self.message.len());
        cut(&self.peer, 172);
        for _ in 0..count {
            self.caller.socket().send(&message).unwrap();
            for _ in 0..RUN_LENGTH {
                assert_eq!(self.peer.recv(&mut buffer).unwrap(), 172);
            }
            self.peer.send_to(&payload, self.relayed).unwrap();
            for _ in 0..RUN_LENGTH {
                assert!(self.caller.socket().recv(&mut buffer).unwrap() > 172);
            }
        }
        cut(self.caller.socket(), 0);
        cut(&self.peer, 0);
    }

    fn ping_pong(&self, count: usize) {
        let mut buffer = [0; 512];
        for _ in 0..count {
            self.caller.socket().send(&self.message).unwrap();
            assert_eq!(self.peer.recv(&mut buffer).unwrap(), 172);
            self.peer.send_to(&buffer[..172], self.relayed).unwrap();
            assert!(self.caller.socket().recv(&mut buffer).unwrap() > 172);
        }
    }
}
