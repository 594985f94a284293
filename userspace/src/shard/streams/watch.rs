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

    /// The next connection whose time has come and that `is_live`; `looks` is how many may be taken
    /// out for that, and counts down.
    pub(super) fn pop_due(
        &mut self,
        now: Timestamp,
        looks: &mut usize,
        mut is_live: impl FnMut(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        while *looks > 0 {
            let (since, id) = *self.queue.front()?;
            if now.since(since) < self.period {
                return None;
            }
            self.queue.pop_front();
            *looks -= 1;
            if is_live(id) {
                return Some(id);
            }
        }
        None
    }

    /// The first connection that `is_live`, though its time has not come. Those before it are gone:
    /// each is taken out once.
    pub(super) fn pop(
        &mut self,
        mut is_live: impl FnMut(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        std::iter::from_fn(|| self.queue.pop_front())
            .map(|(_, id)| id)
            .find(|id| is_live(*id))
    }

    /// Forgets connections that are gone once there are more than `most` entries, so that clients
    /// that come and go within a period do not pile up.
    pub(super) fn prune(&mut self, most: usize, mut is_live: impl FnMut(ConnectionId) -> bool) {
        if self.queue.len() > most {
            self.queue.retain(|(_, id)| is_live(*id));
        }
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
        let mut pop = |now| watch.pop_due(now, &mut 10, |_| true);
        assert_eq!(pop(at(9)), None);
        assert_eq!(pop(at(11)), Some(id(1)));
        assert_eq!(pop(at(11)), None);
        assert_eq!(pop(at(14)), Some(id(2)));
    }

    #[test]
    fn dead_entries_hold_up_no_live_one_and_do_not_pile_up() {
        const DEAD: u32 = 1_000;
        let at = Timestamp::from_nanos;
        let id = |slot| ConnectionId {
            slot,
            generation: 0,
        };
        let is_live = |it: ConnectionId| it.slot == DEAD;
        let mut watch = Watch::new(Duration::from_nanos(1));
        for slot in 0..=DEAD {
            watch.push(at(0), id(slot));
        }
        let mut looks = 10;
        assert_eq!(watch.pop_due(at(1), &mut looks, is_live), None);
        assert_eq!((looks, watch.queue.len()), (0, 991));
        watch.prune(991, is_live);
        assert_eq!(watch.queue.len(), 991);
        watch.prune(990, is_live);
        assert_eq!(watch.queue.len(), 1);
        assert_eq!(watch.pop_due(at(1), &mut 1, is_live), Some(id(DEAD)));
    }
}
