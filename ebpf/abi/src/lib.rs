//! What the relay's programs in the kernel (`ebpf/programs`) and the process that feeds them agree on,
//! byte by byte: keys and values of the maps, why a packet ended where it did, and the arithmetic of
//! packets that both sides need.
//!
//! Every key and value is an array of 64-bit words, so that nothing has padding, a copy is a few plain
//! loads and no side needs to reinterpret memory. What lies in packets (addresses, ports, channel
//! numbers, MACs) keeps the packet's byte order in the words' memory; numbers that are counted with
//! (times, costs, indices) are the machine's. The machine is little-endian, and a build for another
//! refuses.
//!
//! | map ([`maps`]) | kind | key | value |
//! |---|---|---|---|
//! | `FLOWS` | hash | [`FlowKey`] | [`Flow`] |
//! | `PERMISSIONS` | hash | [`FlowKey`] | [`Permission`] |
//! | `CLIENTS` | hash | [`FlowKey`] | [`Client`] |
//! | `LOCALS` | hash | [`LocalKey`] | [`Local`] |
//! | `NEXT_HOPS` | array | id | [`NextHop`] |
//! | `ALLOCATIONS` | array | [`Config::terms_line`], [`Config::traffic_line`] | [`Terms`], [`Traffic`] |
//! | `USERS` | array | place | [`UserBucket`] |
//! | `REASONS` | array | [`Config::reason_line`] | packets |
//! | `STRANGERS` | LRU hash | [`Prefix`] | [`Stranger`] |
//! | `DEVICES` | devmap hash | interface index | interface index |
//! | `SOCKETS` | sockmap | shard and family | socket |
//!
//! *Torn values.* A hash map's element is used again at once and an array's is written in place, so a
//! reader may see half of one value and half of another, or another key's. Keys and values of `FLOWS`,
//! `PERMISSIONS`, `CLIENTS`, `LOCALS` and `NEXT_HOPS` are therefore bound by a [`check`]: a copy whose
//! check does not hold is read again once, and then left to a lane.
//!
//! *Time* is nanoseconds of `CLOCK_MONOTONIC`, as the kernel's coarse clock gives it: it may lag by one
//! tick of the kernel (at most 10 ms).
//!
//! Not here: what the maps are for, who may write them in which order, and what a packet goes through;
//! `docs/fast-path.md` says that.

#![no_std]
#![forbid(unsafe_code)]

pub mod check;
pub mod maps;
pub mod sum;

mod account;
mod address;
mod client;
mod config;
mod flow;
mod key;
mod local;
mod next_hop;
mod permission;
mod reason;
mod stranger;

pub use account::{Limit, Terms, Traffic, UserBucket};
pub use address::{Address, Endpoint};
pub use client::Client;
pub use config::Config;
pub use flow::Flow;
pub use key::FlowKey;
pub use local::{Local, LocalKey, Role};
pub use next_hop::NextHop;
pub use permission::Permission;
pub use reason::{Fate, Reason};
pub use stranger::{Prefix, Stranger};

/// Changes with every change of the bytes; part of the folder that maps are pinned in.
pub const VERSION: u32 = 1;

#[cfg(target_endian = "big")]
compile_error!("keys and values are laid out for little-endian machines");
