//! Requests: what they are, how they are formed and signed, and how one starts.

use thiserror::Error;
use turnpike_stun::long_term::ClientCredential;
use turnpike_stun::{Class, EncodeError, MessageBuilder, Method, Software, TransactionId};
use turnpike_types::{AddressFamily, ChannelNumber, Entropy, Timestamp};

use super::transactions::{REQUESTS_MAX, Transaction};
use super::{Client, Failure, State};

/// Most bytes of a request: the longest user name, realm, nonce and SOFTWARE that RFC 8489 allows,
/// and sixteen IPv6 peers. A buffer of this size suffices for
/// [`Client::poll_output`](super::Client::poll_output) of a datagram client.
pub const TRANSMIT_MAX: usize = 3_584;

/// How many requests stay free for Refresh when permissions and channels take all they can.
const REQUESTS_RESERVED: usize = 2;

/// What a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// An allocation.
    Allocate,
    /// Another lifetime for it.
    Refresh,
    /// The end of it, or of one family of a dual one.
    Delete { family: Option<AddressFamily> },
    /// Permissions for those peers that the table says it carries.
    CreatePermission,
    /// A channel; the table knows its peer.
    ChannelBind { number: ChannelNumber },
}

impl Request {
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh | Self::Delete { .. } => Method::REFRESH,
            Self::CreatePermission => Method::CREATE_PERMISSION,
            Self::ChannelBind { .. } => Method::CHANNEL_BIND,
        }
    }
}

/// Names a request through all its transactions: a retry after a challenge is a new transaction of
/// the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestNumber(u32);

/// Why something is not even asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no allocation.
    #[error("no allocation")]
    NoAllocation,
    /// The allocation has no relayed address of the peer's family (the server would say 443).
    #[error("no relayed address of the peer's family")]
    WrongFamily,
    /// The client's [`Limits`](super::Limits) are reached, or every channel number is taken.
    #[error("the table is full")]
    TableFull,
    /// [`Client::poll_output`](super::Client::poll_output) was not drained.
    #[error("outputs were not drained")]
    NotDrained,
}

impl<E: Entropy> Client<E> {
    /// Starts a request.
    pub(super) fn start(&mut self, now: Timestamp, request: Request) {
        let number = self.next_request_number();
        self.start_numbered(now, number, request);
    }

    /// Starts a request whose number is known to a table already.
    pub(super) fn start_numbered(
        &mut self,
        now: Timestamp,
        number: RequestNumber,
        request: Request,
    ) {
        self.attempt(now, number, request, 0);
    }

    /// Starts one transaction of a request, after `retries` others.
    pub(super) fn attempt(
        &mut self,
        now: Timestamp,
        number: RequestNumber,
        request: Request,
        retries: u8,
    ) {
        let transaction_id = TransactionId::random(&mut self.entropy);
        let mut buf = [0; TRANSMIT_MAX];
        let formed = self.form(&mut buf, transaction_id, number, request);
        let Some(bytes) = formed.ok().and_then(|len| buf.get(..len)) else {
            return self.request_failed(now, number, request, Failure::TooLong);
        };
        let is_signed = self
            .credential
            .as_ref()
            .is_some_and(ClientCredential::is_challenged);
        let transaction = Transaction {
            number,
            request,
            bytes: bytes.into(),
            sent_at: now,
            schedule: self.schedule(transaction_id, request, now),
            challenge: if is_signed { self.challenges } else { 0 },
            retries,
            violated: false,
            is_queued: false,
        };
        self.transactions.add(transaction);
        self.queue_transmit(transaction_id);
    }

    fn form(
        &self,
        buf: &mut [u8],
        transaction_id: TransactionId,
        number: RequestNumber,
        request: Request,
    ) -> Result<usize, EncodeError> {
        let mut builder =
            MessageBuilder::new(buf, Class::Request, request.method(), transaction_id);
        match request {
            Request::Allocate => self.form_allocate(&mut builder),
            Request::Refresh => self.form_refresh(&mut builder),
            Request::Delete { family } => Self::form_delete(&mut builder, family),
            Request::CreatePermission => self.form_create_permission(&mut builder, number),
            Request::ChannelBind { number } => self.form_channel_bind(&mut builder, number),
        }
        if let (Some(software), Method::ALLOCATE | Method::REFRESH) =
            (self.config.software, request.method())
        {
            builder.attribute(&Software(software));
        }
        if let Some(credential) = &self.credential {
            credential.apply(&mut builder);
        }
        if self.config.fingerprint {
            builder.fingerprint();
        }
        builder.finish()
    }

    pub(super) fn next_request_number(&mut self) -> RequestNumber {
        self.requests = self.requests.wrapping_add(1);
        RequestNumber(self.requests)
    }

    /// Whether another CreatePermission or ChannelBind may start.
    pub(super) fn has_room_for_request(&self) -> bool {
        matches!(self.state, State::Allocated(_))
            && self.transactions.len() + REQUESTS_RESERVED < REQUESTS_MAX
    }

    /// Whether a peer of this family may be asked for now.
    pub(super) fn check_peer(&self, family: AddressFamily) -> Result<(), RequestError> {
        let Some(allocation) = self.allocation() else {
            return Err(RequestError::NoAllocation);
        };
        if allocation.relayed(family).is_none() {
            return Err(RequestError::WrongFamily);
        }
        if !self.has_room_for_output() {
            return Err(RequestError::NotDrained);
        }
        Ok(())
    }
}
