//! The arithmetic of loss, order and repetition, packet by packet, without a wire.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::super::super::course::Links;
use super::super::super::frame::{FRAME_MAX, Link, Template, Wrapping};
use super::super::super::{Direction, Flow, Path, Shape};
use super::*;

const LINK: Link = Link {
    source: [2, 0, 0, 0, 0, 1],
    destination: [2, 0, 0, 0, 0, 2],
};

const SHAPE: Shape = Shape::channel(100);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn flow(number: u32) -> Flow {
    let place = |net: &str, port: u32| address(&format!("{net}:{port}"));
    Flow {
        number,
        client: place("10.80.0.1", 20_000 + number),
        server: address("10.77.1.1:3478"),
        relayed: place("10.77.3.1", 50_000 + number),
        peer: place("10.90.0.1", 20_000 + number),
        channel: 0x4000 + u16::try_from(number).unwrap(),
    }
}

/// A relay that does whatever a test says, and the judge of it.
struct Bench {
    course: Course,
    judge: Judge,
}

impl Bench {
    fn new(shape: Shape, flows: &[Flow]) -> Self {
        let links = Links {
            clients: LINK,
            peers: LINK,
        };
        let course = Course::new(flows, &shape, links).unwrap();
        let judge = Judge::new(1, course.lanes.len(), 1_000);
        Self { course, judge }
    }

    fn send(&mut self, place: usize) -> Stamp {
        let lane = &self.course.lanes[place];
        self.judge.stamp(place, lane, 1_000).unwrap()
    }

    fn send_many(&mut self, place: usize, count: u32) -> Vec<Stamp> {
        (0..count).map(|_| self.send(place)).collect()
    }

    /// The packet with this stamp as it arrives in its place.
    fn arrive(&mut self, stamp: Stamp) {
        let flow = flow(stamp.flow);
        if stamp.direction == stamp::TO_PEER {
            self.arrive_at(Side::Peers, stamp, flow.relayed, flow.peer, Wrapping::Plain);
        } else {
            let channel = Wrapping::Channel(flow.channel);
            self.arrive_at(Side::Clients, stamp, flow.server, flow.client, channel);
        }
    }

    fn arrive_at(
        &mut self,
        side: Side,
        stamp: Stamp,
        from: SocketAddr,
        to: SocketAddr,
        wrapping: Wrapping,
    ) {
        let frame = frame(stamp, from, to, wrapping);
        self.judge_bytes(side, &frame);
    }

    fn judge_bytes(&mut self, side: Side, frame: &[u8]) {
        let received = Received {
            frame,
            at: 0,
            is_offloaded: false,
        };
        self.judge.judge(&self.course, side, received, 3_000);
    }

    fn close(self) -> Tally {
        let lanes_a_flow = self.course.lanes_a_flow();
        self.judge.close(lanes_a_flow, 0)
    }
}

fn frame(stamp: Stamp, from: SocketAddr, to: SocketAddr, wrapping: Wrapping) -> Vec<u8> {
    let filler = stamp::filler(100);
    let template = Template::new(LINK, from, to, wrapping, &filler).unwrap();
    let mut frame = [0; FRAME_MAX];
    let bytes = stamp.to_bytes(stamp::filler_sum(100));
    let len = template.write(&mut frame, &bytes, &filler).unwrap();
    frame[..len].to_vec()
}

#[test]
fn packets_that_all_arrive_are_received_and_nothing_else() {
    let mut bench = Bench::new(SHAPE, &[flow(0), flow(1)]);
    for place in 0..4 {
        for stamp in bench.send_many(place, 100) {
            bench.arrive(stamp);
        }
    }
    let tally = bench.close();
    assert_eq!((tally.sent, tally.received, tally.lost), (400, 400, 0));
    let faults = [
        tally.reordered,
        tally.duplicated,
        tally.corrupted,
        tally.misdirected,
    ];
    assert_eq!(faults, [0; 4]);
    assert_eq!(tally.latency.len(), 400);
    assert_eq!(tally.latency.max(), 2_000);
    assert!(tally.worst_flow_loss.abs() < 1e-9);
}

#[test]
fn a_missing_packet_is_lost_and_its_flow_the_worst() {
    let mut bench = Bench::new(SHAPE, &[flow(0), flow(1)]);
    for place in 0..4 {
        for stamp in bench.send_many(place, 50) {
            if !(stamp.flow == 1 && stamp.sequence % 5 == 0) {
                bench.arrive(stamp);
            }
        }
    }
    let tally = bench.close();
    assert_eq!((tally.sent, tally.received, tally.lost), (200, 180, 20));
    assert!((tally.worst_flow_loss - 0.2).abs() < 1e-9, "{tally:?}");
    assert_eq!(tally.reordered, 0);
}

#[test]
fn what_the_generator_lost_is_not_the_relays_loss() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamps = bench.send_many(0, 10);
    for stamp in &stamps[..4] {
        bench.arrive(*stamp);
    }
    let tally = bench.judge.close(2, 5);
    assert_eq!((tally.lost, tally.own_loss), (1, 5));
    assert!(!tally.kept_pace());
}

#[test]
fn a_packet_after_a_later_one_is_reordered_once_and_still_received() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamps = bench.send_many(0, 5);
    for place in [0, 3, 1, 2, 4] {
        bench.arrive(stamps[place]);
    }
    let tally = bench.close();
    assert_eq!((tally.received, tally.reordered, tally.lost), (5, 2, 0));
}

#[test]
fn a_packet_that_comes_again_is_counted_apart_however_late() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamps = bench.send_many(0, 500);
    for stamp in &stamps {
        bench.arrive(*stamp);
    }
    bench.arrive(stamps[0]);
    bench.arrive(stamps[499]);
    bench.arrive(stamps[0]);
    let tally = bench.close();
    assert_eq!((tally.received, tally.duplicated), (500, 3));
    assert_eq!((tally.reordered, tally.lost), (0, 0));
}

#[test]
fn a_packet_of_another_run_is_not_counted() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamp = bench.send(0);
    bench.arrive(Stamp { run: 2, ..stamp });
    let tally = bench.close();
    assert_eq!((tally.received, tally.lost, tally.misdirected), (0, 1, 0));
}

#[test]
fn a_packet_in_the_wrong_place_is_misdirected_and_lost() {
    let mut bench = Bench::new(SHAPE, &[flow(0), flow(1)]);
    let stamps = bench.send_many(0, 4);
    let answer = bench.send(1);
    let (right, wrong) = (flow(0), flow(1));
    let plain = Wrapping::Plain;
    // To another peer, from another relayed address, as another flow's, and never sent at all.
    bench.arrive_at(Side::Peers, stamps[0], right.relayed, wrong.peer, plain);
    bench.arrive_at(Side::Peers, stamps[1], wrong.relayed, right.peer, plain);
    bench.arrive_at(
        Side::Peers,
        Stamp {
            flow: 7,
            ..stamps[2]
        },
        right.relayed,
        right.peer,
        plain,
    );
    bench.arrive_at(
        Side::Peers,
        Stamp {
            sequence: 4,
            ..stamps[3]
        },
        right.relayed,
        right.peer,
        plain,
    );
    // On another channel, and as it should be.
    let other = Wrapping::Channel(wrong.channel);
    bench.arrive_at(Side::Clients, answer, right.server, right.client, other);
    bench.arrive(answer);
    let tally = bench.close();
    assert_eq!((tally.misdirected, tally.received, tally.lost), (5, 1, 4));
}

#[test]
fn a_damaged_packet_is_corrupted_and_lost_whoever_finds_it() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamp = bench.send(0);
    let (from, to) = (flow(0).relayed, flow(0).peer);
    // The checksum does not fit.
    let mut damaged = frame(stamp, from, to, Wrapping::Plain);
    damaged[80] ^= 1;
    bench.judge_bytes(Side::Peers, &damaged);
    // It fits what a relay has damaged itself.
    let mut whole = [0; FRAME_MAX];
    let mut payload = frame(stamp, from, to, Wrapping::Plain)[42..].to_vec();
    payload[60] ^= 1;
    let len = frame::write(LINK, from, to, &payload, &mut whole).unwrap();
    bench.judge_bytes(Side::Peers, &whole[..len]);
    let tally = bench.close();
    assert_eq!((tally.corrupted, tally.received, tally.lost), (2, 0, 1));
}

#[test]
fn a_frame_of_an_offload_is_told_apart() {
    let mut bench = Bench::new(SHAPE, &[flow(0)]);
    let stamp = bench.send(0);
    let frame = frame(stamp, flow(0).relayed, flow(0).peer, Wrapping::Plain);
    let received = Received {
        frame: &frame,
        at: 0,
        is_offloaded: true,
    };
    bench.judge.judge(&bench.course, Side::Peers, received, 0);
    let tally = bench.close();
    assert_eq!((tally.offloaded, tally.received), (1, 0));
    assert!(!tally.kept_pace());
}

#[test]
fn on_a_hairpin_the_other_client_is_where_a_packet_belongs() {
    let (mut one, mut other) = (flow(0), flow(1));
    one.peer = other.relayed;
    other.peer = one.relayed;
    let shape = Shape {
        path: Path::Hairpin,
        ..SHAPE
    };
    let mut bench = Bench::new(shape, &[one, other]);
    let stamp = bench.send(0);
    let channel = Wrapping::Channel(other.channel);
    bench.arrive_at(Side::Clients, stamp, other.server, other.client, channel);
    let tally = bench.close();
    assert_eq!((tally.received, tally.misdirected), (1, 0));
}

#[test]
fn flows_that_cannot_be_sent_are_refused_with_their_number() {
    let links = Links {
        clients: LINK,
        peers: LINK,
    };
    let hairpin = Shape {
        path: Path::Hairpin,
        ..SHAPE
    };
    for (shape, flows) in [(hairpin, [flow(0), flow(1)]), (SHAPE, [flow(1), flow(0)])] {
        let error = Course::new(&flows, &shape, links).unwrap_err();
        assert!(error.to_string().contains("flow "), "{error}");
    }
    let one_way = Shape {
        direction: Direction::ToClient,
        ..SHAPE
    };
    assert_eq!(
        Course::new(&[flow(0)], &one_way, links)
            .unwrap()
            .lanes
            .len(),
        1
    );
}

proptest! {
    /// Whatever arrives how often and in which order, the sums are those of a naive count.
    #[test]
    fn the_sums_are_those_of_a_naive_count(arrivals in prop::collection::vec(0usize..80, 0..200)) {
        let mut bench = Bench::new(SHAPE, &[flow(0)]);
        let stamps = bench.send_many(0, 80);
        let mut seen: Vec<usize> = Vec::new();
        let (mut duplicated, mut reordered) = (0, 0);
        for arrival in arrivals {
            bench.arrive(stamps[arrival]);
            if seen.contains(&arrival) {
                duplicated += 1;
            } else {
                reordered += u64::from(seen.iter().any(|earlier| *earlier > arrival));
                seen.push(arrival);
            }
        }
        let tally = bench.close();
        let received = u64::try_from(seen.len()).unwrap();
        prop_assert_eq!((tally.received, tally.lost), (received, 80 - received));
        prop_assert_eq!((tally.duplicated, tally.reordered), (duplicated, reordered));
    }
}
