//! What a ring is made with, and why it might not be.

use std::io;

use super::super::buffers::Sizes;

/// The sizes of a [`Ring`](super::Ring); nothing grows later.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Submission entries; a power of two.
    pub submissions: u32,
    /// Completion entries; a power of two, at least twice the submissions.
    pub completions: u32,
    /// Buffers for received datagrams; a power of two, at most 32,768.
    pub receive_buffers: u16,
    /// Buffers for datagrams that are made here.
    pub reply_buffers: u16,
    /// Bytes a receive buffer, head- and tailroom included; a multiple of 64. Where sockets
    /// [receive runs](crate::uring::receive_runs), what a run has beyond that is lost.
    pub buffer_bytes: usize,
    /// Bytes a buffer for what is made here, likewise.
    pub reply_bytes: usize,
    /// Runs that may be gathered or in flight, some 12 KB each.
    pub runs: u16,
}

impl RingConfig {
    /// The largest payload that any buffer holds with room for a prefix and padding, in bytes.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        self.sizes().payload_max()
    }

    pub(super) const fn sizes(&self) -> Sizes {
        Sizes {
            receive: self.receive_buffers,
            receive_bytes: self.buffer_bytes,
            reply: self.reply_buffers,
            reply_bytes: self.reply_bytes,
        }
    }
}

/// Room for the largest run, 65,527 bytes over IPv6. Not a multiple of a page: the beginnings of the
/// buffers, all that single datagrams touch, would crowd the same sets of the caches.
const RECEIVE_BYTES: usize = 65_728;

/// Room for a datagram of a 9,000-byte MTU and more, as single datagrams are bounded by.
const REPLY_BYTES: usize = 10_368;

/// 32 MiB to receive into, 10 MiB to write into and 1.5 MiB of runs. A buffer is away for two turns of
/// the loop; when none is left, packets wait in their socket's queue. Over loopback, 2,048 buffers to
/// receive into relayed single packets of 200 clients no cheaper than 512. One that is received into
/// holds hundreds of messages of a stream, each of which is copied to one of the others.
impl Default for RingConfig {
    fn default() -> Self {
        Self {
            submissions: 1_024,
            completions: 8_192,
            receive_buffers: 512,
            reply_buffers: 1_024,
            buffer_bytes: RECEIVE_BYTES,
            reply_bytes: REPLY_BYTES,
            runs: 128,
        }
    }
}

/// Why a ring could not be made or driven.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub struct RingError {
    /// What was tried.
    pub operation: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}
