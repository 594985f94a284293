//! What the rest of the process knows of its own health, for whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::shard::Snapshot;

/// How old a shard's numbers may be; it publishes every second, whatever happens.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

const UNKNOWN: u64 = u64::MAX;

/// Set by those who know, read at each scrape. What was never set is not shown.
#[derive(Debug)]
pub struct Health {
    database: AtomicU64,
    certificate: AtomicU64,
    draining: AtomicBool,
    log_lines_lost: Arc<AtomicU64>,
}

impl Health {
    /// Knows of nothing but the log's lost lines.
    #[must_use]
    pub const fn new(log_lines_lost: Arc<AtomicU64>) -> Self {
        Self {
            database: AtomicU64::new(UNKNOWN),
            certificate: AtomicU64::new(UNKNOWN),
            draining: AtomicBool::new(false),
            log_lines_lost,
        }
    }

    /// Says whether the database of users answers.
    pub fn set_database_up(&self, up: bool) {
        self.database.store(u64::from(up), Ordering::Relaxed);
    }

    /// Says when the certificate ends, in seconds since 1970.
    pub fn set_certificate_expiry(&self, unix_seconds: u64) {
        self.certificate.store(unix_seconds, Ordering::Relaxed);
    }

    /// Says that new allocations are refused from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn database_up(&self) -> Option<u64> {
        known(&self.database)
    }

    pub(super) fn certificate_expiry(&self) -> Option<u64> {
        known(&self.certificate)
    }

    pub(super) fn log_lines_lost(&self) -> u64 {
        self.log_lines_lost.load(Ordering::Relaxed)
    }
}

fn known(place: &AtomicU64) -> Option<u64> {
    Some(place.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN)
}

/// The first shard whose numbers stand still.
pub(super) fn stalled(shards: &[Snapshot]) -> Option<usize> {
    let now = clock::now().as_nanos();
    let is_stale = |shard: &Snapshot| {
        Duration::from_nanos(now.saturating_sub(shard.published_at)) > STALE_AFTER
    };
    shards.iter().position(is_stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_that_publishes_no_more_is_stalled() {
        let fresh = Snapshot {
            published_at: clock::now().as_nanos(),
            ..Snapshot::default()
        };
        let mut old = fresh;
        old.published_at -= STALE_AFTER.as_nanos() as u64 + 1_000_000_000;
        assert_eq!(stalled(&[fresh, fresh]), None);
        assert_eq!(stalled(&[fresh, old]), Some(1));
    }
}
