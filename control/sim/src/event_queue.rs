//! What will happen, in a total order: by time, then by the order it was scheduled in.
//!
//! Bounded by [`EVENTS_MAX`].

use alloc::collections::BTreeMap;

use turnpike_types::Timestamp;

/// The most that may be scheduled at once.
pub(crate) const EVENTS_MAX: usize = 65_536;

/// A queue of things with a time.
#[derive(Clone, Debug)]
pub(crate) struct EventQueue<T> {
    events: BTreeMap<(Timestamp, u64), T>,
    scheduled: u64,
}

impl<T> EventQueue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// Puts an event in, or gives it back where the queue is full.
    pub(crate) fn schedule(&mut self, at: Timestamp, event: T) -> Result<(), T> {
        if self.events.len() >= EVENTS_MAX {
            return Err(event);
        }
        self.events.insert((at, self.scheduled), event);
        self.scheduled += 1;
        Ok(())
    }

    /// Takes out the first event not after `until`.
    pub(crate) fn pop_until(&mut self, until: Timestamp) -> Option<(Timestamp, T)> {
        let first = self.events.first_entry()?;
        let (at, _) = *first.key();
        (at <= until).then(|| (at, first.remove()))
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.events.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_comes_first_and_same_time_keeps_order() {
        let mut queue = EventQueue::new();
        for (at, name) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd')] {
            queue.schedule(Timestamp::from_secs(at), name).unwrap();
        }
        let mut order = alloc::string::String::new();
        while let Some((_, name)) = queue.pop_until(Timestamp::MAX) {
            order.push(name);
        }
        assert_eq!(order, "bdac");
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let mut queue = EventQueue::new();
        queue.schedule(Timestamp::from_secs(2), ()).unwrap();
        assert_eq!(queue.pop_until(Timestamp::from_nanos(1_999_999_999)), None);
        assert_eq!(queue.next_at(), Some(Timestamp::from_secs(2)));
        assert!(queue.pop_until(Timestamp::from_secs(2)).is_some());
    }

    #[test]
    fn full_queue_gives_the_event_back() {
        let mut queue = EventQueue::new();
        for _ in 0..EVENTS_MAX {
            queue.schedule(Timestamp::ZERO, 1).unwrap();
        }
        assert_eq!(queue.schedule(Timestamp::ZERO, 2), Err(2));
        assert_eq!(queue.len(), EVENTS_MAX);
    }
}
