//! Sending: a batch of frames, handed to the kernel in one call.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::super::LoadError;
use super::super::frame::FRAME_MAX;
use super::socket;
use super::wire::Wire;

/// A packet socket and the frames that wait for it.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    frames: Box<[Frame; BATCH]>,
    waiting: usize,
    /// Frames that the relay's device had no room for.
    refused: u64,
}

#[derive(Debug)]
struct Frame {
    bytes: [u8; FRAME_MAX],
    len: usize,
}

impl Sender {
    /// Sends on a wire.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn new(wire: &Wire<'_>) -> Result<Self, LoadError> {
        let frame = || Frame {
            bytes: [0; FRAME_MAX],
            len: 0,
        };
        Ok(Self {
            socket: socket::for_sending(wire)?,
            frames: Box::new([(); BATCH].map(|()| frame())),
            waiting: 0,
            refused: 0,
        })
    }

    /// Has `write` write a frame and say its length; it leaves with the next [`Sender::flush`], or
    /// now when the batch is full. A frame that `write` does not write is left out.
    ///
    /// # Errors
    /// When the kernel refuses the batch.
    #[inline]
    pub fn push(
        &mut self,
        write: impl FnOnce(&mut [u8; FRAME_MAX]) -> Option<usize>,
    ) -> Result<(), LoadError> {
        let Some(frame) = self.frames.get_mut(self.waiting) else {
            return self.flush();
        };
        if let Some(len) = write(&mut frame.bytes) {
            frame.len = len;
            self.waiting += 1;
        }
        if self.waiting == BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends what waits. What the relay's device has no room for is gone, as it would be with a
    /// network card whose ring is full.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub fn flush(&mut self) -> Result<(), LoadError> {
        let mut sent = 0;
        while sent < self.waiting {
            match self.send_from(sent) {
                Ok(count) => sent += count,
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => {
                        self.refused += 1;
                        sent += 1;
                    }
                    Some(libc::EINTR) => {}
                    _ => return Err(LoadError::system("sending frames")(error)),
                },
            }
        }
        self.waiting = 0;
        Ok(())
    }

    /// How many frames the relay's device had no room for since this was last asked.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    fn send_from(&mut self, first: usize) -> io::Result<usize> {
        let Some(waiting) = self.frames.get_mut(first..self.waiting) else {
            return Ok(0);
        };
        let mut pieces = [const { EMPTY_PIECE }; BATCH];
        let mut messages = [const { EMPTY_MESSAGE }; BATCH];
        for ((frame, piece), message) in waiting.iter_mut().zip(&mut pieces).zip(&mut messages) {
            piece.iov_base = frame.bytes.as_mut_ptr().cast();
            piece.iov_len = frame.len;
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
        }
        let count = libc::c_uint::try_from(waiting.len()).unwrap_or(0);
        // SAFETY: the first `count` messages each point to one piece, and that to the bytes of one
        // frame, whose length is at most what the frame holds; all of them live across the call,
        // and the kernel copies the frames before it returns.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

const EMPTY_PIECE: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

const EMPTY_MESSAGE: libc::mmsghdr = libc::mmsghdr {
    // SAFETY: a message header is numbers and pointers, for all of which zero is a value: no name,
    // no pieces, no control data.
    msg_hdr: unsafe { std::mem::zeroed() },
    msg_len: 0,
};

/// Frames sent by one call: as many as are due at once when the pace is a million a second.
const BATCH: usize = 64;
