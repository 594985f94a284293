//! What SACKs and timers make of the sending side as a whole.

use super::super::Sender;
use super::*;
use crate::event::Events;
use crate::path::Path;
use crate::wire::{Checksum, ChecksumRule, Chunk, Header, Packet, PacketWriter};
use crate::{Config, Tsn};

const FIRST: Tsn = Tsn(100);
const HEADER: Header = Header {
    source_port: 1,
    destination_port: 2,
    verification_tag: 3,
};

/// A sending side with a peer that is a list of SACKs.
struct Fixture {
    sender: Sender,
    path: Path,
    now: Timestamp,
    events: Events,
}

impl Fixture {
    fn new() -> Self {
        let config = Config::default();
        let mut sender = Sender::new(&config);
        sender.establish(FIRST, 1_000_000, false, true);
        Self {
            sender,
            path: Path::new(&config),
            now: Timestamp::from_secs(1),
            events: Events::new(),
        }
    }

    /// Queues messages that fill a packet each, and sends what may leave; the TSNs that left.
    fn send(&mut self, count: usize) -> Vec<u32> {
        for _ in 0..count {
            self.sender.queue.push(self.now, message(0, 1_100));
        }
        self.fill()
    }

    fn fill(&mut self) -> Vec<u32> {
        let mut tsns = Vec::new();
        loop {
            let mut buf = [0; 1_200];
            let mut writer = PacketWriter::new(&mut buf, 1_188, HEADER).unwrap();
            let (now, path, events) = (self.now, &mut self.path, &mut self.events);
            self.sender.fill(now, path, &mut writer, events);
            if writer.is_empty() {
                return tsns;
            }
            let len = writer.finish(Checksum::Zero);
            let packet = Packet::parse(&buf[..len], ChecksumRule::MayBeZero).unwrap();
            for raw in packet.chunks() {
                if let Chunk::Data(data) = Chunk::parse(raw.unwrap()).unwrap() {
                    tsns.push(data.tsn.offset_from(FIRST));
                }
            }
        }
    }

    fn sack(&mut self, cumulative: u32, gaps: &[(u16, u16)], duplicates: &[Tsn]) {
        let mut buf = [0; 1_200];
        let mut writer = PacketWriter::new(&mut buf, 1_188, HEADER).unwrap();
        let tsn = FIRST.plus(cumulative);
        assert!(writer.sack(tsn, 1_000_000, gaps.iter().copied(), duplicates));
        let len = writer.finish(Checksum::Zero);
        let packet = Packet::parse(&buf[..len], ChecksumRule::MayBeZero).unwrap();
        let raw = packet.chunks().next().unwrap().unwrap();
        let Chunk::Sack(sack) = Chunk::parse(raw).unwrap() else {
            panic!("not a SACK")
        };
        let (now, path, events) = (self.now, &mut self.path, &mut self.events);
        self.sender.handle_sack(now, path, &sack, events).unwrap();
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    /// Goes to the next timer and lets it expire.
    fn time_out(&mut self) {
        let deadline = self.sender.next_timeout(self.now, &self.path).unwrap();
        self.now = self.now.max(deadline.at);
        let (now, path, events) = (self.now, &mut self.path, &mut self.events);
        self.sender.handle_timeout(now, path, events);
    }

    fn cwnd(&self) -> usize {
        self.path.congestion.cwnd()
    }
}

/// A fixture that knows a round trip of 100 ms, with nothing in flight; the next TSN is `FIRST + 4`.
fn measured() -> Fixture {
    let mut it = Fixture::new();
    assert_eq!(it.send(4), [0, 1, 2, 3]);
    it.pass(100);
    it.sack(3, &[], &[]);
    it
}

#[test]
fn a_timeout_that_was_mistaken_is_taken_back() {
    let mut it = measured();
    let cwnd = it.cwnd();
    assert_eq!(it.send(4), [4, 5, 6, 7]);
    let outstanding = it.sender.flight_bytes();
    it.time_out();
    assert_eq!(it.fill(), [7], "the probe sends the last one again");
    it.time_out();
    assert!(it.cwnd() < cwnd);
    assert_eq!(
        it.fill(),
        [4, 5],
        "the least window is not quite full with one chunk"
    );
    // What was slow, not lost, is acknowledged at once: nobody can have seen it the second time.
    it.pass(1);
    it.sack(4, &[], &[]);
    assert!(it.cwnd() >= cwnd, "the window is given back");
    assert_eq!(it.sender.flight_bytes(), outstanding / 4 * 3);
    assert_eq!(it.fill(), [], "the others are still on their way");
}

#[test]
fn a_timeout_that_was_right_stands() {
    let mut it = measured();
    assert_eq!(it.send(4), [4, 5, 6, 7]);
    it.time_out();
    it.fill();
    it.time_out();
    let cwnd = it.cwnd();
    assert_eq!(it.fill(), [4, 5]);
    it.pass(100);
    it.sack(4, &[], &[]);
    assert!(it.cwnd() <= 2 * cwnd, "{} and {cwnd}", it.cwnd());
    assert_eq!(it.fill().first(), Some(&6));
}

#[test]
fn a_peer_that_takes_gaps_back_gets_everything_again() {
    let mut it = measured();
    assert_eq!(it.send(5), [4, 5, 6, 7, 8]);
    it.pass(100);
    it.sack(3, &[(2, 4)], &[]);
    assert_eq!(it.fill(), [4], "three later ones have arrived");
    it.pass(100);
    it.sack(4, &[], &[]);
    let again = it.fill();
    assert_eq!(again.first(), Some(&5), "{again:?}");
    it.pass(100);
    it.sack(8, &[], &[]);
    assert!(it.sender.is_done());
}

#[test]
fn duplicates_that_the_peer_reports_make_us_wait_longer_for_the_next_gap() {
    let wait = |duplicates: &[Tsn]| {
        let mut it = measured();
        assert_eq!(it.send(3), [4, 5, 6]);
        it.pass(100);
        // Reordering: 5 comes before 4.
        it.sack(3, &[(2, 2)], &[]);
        it.sack(6, &[], duplicates);
        assert_eq!(it.send(2), [7, 8]);
        it.pass(100);
        it.sack(6, &[(2, 2)], &[]);
        let asked = it.now;
        assert_eq!(it.fill(), [], "it may be late only");
        it.time_out();
        assert_eq!(it.fill(), [7]);
        it.now.since(asked)
    };
    let (without, with) = (wait(&[]), wait(&[FIRST.plus(5)]));
    assert_eq!(
        without,
        Duration::from_millis(25),
        "a quarter of a round trip"
    );
    assert_eq!(with, Duration::from_millis(50), "two");
}

#[test]
fn an_old_sack_and_one_of_what_was_never_sent_change_nothing() {
    let mut it = measured();
    assert_eq!(it.send(2), [4, 5]);
    let before = it.sender.flight_bytes();
    it.sack(1, &[], &[]);
    assert_eq!(it.sender.flight_bytes(), before);
    let path = &mut it.path;
    let beyond = FIRST.plus(6);
    let refused = it
        .sender
        .handle_cumulative(it.now, path, beyond, &mut it.events);
    assert!(refused.is_err());
    assert_eq!(it.sender.flight_bytes(), before);
}
