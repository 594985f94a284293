//! Connections to be looked at again after a constant time: first in, first out, so that neither a
//! start nor a look at what is due costs more than the ends of a queue.
//!
//! An entry is not moved when its connection's clock starts again; whoever takes it out looks at
//! the connection and puts it back. A connection has at most one entry, which bounds the queue.

use std::collections::VecDeque;
use std::time::Duration;

use turnpike_types::Timestamp;

use super::ConnectionId;

#[derive(Debug)]
pub(super) struct Watch {
    period: Duration,
    queue: VecDeque<(Timestamp, ConnectionId)>,
}

impl Watch {
    pub(super) const fn new(period: Duration) -> Self {
        Self {
            period,
            queue: VecDeque::new(),
        }
    }

    /// Looks at a connection one period from now; `now` never goes back.
    pub(super) fn push(&mut self, now: Timestamp, id: ConnectionId) {
        self.queue.push_back((now, id));
    }

    /// The next connection whose time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<ConnectionId> {
        let (since, id) = *self.queue.front()?;
        if now.since(since) < self.period {
            return None;
        }
        self.queue.pop_front();
        Some(id)
    }

    /// How long until one is due.
    pub(super) fn patience(&self, now: Timestamp) -> Option<Duration> {
        let (since, _) = self.queue.front()?;
        Some(self.period.saturating_sub(now.since(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_due_one_period_after_it_was_put_in() {
        let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let id = |slot| ConnectionId {
            slot,
            generation: 0,
        };
        let mut watch = Watch::new(Duration::from_millis(10));
        assert_eq!(watch.patience(at(0)), None);
        watch.push(at(0), id(1));
        watch.push(at(4), id(2));
        assert_eq!(watch.patience(at(3)), Some(Duration::from_millis(7)));
        assert_eq!(watch.pop_due(at(9)), None);
        assert_eq!(watch.pop_due(at(11)), Some(id(1)));
        assert_eq!(watch.pop_due(at(11)), None);
        assert_eq!(watch.pop_due(at(14)), Some(id(2)));
    }
}
