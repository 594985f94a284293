//! Data channels (RFC 8831) and the protocol that opens them (DCEP, RFC 8832), without a socket.
//!
//! [`DataChannels`] is one end: an SCTP association and the channels on it. Channels are opened by
//! DCEP or agreed on elsewhere, are reliable or not, ordered or not, and close by stream reset.
//! Below it may be anything that carries datagrams; in WebRTC that is DTLS.
//!
//! This crate is *not* a congestion controller, a scheduler or a reassembler: that is
//! [`turnpike_sctp`]. Nor does it know SDP: roles and maximum message sizes come in as numbers.
//!
//! # Two peers talk
//!
//! ```
//! # use turnpike_datachannel::{Channel, Config, DataChannels, DtlsRole, Output};
//! # use turnpike_types::Timestamp;
//! # let mut entropy = turnpike_sim::SeededEntropy::new(1);
//! # let now = Timestamp::ZERO;
//! let mut alice = DataChannels::new(Config::new(DtlsRole::Client), &mut entropy, now)?;
//! let mut bob = DataChannels::new(Config::new(DtlsRole::Server), &mut entropy, now)?;
//! alice.connect(now);
//! let chat = alice.open(now, Channel::named("chat"))?;
//! alice.send(now, chat, "hello")?;
//! while deliver(now, &mut alice, &mut bob) | deliver(now, &mut bob, &mut alice) {}
//! let message = bob.receive().ok_or("nothing came")?;
//! assert_eq!((message.channel, &message.payload[..]), (chat, &b"hello"[..]));
//! assert_eq!(bob.channel(chat).map(|channel| channel.label.as_str()), Some("chat"));
//!
//! /// Carries all that `from` has to send; says whether there was anything.
//! fn deliver(now: Timestamp, from: &mut DataChannels, to: &mut DataChannels) -> bool {
//!     let (mut buffer, mut is_busy) = ([0; 1_191], false);
//!     while let Some(output) = from.poll_output(&mut buffer) {
//!         if let Output::Transmit(transmit) = output {
//!             is_busy |= to.handle_input(now, &buffer[..transmit.len]).is_ok();
//!         }
//!     }
//!     is_busy
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod channel;
mod config;
mod dcep;
mod engine;
mod event;
mod message;
mod ppid;
mod table;

pub use channel::{Channel, ChannelId, DtlsRole, Reliability, priority};
pub use config::{Config, Limits};
pub use dcep::{Dcep, DcepError, DcepOpen};
pub use engine::DataChannels;
pub use event::{Event, OpenError, Output, SendError, Violation};
pub use message::{Kind, Message, Payload};
