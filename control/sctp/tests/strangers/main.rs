//! Strangers: other people's associations against ours, in one process and in virtual time.
//!
//! The list is fixed, and `talks` sees that everybody on it meets everybody: ours, `dcsctp`
//! (Chrome's stack in Rust) and `sctp-proto` (str0m's) here, usrsctp over UDP in `usrsctp`. One that
//! cannot run fails.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_types,
    reason = "test code: a panic is the failure report, and strangers want their own clocks"
)]

mod conversation;
mod dcsctp;
#[path = "../../examples/udp_encapsulation/driver.rs"]
mod driver;
mod orders;
#[path = "../simulation/pair/mod.rs"]
#[expect(
    dead_code,
    reason = "strangers hold conversations; not all of the worlds' tools are used"
)]
mod pair;
mod sctp_proto;
mod talks;
mod usrsctp;
