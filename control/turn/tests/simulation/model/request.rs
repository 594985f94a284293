//! Requests on their way in, and the order in which they must be answered.

use turnpike_stun::{Class, Message, Method};
use turnpike_turn::attribute::Lifetime;
use turnpike_types::{FiveTuple, Timestamp};

use super::{Allocation, Model, Request, Waiting};
use crate::violation::{Checked, violated};

impl Model {
    /// A packet was handed to the server, which took it up. A request will be answered.
    pub(crate) fn taken_up(
        &mut self,
        at: Timestamp,
        unix_seconds: u64,
        five_tuple: FiveTuple,
        bytes: &[u8],
    ) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        if message.class() != Class::Request {
            return;
        }
        self.waiting.push_back(Waiting::Request(Request {
            at,
            unix_seconds,
            five_tuple,
            method: message.method(),
            transaction_id: message.transaction_id(),
            bytes: bytes.to_vec(),
            redirecting: self.redirecting,
            released: false,
        }));
    }

    /// Takes out the request that a response answers.
    pub(super) fn answered(
        &mut self,
        five_tuple: &FiveTuple,
        response: &Message<'_>,
    ) -> Checked<Request> {
        self.apply_policies();
        let Some(Waiting::Request(request)) = self.waiting.pop_front() else {
            violated!(
                RepliesInOrder,
                "{five_tuple} gets a response it did not ask for"
            );
        };
        let asked = (request.five_tuple, request.method, request.transaction_id);
        let told = (*five_tuple, response.method(), response.transaction_id());
        if asked != told {
            violated!(
                RepliesInOrder,
                "{told:?} answered, where {asked:?} was to be"
            );
        }
        Ok(request)
    }

    /// Whether the request that comes next releases the allocation, and by its owner.
    pub(super) fn released(&mut self, five_tuple: &FiveTuple, allocation: &Allocation) -> bool {
        let Some(request) = self.waiting.front_mut().and_then(Waiting::request_mut) else {
            return false;
        };
        let message = Message::parse(&request.bytes).unwrap();
        let author = self.registrar.author(&message);
        let is_owner = author.is_some_and(|(account, _)| account.identity == allocation.identity);
        let is_release = request.method == Method::REFRESH
            && request.five_tuple == *five_tuple
            && message.get() == Ok(Some(Lifetime(0)));
        request.released = is_owner && is_release;
        request.released
    }
}
