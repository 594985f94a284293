//! A hierarchical timer wheel: one timer a slot of the caller's slab, in O(1).
//!
//! Timers come out in the order of their ticks, never before their instant and never later than
//! one [`TICK`] after it. What a timer is for is the caller's affair; nothing is scanned, ever.
//!
//! Bounded by the highest slot armed (16 bytes each), and a call by [`CASCADE_MAX`].

use alloc::vec::Vec;
use core::time::Duration;

use turnpike_types::Timestamp;

/// How late a timer may be.
pub const TICK: Duration = Duration::from_millis(100);

/// How many timers one [`TimerWheel::pop_due`] may move down a level.
pub const CASCADE_MAX: usize = 4_096;

/// Six levels of 64 buckets, the finest of one [`TICK`] each.
///
/// A timer waits in the level of the highest base-64 digit in which its tick differs from the
/// current one, and moves down when the current tick reaches its bucket.
#[derive(Clone, Debug)]
pub struct TimerWheel {
    origin: Timestamp,
    current: u64,
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * BUCKETS],
    nodes: Vec<Node>,
}

impl TimerWheel {
    /// An empty wheel. Instants before `now` count as `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            origin: now,
            current: 0,
            occupied: [0; LEVELS],
            heads: [NIL; LEVELS * BUCKETS],
            nodes: Vec::new(),
        }
    }

    /// Sets the timer of `slot`, in place of the one it has.
    ///
    /// An instant more than thirteen years after the wheel's start counts as never.
    pub fn arm(&mut self, slot: u32, at: Timestamp) {
        self.disarm(slot);
        let Ok(due) = u32::try_from(self.tick_after(at)) else {
            return;
        };
        let index = slot as usize;
        if self.nodes.len() <= index {
            self.nodes.resize(index.saturating_add(1), Node::UNARMED);
        }
        self.link(slot, due);
    }

    /// Clears the timer of `slot`, if it has one.
    pub fn disarm(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot as usize) else {
            return;
        };
        if node.bucket == UNARMED {
            return;
        }
        let Node {
            prev, next, bucket, ..
        } = core::mem::replace(node, Node::UNARMED);
        let bucket = usize::from(bucket);
        if let Some(before) = self.nodes.get_mut(prev as usize) {
            before.next = next;
        } else if let Some(head) = self.heads.get_mut(bucket) {
            *head = next;
            if next == NIL
                && let Some(bits) = self.occupied.get_mut(bucket / BUCKETS)
            {
                *bits &= !(1 << (bucket % BUCKETS));
            }
        }
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.prev = prev;
        }
    }

    /// Takes out one timer that is due and names its slot.
    ///
    /// `None` with [`next`](Self::next) not after `now` means that the call met [`CASCADE_MAX`] and
    /// should be made again. An earlier `now` than the last counts as the last.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        let target = self.tick_before(now).max(self.current);
        let mut moves_left = CASCADE_MAX;
        loop {
            let Some((tick, bucket)) = self.earliest().filter(|(tick, _)| *tick <= target) else {
                self.current = target;
                return None;
            };
            self.current = tick;
            let slot = *self.heads.get(bucket)?;
            let due = self.nodes.get(slot as usize)?.due;
            if bucket < BUCKETS {
                self.disarm(slot);
                return Some(slot);
            }
            moves_left = moves_left.checked_sub(1)?;
            self.disarm(slot);
            self.link(slot, due);
        }
    }

    /// When to call [`pop_due`](Self::pop_due) next: not after the first timer's tick, and in the
    /// future while none is due. O(1).
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let (tick, _) = self.earliest()?;
        let nanos = tick.saturating_mul(TICK_NANOS);
        Some(self.origin + Duration::from_nanos(nanos))
    }

    /// The first bucket to look into, and the tick at which to do so.
    fn earliest(&self) -> Option<(u64, usize)> {
        let in_level = |(level, bits): (usize, &u64)| {
            // All occupied buckets are at or after the current digit; at it, above level 0, only
            // while the bucket is being moved down.
            let shift = level * DIGIT_BITS;
            let digit = (self.current >> shift) & DIGIT_MASK;
            let ahead = bits & (u64::MAX << digit);
            let position = ahead.trailing_zeros() as usize;
            let start = ((self.current >> shift) & !DIGIT_MASK | position as u64) << shift;
            (ahead != 0).then_some((start.max(self.current), level * BUCKETS + position))
        };
        self.occupied
            .iter()
            .enumerate()
            .filter_map(in_level)
            .min_by_key(|(tick, _)| *tick)
    }

    fn link(&mut self, slot: u32, due: u32) {
        let tick = u64::from(due).max(self.current);
        let differing_bits = u64::BITS - (tick ^ self.current).leading_zeros();
        let level = (differing_bits.saturating_sub(1) as usize) / DIGIT_BITS;
        let position = ((tick >> (level * DIGIT_BITS)) & DIGIT_MASK) as usize;
        let index = level * BUCKETS + position;
        let Ok(bucket) = u16::try_from(index) else {
            return;
        };
        let (Some(head), Some(bits)) = (self.heads.get_mut(index), self.occupied.get_mut(level))
        else {
            return;
        };
        let next = core::mem::replace(head, slot);
        *bits |= 1 << position;
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.prev = slot;
        }
        if let Some(node) = self.nodes.get_mut(slot as usize) {
            *node = Node {
                due,
                prev: NIL,
                next,
                bucket,
            };
        }
    }

    /// The first tick that is not before `at`.
    fn tick_after(&self, at: Timestamp) -> u64 {
        at.as_nanos()
            .saturating_sub(self.origin.as_nanos())
            .div_ceil(TICK_NANOS)
    }

    /// The last tick that is not after `now`; timers of later ticks than a `u32` holds do not exist.
    fn tick_before(&self, now: Timestamp) -> u64 {
        let ticks = now.as_nanos().saturating_sub(self.origin.as_nanos()) / TICK_NANOS;
        ticks.min(u64::from(u32::MAX))
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    due: u32,
    prev: u32,
    next: u32,
    bucket: u16,
}

impl Node {
    const UNARMED: Self = Self {
        due: 0,
        prev: NIL,
        next: NIL,
        bucket: UNARMED,
    };
}

const DIGIT_BITS: usize = 6;
const DIGIT_MASK: u64 = 63;
const BUCKETS: usize = 1 << DIGIT_BITS;
/// Enough digits for a `u32` of ticks.
const LEVELS: usize = 6;
const NIL: u32 = u32::MAX;
const UNARMED: u16 = u16::MAX;
const TICK_NANOS: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn node_is_sixteen_bytes_and_the_tick_agrees_with_its_nanoseconds() {
        assert_eq!(size_of::<Node>(), 16);
        assert_eq!(TICK.as_nanos(), u128::from(TICK_NANOS));
    }

    #[test]
    fn timer_comes_out_at_its_tick_and_once() {
        let mut wheel = TimerWheel::new(ms(50));
        wheel.arm(7, ms(300));
        assert_eq!(wheel.next(), Some(ms(350)));
        assert_eq!(wheel.pop_due(ms(349)), None);
        assert_eq!(wheel.pop_due(ms(350)), Some(7));
        assert_eq!(wheel.pop_due(ms(350)), None);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn arming_again_replaces_and_disarming_clears() {
        let mut wheel = TimerWheel::new(Timestamp::ZERO);
        wheel.arm(1, ms(1_000));
        wheel.arm(1, ms(600_000));
        wheel.arm(2, ms(1_000));
        wheel.disarm(2);
        wheel.disarm(99);
        assert_eq!(wheel.pop_due(ms(500_000)), None);
        assert_eq!(wheel.pop_due(ms(600_000)), Some(1));
    }

    #[test]
    fn instant_in_the_past_is_due_at_once() {
        let mut wheel = TimerWheel::new(ms(1_000));
        assert_eq!(wheel.pop_due(ms(70_000)), None);
        wheel.arm(3, Timestamp::ZERO);
        assert!(wheel.next().unwrap() <= ms(70_000));
        assert_eq!(wheel.pop_due(ms(70_000)), Some(3));
    }

    #[test]
    fn earlier_now_counts_as_the_last() {
        let mut wheel = TimerWheel::new(Timestamp::ZERO);
        assert_eq!(wheel.pop_due(ms(5_000)), None);
        wheel.arm(0, ms(4_000));
        assert_eq!(wheel.pop_due(ms(100)), Some(0));
    }

    #[test]
    fn never_is_not_armed() {
        let mut wheel = TimerWheel::new(Timestamp::ZERO);
        wheel.arm(0, ms(100));
        wheel.arm(0, Timestamp::MAX);
        assert_eq!(wheel.next(), None);
        assert_eq!(wheel.pop_due(Timestamp::MAX), None);
    }

    #[test]
    fn a_jump_of_years_finds_every_timer_in_order() {
        let mut wheel = TimerWheel::new(Timestamp::ZERO);
        let secs = [1, 7, 500, 30_000, 2_000_000, 100_000_000];
        for (slot, at) in (0..).zip(secs) {
            wheel.arm(slot, Timestamp::from_secs(at));
        }
        let now = Timestamp::from_secs(200_000_000);
        let popped: Vec<u32> = core::iter::from_fn(|| wheel.pop_due(now)).collect();
        assert_eq!(popped, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_call_moves_no_more_than_its_bound_and_says_so() {
        let mut wheel = TimerWheel::new(Timestamp::ZERO);
        let count = 3 * u32::try_from(CASCADE_MAX).unwrap();
        for slot in 0..count {
            wheel.arm(slot, ms(700_000));
        }
        let now = ms(700_000);
        let mut popped = 0;
        let mut cut_short = 0;
        while wheel.next().is_some_and(|at| at <= now) {
            match wheel.pop_due(now) {
                Some(_) => popped += 1,
                None => cut_short += 1,
            }
        }
        assert_eq!(popped, count);
        assert!((3..20).contains(&cut_short), "{cut_short}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u32, u64),
        Disarm(u32),
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let delay = prop_oneof![0..3_000_u64, 0..800_000_u64, 0..3_000_000_000_u64];
        let advance = prop_oneof![0..250_u64, 0..30_000_u64, 0..2_000_000_000_u64];
        prop_oneof![
            4 => (0..40_u32, delay).prop_map(|(slot, delay)| Step::Arm(slot, delay)),
            1 => (0..40_u32).prop_map(Step::Disarm),
            3 => advance.prop_map(Step::Advance),
        ]
    }

    fn check_pops(
        wheel: &mut TimerWheel,
        model: &mut BTreeMap<u32, u64>,
        now: u64,
    ) -> Result<(), TestCaseError> {
        while let Some(slot) = wheel.pop_due(Timestamp::from_nanos(now)) {
            let at = model.remove(&slot);
            prop_assert!(
                at.is_some_and(|at| at <= now),
                "slot {slot} popped early: {at:?}"
            );
        }
        let first = model.values().copied().min();
        if let Some(first) = first {
            prop_assert!(first + TICK_NANOS > now, "a timer is later than a tick");
        }
        match (wheel.next(), first) {
            (None, None) => {}
            (Some(next), Some(first)) => {
                prop_assert!(
                    next.as_nanos() > now,
                    "next is in the past while nothing is due"
                );
                prop_assert!(
                    next.as_nanos() < first + TICK_NANOS,
                    "next is after the first due"
                );
            }
            (next, first) => prop_assert!(false, "next {next:?}, model {first:?}"),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_an_ordered_map(
            origin in 0..u64::MAX / 4,
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut wheel = TimerWheel::new(Timestamp::from_nanos(origin));
            let mut model = BTreeMap::new();
            let mut now = origin;
            for step in steps {
                match step {
                    Step::Arm(slot, delay_ms) => {
                        let at = now + delay_ms * 1_000_003;
                        wheel.arm(slot, Timestamp::from_nanos(at));
                        model.insert(slot, at);
                    }
                    Step::Disarm(slot) => {
                        wheel.disarm(slot);
                        model.remove(&slot);
                    }
                    Step::Advance(advance_ms) => now += advance_ms * 1_000_007,
                }
                check_pops(&mut wheel, &mut model, now)?;
            }
        }
    }
}
