//! A safe door to io_uring, for datagrams and byte streams: the only module of this crate with `unsafe` in it.
//!
//! [`Ring`] receives with multishot RECVMSG into provided buffers and sends from the very buffer
//! a datagram came in, so that a relayed packet is never copied in user space. It knows sockets,
//! buffers and operations; it does not know what a packet means.
//!
//! Bounded by [`RingConfig`]: buffers, submission and completion entries are all fixed at start.
//! `SAFETY.md` beside this file numbers the invariants that the unsafe blocks cite.

mod address;
mod buffers;
mod ring;
mod sockopt;
mod token;

pub use address::RawAddress;
pub use buffers::{Buffer, HEADROOM_BYTES, TAILROOM_BYTES, payload_max};
pub use ring::{Completion, Datagram, Ring, RingConfig, RingError, StreamCompletion, Via};
pub use sockopt::{
    FragmentPolicy, filter_icmp_errors, receive_drops, set_fragment_policy, steer_group,
};
pub use token::{OpKind, OpToken};
