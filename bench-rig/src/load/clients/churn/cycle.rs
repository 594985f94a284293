//! One client's cycle: which step it is at, the request for it, and what an answer means.

use std::net::SocketAddr;

use turnpike_stun::long_term::{ChallengeAnswer, ClientCredential};
use turnpike_stun::{Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};
use turnpike_turn::client::Credential;
use turnpike_types::{AddressFamily, ChannelNumber};

use super::super::super::LoadError;
use super::super::super::packet::{CLIENTS, PEERS};
use super::super::{Crowd, address, turn};

/// A step of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Allocate with message integrity.
    Allocate,
    /// CreatePermission for one peer.
    CreatePermission,
    /// ChannelBind to the same peer.
    ChannelBind,
    /// Refresh with lifetime 0.
    Refresh,
}

impl Step {
    /// In the order of a cycle.
    pub const ALL: [Self; 4] = [
        Self::Allocate,
        Self::CreatePermission,
        Self::ChannelBind,
        Self::Refresh,
    ];

    /// Its place in a cycle.
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    const fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::CreatePermission => Method::CREATE_PERMISSION,
            Self::ChannelBind => Method::CHANNEL_BIND,
            Self::Refresh => Method::REFRESH,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Allocate => Self::CreatePermission,
            Self::CreatePermission => Self::ChannelBind,
            Self::ChannelBind => Self::Refresh,
            Self::Refresh => Self::Allocate,
        }
    }
}

/// What a message means to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers nothing that is out.
    Stray,
    /// The step is to be asked for again, with the new nonce.
    Challenged,
    Granted,
    /// The relay's words.
    Refused(String),
}

/// A client in its cycle.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) address: SocketAddr,
    pub(super) server: SocketAddr,
    peer: SocketAddr,
    family: AddressFamily,
    credential: ClientCredential,
    user: Credential,
    /// Of the address of the next cycle, and how far on the one after it is.
    next_address: u32,
    clients: u32,
    /// The first answer after a challenge says whether the credential stands.
    is_unverified: bool,
    step: Step,
    /// Counted up with each request; with the client's place it makes the transaction ID.
    requests: u64,
    number: u32,
    /// When the step was asked for first, and its request last sent.
    began: u64,
    sent_at: u64,
    tries: u32,
    has_failed: bool,
    is_over: bool,
}

impl Cycle {
    /// Client `number` of the crowd; addresses are counted from `first` on.
    pub(super) fn new(crowd: &Crowd, first: u32, number: u32) -> Result<Self, LoadError> {
        let place = usize::try_from(number).unwrap_or(0);
        let (Some(server), Some(user)) =
            (turn(&crowd.servers, place), turn(&crowd.credentials, place))
        else {
            return Err(LoadError::Unfit(
                "clients need a server and a user".to_owned(),
            ));
        };
        let credential = ClientCredential::new(&user.username, &user.password)
            .map_err(|error| LoadError::Unfit(error.to_string()))?;
        Ok(Self {
            address: address::NOWHERE,
            server: *server,
            peer: address::of(PEERS, crowd.relayed, number),
            family: crowd.relayed,
            credential,
            user: user.clone(),
            next_address: first.saturating_add(number),
            clients: crowd.count,
            is_unverified: true,
            step: Step::Allocate,
            requests: 0,
            number,
            began: 0,
            sent_at: 0,
            tries: 0,
            has_failed: false,
            is_over: false,
        })
    }

    /// Starts the first cycle.
    pub(super) fn begin(&mut self, now: u64) {
        self.start(now);
    }

    /// Starts a cycle, from an address that had none: a relay may remember one for a while after
    /// its allocation ended.
    fn start(&mut self, now: u64) {
        let family = AddressFamily::of(&self.server.ip());
        self.address = address::of(CLIENTS, family, self.next_address);
        self.next_address = self.next_address.saturating_add(self.clients);
        // It was made of the same words before, so it can be made again.
        if let Ok(untold) = ClientCredential::new(&self.user.username, &self.user.password) {
            self.credential = untold;
        }
        self.is_unverified = true;
        self.at(Step::Allocate, now);
    }

    /// Goes to the next step; after the last, to a new cycle unless `end` has come.
    pub(super) fn go_on(&mut self, now: u64, end: u64) {
        match self.step {
            Step::Refresh => {
                self.has_failed = false;
                self.is_over = now >= end;
                self.start(now);
            }
            step => self.at(step.next(), now),
        }
    }

    /// Ends this cycle: whatever the relay may hold is let go of first.
    pub(super) fn fail(&mut self, now: u64, end: u64) {
        if matches!(self.step, Step::Refresh) {
            self.go_on(now, end);
        } else {
            self.has_failed = true;
            self.at(Step::Refresh, now);
        }
    }

    /// Asks for the same step in a new transaction.
    pub(super) const fn ask_again(&mut self, now: u64) {
        self.requests += 1;
        self.sent_at = now;
        self.tries = 1;
    }

    const fn at(&mut self, step: Step, now: u64) {
        self.step = step;
        self.began = now;
        self.ask_again(now);
    }

    pub(super) const fn step(&self) -> Step {
        self.step
    }

    pub(super) const fn began(&self) -> u64 {
        self.began
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) const fn has_waited_too_long(&self, now: u64) -> bool {
        !self.is_over && now.saturating_sub(self.sent_at) > PATIENCE
    }

    /// Whether the same request may be sent once more; if so, that counts as done.
    pub(super) const fn may_try_again(&mut self, now: u64) -> bool {
        let may = self.tries < TRIES;
        if may {
            self.tries += 1;
            self.sent_at = now;
        }
        may
    }

    pub(super) fn take(&mut self, message: &Message<'_>) -> Answer {
        if self.is_over || message.transaction_id() != self.id() {
            return Answer::Stray;
        }
        match self.credential.handle_challenge(message) {
            ChallengeAnswer::Retry => {
                self.is_unverified = true;
                return Answer::Challenged;
            }
            ChallengeAnswer::GiveUp(reason) => return Answer::Refused(reason.to_string()),
            ChallengeAnswer::NotAChallenge => {}
        }
        if message.class() == Class::Success {
            // Once after each challenge; more would only load the generator.
            if std::mem::take(&mut self.is_unverified) && !self.credential.verify_response(message)
            {
                return Answer::Refused("answered without integrity".to_owned());
            }
            return Answer::Granted;
        }
        match message.get::<ErrorCode<'_>>() {
            Ok(Some(error)) => Answer::Refused(format!("refused with {}", error.code)),
            _ => Answer::Refused("refused without a code".to_owned()),
        }
    }

    /// The request of this step.
    pub(super) fn request<'b>(&self, buf: &'b mut [u8; REQUEST_MAX]) -> Option<&'b [u8]> {
        let mut request = MessageBuilder::new(buf, Class::Request, self.step.method(), self.id());
        match self.step {
            Step::Allocate => {
                request.attribute(&RequestedTransport::UDP);
                if self.family != AddressFamily::of(&self.server.ip()) {
                    request.attribute(&RequestedAddressFamily(self.family));
                }
            }
            Step::CreatePermission => {
                request.attribute(&XorPeerAddress(self.peer));
            }
            Step::ChannelBind => {
                if let Some(number) = ChannelNumber::new(CHANNEL) {
                    request.attribute(&ChannelNumberAttribute(number));
                }
                request.attribute(&XorPeerAddress(self.peer));
            }
            Step::Refresh => {
                request.attribute(&Lifetime(0));
            }
        }
        self.credential.apply(&mut request);
        let len = request.finish().ok()?;
        buf.get(..len)
    }

    /// Nobody is there to guess it.
    const fn id(&self) -> TransactionId {
        let [a, b, c, d] = self.number.to_be_bytes();
        let [e, f, g, h, i, j, k, l] = self.requests.to_be_bytes();
        TransactionId([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

/// How often a request is sent before its step has failed.
pub(super) const TRIES: u32 = 5;

/// Most bytes of a request.
pub(super) const REQUEST_MAX: usize = 1_400;

/// How long an answer is waited for before the request is sent again, nanoseconds.
const PATIENCE: u64 = 200_000_000;

/// The channel that every client binds; each has an allocation of its own.
const CHANNEL: u16 = 0x4000;
