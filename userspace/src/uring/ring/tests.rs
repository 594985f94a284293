use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Instant;

use super::*;

const SLOT: u32 = 3;

pub(super) fn ring(receive_buffers: u16, buffer_bytes: usize) -> Ring {
    Ring::new(&RingConfig {
        submissions: 8,
        completions: 64,
        receive_buffers,
        reply_buffers: 4,
        buffer_bytes,
        reply_bytes: buffer_bytes,
        runs: 2,
    })
    .unwrap()
}

pub(super) fn receive_token() -> OpToken {
    OpToken::new(OpKind::Receive, SLOT, 1)
}

pub(super) fn pair() -> (UdpSocket, UdpSocket) {
    let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
    outside
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    (inside, outside)
}

/// Waits at most a second for `wanted` completions.
pub(super) fn completions(ring: &mut Ring, wanted: usize) -> Vec<Completion> {
    let mut seen = Vec::new();
    for _ in 0..100 {
        while let Some(completion) = ring.next_completion() {
            seen.push(completion);
        }
        if seen.len() >= wanted {
            break;
        }
        ring.submit_and_wait(Duration::from_millis(10)).unwrap();
    }
    assert!(seen.len() >= wanted, "only {seen:?}");
    seen
}

#[test]
fn datagram_is_forwarded_in_place_with_prefix_and_padding() {
    let mut ring = ring(8, 10_240);
    let (inside, outside) = pair();
    let via = Via::of(&inside);
    assert!(ring.receive(via, receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    outside
        .send_to(b"hello", inside.local_addr().unwrap())
        .unwrap();
    let Some(Completion::Received {
        token,
        mut buffer,
        filled,
        armed,
    }) = completions(&mut ring, 1).pop()
    else {
        panic!("not received");
    };
    assert_eq!(token, receive_token());
    assert!(armed);
    let datagram = ring.datagram(&buffer, filled).unwrap();
    assert_eq!(datagram.source, outside.local_addr().unwrap());
    assert_eq!(&ring.bytes(&buffer)[datagram.payload.clone()], b"hello");
    assert!(!datagram.truncated);
    let start = datagram.payload.start - 48;
    let end = datagram.payload.end + 3;
    ring.bytes_mut(&mut buffer)[start..start + 48].fill(b'p');
    ring.bytes_mut(&mut buffer)[datagram.payload.end..end].fill(0);
    ring.send(via, buffer, start..end, &datagram.source, 0x0212_3456)
        .unwrap();
    let Some(Completion::Sent {
        buffer,
        tag,
        result,
    }) = completions(&mut ring, 1).pop()
    else {
        panic!("not sent");
    };
    assert_eq!((tag, result), (0x12_3456, Ok(())));
    ring.give_back(buffer);
    let mut got = [0; 100];
    let len = outside.recv(&mut got).unwrap();
    assert_eq!(&got[..len], [&[b'p'; 48][..], b"hello\0\0\0"].concat());
}

#[test]
fn end_of_a_send_ends_no_wait_and_is_there_after_it() {
    const MOST: Duration = Duration::from_millis(30);
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    let to = outside.local_addr().unwrap();
    for tag in 0..3 {
        let buffer = ring.take_reply().unwrap();
        ring.send(Via::of(&inside), buffer, 0..5, &to, tag).unwrap();
    }
    let begun = Instant::now();
    ring.submit_and_wait(MOST).unwrap();
    assert!(begun.elapsed() >= MOST);
    for tag in 0..3 {
        let sent = ring.next_completion();
        assert!(matches!(sent, Some(Completion::Sent { tag: it, .. }) if it == tag));
    }
}

#[test]
fn receive_survives_an_empty_pool_when_armed_again() {
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    let via = Via::of(&inside);
    assert!(ring.receive(via, receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    for number in 0..3_u8 {
        outside
            .send_to(&[number], inside.local_addr().unwrap())
            .unwrap();
    }
    let mut held = Vec::new();
    let mut ended = None;
    for completion in completions(&mut ring, 3) {
        match completion {
            Completion::Received { buffer, .. } => held.push(buffer),
            Completion::ReceiveEnded { error, .. } => ended = Some(error),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(held.len(), 2);
    assert_eq!(ended, Some(Errno::ENOBUFS));
    for buffer in held {
        ring.give_back(buffer);
    }
    assert!(ring.receive(via, receive_token()));
    let Some(Completion::Received { buffer, filled, .. }) = completions(&mut ring, 1).pop() else {
        panic!("not received after arming again");
    };
    let payload = ring.datagram(&buffer, filled).unwrap().payload;
    assert_eq!(ring.bytes(&buffer)[payload], [2]);
}

#[test]
fn datagram_larger_than_its_buffer_is_marked_truncated() {
    let mut ring = ring(2, 1_024);
    let (inside, outside) = pair();
    assert!(ring.receive(Via::of(&inside), receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    for (len, truncated) in [(ring.payload_max(), false), (ring.payload_max() + 1, true)] {
        outside
            .send_to(&vec![7; len], inside.local_addr().unwrap())
            .unwrap();
        let Some(Completion::Received { buffer, filled, .. }) = completions(&mut ring, 1).pop()
        else {
            panic!("not received");
        };
        let datagram = ring.datagram(&buffer, filled).unwrap();
        assert_eq!(datagram.truncated, truncated);
        ring.give_back(buffer);
    }
}

#[test]
fn cancelled_receive_ends_with_its_own_completion() {
    let mut ring = ring(2, 1_024);
    let (inside, _outside) = pair();
    assert!(ring.receive(Via::of(&inside), receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    assert!(ring.cancel(receive_token()));
    let Some(Completion::ReceiveEnded { token, error }) = completions(&mut ring, 1).pop() else {
        panic!("not ended");
    };
    assert_eq!((token, error), (receive_token(), Errno::ECANCELED));
}

#[test]
fn refused_send_gives_its_buffer_back_with_the_error() {
    let mut ring = ring(2, 1_024);
    let (inside, _outside) = pair();
    let buffer = ring.take_reply().unwrap();
    let foreign_family = "[::1]:9".parse().unwrap();
    ring.send(Via::of(&inside), buffer, 0..10, &foreign_family, 0)
        .unwrap();
    let Some(Completion::Sent { buffer, result, .. }) = completions(&mut ring, 1).pop() else {
        panic!("no completion");
    };
    assert_eq!(result, Err(Errno::EAFNOSUPPORT));
    ring.give_back(buffer);
}

#[test]
fn more_sends_than_submission_entries_all_leave() {
    let mut ring = ring(32, 1_024);
    let (inside, outside) = pair();
    let to = outside.local_addr().unwrap();
    let index_of_inside = Via::Registered(0);
    ring.register(&[inside.as_fd()]).unwrap();
    assert!(ring.receive(index_of_inside, receive_token()));
    ring.submit_and_wait(Duration::ZERO).unwrap();
    for _ in 0..30 {
        outside.send_to(b"x", inside.local_addr().unwrap()).unwrap();
    }
    for completion in completions(&mut ring, 30) {
        let Completion::Received { buffer, .. } = completion else {
            panic!("{completion:?}")
        };
        ring.send(
            index_of_inside,
            buffer,
            HEADROOM_BYTES..HEADROOM_BYTES + 1,
            &to,
            0,
        )
        .unwrap();
    }
    let sent = completions(&mut ring, 30);
    assert!(
        sent.iter()
            .all(|it| matches!(it, Completion::Sent { result: Ok(()), .. }))
    );
    for _ in 0..30 {
        assert_eq!(outside.recv(&mut [0; 8]).unwrap(), 1);
    }
}

#[test]
fn polled_descriptor_reports_each_wake_up() {
    let mut ring = ring(2, 1_024);
    let wake = nix::sys::eventfd::EventFd::new().unwrap();
    let token = OpToken::new(OpKind::Poll, 0, 0);
    assert!(ring.poll_readable(Via::of(&wake), token));
    for _ in 0..2 {
        wake.write(1).unwrap();
        let Some(Completion::Readable { token: seen, armed }) = completions(&mut ring, 1).pop()
        else {
            panic!("not readable");
        };
        assert_eq!((seen, armed), (token, true));
        wake.read().unwrap();
    }
}

#[test]
fn timeout_ends_the_wait_without_a_completion() {
    let mut ring = ring(2, 1_024);
    ring.submit_and_wait(Duration::from_millis(5)).unwrap();
    assert!(ring.next_completion().is_none());
}
