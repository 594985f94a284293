//! The data plane on hosts made for it: network namespaces joined by veth pairs. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod ground;
mod lives;
mod next_hop;
mod steer;
mod torn;
mod ways;
mod world;
