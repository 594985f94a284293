//! Framing in a byte stream (RFC 8489 section 6.2.2, RFC 8656 section 12.4): STUN says its own
//! length, ChannelData too and is padded to four bytes.
//!
//! It cuts and does not judge: a frame is yet to be parsed. A stream that once held anything but
//! frames has lost its place and stays in error; the caller closes it. Bounded by `frame_max`.

use alloc::vec::Vec;

use thiserror::Error;

use crate::{HEADER_LEN, MAGIC_COOKIE};

/// Bytes of the ChannelData header.
const CHANNEL_DATA_HEADER_LEN: usize = 4;

/// The longest frame that the length fields can say: a STUN message of 0xFFFC bytes after its
/// header, or ChannelData of 0xFFFF and its padding.
pub const FRAME_MAX: usize = HEADER_LEN + 0xFFFC;

/// One message cut out of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A STUN message, whole.
    Stun(&'a [u8]),
    /// ChannelData with its header, without its padding.
    ChannelData(&'a [u8]),
}

/// Why a stream is not one of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The first two bits are neither STUN's nor ChannelData's.
    #[error("neither STUN nor ChannelData")]
    Unknown,
    /// A STUN message whose length is not a multiple of four.
    #[error("STUN message length is not a multiple of four")]
    UnalignedLength,
    /// A STUN message without magic cookie.
    #[error("no magic cookie")]
    NoMagicCookie,
    /// The frame is longer than this stream may send.
    #[error("frame is too long")]
    TooLong,
}

/// What the first bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether it is ChannelData, else STUN.
    pub is_channel_data: bool,
    /// Bytes of the frame without padding.
    pub len: usize,
    /// Bytes that it takes up in the stream.
    pub wire_len: usize,
}

impl FrameHeader {
    /// Reads the start of a frame; `None` until there are enough bytes to tell.
    ///
    /// # Errors
    ///
    /// [`FrameError`] as soon as the bytes cannot become a frame.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        match bytes.first() {
            Some(first) if first & 0xC0 == 0x00 => Self::parse_stun(bytes),
            Some(first) if first & 0xC0 == 0x40 => Ok(Self::parse_channel_data(bytes)),
            Some(_) => Err(FrameError::Unknown),
            None => Ok(None),
        }
    }

    fn parse_stun(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(([_, _, l0, l1, cookie @ ..], _)) = bytes.split_first_chunk::<8>() else {
            return Ok(None);
        };
        if *cookie != MAGIC_COOKIE.to_be_bytes() {
            return Err(FrameError::NoMagicCookie);
        }
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if !length.is_multiple_of(4) {
            return Err(FrameError::UnalignedLength);
        }
        let len = HEADER_LEN + length;
        Ok(Some(Self {
            is_channel_data: false,
            len,
            wire_len: len,
        }))
    }

    fn parse_channel_data(bytes: &[u8]) -> Option<Self> {
        let ([_, _, l0, l1], _) = bytes.split_first_chunk::<CHANNEL_DATA_HEADER_LEN>()?;
        let len = CHANNEL_DATA_HEADER_LEN + usize::from(u16::from_be_bytes([*l0, *l1]));
        Some(Self {
            is_channel_data: true,
            len,
            wire_len: len.next_multiple_of(4),
        })
    }
}

/// Collects a stream's bytes until they make a frame.
#[derive(Debug)]
pub struct Framer {
    buf: Vec<u8>,
    /// Where the bytes begin that no frame has been made of.
    start: usize,
    frame_max: usize,
    error: Option<FrameError>,
}

impl Framer {
    /// A framer that accepts frames of at most `frame_max` bytes on the wire. It allocates no
    /// more than that, and nothing before the first byte.
    #[must_use]
    pub const fn new(frame_max: usize) -> Self {
        Self {
            buf: Vec::new(),
            start: 0,
            frame_max,
            error: None,
        }
    }

    /// Accepts longer frames from now on. A lower bound than the present one changes nothing: a
    /// frame that was begun under that may go on.
    pub fn raise_frame_max(&mut self, frame_max: usize) {
        self.frame_max = self.frame_max.max(frame_max);
    }

    /// Takes bytes as they arrived and says how many; the rest must wait until
    /// [`next_frame`](Self::next_frame) has been called to `None`. After an error it takes all and
    /// keeps none.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        if self.error.is_some() {
            return bytes.len();
        }
        self.buf.drain(..self.start);
        self.start = 0;
        let room = self.frame_max.saturating_sub(self.buf.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        let wanted = self.buf.len() + taken.len();
        if wanted > self.buf.capacity() {
            // Exactly, or doubling would pass the bound.
            let target = wanted.next_power_of_two().min(self.frame_max);
            self.buf.reserve_exact(target - self.buf.len());
        }
        self.buf.extend_from_slice(taken);
        taken.len()
    }

    /// Cuts the next frame out; `None` until more bytes arrive.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, FrameError>> {
        if let Some(error) = self.error {
            return Some(Err(error));
        }
        let pending = self.unread();
        let header = match FrameHeader::parse(pending) {
            Ok(header) => header?,
            Err(error) => return Some(Err(self.fail(error))),
        };
        if header.wire_len > self.frame_max {
            return Some(Err(self.fail(FrameError::TooLong)));
        }
        if header.wire_len > pending.len() {
            return None;
        }
        let start = self.start;
        self.start += header.wire_len;
        let frame = self.buf.get(start..start + header.len).unwrap_or_default();
        Some(Ok(if header.is_channel_data {
            Frame::ChannelData(frame)
        } else {
            Frame::Stun(frame)
        }))
    }

    /// The bytes that no frame has been made of yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }

    /// How many bytes wait for the rest of their frame.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.buf.len() - self.start
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.error = Some(error);
        self.buf = Vec::new();
        self.start = 0;
        error
    }
}
