//! Turnpike, the process: io_uring runtime, configuration and the `turnpike` binary around the
//! sans-IO engines of `control`.

pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod database;
pub mod doctor;
pub mod entropy;
pub mod host;
pub mod metrics;
pub mod probe;
pub mod relay;
pub mod shard;
pub mod state;
pub mod tls;

#[expect(
    unsafe_code,
    reason = "the one door to io_uring; its SAFETY.md numbers the invariants"
)]
pub mod uring;
