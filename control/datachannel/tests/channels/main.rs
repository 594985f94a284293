//! Data channels between two ends, and against an end that breaks the rules.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a panic is the failure report"
)]

mod closing;
mod cost;
mod messages;
mod modes;
mod opening;
mod support;
mod violations;
