//! A deterministic world for tests: one seed, virtual time, links, NATs, hosts.
//!
//! Engines take time and randomness as arguments, so a whole network of them fits in one thread:
//! the caller asks [`World::poll`] for the next datagram that arrives, hands it to the engine that
//! lives on that host, and sends what the engine says. The same seed gives the same run, byte for
//! byte; [`World::trace_hash`] says so in one number.
//!
//! The world carries datagrams and knows nothing of what is in them. It is *not* a model of TCP,
//! and it does not fragment: a datagram above a link's MTU is dropped by name.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod chance;
mod entropy;
mod event_queue;
mod executor;
mod ledger;
mod link;
mod nat;
#[cfg(feature = "std")]
pub mod seeds;
mod topology;
mod trace;
mod violation;
mod world;

pub use chance::Chance;
pub use entropy::SeededEntropy;
pub use executor::{Executor, FaultPlan, Lane, Outcome};
pub use ledger::{DatagramId, DropRule, Imbalance, Ledger};
pub use link::{Link, LinkConfig, Passage};
pub use nat::{Behaviour, Nat, NatConfig};
pub use topology::{HostId, NatId, RealmId};
pub use trace::{Happening, Observer, Trace};
pub use violation::Violation;
pub use world::{Delivery, World};
