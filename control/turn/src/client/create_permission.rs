//! CreatePermission (RFC 8656 section 10): several peer addresses in one request.

use core::net::{IpAddr, SocketAddr};

use turnpike_stun::MessageBuilder;
use turnpike_types::{AddressFamily, Entropy, Timestamp};

use super::permissions::PEERS_PER_REQUEST_MAX;
use super::request::{Request, RequestError, RequestNumber};
use super::transactions::Transaction;
use super::{Client, Event, Failure};
use crate::attribute::XorPeerAddress;

impl<E: Entropy> Client<E> {
    /// Asks for a permission for each of `peers` and keeps it refreshed until
    /// [`release_permission`](Self::release_permission). Each ends in
    /// [`Event::PermissionCreated`] or [`Event::PermissionFailed`].
    ///
    /// # Errors
    ///
    /// [`RequestError`]; then none of them is asked for.
    pub fn create_permission(
        &mut self,
        now: Timestamp,
        peers: &[IpAddr],
    ) -> Result<(), RequestError> {
        let now = self.advance_clock(now);
        for peer in peers {
            self.check_peer(AddressFamily::of(peer))?;
        }
        if self.permissions.count_with(peers) > self.config.limits.permissions {
            return Err(RequestError::TableFull);
        }
        for peer in peers {
            self.permissions.want(*peer, now);
        }
        self.start_due(now);
        Ok(())
    }

    /// Lets a permission lapse: it is no longer refreshed. There is no message that ends one. A
    /// channel to the address keeps it.
    pub fn release_permission(&mut self, now: Timestamp, peer: &IpAddr) {
        let now = self.advance_clock(now);
        if !self.channels.keep_permission(peer) {
            self.permissions.release(peer);
            self.permissions.purge(now);
        }
    }

    /// Starts CreatePermission requests while there are addresses due and room for requests.
    pub(super) fn create_due_permissions(&mut self, now: Timestamp) {
        while self.has_room_for_request() {
            let number = self.next_request_number();
            if !self
                .permissions
                .take_due(number, now, PEERS_PER_REQUEST_MAX)
            {
                break;
            }
            self.start_numbered(now, number, Request::CreatePermission);
        }
    }

    /// The attributes of a CreatePermission request (RFC 8656 section 10.1).
    pub(super) fn form_create_permission(
        &self,
        builder: &mut MessageBuilder<'_>,
        number: RequestNumber,
    ) {
        for ip in self.permissions.carried_by(number) {
            builder.attribute(&XorPeerAddress(SocketAddr::new(ip, 0)));
        }
    }

    /// RFC 8656 section 10.3.
    pub(super) fn create_permission_succeeded(&mut self, transaction: &Transaction) {
        for peer in self
            .permissions
            .granted(transaction.number, transaction.sent_at)
        {
            self.push(Event::PermissionCreated(peer));
        }
    }

    /// A refusal of several is no verdict on each; silence ends what is not installed.
    pub(super) fn create_permission_failed(
        &mut self,
        now: Timestamp,
        number: RequestNumber,
        failure: Failure,
    ) {
        let given_up = match failure.retry_at(now) {
            Some(retry_at) => self.permissions.unanswered(number, now, retry_at),
            None => self.permissions.refused(number, now),
        };
        for peer in given_up {
            self.push(Event::PermissionFailed { peer, failure });
        }
    }
}
