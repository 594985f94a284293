use nix::sys::socket::{setsockopt, sockopt};

use super::tests::{completions, pair, receive_token, ring};
use super::*;
use crate::uring::sockopt::no_checksums;
use crate::uring::{RUN_BYTES_MAX, RUN_PARTS_MAX, receive_runs};

const OWNER: OpToken = OpToken::new(OpKind::Run, 9, 4);

/// A reply buffer with `bytes` at its start, as a part behind `head`.
fn part(ring: &mut Ring, head: &[u8], bytes: &[u8], padding: usize) -> Part {
    let mut buffer = ring.take_reply().unwrap();
    ring.bytes_mut(&mut buffer)[..bytes.len()].copy_from_slice(bytes);
    Part {
        buffer,
        range: 0..bytes.len(),
        head: Head::new(head).unwrap(),
        padding,
        tag: bytes.len() as u32,
    }
}

fn run_sent(ring: &mut Ring) -> (Run, Result<(), Errno>) {
    match completions(ring, 1).pop() {
        Some(Completion::RunSent { run, result }) => (run, result),
        other => panic!("{other:?}"),
    }
}

/// Receives what comes next, as segments, and how many were lost.
fn received(ring: &mut Ring) -> (Vec<Vec<u8>>, usize) {
    let Some(Completion::Received { buffer, filled, .. }) = completions(ring, 1).pop() else {
        panic!("not received");
    };
    let datagram = ring.datagram(&buffer, filled).unwrap();
    let bytes = ring.bytes(&buffer);
    let segments = datagram
        .segments()
        .map(|range| bytes[range].to_vec())
        .collect();
    ring.give_back(buffer);
    (segments, datagram.lost())
}

#[test]
fn run_leaves_as_datagrams_in_order_with_heads_and_padding() {
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    let mut run = ring.take_run().unwrap();
    for (head, bytes, padding) in [(&b"h1"[..], &b"first"[..], 1), (b"", b"secondly", 0)] {
        let part = part(&mut ring, head, bytes, padding);
        run.push(part).unwrap();
    }
    let last = part(&mut ring, b"h3", b"end", 0);
    run.push(last).unwrap();
    let to = outside.local_addr().unwrap();
    ring.send_run(Via::of(&inside), run, &to, OWNER).unwrap();
    let (run, result) = run_sent(&mut ring);
    assert_eq!((result, run.owner(), run.to()), (Ok(()), OWNER, Some(to)));
    let tags: Vec<u32> = run.parts().iter().map(|part| part.tag).collect();
    assert_eq!(tags, [5, 8, 3]);
    ring.give_back_run(run);
    let mut got = [0; 100];
    for expected in [&b"h1first\0"[..], b"secondly", b"h3end"] {
        let len = outside.recv(&mut got).unwrap();
        assert_eq!(&got[..len], expected);
    }
    let all_back = std::iter::from_fn(|| ring.take_reply()).count();
    assert_eq!(all_back, 4);
}

#[test]
fn run_admits_equal_datagrams_and_one_shorter_at_its_end() {
    let mut ring = ring(2, 40_064);
    let buffer = ring.take_reply().unwrap();
    let part = |ring: &mut Ring, len: usize| Part {
        buffer: ring.share(&buffer).unwrap(),
        range: 0..len,
        head: Head::EMPTY,
        padding: 0,
        tag: 0,
    };
    let lengths: [(&[usize], usize); 6] = [
        (&[10, 10, 10], 3),
        (&[10, 10, 9, 9], 3),
        (&[10, 11], 1),
        (&[10, 0], 1),
        (&[0, 0], 1),
        (&[30_000, 30_000, 5_507, 1], 3),
    ];
    for (lengths, admitted) in lengths {
        let mut run = ring.take_run().unwrap();
        for (index, len) in lengths.iter().enumerate() {
            let pushed = run.push(part(&mut ring, *len));
            assert_eq!(pushed.is_ok(), index < admitted, "{lengths:?} at {index}");
            if let Err(part) = pushed {
                ring.give_back(part.buffer);
            }
        }
        ring.give_back_run(run);
    }
    let mut run = ring.take_run().unwrap();
    for _ in 0..RUN_PARTS_MAX {
        run.push(part(&mut ring, 5)).unwrap();
    }
    assert!(run.push(part(&mut ring, 5)).is_err());
    assert!(!ring.is_sole(&buffer));
}

#[test]
fn run_of_every_length_comes_in_as_it_was_sent() {
    let mut ring = ring(4, 65_728);
    let (inside, outside) = pair();
    receive_runs(&inside).unwrap();
    assert!(ring.receive(Via::of(&inside), receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    let to = inside.local_addr().unwrap();
    for segment in [1_usize, 172, 1_000, 1_472] {
        setsockopt(&outside, sockopt::UdpGsoSegment, &(segment as i32)).unwrap();
        for count in (1..=RUN_PARTS_MAX).filter(|count| count * segment <= RUN_BYTES_MAX) {
            for last in [segment, 1] {
                let bytes = (count - 1) * segment + last;
                let sent: Vec<u8> = (0..bytes).map(|at| (at / segment) as u8).collect();
                outside.send_to(&sent, to).unwrap();
                let (segments, lost) = received(&mut ring);
                let expected: Vec<Vec<u8>> = sent.chunks(segment).map(<[u8]>::to_vec).collect();
                assert!(segments == expected, "{count} of {segment}, last {last}");
                assert_eq!(lost, 0);
            }
        }
    }
}

#[test]
fn truncated_run_yields_its_whole_datagrams_and_counts_the_others() {
    let mut ring = ring(2, 1_024);
    let room = ring.payload_max();
    let (inside, outside) = pair();
    receive_runs(&inside).unwrap();
    assert!(ring.receive(Via::of(&inside), receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    let to = inside.local_addr().unwrap();
    for segment in [100, room / 4, room, room + 1] {
        setsockopt(&outside, sockopt::UdpGsoSegment, &(segment as i32)).unwrap();
        outside.send_to(&vec![7; segment * 12 + 1], to).unwrap();
        let (segments, lost) = received(&mut ring);
        let whole = room / segment;
        assert_eq!((segments.len(), lost), (whole, 13 - whole), "{segment}");
        assert!(segments.iter().all(|bytes| bytes.len() == segment));
    }
}

#[test]
fn run_that_is_refused_comes_back_whole() {
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    // The kernel makes no runs without checksums.
    no_checksums(&inside).unwrap();
    let to = outside.local_addr().unwrap();
    let mut run = ring.take_run().unwrap();
    for bytes in [b"one", b"two"] {
        let part = part(&mut ring, b"", bytes, 0);
        run.push(part).unwrap();
    }
    ring.send_run(Via::of(&inside), run, &to, OWNER).unwrap();
    let (run, result) = run_sent(&mut ring);
    assert_eq!(result, Err(Errno::EINVAL));
    assert_eq!(run.parts().len(), 2);
    ring.give_back_run(run);
    assert_eq!(std::iter::from_fn(|| ring.take_reply()).count(), 4);
}

#[test]
fn runs_end_and_come_back_and_one_of_nothing_is_not_sent() {
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    let to = outside.local_addr().unwrap();
    let run = ring.take_run().unwrap();
    let run = ring
        .send_run(Via::of(&inside), run, &to, OWNER)
        .unwrap_err();
    let _other = ring.take_run().unwrap();
    assert!(ring.take_run().is_none());
    ring.give_back_run(run);
    assert!(ring.take_run().is_some());
}
