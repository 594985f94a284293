//! SCTP (RFC 9260) without a socket: one association between two endpoints.
//!
//! An [`Association`] carries messages on streams: reliable or partially reliable (RFC 3758,
//! RFC 7496), ordered or not, interleaved (RFC 8260), with streams that can be reset and added
//! (RFC 6525). Below it may be anything that carries datagrams: DTLS, UDP (RFC 6951), a test.
//!
//! This crate is *not* a multiplexer of many associations over one port, and knows no addresses:
//! whoever owns the socket says which datagram is whose.
//!
//! Two associations in one thread, with nothing lost between them:
//!
//! ```
//! use bytes::Bytes;
//! use turnpike_sctp::{Association, Config, Outgoing, Output, Ppid, StreamId};
//! use turnpike_types::{Entropy, Timestamp};
//! # struct Dice(u8);
//! # impl Entropy for Dice {
//! #     fn fill(&mut self, bytes: &mut [u8]) {
//! #         bytes.iter_mut().for_each(|byte| { self.0 = self.0.wrapping_add(7); *byte = self.0 });
//! #     }
//! # }
//! let (now, mut buf) = (Timestamp::ZERO, [0; 1191]);
//! let mut ends = [1, 2].map(|n| Association::new(Config::default(), &mut Dice(n), now).unwrap());
//! ends[0].connect(now);
//! ends[0].send(now, Outgoing::new(StreamId(1), Ppid(51), Bytes::from("hello"))).unwrap();
//! for from in [0, 1, 0, 1] {
//!     while let Some(output) = ends[from].poll_output(&mut buf) {
//!         if let Output::Transmit(transmit) = output {
//!             ends[1 - from].handle_input(now, &buf[..transmit.len]).unwrap();
//!         }
//!     }
//! }
//! assert_eq!(ends[1].receive().unwrap().payload, "hello");
//! ```

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
