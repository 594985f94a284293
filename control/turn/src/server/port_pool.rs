//! The relayed ports of one relay IP address that one shard hands out.
//!
//! Ports are random (RFC 8656 section 5 wants them hard to guess) and yet pairs of an even port and
//! the odd one after it stay whole for EVEN-PORT: singles come from half-used pairs as soon as
//! there are enough of those to choose from. Binding the port is the caller's affair.
//!
//! Bounded by the slice of the port range; every call is O(1).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use turnpike_types::Entropy;

/// How many half-used pairs there must be before a single port is picked among them: enough that
/// the next port cannot be guessed, few enough that whole pairs last.
pub const HALF_USED_MIN: usize = 64;

/// Which part of the port range is a shard's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSlice {
    /// The shard, from 0.
    pub index: u16,
    /// How many shards share the range; 0 counts as 1.
    pub count: u16,
}

impl ShardSlice {
    /// The whole range: the only shard.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Offsets of the first pair and of the one after the last, among `pairs` pairs.
    fn bounds(self, pairs: u32) -> (u32, u32) {
        let count = u64::from(self.count.max(1));
        let edge = |index: u64| {
            let offset = (index * u64::from(pairs)).div_ceil(count);
            u32::try_from(offset).unwrap_or(pairs).min(pairs)
        };
        (edge(u64::from(self.index)), edge(u64::from(self.index) + 1))
    }
}

impl Default for ShardSlice {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// Which of `count` shards owns a port: the slices are runs of whole pairs, as even as can be.
///
/// `None` for a port outside the range, for port 0, and for a `count` of 0.
#[must_use]
pub fn owner(ports: &RangeInclusive<u16>, count: u16, port: u16) -> Option<u16> {
    if port == 0 || count == 0 || !ports.contains(&port) {
        return None;
    }
    let first = ports.start() / 2;
    let pairs = u64::from(ports.end() / 2 - first) + 1;
    let offset = u64::from(port / 2 - first);
    u16::try_from(offset * u64::from(count) / pairs).ok()
}

/// The free and the taken ports of one slice.
#[derive(Clone, Debug)]
pub struct PortPool {
    /// Half of the even port of the slice's first pair.
    base: u16,
    pairs: Vec<Pair>,
    whole: Vec<u16>,
    even_free: Vec<u16>,
    odd_free: Vec<u16>,
    free: usize,
}

impl PortPool {
    /// A pool with every port of the slice free. Port 0 is never among them.
    #[must_use]
    pub fn new(ports: RangeInclusive<u16>, slice: ShardSlice) -> Self {
        let mut pool = Self {
            base: 0,
            pairs: Vec::new(),
            whole: Vec::new(),
            even_free: Vec::new(),
            odd_free: Vec::new(),
            free: 0,
        };
        if ports.is_empty() {
            return pool;
        }
        let first = ports.start() / 2;
        let (start, end) = slice.bounds(u32::from(ports.end() / 2 - first) + 1);
        pool.base = u16::try_from(u32::from(first) + start).unwrap_or(u16::MAX);
        for offset in 0..u16::try_from(end.saturating_sub(start)).unwrap_or(0) {
            let even = 2 * (pool.base + offset);
            let has = |port: u16, bit| {
                if port != 0 && ports.contains(&port) {
                    bit
                } else {
                    0
                }
            };
            let own = has(even, EVEN) | has(even + 1, ODD);
            pool.pairs.push(Pair {
                own,
                free: 0,
                place: 0,
            });
            pool.free += own.count_ones() as usize;
            pool.set_free(offset, own);
        }
        pool
    }

    /// Takes a random port, even or odd.
    pub fn take(&mut self, entropy: &mut impl Entropy) -> Option<u16> {
        let half_used = self.even_free.len() + self.odd_free.len();
        if half_used >= HALF_USED_MIN || self.whole.is_empty() {
            let pick = below(entropy, half_used);
            return match pick.checked_sub(self.even_free.len()) {
                None => self.take_bits(*self.even_free.get(pick)?, EVEN),
                Some(pick) => self.take_bits(*self.odd_free.get(pick)?, ODD),
            };
        }
        let pick = below(entropy, 2 * self.whole.len());
        let offset = *self.whole.get(pick / 2)?;
        self.take_bits(offset, if pick.is_multiple_of(2) { EVEN } else { ODD })
    }

    /// Takes a random even port and leaves the odd one after it as it is (EVEN-PORT with the R bit
    /// clear, RFC 8656 section 18.7).
    pub fn take_even(&mut self, entropy: &mut impl Entropy) -> Option<u16> {
        let half_used = self.even_free.len() >= HALF_USED_MIN || self.whole.is_empty();
        let list = if half_used {
            &self.even_free
        } else {
            &self.whole
        };
        let offset = *list.get(below(entropy, list.len()))?;
        self.take_bits(offset, EVEN)
    }

    /// Takes a random even port and the odd one after it (R bit set); names the even one.
    pub fn take_pair(&mut self, entropy: &mut impl Entropy) -> Option<u16> {
        let offset = *self.whole.get(below(entropy, self.whole.len()))?;
        self.take_bits(offset, EVEN | ODD)
    }

    /// Takes the port if it is in the slice and free, and says whether it was.
    pub fn take_exactly(&mut self, port: u16) -> bool {
        self.find(port).is_some_and(|(offset, bit)| {
            let is_free = self
                .pairs
                .get(usize::from(offset))
                .is_some_and(|p| p.free & bit != 0);
            is_free && self.take_bits(offset, bit).is_some()
        })
    }

    /// Frees one port; nothing happens where it was not taken.
    pub fn give_back(&mut self, port: u16) {
        let Some((offset, bit)) = self.find(port) else {
            return;
        };
        let Some(pair) = self.pairs.get(usize::from(offset)) else {
            return;
        };
        if pair.own & !pair.free & bit != 0 {
            self.free += 1;
            self.set_free(offset, pair.free | bit);
        }
    }

    /// How many ports are free.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free
    }

    fn find(&self, port: u16) -> Option<(u16, u8)> {
        let offset = (port / 2).checked_sub(self.base)?;
        Some((offset, if port.is_multiple_of(2) { EVEN } else { ODD }))
    }

    /// Takes the ports of a pair that `bits` names, all of them free; answers with the first.
    fn take_bits(&mut self, offset: u16, bits: u8) -> Option<u16> {
        let free = self.pairs.get(usize::from(offset))?.free;
        self.free = self.free.checked_sub(bits.count_ones() as usize)?;
        self.set_free(offset, free & !bits);
        Some(2 * (self.base + offset) + u16::from(bits & EVEN == 0))
    }

    /// Moves a pair from the list of its old state to that of its new one.
    fn set_free(&mut self, offset: u16, free: u8) {
        let Some(pair) = self.pairs.get_mut(usize::from(offset)) else {
            return;
        };
        let (old, place) = (pair.free, usize::from(pair.place));
        pair.free = free;
        if let Some(list) = self.list(old)
            && place < list.len()
        {
            list.swap_remove(place);
            let moved = list.get(place).copied();
            if let Some(moved) = moved.and_then(|offset| self.pairs.get_mut(usize::from(offset))) {
                moved.place = u16::try_from(place).unwrap_or(u16::MAX);
            }
        }
        if let Some(list) = self.list(free) {
            let place = u16::try_from(list.len()).unwrap_or(u16::MAX);
            list.push(offset);
            if let Some(pair) = self.pairs.get_mut(usize::from(offset)) {
                pair.place = place;
            }
        }
    }

    const fn list(&mut self, free: u8) -> Option<&mut Vec<u16>> {
        match free {
            EVEN => Some(&mut self.even_free),
            ODD => Some(&mut self.odd_free),
            WHOLE => Some(&mut self.whole),
            _ => None,
        }
    }
}

/// Two ports; at the ends of the range one of them may lie outside it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    own: u8,
    free: u8,
    place: u16,
}

const EVEN: u8 = 1;
const ODD: u8 = 2;
const WHOLE: u8 = EVEN | ODD;

fn below(entropy: &mut impl Entropy, bound: usize) -> usize {
    entropy.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;
    use turnpike_sim::SeededEntropy;

    fn drain(pool: &mut PortPool) -> BTreeSet<u16> {
        let mut dice = SeededEntropy::new(9);
        let ports: Vec<u16> = core::iter::from_fn(|| pool.take(&mut dice)).collect();
        let set: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(set.len(), ports.len(), "a port came out twice");
        set
    }

    #[test]
    fn slices_of_all_shards_partition_the_range_and_agree_with_owner() {
        for range in [
            49_152..=65_535,
            0..=65_535,
            1_025..=1_030,
            10_001..=10_001,
            40_000..=40_006,
        ] {
            for count in [1, 2, 3, 7, 16, 64] {
                let mut all = BTreeSet::new();
                for index in 0..count {
                    let mut pool = PortPool::new(range.clone(), ShardSlice { index, count });
                    let slice = drain(&mut pool);
                    for port in &slice {
                        assert_eq!(owner(&range, count, *port), Some(index));
                        assert!(all.insert(*port), "port {port} in two slices");
                    }
                }
                let expected: BTreeSet<u16> = range.clone().filter(|port| *port != 0).collect();
                assert_eq!(all, expected, "{range:?} by {count}");
            }
        }
    }

    #[test]
    fn a_slice_never_splits_a_pair_and_slices_are_even() {
        let range = 1_025..=9_998;
        for even in (1_026..9_998).step_by(2) {
            assert_eq!(owner(&range, 7, even), owner(&range, 7, even + 1));
        }
        let sizes: Vec<usize> = (0..7)
            .map(|index| PortPool::new(range.clone(), ShardSlice { index, count: 7 }).free())
            .collect();
        assert!(
            sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 3,
            "{sizes:?}"
        );
    }

    #[test]
    fn owner_knows_no_port_outside_the_range() {
        assert_eq!(owner(&(10..=20), 2, 9), None);
        assert_eq!(owner(&(10..=20), 2, 21), None);
        assert_eq!(owner(&(0..=20), 2, 0), None);
        assert_eq!(owner(&(10..=20), 0, 12), None);
    }

    #[test]
    fn slice_beyond_the_count_and_empty_range_hold_nothing() {
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "an empty range is the case under test"
        )]
        let empty = 20..=10;
        assert_eq!(PortPool::new(empty, ShardSlice::WHOLE).free(), 0);
        assert_eq!(
            PortPool::new(10..=20, ShardSlice { index: 9, count: 2 }).free(),
            0
        );
    }

    #[test]
    fn even_port_is_even_and_pair_takes_both() {
        let mut pool = PortPool::new(50_000..=50_999, ShardSlice::WHOLE);
        let even = pool.take_even(&mut SeededEntropy::new(1)).unwrap();
        assert!(even.is_multiple_of(2));
        let low = pool.take_pair(&mut SeededEntropy::new(2)).unwrap();
        assert!(low.is_multiple_of(2));
        assert!(!pool.take_exactly(low));
        assert!(!pool.take_exactly(low + 1));
        assert_eq!(pool.free(), 997);
        assert!(pool.take_exactly(even + 1));
    }

    #[test]
    fn even_port_falls_back_to_the_even_half_of_a_used_pair() {
        let mut pool = PortPool::new(50_000..=50_003, ShardSlice::WHOLE);
        assert!(pool.take_exactly(50_001));
        assert!(pool.take_exactly(50_003));
        assert!(pool.take_pair(&mut SeededEntropy::new(1)).is_none());
        let even = [
            pool.take_even(&mut SeededEntropy::new(1)),
            pool.take_even(&mut SeededEntropy::new(1)),
        ];
        assert!(
            even.contains(&Some(50_000)) && even.contains(&Some(50_002)),
            "{even:?}"
        );
        assert!(pool.take_even(&mut SeededEntropy::new(1)).is_none());
    }

    #[test]
    fn giving_back_twice_or_a_strange_port_changes_nothing() {
        let mut pool = PortPool::new(50_001..=50_010, ShardSlice::WHOLE);
        assert!(pool.take_exactly(50_001));
        for port in [50_001, 50_001, 50_000, 50_011, 0, 7, 65_535] {
            pool.give_back(port);
        }
        assert_eq!(pool.free(), 10);
        assert!(!pool.take_exactly(50_000));
        assert_eq!(drain(&mut pool).len(), 10);
    }

    #[test]
    fn singles_up_to_nine_tenths_of_the_range_leave_pairs_whole() {
        let mut pool = PortPool::new(40_000..=49_999, ShardSlice::WHOLE);
        let mut dice = SeededEntropy::new(3);
        for _ in 0..9_000 {
            pool.take(&mut dice).unwrap();
        }
        let half_used = pool.even_free.len() + pool.odd_free.len();
        assert!(half_used <= HALF_USED_MIN, "{half_used}");
        let pairs = core::iter::from_fn(|| pool.take_pair(&mut dice)).count();
        assert!(pairs >= (1_000 - HALF_USED_MIN) / 2, "{pairs}");
    }

    #[test]
    fn churn_heals_what_give_backs_break() {
        let mut pool = PortPool::new(40_000..=49_999, ShardSlice::WHOLE);
        let mut dice = SeededEntropy::new(4);
        let mut taken: Vec<u16> = (0..9_000).filter_map(|_| pool.take(&mut dice)).collect();
        for _ in 0..4_500 {
            let pick = below(&mut dice, taken.len());
            pool.give_back(taken.swap_remove(pick));
        }
        // Half-used pairs are filled before a whole one is broken.
        let whole = pool.whole.len();
        while pool.even_free.len() + pool.odd_free.len() >= HALF_USED_MIN {
            pool.take(&mut dice).unwrap();
            assert_eq!(pool.whole.len(), whole);
        }
    }

    #[test]
    fn next_port_is_not_the_neighbour() {
        let mut pool = PortPool::new(40_000..=49_999, ShardSlice::WHOLE);
        let mut dice = SeededEntropy::new(5);
        let ports: Vec<u16> = (0..2_000).filter_map(|_| pool.take(&mut dice)).collect();
        let near = ports
            .windows(2)
            .filter(|pair| pair[0].abs_diff(pair[1]) <= 2)
            .count();
        assert!(near < 60, "{near} of 2000 follow their neighbour");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        TakeEven,
        TakePair,
        TakeExactly(u16),
        GiveBack(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Take),
            1 => Just(Step::TakeEven),
            2 => Just(Step::TakePair),
            1 => (995..1_320_u16).prop_map(Step::TakeExactly),
            4 => (995..1_320_u16).prop_map(Step::GiveBack),
        ]
    }

    fn is_whole(free: &BTreeSet<u16>) -> bool {
        free.iter()
            .any(|port| port.is_multiple_of(2) && free.contains(&(port + 1)))
    }

    fn check_step(
        pool: &mut PortPool,
        free: &mut BTreeSet<u16>,
        own: &BTreeSet<u16>,
        dice: &mut SeededEntropy,
        step: &Step,
    ) -> Result<(), TestCaseError> {
        match *step {
            Step::Take => match pool.take(dice) {
                Some(port) => prop_assert!(free.remove(&port)),
                None => prop_assert!(free.is_empty()),
            },
            Step::TakeEven => match pool.take_even(dice) {
                Some(port) => prop_assert!(port.is_multiple_of(2) && free.remove(&port)),
                None => prop_assert!(!free.iter().any(|port| port.is_multiple_of(2))),
            },
            Step::TakePair => match pool.take_pair(dice) {
                Some(port) => {
                    prop_assert!(port.is_multiple_of(2));
                    prop_assert!(free.remove(&port) && free.remove(&(port + 1)));
                }
                None => prop_assert!(!is_whole(free)),
            },
            Step::TakeExactly(port) => prop_assert_eq!(pool.take_exactly(port), free.remove(&port)),
            Step::GiveBack(port) => {
                pool.give_back(port);
                if own.contains(&port) {
                    free.insert(port);
                }
            }
        }
        prop_assert_eq!(pool.free(), free.len());
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_free_ports(
            seed: u64,
            start in 1_000..1_010_u16,
            length in 0..300_u16,
            count in 1..4_u16,
            steps in prop::collection::vec(step(), 1..400),
        ) {
            let ports = start..=start + length;
            let own: BTreeSet<u16> =
                ports.clone().filter(|port| owner(&ports, count, *port) == Some(0)).collect();
            let mut pool = PortPool::new(ports, ShardSlice { index: 0, count });
            let mut free = own.clone();
            let mut dice = SeededEntropy::new(seed);
            for step in &steps {
                check_step(&mut pool, &mut free, &own, &mut dice, step)?;
            }
        }
    }
}
