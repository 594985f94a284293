//! The purposes of ETSI TS 102 369 and of nplab's partial reliability suite, stated anew for RFC 9260:
//! a tester who writes every packet by hand, and our association as the implementation under test.
//! `docs/rfc/9260-conformance.md` says which purpose is which test.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod acknowledgement;
mod bundling;
mod data;
mod duplicates;
mod errors;
mod faults;
mod forward_tsn;
mod invalid;
mod past_faults;
mod re_config;
mod retransmission;
mod setup;
mod table;
mod termination;
mod tester;
mod unknown;
