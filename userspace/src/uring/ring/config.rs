//! What a ring is made with, and why it might not be.

use std::io;

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
    /// Bytes a buffer, head- and tailroom included; a multiple of 64.
    pub buffer_bytes: usize,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            submissions: 1_024,
            completions: 8_192,
            receive_buffers: 2_048,
            reply_buffers: 1_024,
            buffer_bytes: 10_240,
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
