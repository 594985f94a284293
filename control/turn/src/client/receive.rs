//! What arrives from the server, told apart (RFC 8656 sections 11.4, 11.6 and 12.6).
//!
//! Data is decoded in place, without allocation and without changing the engine, so that a load
//! generator can take it straight from its receive buffer.

use core::ops::Range;

use turnpike_stun::{Attribute, AttributeType, Class, Fingerprint, Message, Method, RawAttribute};
use turnpike_types::{DropReason, Entropy, PeerAddr};

use super::{Client, Event};
use crate::attribute::{Icmp, XorPeerAddress};
use crate::channel_data::ChannelData;

/// What bytes from the server are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A peer sent the bytes in `payload`, a range of those received.
    Data {
        /// Who sent it.
        peer: PeerAddr,
        /// Where it stands.
        payload: Range<usize>,
    },
    /// Not data: what [`Client::handle_input`] takes up, or has taken up.
    Control,
    /// Stream clients only: so many of the bytes were taken. Drain
    /// [`Client::poll_output`], then offer the rest again.
    Taken(usize),
    /// Nothing of use.
    Dropped(DropReason),
}

impl<E: Entropy> Client<E> {
    /// Looks at one datagram, or one message cut out of a stream.
    ///
    /// Data from a peer without a permission is dropped, as RFC 8656 asks of clients that fear for
    /// their server.
    #[inline]
    #[must_use]
    pub fn receive(&self, bytes: &[u8]) -> Received {
        match bytes {
            [0x40..=0x4F, ..] => self.receive_channel_data(bytes),
            // The message type of a Data indication.
            [0x00, 0x17, ..] => self.receive_data_indication(bytes),
            [0x00..=0x03, ..] => Received::Control,
            _ => Received::Dropped(DropReason::Malformed),
        }
    }

    #[inline]
    fn receive_channel_data(&self, bytes: &[u8]) -> Received {
        let Ok(ChannelData { number, payload }) = ChannelData::parse(bytes) else {
            return Received::Dropped(DropReason::Malformed);
        };
        match self.channels.by_number(number) {
            Some(channel) if channel.is_live(self.now) => {
                let permitted = channel.request.is_some()
                    || self.permissions.is_installed(&channel.peer.ip(), self.now);
                if permitted {
                    Received::Data {
                        peer: channel.peer,
                        payload,
                    }
                } else {
                    Received::Dropped(DropReason::NoPermission)
                }
            }
            _ => Received::Dropped(DropReason::NoChannel),
        }
    }

    fn receive_data_indication(&self, bytes: &[u8]) -> Received {
        let Ok(message) = Message::parse(bytes) else {
            return Received::Dropped(DropReason::Malformed);
        };
        let mut peer = None;
        let mut payload = None;
        let mut has_icmp = false;
        for RawAttribute {
            kind,
            value,
            offset,
        } in message.attributes()
        {
            match kind {
                AttributeType::XOR_PEER_ADDRESS if peer.is_none() => peer = Some(value),
                AttributeType::DATA if payload.is_none() => {
                    let start = offset + ATTRIBUTE_HEADER_LEN;
                    payload = Some(start..start + value.len());
                }
                AttributeType::ICMP => has_icmp = true,
                AttributeType::XOR_PEER_ADDRESS | AttributeType::DATA => {}
                _ if kind.is_comprehension_required() => {
                    return Received::Dropped(DropReason::Malformed);
                }
                _ => {}
            }
        }
        let peer =
            peer.and_then(|value| XorPeerAddress::decode(value, &message.transaction_id()).ok());
        match (peer, payload) {
            (Some(_), None) if has_icmp => Received::Control,
            (Some(XorPeerAddress(peer)), Some(payload)) => {
                if self.permissions.is_installed(&peer.ip(), self.now) {
                    Received::Data {
                        peer: PeerAddr(peer),
                        payload,
                    }
                } else {
                    Received::Dropped(DropReason::NoPermission)
                }
            }
            _ => Received::Dropped(DropReason::Malformed),
        }
    }

    /// A STUN message that is not data: a response, or a Data indication with an ICMP attribute.
    pub(super) fn handle_control(&mut self, bytes: &[u8]) -> Received {
        let Ok(message) = Message::parse(bytes) else {
            return Received::Dropped(DropReason::Malformed);
        };
        if message.fingerprint() == Fingerprint::Invalid {
            return Received::Dropped(DropReason::BadFingerprint);
        }
        match (message.class(), message.method()) {
            (Class::Success | Class::Error, _) => self.handle_response(&message),
            (Class::Indication, Method::DATA) => self.handle_icmp(&message),
            _ => Received::Dropped(DropReason::Unexpected),
        }
    }

    fn handle_icmp(&mut self, message: &Message<'_>) -> Received {
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(icmp))) =
            (message.get::<XorPeerAddress>(), message.get::<Icmp>())
        else {
            return Received::Dropped(DropReason::Malformed);
        };
        if !self.permissions.is_installed(&peer.ip(), self.now) {
            return Received::Dropped(DropReason::NoPermission);
        }
        if !self.has_room_for_output() {
            return Received::Dropped(DropReason::QueueFull);
        }
        self.push(Event::Icmp {
            peer: PeerAddr(peer),
            icmp,
        });
        Received::Control
    }
}

const ATTRIBUTE_HEADER_LEN: usize = 4;
