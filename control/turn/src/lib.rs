//! TURN (RFC 8656) without a socket: a server, a client, and the reference lane between them.
//!
//! - [`server`] decides: allocations, permissions, channel bindings. What should be forwarded
//!   comes out of it as commands.
//! - [`forward`] carries: it is built from those commands alone and says for each packet where it
//!   goes. The socket lane runs it; other lanes must agree with it.
//! - [`client`] asks: it keeps an allocation alive for whoever needs one.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

pub mod attribute;
pub mod channel_data;
pub mod client;
pub mod forward;
pub mod icmp_quote;
pub mod server;

mod relay_address;
mod services;

pub use relay_address::{RelayAddress, advertised_ip, wire_ip};
