//! SCTP (RFC 9260) without a socket: one association between two endpoints.
//!
//! An [`Association`] carries messages on streams: reliable or partially reliable (RFC 3758,
//! RFC 7496), ordered or not, interleaved (RFC 8260), with streams that can be reset and added
//! (RFC 6525). Below it may be anything that carries datagrams: DTLS, UDP (RFC 6951), a test.
//!
//! This crate is *not* a multiplexer of many associations over one port, and knows no addresses:
//! whoever owns the socket says which datagram is whose.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

pub mod association;
pub mod wire;

mod config;
mod cookie;
mod event;
mod message;
mod path;
mod random;
mod receive;
mod send;
mod serial;
mod slab;
mod stream_map;
mod tsn_set;

pub use association::{Association, Negotiated, State, Statistics};
pub use config::{Config, ConfigError, RtoConfig, Scheduling};
pub use event::{CloseReason, Discard, Event, Output, PathId, Transmit};
pub use message::{Incoming, MessageId, Outgoing, Reliability, ResetError, SendError};
pub use serial::{Ppid, StreamId, Tsn};
