//! 300 (RFC 8489 section 10): the server wants us elsewhere.
//!
//! Following takes another socket or connection, and with TLS another name to check, so it is the
//! caller's to do; the engine sees to it that nobody is sent in circles.

use alloc::boxed::Box;
use core::time::Duration;

use turnpike_stun::{
    AlternateDomain, AlternateServer, Attribute, AttributeType, Message, RawAttribute,
};
use turnpike_types::{Entropy, ServerAddr, Timestamp};

use super::{Client, Event, Failure, Redirect, State};

/// How long a server that redirected us is not tried again.
const REDIRECT_MEMORY: Duration = Duration::from_secs(300);

/// How many redirections within five minutes are followed.
pub const REDIRECTS_MAX: usize = 8;

impl<E: Entropy> Client<E> {
    pub(super) fn allocate_redirected(
        &mut self,
        now: Timestamp,
        message: &Message<'_>,
        authenticated: bool,
    ) {
        let (server, other_family) = self.alternate_servers(message);
        let closing = matches!(self.state, State::Allocating { closing: true });
        let Some(server) = server.filter(|_| !closing) else {
            return self.fail_allocation(Failure::Refused(300));
        };
        self.redirected_by
            .retain(|(_, at)| now.since(*at) < REDIRECT_MEMORY);
        self.redirected_by.push((self.server, now));
        let been_there = self
            .redirected_by
            .iter()
            .any(|(visited, _)| *visited == server);
        if been_there || self.redirected_by.len() > REDIRECTS_MAX {
            return self.fail_allocation(Failure::RedirectLoop);
        }
        let domain = match message.get() {
            Ok(Some(AlternateDomain(domain))) => Some(Box::from(domain)),
            _ => None,
        };
        self.state = State::Waiting;
        self.push(Event::Redirected(Box::new(Redirect {
            server,
            other_family,
            domain,
            authenticated,
        })));
    }

    /// The one to try, of the family that the server is reached by if there is one, and the other.
    fn alternate_servers(&self, message: &Message<'_>) -> (Option<ServerAddr>, Option<ServerAddr>) {
        let (mut same, mut other) = (None, None);
        for RawAttribute { kind, value, .. } in message.attributes() {
            if kind != AttributeType::ALTERNATE_SERVER {
                continue;
            }
            if let Ok(AlternateServer(address)) =
                AlternateServer::decode(value, &message.transaction_id())
            {
                let address = ServerAddr(address);
                let place = if address.family() == self.server.family() {
                    &mut same
                } else {
                    &mut other
                };
                place.get_or_insert(address);
            }
        }
        match same {
            Some(_) => (same, other),
            None => (other, None),
        }
    }
}
