//! The TURN server (RFC 8656) and the STUN server inside it (RFC 8489): who may relay, to whom,
//! and for how long. One file a procedure.
//!
//! It carries no packet. What should be relayed comes out as commands for the lanes, installed
//! before the client is told and revoked before anything is free again; Send and Data indications
//! and ChannelData are the lanes' own. It keeps nothing for a packet that has not authenticated.
//!
//! Bounded by [`Limits`]; a call does no more than [`WORK_MAX`] small things and what one
//! allocation holds.

mod allocate;
mod allocation;
mod allocations;
mod authenticate;
mod binding;
mod channel_bind;
mod command_failed;
mod config;
mod counters;
mod create_permission;
mod credentials;
mod expiry;
mod icmp;
mod input;
mod intent;
mod output;
mod peer_policy;
mod policy_change;
mod poll;
mod port_pool;
mod procedure;
mod refresh;
mod refusal;
mod relays;
mod reply;
mod reservation;
mod rest;
mod slab;
mod timer_wheel;
mod user_ledger;
mod users;

pub use allocate::PORT_ATTEMPTS_MAX;
pub use config::{
    Config, ConfigError, Lifetimes, Limits, RELAY_ADDRESSES_MAX, Redirect, SOFTWARE_SENT_MAX,
};
pub use counters::Counters;
pub use credentials::{CredentialError, Credentials, SECRETS_MAX, UserKeys};
pub use icmp::IcmpError;
pub use input::{Disposition, MESSAGE_MAX};
pub use output::{EndReason, Event, OUTPUTS_MAX, Output, TRANSMIT_MAX, Transmit};
pub use peer_policy::{DENIED_V4, DENIED_V6, OwnAddresses, PeerPolicy};
pub use port_pool::{HALF_USED_MIN, PortPool, ShardSlice, owner};
pub use procedure::Procedure;
pub use refusal::Refusal;
pub use reservation::token_shard;
pub use timer_wheel::{CASCADE_MAX, TICK, TimerWheel};
pub use user_ledger::UserLedger;
pub use users::{Identity, UserKind};

use alloc::vec::Vec;
use core::net::SocketAddr;

use ahash::RandomState;
use turnpike_stun::IntegrityKey;
use turnpike_stun::long_term::NonceMint;
use turnpike_types::{AllocationId, Entropy, FiveTuple, Timestamp, UserId};

use crate::services;
use allocations::Allocations;
use output::Outputs;
use relays::Relays;
use reservation::Reservations;
use users::Users;

/// How many small things (an entry looked at, a command put out) one call may do, beside what a
/// single allocation needs. What is left waits for the next call.
pub const WORK_MAX: usize = 1_024;

/// One TURN server: one shard's worth of allocations.
#[derive(Debug)]
pub struct Server<E> {
    config: Config,
    entropy: E,
    now: Timestamp,
    /// Seconds since 1970 at an instant of our clock.
    wall_clock: Option<(Timestamp, u64)>,
    nonces: NonceMint,
    nobodys_key: IntegrityKey,
    /// `config.services` as they look on the wire.
    services: Vec<SocketAddr>,
    users: Users,
    allocations: Allocations,
    relays: Relays,
    reservations: Reservations,
    wheel: TimerWheel,
    outputs: Outputs,
    counters: Counters,
    /// The next slot to judge by a new peer policy, while some are left.
    policy_cursor: Option<u32>,
    draining: bool,
}

impl<E: Entropy> Server<E> {
    /// A server without allocations. All tables that a limit bounds are made now.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub fn new(config: Config, mut entropy: E, now: Timestamp) -> Result<Self, ConfigError> {
        config.check()?;
        let ports = config
            .relay_addresses
            .len()
            .saturating_mul(config.ports.len());
        let capacity = config.limits.allocations.min(ports);
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        Ok(Self {
            nonces: NonceMint::new(config.nonce_lifetime, now, &mut entropy),
            nobodys_key: IntegrityKey::from_sha256(secret),
            services: services::expand(&config.services, &config.relay_addresses),
            users: Users::new(capacity, hasher(&mut entropy), config.ledger.clone()),
            allocations: Allocations::new(capacity, hasher(&mut entropy)),
            relays: Relays::new(&config.relay_addresses, &config.ports, config.shard),
            reservations: Reservations::default(),
            wheel: TimerWheel::new(now),
            outputs: Outputs::default(),
            counters: Counters::default(),
            policy_cursor: None,
            draining: false,
            wall_clock: None,
            config,
            entropy,
            now,
        })
    }

    /// Says what time it is outside: REST credentials end by it, and until it is said none is
    /// live.
    pub fn set_wall_clock(&mut self, now: Timestamp, unix_seconds: u64) {
        self.advance(now);
        self.wall_clock = Some((self.now, unix_seconds));
    }

    /// Users and secrets, to change at run time. Live allocations go on.
    pub const fn credentials_mut(&mut self) -> &mut Credentials {
        &mut self.config.credentials
    }

    /// Sends new allocations elsewhere (300), or no longer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Redirect`]; nothing is changed then.
    pub fn set_redirect(&mut self, redirect: Option<Redirect>) -> Result<(), ConfigError> {
        redirect.as_ref().map_or(Ok(()), Redirect::check)?;
        self.config.redirect = redirect;
        Ok(())
    }

    /// Takes no new allocations (508, or 300 where there is a redirect), or takes them again. Those
    /// that live go on, and so does everything their clients may ask for.
    pub const fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// A stream client went away: its allocation ends with it.
    pub fn handle_disconnect(&mut self, now: Timestamp, five_tuple: &FiveTuple) {
        self.advance(now);
        if let Some(id) = self.allocations.find(five_tuple) {
            self.end(id, EndReason::Disconnected);
        }
    }

    /// Ends an allocation by the operator's order; nothing happens if it is gone.
    pub fn end_allocation(&mut self, now: Timestamp, id: AllocationId) {
        self.advance(now);
        self.end(id, EndReason::Ordered);
    }

    /// How many allocations there are.
    #[must_use]
    pub const fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// How many users hold allocations or reservations.
    #[must_use]
    pub const fn users(&self) -> usize {
        self.users.len()
    }

    /// How many ports are reserved.
    #[must_use]
    pub fn reservations(&self) -> usize {
        self.reservations.len()
    }

    /// How many relayed ports are free, on all relay addresses together.
    #[must_use]
    pub fn free_ports(&self) -> usize {
        self.relays.free()
    }

    /// The allocation of a five-tuple.
    #[must_use]
    pub fn allocation(&self, five_tuple: &FiveTuple) -> Option<AllocationId> {
        let id = self.allocations.find(five_tuple)?;
        let is_live = self.allocations.get(id)?.expires_at() > self.now;
        is_live.then_some(id)
    }

    /// The name of a user that holds something: a REST user's is the part after the separator,
    /// that of an unauthenticated client its IP address.
    #[must_use]
    pub fn username(&self, id: UserId) -> Option<&str> {
        self.users.name(id)
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Moves the clock; an earlier instant counts as the last one.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }
}

fn hasher(entropy: &mut impl Entropy) -> RandomState {
    let mut seed = || entropy.next_u64();
    RandomState::with_seeds(seed(), seed(), seed(), seed())
}
