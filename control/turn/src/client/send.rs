//! Data to peers (RFC 8656 sections 11.1 and 12.5).
//!
//! ChannelData where a channel is bound, else a Send indication. Neither is kept: the bytes are
//! written to the caller's buffer and are the caller's to send.

use thiserror::Error;
use turnpike_stun::{Class, MessageBuilder, Method, TransactionId};
use turnpike_types::{ChannelNumber, Entropy, PeerAddr};

use super::Client;
use crate::attribute::{Data, DontFragment, XorPeerAddress};
use crate::channel_data::{ChannelData, HEADER_LEN};

/// Most bytes a message to the server adds to a payload.
pub const SEND_OVERHEAD_MAX: usize = 56;

/// Why data cannot be sent. The caller's to solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no allocation.
    #[error("no allocation")]
    NoAllocation,
    /// There is neither a channel nor a permission for the peer.
    #[error("no permission for the peer")]
    NoPermission,
    /// The buffer is too small, or the payload longer than a message can say.
    #[error("the message does not fit")]
    NoRoom,
}

impl<E: Entropy> Client<E> {
    /// Writes the message that carries `payload` to `peer` and returns its length. A buffer with
    /// [`SEND_OVERHEAD_MAX`] bytes more than the payload always suffices.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing is to be sent then.
    #[inline]
    pub fn send(
        &mut self,
        peer: PeerAddr,
        payload: &[u8],
        buf: &mut [u8],
    ) -> Result<usize, SendError> {
        if self.allocation().is_none() {
            return Err(SendError::NoAllocation);
        }
        if !self.permissions.is_installed(&peer.ip(), self.now) {
            return Err(SendError::NoPermission);
        }
        match self.channels.usable(&peer, self.now) {
            Some(number) => self.write_channel_data(number, payload, buf),
            None => self.write_send_indication(peer, payload, buf),
        }
        .ok_or(SendError::NoRoom)
    }

    #[inline]
    fn write_channel_data(
        &self,
        number: ChannelNumber,
        payload: &[u8],
        buf: &mut [u8],
    ) -> Option<usize> {
        let (header, rest) = buf.split_first_chunk_mut::<HEADER_LEN>()?;
        *header = ChannelData::header(number, payload.len())?;
        let (body, rest) = rest.split_at_mut_checked(payload.len())?;
        body.copy_from_slice(payload);
        let mut len = HEADER_LEN + payload.len();
        if self.config.transport.is_stream() {
            let padding = rest.get_mut(..ChannelData::padding(payload.len()))?;
            padding.fill(0);
            len += padding.len();
        }
        Some(len)
    }

    fn write_send_indication(
        &mut self,
        peer: PeerAddr,
        payload: &[u8],
        buf: &mut [u8],
    ) -> Option<usize> {
        let transaction_id = self.next_indication_id();
        let mut builder = MessageBuilder::new(buf, Class::Indication, Method::SEND, transaction_id);
        builder.attribute(&XorPeerAddress(peer.0));
        if self.dont_fragment {
            builder.attribute(&DontFragment);
        }
        builder.attribute(&Data(payload)).finish().ok()
    }

    /// Nobody answers an indication, so its ID need not be unguessable: counting on from a random
    /// start saves a draw for each datagram.
    fn next_indication_id(&mut self) -> TransactionId {
        self.indications = self.indications.wrapping_add(1);
        let mut bytes = [0; 12];
        let (high, low) = bytes.split_at_mut(4);
        high.copy_from_slice(b"send");
        low.copy_from_slice(&self.indications.to_be_bytes());
        TransactionId(bytes)
    }
}
