//! STUN and ChannelData on a stream (RFC 8489 section 6.2.2, RFC 8656 section 12.4).
//!
//! The first byte picks the longest frame allowed, the next eight how the stream is chopped up, the
//! rest is the stream. However it is chopped, the frames are those that a reader of the whole
//! would cut, and the framer keeps no more than one frame.

use turnpike_stun::stream::{FRAME_MAX, Frame, FrameError, Framer};

use crate::choices::Choices;

/// Feeds the stream in chunks and compares with the frames of the whole.
pub fn stream_framing(data: &[u8]) {
    let mut choices = Choices::new(data);
    let frame_max = choices.pick(&[20, 24, 64, 1_500, FRAME_MAX]);
    let chunks: [u8; 8] = choices.array();
    let stream = choices.rest();
    let expected = cut(stream, frame_max);
    assert_eq!(
        feed(stream, frame_max, &chunks),
        expected,
        "in chunks of {chunks:?}"
    );
    assert_eq!(feed(stream, frame_max, &[1]), expected, "byte by byte");
}

/// What a stream comes to: frames, and how it went wrong.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    frames: Vec<(bool, Vec<u8>)>,
    error: Option<FrameError>,
    /// Bytes of an unfinished frame.
    left: usize,
}

fn cut(mut stream: &[u8], frame_max: usize) -> Cut {
    let mut frames = Vec::new();
    let end = |frames, error, left: &[u8]| Cut {
        frames,
        error,
        left: left.len(),
    };
    loop {
        let Some(first) = stream.first() else {
            return end(frames, None, stream);
        };
        let is_channel_data = (0x40..0x80).contains(first);
        if *first >= 0x80 {
            return end(frames, Some(FrameError::Unknown), &[]);
        }
        if stream.len() < if is_channel_data { 4 } else { 8 } {
            return end(frames, None, stream);
        }
        let length = usize::from(stream[2]) * 256 + usize::from(stream[3]);
        if !is_channel_data && stream[4..8] != [0x21, 0x12, 0xA4, 0x42] {
            return end(frames, Some(FrameError::NoMagicCookie), &[]);
        }
        if !is_channel_data && !length.is_multiple_of(4) {
            return end(frames, Some(FrameError::UnalignedLength), &[]);
        }
        let len = if is_channel_data {
            4 + length
        } else {
            20 + length
        };
        let on_the_wire = len.div_ceil(4) * 4;
        if on_the_wire > frame_max {
            return end(frames, Some(FrameError::TooLong), &[]);
        }
        if on_the_wire > stream.len() {
            return end(frames, None, stream);
        }
        frames.push((is_channel_data, stream[..len].to_vec()));
        stream = &stream[on_the_wire..];
    }
}

fn feed(mut stream: &[u8], frame_max: usize, chunks: &[u8]) -> Cut {
    let mut framer = Framer::new(frame_max);
    let mut frames = Vec::new();
    let mut error = None;
    for chunk in chunks.iter().cycle() {
        if stream.is_empty() || error.is_some() {
            break;
        }
        let (mut chunk, rest) = stream.split_at(stream.len().min(1 + usize::from(*chunk)));
        stream = rest;
        while !chunk.is_empty() && error.is_none() {
            let taken = framer.push(chunk);
            assert!(
                taken > 0,
                "a drained framer must take something, or the stream would hang"
            );
            chunk = &chunk[taken..];
            error = drain(&mut framer, &mut frames);
            assert!(framer.pending() <= frame_max);
        }
    }
    if let Some(error) = error {
        assert_eq!(
            framer.push(&[0; 9]),
            9,
            "a broken stream is read no further"
        );
        assert_eq!(framer.next_frame(), Some(Err(error)), "and stays broken");
    }
    Cut {
        frames,
        error,
        left: framer.pending(),
    }
}

fn drain(framer: &mut Framer, frames: &mut Vec<(bool, Vec<u8>)>) -> Option<FrameError> {
    loop {
        match framer.next_frame()? {
            Ok(Frame::Stun(bytes)) => frames.push((false, bytes.to_vec())),
            Ok(Frame::ChannelData(bytes)) => frames.push((true, bytes.to_vec())),
            Err(error) => return Some(error),
        }
    }
}
