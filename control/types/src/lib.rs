//! The words all Turnpike engines share.
//!
//! Addresses by the role they play, time as a number that comes in from outside, randomness as an
//! argument, and forwarding intent: what an engine wants the lanes (XDP, AF_XDP, sockets) to relay.
//!
//! This crate is *not* a protocol: it parses nothing and keeps no state but [`TokenBucket`] and
//! [`SharedBucket`].
//!
//! # The engine contract
//!
//! Every engine of the house has the same four verbs: `handle_input(now, ..)`,
//! `handle_timeout(now)`, `poll_output(..) -> Option<Output>` and `poll_timeout() -> Option<Deadline>`.
//!
//! 1. After any mutation, drain `poll_output` to `None`, then read `poll_timeout`.
//! 2. Time and randomness are arguments. An earlier `now` than the last counts as the last.
//! 3. Outputs are first in, first out: *install before you promise, revoke before you free*.
//! 4. A [`Command`] may fail. Whoever carries it out says so (`handle_command_failed`) before it
//!    polls the next output, and the engine answers for it. A failure is never ignored.
//! 5. Work per call is bounded by a named constant; `poll_timeout` is O(1).
//! 6. Same inputs and same seed give the same outputs, byte for byte.

#![forbid(unsafe_code)]
#![no_std]

mod addr;
mod drop;
mod entropy;
mod forwarding;
mod meter;
mod rate;
mod shared_rate;
mod time;

pub use addr::{
    AddressFamily, ClientAddr, FiveTuple, PeerAddr, ReflexiveAddr, RelayedAddr, ServerAddr,
    Transport,
};
pub use drop::DropReason;
pub use entropy::Entropy;
pub use forwarding::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, Command, CommandError,
    CommandId, Entry, EntryKey, PermissionEntry, PortRule, UserId,
};
pub use meter::Meter;
pub use rate::{RateLimit, TokenBucket};
pub use shared_rate::SharedBucket;
pub use time::{Deadline, DeadlineReason, Timestamp};
