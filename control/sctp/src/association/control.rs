//! Control chunks that wait for the next packet. Bounded: flags, and a few short lists.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::StreamId;
use crate::wire::Cause;

/// What the next packets have to carry beside SACK and DATA.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) init: bool,
    pub(super) cookie_echo: bool,
    pub(super) cookie_ack: bool,
    pub(super) heartbeat: bool,
    pub(super) shutdown: bool,
    pub(super) shutdown_ack: bool,
    heartbeat_acks: VecDeque<Vec<u8>>,
    errors: VecDeque<OwnedCause>,
}

/// An error cause to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnedCause {
    InvalidStream(StreamId),
    UnrecognizedChunk(Vec<u8>),
    UnrecognizedParameters(Vec<u8>),
    CookieWhileShuttingDown,
}

impl OwnedCause {
    pub(super) fn borrow(&self) -> Cause<'_> {
        match self {
            Self::InvalidStream(stream) => Cause::InvalidStream(*stream),
            Self::UnrecognizedChunk(bytes) => Cause::UnrecognizedChunk(bytes),
            Self::UnrecognizedParameters(bytes) => Cause::UnrecognizedParameters(bytes),
            Self::CookieWhileShuttingDown => Cause::CookieWhileShuttingDown,
        }
    }
}

impl Control {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Queues the answer to a HEARTBEAT; a flood of them is not answered in full.
    pub(super) fn answer_heartbeat(&mut self, info: &[u8]) {
        if self.heartbeat_acks.len() < WAITING_MAX && info.len() <= HEARTBEAT_INFO_MAX {
            self.heartbeat_acks.push_back(info.to_vec());
        }
    }

    /// Queues an error cause; a flood of errors is not reported in full.
    pub(super) fn report(&mut self, cause: OwnedCause) {
        if self.errors.len() < WAITING_MAX {
            self.errors.push_back(cause);
        }
    }

    pub(super) fn next_heartbeat_ack(&self) -> Option<&[u8]> {
        self.heartbeat_acks.front().map(Vec::as_slice)
    }

    pub(super) fn heartbeat_ack_sent(&mut self) {
        self.heartbeat_acks.pop_front();
    }

    pub(super) fn next_error(&self) -> Option<&OwnedCause> {
        self.errors.front()
    }

    pub(super) fn error_sent(&mut self) {
        self.errors.pop_front();
    }
}

/// How many answers and reports may wait.
const WAITING_MAX: usize = 8;
/// Longer information does not fit the smallest packet.
const HEARTBEAT_INFO_MAX: usize = 480;
