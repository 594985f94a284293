//! Fuzz targets as plain functions: bytes in, a panic when something is wrong.
//!
//! Each target judges the engines by assertions of its own: a second, naive parser or model, round
//! trips, and the invariants that the engines promise. libFuzzer drives them (`libfuzzer/`), and
//! `tests/replay.rs` runs every committed corpus file through them on stable Rust.
//!
//! This crate is *not* part of the relay: nothing depends on it.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target reports what it found"
)]

mod addresses;
mod channel_data;
mod choices;
mod data_channel;
mod entropy;
mod forwarder;
mod icmp_quote;
mod naive_sctp;
mod naive_stun;
mod sctp_association;
mod sctp_packet;
mod stream_framing;
mod stun_long_term;
mod stun_message;
mod turn_attributes;
mod turn_client;
mod turn_server;

pub use channel_data::channel_data;
pub use data_channel::data_channel;
pub use forwarder::forwarder;
pub use icmp_quote::icmp_quote;
pub use sctp_association::sctp_association;
pub use sctp_packet::sctp_packet;
pub use stream_framing::stream_framing;
pub use stun_long_term::stun_long_term;
pub use stun_message::stun_message;
pub use turn_attributes::turn_attributes;
pub use turn_client::turn_client;
pub use turn_server::turn_server;

/// One target: its name, which is that of its corpus folder, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("channel_data", channel_data),
    ("data_channel", data_channel),
    ("forwarder", forwarder),
    ("icmp_quote", icmp_quote),
    ("sctp_association", sctp_association),
    ("sctp_packet", sctp_packet),
    ("stream_framing", stream_framing),
    ("stun_long_term", stun_long_term),
    ("stun_message", stun_message),
    ("turn_attributes", turn_attributes),
    ("turn_client", turn_client),
    ("turn_server", turn_server),
];
