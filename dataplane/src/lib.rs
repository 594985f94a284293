//! The kernel's door: loads the XDP programs, and keeps their tables in step with what the engines
//! want relayed.
//!
//! - [`loader`]: programs into the kernel and onto devices, or why not.
//! - [`tables`]: the engines' commands as entries.
//! - [`next_hop`]: where packets go on the wire.
//! - [`counters`]: what the programs count.
//! - [`driver`] and [`proof`]: what a device's driver and this kernel can do.
//! - [`inspect`]: a look into the tables from outside.
//! - [`DataPlane`]: all of it together.
//!
//! Nothing here decides what may be relayed; the engines do. Maps, programs and netlink live here and
//! nowhere else in the relay.

pub mod counters;
pub mod driver;
pub mod inspect;
pub mod loader;
pub mod next_hop;
pub mod proof;
pub mod tables;

#[expect(unsafe_code, reason = "tables of the kernel's seen as memory")]
mod lines;
mod meter;
mod netlink;
mod plane;

pub use plane::{DataPlane, Settings};
