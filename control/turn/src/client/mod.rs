//! The client side of TURN (RFC 8656) without a socket: one allocation on one server.
//!
//! It asks for the allocation, keeps it, its permissions and its channels refreshed, and turns
//! data into messages and back. It is *not* a resolver and opens nothing: where messages go, and
//! over what, is the caller's. Four verbs drive it, as every engine (see `turnpike_types`).
//!
//! ```
//! use turnpike_turn::client::{Client, Config, Output, TRANSMIT_MAX};
//! use turnpike_types::{Entropy, ServerAddr, Timestamp, Transport};
//! # struct Dice;
//! # impl Entropy for Dice { fn fill(&mut self, bytes: &mut [u8]) { bytes.fill(4) } }
//! let server = ServerAddr(([192, 0, 2, 1], 3478).into());
//! let config = Config::new(server, Transport::Udp);
//! let mut client = Client::new(config, Dice, Timestamp::ZERO).unwrap();
//! let mut buf = [0; TRANSMIT_MAX];
//! while let Some(output) = client.poll_output(&mut buf) {
//!     match output {
//!         Output::Transmit(len) => { /* send buf[..len] to the server */ }
//!         Output::Event(event) => println!("{event:?}"),
//!         Output::Data { peer, len } => { /* streams only: buf[..len] came from peer */ }
//!     }
//! }
//! // Then wait for a datagram (handle_input) or for this instant (handle_timeout).
//! assert_eq!(client.poll_timeout().unwrap().at, Timestamp::from_millis(500));
//! ```
//!
//! Bounded by [`Limits`], sixteen requests at a time, and on streams one frame of buffer.

mod allocate;
mod channel_bind;
mod channels;
mod config;
mod create_permission;
mod event;
mod output;
mod permissions;
mod receive;
mod redirect;
mod refresh;
mod request;
mod response;
mod send;
mod transactions;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use turnpike_stun::long_term::ClientCredential;
use turnpike_stun::stream::{FRAME_MAX, Framer};
use turnpike_types::{AddressFamily, Deadline, DeadlineReason, Entropy, ServerAddr, Timestamp};

pub use allocate::{Allocation, PORTS_MAX};
pub use channels::{CHANNEL_LIFETIME, CHANNEL_QUARANTINE, CHANNEL_REFRESH};
pub use config::{Config, ConfigError, Credential, Families, Limits, Port};
pub use event::{Event, Failure, Output, Redirect};
pub use permissions::{PEERS_PER_REQUEST_MAX, PERMISSION_LIFETIME, PERMISSION_REFRESH};
pub use receive::Received;
pub use redirect::REDIRECTS_MAX;
pub use request::{RequestError, TRANSMIT_MAX};
pub use send::{SEND_OVERHEAD_MAX, SendError};

use channels::Channels;
use event::RETRY_AFTER;
use output::Queued;
use permissions::Permissions;
use request::{Request, RequestNumber};
use transactions::{REQUESTS_MAX, Transactions};

/// A TURN client; see the [module](self).
pub struct Client<E> {
    config: Config,
    entropy: E,
    /// The latest instant heard of.
    now: Timestamp,
    /// Where the allocation is asked for; [`Config::server`] until a restart.
    server: ServerAddr,
    state: State,
    credential: Option<ClientCredential>,
    /// How many challenges were taken up, so that a request knows whether its own is the last.
    challenges: u32,
    transactions: Transactions,
    permissions: Permissions,
    channels: Channels,
    outputs: VecDeque<Queued>,
    /// Stream clients only.
    framer: Option<Box<Framer>>,
    /// Whether Send indications carry DONT-FRAGMENT.
    dont_fragment: bool,
    /// How many of our transport addresses met a 437.
    ports_tried: u8,
    /// Who sent us elsewhere, and when.
    redirected_by: Vec<(ServerAddr, Timestamp)>,
    /// The last request number given out.
    requests: u32,
    /// The last indication's transaction ID.
    indications: u64,
}

/// How far the client is.
#[derive(Clone, Debug)]
enum State {
    /// An Allocate is out. `closing`: whatever comes of it is to be deleted.
    Allocating { closing: bool },
    /// There is an allocation.
    Allocated(Allocation),
    /// The Refresh that ends the allocation is out, as the caller asked.
    Closing,
    /// The same for an allocation that we cannot use; the caller has heard of the failure.
    Discarding,
    /// The caller has to provide another port or go to another server.
    Waiting,
    /// Nothing left to do.
    Ended,
}

impl<E: Entropy> Client<E> {
    /// A client that asks for its allocation at once.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for wishes that no request can express.
    pub fn new(config: Config, mut entropy: E, now: Timestamp) -> Result<Self, ConfigError> {
        config.check()?;
        let credential = config
            .credential
            .as_ref()
            .map(Credential::prepare)
            .transpose()?;
        let mut client = Self {
            server: config.server,
            indications: entropy.next_u64(),
            dont_fragment: config.dont_fragment,
            framer: framer(&config),
            config,
            entropy,
            now,
            state: State::Allocating { closing: false },
            credential,
            challenges: 0,
            transactions: Transactions::default(),
            permissions: Permissions::default(),
            channels: Channels::default(),
            outputs: VecDeque::new(),
            ports_tried: 0,
            redirected_by: Vec::new(),
            requests: 0,
        };
        client.start(now, Request::Allocate);
        Ok(client)
    }

    /// Takes one datagram, or any part of the stream.
    ///
    /// Data in a datagram is handed back at once. A stream's comes out of
    /// [`poll_output`](Self::poll_output), and [`Received::Taken`] says how much was taken.
    pub fn handle_input(&mut self, now: Timestamp, bytes: &[u8]) -> Received {
        self.advance_clock(now);
        if self.config.transport.is_stream() {
            // A stream that is broken is read no further.
            let taken = self
                .framer
                .as_mut()
                .map_or(bytes.len(), |framer| framer.push(bytes));
            return Received::Taken(taken);
        }
        match self.receive(bytes) {
            Received::Control => self.handle_control(bytes),
            received => received,
        }
    }

    /// Does what is due. At most sixteen requests are sent again or given up, and as many started.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance_clock(now);
        self.retransmit(now);
        if self
            .allocation()
            .is_some_and(|allocation| allocation.expires_at <= now)
        {
            self.lose_allocation(Failure::Expired);
        }
        self.start_due(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` while there is nothing to wait
    /// for. Looks at no more than sixteen requests and four timers.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let retransmission = self.transactions.next_timeout().map(|at| Deadline {
            at,
            reason: DeadlineReason::Retransmission,
        });
        let State::Allocated(allocation) = &self.state else {
            return retransmission;
        };
        let has_room = self.has_room_for_request();
        let refresh = [
            allocation.refresh_at,
            self.permissions.next_due().filter(|_| has_room),
            self.channels.next_due().filter(|_| has_room),
        ];
        let refresh = refresh.into_iter().flatten().min().map(|at| Deadline {
            at,
            reason: DeadlineReason::Refresh,
        });
        let expiry = Deadline {
            at: allocation.expires_at,
            reason: DeadlineReason::Expiry,
        };
        [retransmission, refresh, Some(expiry)]
            .into_iter()
            .flatten()
            .min_by_key(|due| due.at)
    }

    /// Ends the allocation (RFC 8656 section 8): its permissions and channels go at once, and
    /// [`Event::Closed`] says that the server has answered, or does not.
    ///
    /// While the allocation is still being asked for, it is ended as soon as it is there.
    pub fn close(&mut self, now: Timestamp) {
        self.advance_clock(now);
        match &mut self.state {
            State::Allocating { closing } => *closing = true,
            State::Allocated(_) => self.start_closing(),
            State::Waiting => {
                self.state = State::Ended;
                self.push(Event::Closed);
            }
            State::Closing | State::Discarding | State::Ended => {}
        }
    }

    /// Ends one family of a dual allocation and keeps the other (RFC 8656 section 8.1).
    ///
    /// # Errors
    ///
    /// [`RequestError::NoAllocation`] or [`RequestError::WrongFamily`] when there is nothing to
    /// end, `WrongFamily` also when nothing would be left ([`close`](Self::close) that), and
    /// [`RequestError::TableFull`] while sixteen requests are out.
    pub fn close_family(
        &mut self,
        now: Timestamp,
        family: AddressFamily,
    ) -> Result<(), RequestError> {
        let now = self.advance_clock(now);
        self.check_peer(family)?;
        self.check_peer(family.other())?;
        if self.transactions.len() >= REQUESTS_MAX {
            return Err(RequestError::TableFull);
        }
        self.start(
            now,
            Request::Delete {
                family: Some(family),
            },
        );
        Ok(())
    }

    /// Starts anew from another client transport address, at the same or another server, after
    /// [`Event::NewPortNeeded`], [`Event::Redirected`] or the end. What there was is forgotten, not
    /// ended.
    pub fn restart(&mut self, now: Timestamp, server: ServerAddr) {
        let now = self.advance_clock(now);
        if server != self.server || !matches!(self.state, State::Waiting) {
            self.ports_tried = 0;
        }
        self.server = server;
        self.state = State::Allocating { closing: false };
        // It was prepared once, so it can be again.
        self.credential = self
            .config
            .credential
            .as_ref()
            .and_then(|plain| plain.prepare().ok());
        self.challenges = 0;
        self.transactions.clear();
        self.permissions = Permissions::default();
        self.channels = Channels::default();
        self.framer = framer(&self.config);
        self.start(now, Request::Allocate);
    }

    /// The allocation, while there is one that can be used.
    #[must_use]
    pub const fn allocation(&self) -> Option<&Allocation> {
        match &self.state {
            State::Allocated(allocation) => Some(allocation),
            _ => None,
        }
    }

    /// The server transport address in use.
    #[must_use]
    pub const fn server(&self) -> ServerAddr {
        self.server
    }

    /// Whether Send indications carry DONT-FRAGMENT: it was asked for and not refused.
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// Whether the client has nothing left to do, until a restart.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Starts what is due, as far as there is room for requests.
    fn start_due(&mut self, now: Timestamp) {
        self.refresh_if_due(now);
        self.create_due_permissions(now);
        self.bind_due_channels(now);
    }

    /// An earlier `now` than the last counts as the last.
    fn advance_clock(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }
}

impl<E> fmt::Debug for Client<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("state", &self.state)
            .field("transactions", &self.transactions)
            .finish_non_exhaustive()
    }
}

fn framer(config: &Config) -> Option<Box<Framer>> {
    config
        .transport
        .is_stream()
        .then(|| Box::new(Framer::new(FRAME_MAX)))
}
