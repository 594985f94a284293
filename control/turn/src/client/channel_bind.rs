//! ChannelBind (RFC 8656 sections 12.1 and 12.3): a number for a peer, and a permission with it.

use core::net::IpAddr;

use turnpike_stun::MessageBuilder;
use turnpike_types::{ChannelNumber, Entropy, PeerAddr, Timestamp};

use super::request::{Request, RequestError};
use super::transactions::Transaction;
use super::{Client, Event, Failure};
use crate::attribute::{ChannelNumberAttribute, XorPeerAddress};

impl<E: Entropy> Client<E> {
    /// Asks for a channel to `peer` and keeps it refreshed, and a permission with it, until
    /// [`release_channel`](Self::release_channel). It ends in [`Event::ChannelBound`] or
    /// [`Event::ChannelFailed`]; until then data travels in indications.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; then nothing is asked for.
    pub fn bind_channel(
        &mut self,
        now: Timestamp,
        peer: PeerAddr,
    ) -> Result<ChannelNumber, RequestError> {
        let now = self.advance_clock(now);
        self.check_peer(peer.family())?;
        let number = self
            .channels
            .want(peer, now, self.config.limits.channels)
            .ok_or(RequestError::TableFull)?;
        self.start_due(now);
        Ok(number)
    }

    /// Lets a channel lapse: it is no longer refreshed. There is no message that ends one. Neither
    /// its number nor its peer is bound to another for five minutes after it has lapsed.
    pub fn release_channel(&mut self, now: Timestamp, peer: &PeerAddr) {
        let now = self.advance_clock(now);
        self.channels.release(peer);
        self.release_permission_of(&peer.ip(), now);
    }

    /// Starts ChannelBind requests while there are channels due and room for requests.
    pub(super) fn bind_due_channels(&mut self, now: Timestamp) {
        while self.has_room_for_request() {
            let number = self.next_request_number();
            let Some(channel) = self.channels.take_due(number, now) else {
                break;
            };
            self.start_numbered(now, number, Request::ChannelBind { number: channel });
        }
    }

    /// The attributes of a ChannelBind request.
    pub(super) fn form_channel_bind(
        &self,
        builder: &mut MessageBuilder<'_>,
        number: ChannelNumber,
    ) {
        if let Some(channel) = self.channels.by_number(number) {
            builder.attribute(&ChannelNumberAttribute(number));
            builder.attribute(&XorPeerAddress(channel.peer.0));
        }
    }

    /// RFC 8656 section 12.3.
    pub(super) fn channel_bind_succeeded(
        &mut self,
        now: Timestamp,
        transaction: &Transaction,
        number: ChannelNumber,
    ) {
        let Some(peer) = self.channels.by_number(number).map(|channel| channel.peer) else {
            return;
        };
        self.permissions.installed(peer.ip(), transaction.sent_at);
        if self.channels.granted(number, transaction.sent_at, now) {
            self.push(Event::ChannelBound { number, peer });
        }
    }

    /// A refusal is final. After a 400 and after silence nobody knows what the server holds.
    pub(super) fn channel_bind_failed(
        &mut self,
        now: Timestamp,
        number: ChannelNumber,
        failure: Failure,
    ) {
        let Some(peer) = self.channels.by_number(number).map(|channel| channel.peer) else {
            return;
        };
        let lives = match (failure, failure.retry_at(now)) {
            (_, Some(retry_at)) => self.channels.unanswered(number, now, retry_at),
            (Failure::Refused(400), None) => {
                self.channels.disputed(number, now);
                false
            }
            _ => {
                self.channels.refused(number);
                false
            }
        };
        if !lives {
            self.release_permission_of(&peer.ip(), now);
            self.push(Event::ChannelFailed {
                number,
                peer,
                failure,
            });
        }
    }

    /// A permission that only a channel needed goes with it.
    fn release_permission_of(&mut self, ip: &IpAddr, now: Timestamp) {
        if !self.channels.keep_permission(ip) {
            self.permissions.release_unasked(ip);
            self.permissions.purge(now);
        }
    }
}
