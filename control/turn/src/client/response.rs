//! Responses: which to believe (RFC 8489 sections 6.3 and 9.2.5), and whom they concern.

use turnpike_stun::long_term::{ChallengeAnswer, GiveUp};
use turnpike_stun::{Class, ErrorCode, Message};
use turnpike_types::{DropReason, Entropy, Timestamp};

use super::request::{Request, RequestNumber};
use super::transactions::Transaction;
use super::{Client, Failure, Received, State};
use crate::attribute::KNOWN;

/// How many transactions one request may take: challenges are answered, but not for ever.
const RETRIES_MAX: u8 = 4;

/// What to do with a response.
enum Verdict {
    /// As if it had never come.
    Discard,
    /// The request goes out again, with what the challenge taught.
    Retry,
    /// The request has failed.
    Fail(Failure),
    /// It is from the server.
    Believe { authenticated: bool },
}

/// What the transaction of a response has to say about it.
#[derive(Clone, Copy)]
struct Asked {
    challenge: u32,
    retries: u8,
}

impl<E: Entropy> Client<E> {
    pub(super) fn handle_response(&mut self, response: &Message<'_>) -> Received {
        let now = self.now;
        let Some(transaction) = self.transactions.answered_by(response) else {
            return Received::Dropped(DropReason::Unexpected);
        };
        let asked = Asked {
            challenge: transaction.challenge,
            retries: transaction.retries,
        };
        let verdict = self.judge(asked, response);
        if matches!(verdict, Verdict::Discard) && !self.config.transport.is_stream() {
            if let Some(transaction) = self.transactions.answered_by(response) {
                transaction.violated = true;
            }
            return Received::Dropped(DropReason::Unexpected);
        }
        let Some(transaction) = self.transactions.remove(response.transaction_id()) else {
            return Received::Dropped(DropReason::Unexpected);
        };
        let Transaction {
            number,
            request,
            retries,
            ..
        } = transaction;
        match verdict {
            // On a stream nothing is lost, so no better response will come.
            Verdict::Discard => {
                self.request_failed(now, number, request, Failure::IntegrityViolated);
            }
            Verdict::Retry => self.attempt(now, number, request, retries + 1),
            Verdict::Fail(failure) => self.request_failed(now, number, request, failure),
            Verdict::Believe { authenticated } => {
                self.conclude(now, &transaction, response, authenticated);
            }
        }
        self.start_due(now);
        Received::Control
    }

    fn judge(&mut self, asked: Asked, response: &Message<'_>) -> Verdict {
        if let (
            Class::Error,
            Ok(Some(ErrorCode {
                code: code @ (401 | 438),
                ..
            })),
        ) = (response.class(), response.get())
        {
            return self.judge_challenge(asked, response, code);
        }
        match &mut self.credential {
            Some(credential) if asked.challenge != 0 => {
                if credential.verify_response(response) {
                    Verdict::Believe {
                        authenticated: true,
                    }
                } else {
                    Verdict::Discard
                }
            }
            _ => Verdict::Believe {
                authenticated: false,
            },
        }
    }

    /// A 401 or 438 carries no integrity, since there may be no key yet.
    fn judge_challenge(&mut self, asked: Asked, response: &Message<'_>, code: u16) -> Verdict {
        if !response.unknown_required(&KNOWN).is_empty() {
            return Verdict::Fail(Failure::UnknownAttribute);
        }
        if asked.retries >= RETRIES_MAX {
            return Verdict::Fail(Failure::Refused(code));
        }
        if asked.challenge < self.challenges {
            // Another request's challenge was taken up since this one was signed.
            return Verdict::Retry;
        }
        let Some(credential) = &mut self.credential else {
            return Verdict::Fail(Failure::Unauthenticated);
        };
        match credential.handle_challenge(response) {
            ChallengeAnswer::Retry => {
                self.challenges += 1;
                Verdict::Retry
            }
            ChallengeAnswer::GiveUp(GiveUp::BidDown) => Verdict::Fail(Failure::BidDown),
            ChallengeAnswer::GiveUp(GiveUp::Malformed) => Verdict::Fail(Failure::Malformed),
            ChallengeAnswer::GiveUp(_) | ChallengeAnswer::NotAChallenge => {
                Verdict::Fail(Failure::Unauthenticated)
            }
        }
    }

    fn conclude(
        &mut self,
        now: Timestamp,
        transaction: &Transaction,
        response: &Message<'_>,
        authenticated: bool,
    ) {
        let Transaction {
            number, request, ..
        } = *transaction;
        let is_known = response.unknown_required(&KNOWN).is_empty();
        if response.class() == Class::Success {
            if is_known {
                return self.request_succeeded(now, transaction, response);
            }
            if request == Request::Allocate {
                return self.delete_unusable(Failure::UnknownAttribute);
            }
            return self.request_failed(now, number, request, Failure::UnknownAttribute);
        }
        match response.get::<ErrorCode<'_>>() {
            _ if !is_known => {
                self.request_failed(now, number, request, Failure::UnknownAttribute);
            }
            Ok(Some(error)) if request == Request::Allocate => {
                self.allocate_refused(now, error.code, response, authenticated);
            }
            Ok(Some(error)) => {
                self.request_failed(now, number, request, Failure::Refused(error.code));
            }
            _ => self.request_failed(now, number, request, Failure::Malformed),
        }
    }

    fn request_succeeded(
        &mut self,
        now: Timestamp,
        transaction: &Transaction,
        response: &Message<'_>,
    ) {
        match transaction.request {
            Request::Allocate => self.allocate_succeeded(transaction, response),
            Request::Refresh => self.refresh_succeeded(transaction, response),
            Request::Delete { family } => self.delete_ended(family),
            Request::CreatePermission => self.create_permission_succeeded(transaction),
            Request::ChannelBind { number } => {
                self.channel_bind_succeeded(now, transaction, number);
            }
        }
    }

    /// A request ended without success. A 437 to anything but Allocate says that there is no
    /// allocation any more (RFC 8656 section 5).
    pub(super) fn request_failed(
        &mut self,
        now: Timestamp,
        number: RequestNumber,
        request: Request,
        failure: Failure,
    ) {
        let is_mismatch = failure == Failure::Refused(437);
        if is_mismatch && matches!(self.state, State::Allocated(_)) {
            return self.lose_allocation(failure);
        }
        match request {
            Request::Allocate => self.fail_allocation(failure),
            Request::Refresh => self.refresh_failed(now, failure),
            Request::Delete { family } => self.delete_ended(family),
            Request::CreatePermission => self.create_permission_failed(now, number, failure),
            Request::ChannelBind { number } => self.channel_bind_failed(now, number, failure),
        }
    }
}
