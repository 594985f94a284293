//! Numbers for operators, by HTTP: `/metrics` in OpenMetrics text, `/healthz`, and a page that names
//! both. `docs/metrics.md` lists every metric.
//!
//! It reads what shards published and asks nothing of them, so a scrape costs a call nothing. It is
//! not an interface to change anything, and knows no client and no user: a label is a word of this
//! program or a small number (`exposition::Value`), never text from the network.
//!
//! Bounded by `connection`: how many connections, how long each lives and how much of it is read.

mod connection;
mod exposition;
mod families;
mod health;
mod process;
mod server;

use turnpike_dataplane::counters::Reasons;

use crate::shard::Snapshot;

pub use health::{Health, STALE_AFTER};
pub use server::{MetricsServer, ServeError, serve};

/// What a scrape is made of.
#[derive(Clone, Debug)]
pub struct Readings {
    /// The last numbers of each shard, in their order.
    pub shards: Vec<Snapshot>,
    /// What became of the packets that the kernel's programs saw, where there are any.
    pub kernel: Option<Reasons>,
}

impl From<Vec<Snapshot>> for Readings {
    fn from(shards: Vec<Snapshot>) -> Self {
        Self {
            shards,
            kernel: None,
        }
    }
}

/// The content type of `/metrics`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
