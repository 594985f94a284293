//! Refresh (RFC 8656 section 8): keeps the allocation, or ends it or one family of it.

use turnpike_stun::{Message, MessageBuilder};
use turnpike_types::{AddressFamily, Entropy, Timestamp};

use super::request::Request;
use super::transactions::Transaction;
use super::{Allocation, Client, Event, Failure, RETRY_AFTER, State};
use crate::attribute::{Lifetime, RequestedAddressFamily};

impl<E: Entropy> Client<E> {
    /// The attributes of a Refresh that keeps the allocation.
    pub(super) fn form_refresh(&self, builder: &mut MessageBuilder<'_>) {
        if let Some(lifetime) = self.config.lifetime {
            builder.attribute(&Lifetime(lifetime));
        }
    }

    /// The attributes of a Refresh that ends the allocation, or one family of it.
    pub(super) fn form_delete(builder: &mut MessageBuilder<'_>, family: Option<AddressFamily>) {
        builder.attribute(&Lifetime(0));
        if let Some(family) = family {
            builder.attribute(&RequestedAddressFamily(family));
        }
    }

    /// Starts the Refresh that is due.
    pub(super) fn refresh_if_due(&mut self, now: Timestamp) {
        let State::Allocated(allocation) = &mut self.state else {
            return;
        };
        if allocation
            .refresh_at
            .is_some_and(|refresh_at| refresh_at <= now)
        {
            allocation.refresh_at = None;
            self.start(now, Request::Refresh);
        }
    }

    /// RFC 8656 section 8.3.
    pub(super) fn refresh_succeeded(&mut self, transaction: &Transaction, message: &Message<'_>) {
        let State::Allocated(allocation) = &mut self.state else {
            return;
        };
        match message.get::<Lifetime>() {
            Ok(Some(Lifetime(0))) => self.lose_allocation(Failure::Expired),
            Ok(Some(Lifetime(lifetime))) => {
                allocation.extend(lifetime, transaction.sent_at);
                self.push(Event::Refreshed);
            }
            _ => self.refresh_failed(self.now, Failure::Malformed),
        }
    }

    /// The allocation lives until it expires; where another try may help, there is one.
    pub(super) fn refresh_failed(&mut self, now: Timestamp, failure: Failure) {
        let State::Allocated(allocation) = &mut self.state else {
            return;
        };
        allocation.refresh_at = match failure {
            Failure::Refused(500..=599) | Failure::Malformed => Some(now + RETRY_AFTER),
            _ => failure.retry_at(now),
        };
        self.push(Event::RefreshFailed(failure));
    }

    /// The server has no allocation for us any more, or its lifetime is over.
    pub(super) fn lose_allocation(&mut self, failure: Failure) {
        self.forget_allocation();
        self.push(Event::AllocationLost(failure));
    }

    /// A Refresh with lifetime zero ended. Whatever the answer, there is nothing left to do:
    /// a 437 says that the allocation is gone, silence that the server may be.
    pub(super) fn delete_ended(&mut self, family: Option<AddressFamily>) {
        match (&mut self.state, family) {
            (State::Allocated(allocation), Some(family)) => {
                let place = match family {
                    AddressFamily::Ipv4 => &mut allocation.ipv4,
                    AddressFamily::Ipv6 => &mut allocation.ipv6,
                };
                *place = None;
                self.permissions
                    .retain(|ip| AddressFamily::of(ip) != family);
                self.channels.retain(|peer| peer.family() != family);
                if self.allocation().is_some_and(Allocation::is_spent) {
                    self.end_closed();
                }
            }
            (State::Closing, _) => self.end_closed(),
            (State::Discarding, _) => self.forget_allocation(),
            _ => {}
        }
    }

    fn end_closed(&mut self) {
        self.forget_allocation();
        self.push(Event::Closed);
    }

    /// Ends everything but the Refresh that ends the allocation.
    pub(super) fn start_closing(&mut self) {
        self.forget_allocation();
        self.state = State::Closing;
        self.start(self.now, Request::Delete { family: None });
    }

    fn forget_allocation(&mut self) {
        self.transactions.clear();
        self.permissions = Default::default();
        self.channels = Default::default();
        self.state = State::Ended;
    }
}
