//! The kernel's door: loads the XDP programs, and keeps their tables in step with what the engines
//! want relayed.
//!
//! - [`next_hop`]: where packets go on the wire.
//!
//! Nothing here decides what may be relayed; the engines do. Maps, programs and netlink live here and
//! nowhere else in the relay.

pub mod next_hop;
