//! Requests that wait for their response (RFC 8489 section 6.2).
//!
//! The bytes are kept, since what is sent again must be what was sent. Bounded by
//! [`REQUESTS_MAX`], so everything here is a walk over a short list.

use alloc::boxed::Box;
use alloc::vec::Vec;

use turnpike_stun::transaction::{self, TransactionConfig, TransactionTimeout};
use turnpike_stun::{Message, TransactionId};
use turnpike_types::{Entropy, Timestamp};

use super::output::Queued;
use super::request::{Request, RequestNumber};
use super::{Client, Failure};

/// Most requests outstanding at a time.
pub(super) const REQUESTS_MAX: usize = 16;

/// A request and when it is sent again.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) number: RequestNumber,
    pub(super) request: Request,
    pub(super) bytes: Box<[u8]>,
    /// When it was first sent.
    pub(super) sent_at: Timestamp,
    pub(super) schedule: transaction::Transaction,
    /// How many challenges the client had taken up when this was signed; zero: it is not signed.
    pub(super) challenge: u32,
    /// How many transactions of the same request came before.
    pub(super) retries: u8,
    /// A response came whose integrity was missing or wrong.
    pub(super) violated: bool,
    /// It stands in the queue of outputs.
    pub(super) is_queued: bool,
}

/// All of them, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions(Vec<Transaction>);

impl Transactions {
    pub(super) fn add(&mut self, transaction: Transaction) {
        self.0.push(transaction);
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The request that a response answers.
    pub(super) fn answered_by(&mut self, response: &Message<'_>) -> Option<&mut Transaction> {
        self.0
            .iter_mut()
            .find(|transaction| transaction.schedule.is_answered_by(response))
    }

    pub(super) fn by_id(&mut self, id: TransactionId) -> Option<&mut Transaction> {
        self.0
            .iter_mut()
            .find(|transaction| transaction.schedule.id() == id)
    }

    pub(super) fn remove(&mut self, id: TransactionId) -> Option<Transaction> {
        let position = self
            .0
            .iter()
            .position(|transaction| transaction.schedule.id() == id)?;
        Some(self.0.remove(position))
    }

    /// When the first of them has something to do.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.0
            .iter()
            .map(|transaction| transaction.schedule.poll_timeout().at)
            .min()
    }

    /// What one of those that are due has to do; `None` when none is.
    fn pop_due(&mut self, now: Timestamp) -> Option<(TransactionId, TransactionTimeout)> {
        self.0.iter_mut().find_map(
            |transaction| match transaction.schedule.handle_timeout(now) {
                TransactionTimeout::Wait => None,
                due => Some((transaction.schedule.id(), due)),
            },
        )
    }
}

impl<E: Entropy> Client<E> {
    /// The schedule of a request first sent at `now`.
    pub(super) fn schedule(
        &self,
        id: TransactionId,
        request: Request,
        now: Timestamp,
    ) -> transaction::Transaction {
        let config = TransactionConfig {
            rto: self.config.rto,
            ..TransactionConfig::default()
        };
        let is_reliable = self.config.transport.is_stream();
        transaction::Transaction::new(id, request.method(), is_reliable, now, config)
    }

    /// Puts a request into the queue of outputs, unless it waits there already.
    pub(super) fn queue_transmit(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.by_id(id) else {
            return;
        };
        if !core::mem::replace(&mut transaction.is_queued, true) {
            self.outputs.push_back(Queued::Transmit(id));
        }
    }

    /// Sends again what is due and gives up what has waited long enough. Each request takes at
    /// most one turn, since its next is later than `now`.
    pub(super) fn retransmit(&mut self, now: Timestamp) {
        for _ in 0..REQUESTS_MAX {
            let Some((id, due)) = self.transactions.pop_due(now) else {
                break;
            };
            if due == TransactionTimeout::Retransmit {
                self.queue_transmit(id);
            } else if let Some(Transaction {
                number,
                request,
                violated,
                ..
            }) = self.transactions.remove(id)
            {
                let failure = if violated {
                    Failure::IntegrityViolated
                } else {
                    Failure::TimedOut
                };
                self.request_failed(now, number, request, failure);
            }
        }
    }
}
