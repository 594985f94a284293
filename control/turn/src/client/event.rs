//! What the engine tells its caller.

use alloc::boxed::Box;
use core::net::IpAddr;
use core::time::Duration;

use turnpike_types::{ChannelNumber, PeerAddr, ServerAddr, Timestamp};

use crate::attribute::Icmp;

/// What [`Client::poll_output`](super::Client::poll_output) yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The first so many bytes of the buffer are to be sent to the server: one datagram, or the
    /// next bytes of the stream.
    Transmit(usize),
    /// Stream clients only: the first so many bytes of the buffer are what a peer sent. Datagram
    /// clients hear of it from [`Client::handle_input`](super::Client::handle_input).
    Data {
        /// Who sent it.
        peer: PeerAddr,
        /// How many bytes.
        len: usize,
    },
    /// Something happened.
    Event(Event),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is an allocation: see [`Client::allocation`](super::Client::allocation).
    Allocated,
    /// There will be no allocation. [`Client::restart`](super::Client::restart) tries again.
    AllocationFailed(Failure),
    /// The server sees another client's allocation on our five-tuple (437). Open another socket
    /// and call [`Client::restart`](super::Client::restart); after three ports the engine says
    /// [`AllocationFailed`](Self::AllocationFailed) instead.
    NewPortNeeded,
    /// The server wants us elsewhere (300). To follow, reach that server by the same transport and
    /// call [`Client::restart`](super::Client::restart) with it.
    Redirected(Box<Redirect>),
    /// The allocation lives on for another lifetime.
    Refreshed,
    /// A Refresh failed. The allocation lives until it expires.
    RefreshFailed(Failure),
    /// The allocation with all its permissions and channels is gone, unasked.
    AllocationLost(Failure),
    /// The allocation is gone as asked.
    Closed,
    /// A permission asked for is installed.
    PermissionCreated(IpAddr),
    /// A permission could not be installed, or could not be kept.
    PermissionFailed {
        /// For whom.
        peer: IpAddr,
        /// Why.
        failure: Failure,
    },
    /// A channel asked for is bound.
    ChannelBound {
        /// Its number.
        number: ChannelNumber,
        /// To whom.
        peer: PeerAddr,
    },
    /// A channel could not be bound, or could not be kept. On a 400 client and server disagree
    /// about the number, and RFC 8656 section 12.3 recommends a new allocation.
    ChannelFailed {
        /// Its number.
        number: ChannelNumber,
        /// To whom.
        peer: PeerAddr,
        /// Why.
        failure: Failure,
    },
    /// The network refused what we sent to a peer (RFC 8656 section 11.6).
    Icmp {
        /// To whom; port zero where the server does not know it.
        peer: PeerAddr,
        /// Type and code.
        icmp: Icmp,
    },
}

/// A 300 (RFC 8489 section 10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where to.
    pub server: ServerAddr,
    /// The same server in the other address family, where it says so.
    pub other_family: Option<ServerAddr>,
    /// The name to expect in its certificate; without one, the name of the first server.
    pub domain: Option<Box<str>>,
    /// Whether the response carried our integrity. Without, whoever stands between could have sent
    /// it, and a caller without TLS or DTLS may rather not follow.
    pub authenticated: bool,
}

/// Why something did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused with this code. After a 486 or 508 it should be left alone for a minute,
    /// after a third 437 for two (RFC 8656 section 7.4).
    Refused(u16),
    /// No answer to any of the requests.
    TimedOut,
    /// There were answers, but none with the right integrity (RFC 8489 section 9.2.5).
    IntegrityViolated,
    /// The challenge lacks what its nonce cookie promises: someone between takes features out
    /// (RFC 8489 section 9.2.1).
    BidDown,
    /// The server wants credentials and there are none, or rejects those there are.
    Unauthenticated,
    /// The response lacks what it must hold, or cannot be read.
    Malformed,
    /// The response has comprehension-required attributes that this client does not know.
    UnknownAttribute,
    /// The server allocated an address family that was not asked for.
    WrongFamily,
    /// The server sent us to where we have been in the last five minutes.
    RedirectLoop,
    /// The allocation's lifetime ended before a Refresh succeeded.
    Expired,
    /// The stream holds something that is neither STUN nor ChannelData.
    StreamBroken,
    /// A request does not fit a message.
    TooLong,
}

impl Failure {
    /// When to ask again for what the server still holds; `None` when asking again is no use.
    pub(super) fn retry_at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            // The transaction has taken its time already.
            Self::TimedOut => Some(now),
            // On a stream this comes at once, and would again.
            Self::IntegrityViolated => Some(now + RETRY_AFTER),
            _ => None,
        }
    }
}

/// How long to wait before asking again where the answer was quick and bad.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
