//! What an idle association costs, by the count of an allocator: after its handshake, and after it
//! has been busy.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic is the failure report"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use turnpike_sctp::{
    Association, Config, MessageId, Outgoing, Output, Ppid, SendError, State, StreamId,
};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

struct Counting;

thread_local! {
    /// Bytes that this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

fn add(bytes: usize) {
    HELD.with(|held| held.set(held.get().wrapping_add(bytes)));
}

// SAFETY: every call is handed to the system allocator as it came; counting touches a cell that
// needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        add(0_usize.wrapping_sub(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size.wrapping_sub(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> usize {
    HELD.with(Cell::get)
}

/// The mark for one end, itself included.
const IDLE_MAX: usize = 8 * 1024;

/// Two ends on the heap, and a clock.
struct Pair {
    ends: [Box<Association>; 2],
    now: Timestamp,
    packets: usize,
}

impl Pair {
    fn new() -> Self {
        let now = Timestamp::from_secs(1);
        let ends = [1, 2].map(|seed| {
            let mut entropy = SeededEntropy::new(seed);
            Box::new(Association::new(Config::default(), &mut entropy, now).unwrap())
        });
        let mut pair = Self {
            ends,
            now,
            packets: 0,
        };
        pair.ends[0].connect(now);
        pair.pass(Duration::from_secs(1), 0);
        assert!(pair.ends.iter().all(|it| it.state() == State::Established));
        pair
    }

    /// Lets time pass. Each side sends messages of `len` bytes as its buffer takes them; one packet
    /// in fifty is lost.
    fn pass(&mut self, time: Duration, len: usize) {
        let until = self.now + time;
        while self.now < until {
            self.now = self.now + Duration::from_millis(5);
            let mut packets = Vec::new();
            for from in [0, 1] {
                let end = &mut self.ends[from];
                end.handle_timeout(self.now);
                while len > 0 && send(end, self.now, len) {}
                let mut buf = vec![0; 1_191];
                while let Some(output) = end.poll_output(&mut buf) {
                    if let Output::Transmit(transmit) = output {
                        packets.push((1 - from, buf[..transmit.len].to_vec()));
                    }
                }
            }
            for (to, packet) in packets {
                self.packets += 1;
                if !self.packets.is_multiple_of(50) {
                    self.ends[to].handle_input(self.now, &packet).unwrap();
                }
                while self.ends[to].receive().is_some() {}
            }
        }
    }
}

/// Whether the buffer took another message.
fn send(end: &mut Association, now: Timestamp, len: usize) -> bool {
    let message = Outgoing {
        id: Some(MessageId(1)),
        ..Outgoing::new(StreamId(1), Ppid(53), Bytes::from(vec![7; len]))
    };
    match end.send(now, message) {
        Ok(()) => true,
        Err(SendError::BufferFull) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_idle_association_costs_little_before_and_after_it_was_busy() {
    let before = held();
    let mut pair = Pair::new();
    let fresh = (held() - before) / 2;
    assert!(fresh <= IDLE_MAX, "{fresh} bytes after the handshake");
    assert!(fresh > size_of::<Association>(), "the allocator counts");
    for len in [50, 1_000, 100_000] {
        pair.pass(Duration::from_secs(2), len);
        let busy = (held() - before) / 2;
        assert!(busy > 100_000, "{busy} bytes with messages of {len}");
        pair.pass(Duration::from_secs(20), 0);
        let idle = (held() - before) / 2;
        assert!(idle <= IDLE_MAX, "{idle} bytes after messages of {len}");
    }
}
