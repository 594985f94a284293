//! A safe door to io_uring, for datagrams and byte streams: the only module of this crate with
//! `unsafe` in it.
//!
//! [`Ring`] receives with multishot RECVMSG into provided buffers and sends from the very buffer
//! a datagram came in, so that a relayed packet is never copied in user space. Where the kernel
//! delivers several datagrams at once (`UDP_GRO`) or takes several (`UDP_SEGMENT`), they go as one
//! [`Run`]. It knows sockets, buffers and operations; it does not know what a packet means.
//!
//! Bounded by [`RingConfig`]: buffers, submission and completion entries are all fixed at start.
//! `SAFETY.md` beside this file numbers the invariants that the unsafe blocks cite.

mod address;
mod buffers;
mod ring;
mod sockopt;
mod token;

pub use address::RawAddress;
pub use buffers::{Buffer, HEADROOM_BYTES, TAILROOM_BYTES};
pub use ring::{
    Completion, Datagram, Head, PADDING_MAX, Part, RUN_BYTES_MAX, RUN_PARTS_MAX, Ring, RingConfig,
    RingError, Run, StreamCompletion, Via,
};
#[cfg(test)]
pub(crate) use sockopt::no_checksums;
pub use sockopt::{
    FragmentPolicy, filter_icmp_errors, receive_drops, receive_runs, set_fragment_policy,
    steer_group,
};
pub use token::{OpKind, OpToken};
