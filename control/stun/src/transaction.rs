//! The client's side of a transaction (RFC 8489 sections 6.2.1 and 6.2.2): when to send a request
//! again and when to give up. What is sent, and where to, is the caller's.
//!
//! Bounded by [`TransactionConfig::transmissions_max`].

use core::time::Duration;

use turnpike_types::{Deadline, DeadlineReason, Timestamp};

use crate::{Message, Method, TransactionId};

/// The numbers of RFC 8489 sections 6.2.1 and 6.2.2, which are the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// RTO: from the first transmission to the second; it doubles from one to the next.
    /// 500 ms.
    pub rto: Duration,
    /// Rc: how often a request is sent in all. 7.
    pub transmissions_max: u32,
    /// Rm: how many first RTOs to wait after the last transmission. 16.
    pub last_wait_rtos: u32,
    /// Ti: how long to wait on a reliable transport, where nothing is sent again. 39.5 s.
    pub reliable_timeout: Duration,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            rto: Duration::from_millis(500),
            transmissions_max: 7,
            last_wait_rtos: 16,
            reliable_timeout: Duration::from_millis(39_500),
        }
    }
}

/// A request that waits for its response. Its first transmission is the caller's, at creation.
#[derive(Clone, Copy, Debug)]
pub struct Transaction {
    id: TransactionId,
    method: Method,
    config: TransactionConfig,
    is_reliable: bool,
    transmissions: u32,
    /// From the last transmission to `at`.
    wait: Duration,
    at: Timestamp,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionTimeout {
    /// Nothing yet.
    Wait,
    /// Send the same bytes again.
    Retransmit,
    /// Nobody answers. The transaction is over.
    Failed,
}

impl Transaction {
    /// A request that is sent at `now`.
    #[must_use]
    pub fn new(
        id: TransactionId,
        method: Method,
        is_reliable: bool,
        now: Timestamp,
        config: TransactionConfig,
    ) -> Self {
        let wait = if is_reliable {
            config.reliable_timeout
        } else if config.transmissions_max <= 1 {
            config.rto.saturating_mul(config.last_wait_rtos)
        } else {
            config.rto
        };
        Self {
            id,
            method,
            config,
            is_reliable,
            transmissions: 1,
            wait,
            at: now + wait,
        }
    }

    /// The transaction ID.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// The request's method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether a message is a response to this request. It says nothing about integrity.
    #[must_use]
    pub fn is_answered_by(&self, message: &Message<'_>) -> bool {
        message.class().is_response()
            && message.method() == self.method
            && message.transaction_id() == self.id
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub const fn poll_timeout(&self) -> Deadline {
        Deadline {
            at: self.at,
            reason: DeadlineReason::Retransmission,
        }
    }

    /// Says what is due at `now`. After [`TransactionTimeout::Failed`] drop the transaction.
    pub fn handle_timeout(&mut self, now: Timestamp) -> TransactionTimeout {
        if now < self.at {
            return TransactionTimeout::Wait;
        }
        if self.is_reliable || self.transmissions >= self.config.transmissions_max {
            return TransactionTimeout::Failed;
        }
        self.transmissions += 1;
        self.wait = if self.transmissions >= self.config.transmissions_max {
            self.config.rto.saturating_mul(self.config.last_wait_rtos)
        } else {
            self.wait.saturating_mul(2)
        };
        self.at = now + self.wait;
        TransactionTimeout::Retransmit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const ID: TransactionId = TransactionId([1; 12]);

    fn schedule(is_reliable: bool) -> (Vec<u64>, u64) {
        let config = TransactionConfig::default();
        let mut transaction =
            Transaction::new(ID, Method::ALLOCATE, is_reliable, Timestamp::ZERO, config);
        let mut sent = Vec::new();
        loop {
            let at = transaction.poll_timeout().at;
            let early = Timestamp::from_nanos(at.as_nanos() - 1);
            assert_eq!(transaction.handle_timeout(early), TransactionTimeout::Wait);
            let at_ms = at.as_nanos() / 1_000_000;
            match transaction.handle_timeout(at) {
                TransactionTimeout::Wait => panic!("due and yet not due"),
                TransactionTimeout::Retransmit => sent.push(at_ms),
                TransactionTimeout::Failed => return (sent, at_ms),
            }
        }
    }

    #[test]
    fn request_is_sent_seven_times_and_fails_after_39_5_seconds() {
        let (sent, failed) = schedule(false);
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(failed, 39_500);
    }

    #[test]
    fn reliable_request_is_sent_once_and_fails_after_39_5_seconds() {
        assert_eq!(schedule(true), (Vec::new(), 39_500));
    }

    #[test]
    fn late_timeout_sends_once_not_for_every_missed_turn() {
        let config = TransactionConfig::default();
        let mut transaction = Transaction::new(ID, Method::BINDING, false, Timestamp::ZERO, config);
        let late = Timestamp::from_secs(20);
        assert_eq!(
            transaction.handle_timeout(late),
            TransactionTimeout::Retransmit
        );
        assert_eq!(transaction.handle_timeout(late), TransactionTimeout::Wait);
    }
}
