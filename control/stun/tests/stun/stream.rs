//! Streams cut into frames, however they arrive.

use proptest::prelude::*;
use turnpike_stun::stream::{FRAME_MAX, Frame, FrameError, FrameHeader, Framer};
use turnpike_stun::{AttributeType, Class, Method};

use crate::samples::built;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Stun(Vec<u8>),
    ChannelData(Vec<u8>),
}

impl Owned {
    fn of(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Stun(bytes) => Self::Stun(bytes.to_vec()),
            Frame::ChannelData(bytes) => Self::ChannelData(bytes.to_vec()),
        }
    }

    fn on_wire(&self) -> Vec<u8> {
        match self {
            Self::Stun(bytes) => bytes.clone(),
            Self::ChannelData(bytes) => {
                let mut padded = bytes.clone();
                padded.resize(bytes.len().next_multiple_of(4), 0);
                padded
            }
        }
    }
}

fn stun(len: usize) -> Vec<u8> {
    built(Class::Indication, Method::SEND, |builder| {
        builder.raw(AttributeType::DATA, &vec![0x40; len]);
    })
}

fn channel_data(len: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
    let mut bytes = vec![0x40, 0x01, high, low];
    bytes.resize(4 + len, 0xAB);
    bytes
}

/// Feeds everything, draining after each push, and returns what came out.
fn run(framer: &mut Framer, mut bytes: &[u8]) -> Result<Vec<Owned>, FrameError> {
    let mut frames = Vec::new();
    loop {
        let taken = framer.push(bytes);
        bytes = &bytes[taken..];
        while let Some(frame) = framer.next_frame() {
            frames.push(Owned::of(frame?));
        }
        if bytes.is_empty() {
            return Ok(frames);
        }
        assert!(taken > 0, "a drained framer has room");
    }
}

fn frame() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (0_usize..300).prop_map(|len| Owned::Stun(stun(len))),
        (0_usize..300).prop_map(|len| Owned::ChannelData(channel_data(len))),
    ]
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in proptest::collection::vec(frame(), 0..12),
        cuts in proptest::collection::vec(1_usize..200, 1..40),
        slack in 0_usize..100,
    ) {
        let wire: Vec<u8> = frames.iter().flat_map(Owned::on_wire).collect();
        let mut framer = Framer::new(328 + slack);
        let mut out = Vec::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            out.extend(run(&mut framer, now).unwrap());
            rest = later;
        }
        prop_assert_eq!(out, frames);
        prop_assert_eq!(framer.pending(), 0);
    }

    #[test]
    fn arbitrary_bytes_end_in_an_error_or_wait(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut framer = Framer::new(256);
        let first = run(&mut framer, &bytes);
        prop_assert!(framer.pending() <= 256);
        if let Err(error) = first {
            prop_assert_eq!(run(&mut framer, &stun(0)), Err(error), "an error is for ever");
        }
    }
}

#[test]
fn longest_lengths_do_not_overflow() {
    let stun_of = |length: u16| {
        let [high, low] = length.to_be_bytes();
        FrameHeader::parse(&[0, 1, high, low, 0x21, 0x12, 0xA4, 0x42])
    };
    let longest = FrameHeader {
        is_channel_data: false,
        len: 65_552,
        wire_len: 65_552,
    };
    assert_eq!(stun_of(0xFFFC), Ok(Some(longest)));
    assert_eq!(longest.wire_len, FRAME_MAX);
    for length in [1, 2, 3, 0xFFFD, 0xFFFF] {
        assert_eq!(stun_of(length), Err(FrameError::UnalignedLength));
    }
    for (length, wire_len) in [(0xFFFF_u16, 65_540), (0xFFFC, 65_536), (0, 4), (1, 8)] {
        let header = FrameHeader {
            is_channel_data: true,
            len: 4 + usize::from(length),
            wire_len,
        };
        let [high, low] = length.to_be_bytes();
        assert_eq!(FrameHeader::parse(&[0x40, 0, high, low]), Ok(Some(header)));
    }
}

#[test]
fn largest_stun_message_passes_the_largest_framer() {
    let bytes = stun(0xFFF8);
    assert_eq!(bytes.len(), FRAME_MAX);
    let mut framer = Framer::new(FRAME_MAX);
    let mut frames = Vec::new();
    for part in bytes.chunks(1_000) {
        frames.extend(run(&mut framer, part).unwrap());
    }
    assert_eq!(frames, [Owned::Stun(bytes)]);
}

#[test]
fn bytes_of_other_protocols_are_an_error_at_once() {
    for first in [0x80, 0xC0, 0xFF] {
        assert_eq!(FrameHeader::parse(&[first]), Err(FrameError::Unknown));
    }
    let http = b"\x00\x01\x00\x00GET ";
    assert_eq!(FrameHeader::parse(http), Err(FrameError::NoMagicCookie));
    assert_eq!(
        run(&mut Framer::new(100), http),
        Err(FrameError::NoMagicCookie)
    );
}

#[test]
fn frame_beyond_the_bound_is_refused_before_it_arrives() {
    let mut framer = Framer::new(100);
    assert_eq!(
        run(&mut framer, &[0x40, 0, 0, 97]),
        Err(FrameError::TooLong)
    );
    for frame_max in [97, 98, 99] {
        let refused = run(&mut Framer::new(frame_max), &channel_data(96));
        assert_eq!(refused, Err(FrameError::TooLong));
    }
    let mut framer = Framer::new(100);
    assert_eq!(
        run(&mut framer, &channel_data(96)),
        Ok(vec![Owned::ChannelData(channel_data(96))])
    );
}

#[test]
fn push_takes_no_more_than_the_bound() {
    let mut framer = Framer::new(64);
    assert_eq!(framer.push(&[0; 1_000]), 64);
    assert_eq!(framer.push(&[0; 1_000]), 0);
    assert_eq!(framer.pending(), 64);
}

#[test]
fn bound_may_be_raised_amid_a_frame_and_never_lowered() {
    let frame = channel_data(100);
    let mut framer = Framer::new(64);
    framer.push(&frame[..3]);
    assert!(framer.next_frame().is_none());
    framer.raise_frame_max(1_000);
    framer.raise_frame_max(8);
    assert_eq!(framer.push(&frame[3..]), frame.len() - 3);
    assert_eq!(framer.next_frame(), Some(Ok(Frame::ChannelData(&frame))));
}
