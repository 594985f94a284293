//! Which TSNs after a cumulative point are there: what a receiver has, what a sender saw acknowledged.
//!
//! A bitmap, because a set of ranges would make a peer that skips every other TSN expensive: here
//! an insertion is O(1) whatever came before, and a walk looks at 64 TSNs at a time.
//!
//! Bounded by [`SPAN_MAX`], which is as far as a gap ack block can reach (RFC 9260 section 3.3.4).

use alloc::collections::VecDeque;

use crate::Tsn;

/// How far beyond the cumulative point a TSN may be: gap ack blocks have 16-bit offsets.
pub(crate) const SPAN_MAX: u32 = u16::MAX as u32;

/// A set without gaps keeps this many words for next time.
const KEPT_MAX: usize = 32;

/// A cumulative point and the TSNs beyond it.
#[derive(Clone, Debug)]
pub(crate) struct TsnSet {
    cumulative: Tsn,
    /// Bit 0 of the first word is this TSN; `cumulative.next()` is in the first word, if there is one.
    origin: Tsn,
    words: VecDeque<u64>,
    /// How many TSNs beyond the cumulative point are there.
    count: u32,
}

impl TsnSet {
    /// Everything up to `cumulative`, nothing beyond.
    pub(crate) const fn new(cumulative: Tsn) -> Self {
        Self {
            cumulative,
            origin: cumulative.next(),
            words: VecDeque::new(),
            count: 0,
        }
    }

    /// Everything up to here is there.
    pub(crate) const fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// How many TSNs beyond the cumulative point are there.
    pub(crate) const fn count_beyond(&self) -> u32 {
        self.count
    }

    pub(crate) fn contains(&self, tsn: Tsn) -> bool {
        if self.cumulative.is_at_or_after(tsn) {
            return true;
        }
        let offset = tsn.offset_from(self.origin);
        let word = self.words.get(offset as usize / 64).copied().unwrap_or(0);
        word & (1 << (offset % 64)) != 0
    }

    /// Adds a TSN no further than [`SPAN_MAX`] beyond the cumulative point, and moves that point
    /// over what has become contiguous. `false` where the TSN was there, or is too far.
    pub(crate) fn insert(&mut self, tsn: Tsn) -> bool {
        if self.count == 0 && tsn == self.cumulative.next() {
            self.restart_at(tsn);
            return true;
        }
        if !self.insert_beyond(tsn) {
            return false;
        }
        self.absorb();
        true
    }

    /// Like [`insert`](Self::insert), but leaves the cumulative point alone.
    pub(crate) fn insert_beyond(&mut self, tsn: Tsn) -> bool {
        if !self.cumulative.is_before(tsn) || tsn.offset_from(self.cumulative) > SPAN_MAX {
            return false;
        }
        let offset = tsn.offset_from(self.origin);
        let (index, bit) = (offset as usize / 64, 1_u64 << (offset % 64));
        if self.words.len() <= index {
            self.words.resize(index + 1, 0);
        }
        let Some(word) = self.words.get_mut(index) else {
            return false;
        };
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        self.count += 1;
        true
    }

    /// Adds the TSNs from `first` to `last` and says each one that is new. Ends no further than
    /// [`SPAN_MAX`]; what is there already costs a look at each 64.
    pub(crate) fn insert_range(&mut self, first: Tsn, last: Tsn, mut is_new: impl FnMut(Tsn)) {
        if !self.cumulative.is_before(first)
            || last.is_before(first)
            || last.offset_from(self.cumulative) > SPAN_MAX
        {
            return;
        }
        let (from, to) = (
            first.offset_from(self.origin),
            last.offset_from(self.origin),
        );
        let needed = to as usize / 64 + 1;
        if self.words.len() < needed {
            self.words.resize(needed, 0);
        }
        for index in from / 64..=to / 64 {
            let Some(word) = self.words.get_mut(index as usize) else {
                return;
            };
            let mut mask = u64::MAX;
            if index == from / 64 {
                mask &= u64::MAX << (from % 64);
            }
            if index == to / 64 {
                mask &= u64::MAX >> (63 - to % 64);
            }
            let mut new = mask & !*word;
            *word |= mask;
            self.count += new.count_ones();
            while new != 0 {
                is_new(self.origin.plus(index * 64 + new.trailing_zeros()));
                new &= new - 1;
            }
        }
    }

    /// Moves the cumulative point forward to `tsn`, then over what is contiguous.
    pub(crate) fn advance_to(&mut self, tsn: Tsn) {
        if !self.cumulative.is_before(tsn) {
            return;
        }
        if self.count == 0 {
            self.restart_at(tsn);
            return;
        }
        while let Some(&word) = self.words.front() {
            let (done, end) = (tsn.next().offset_from(self.origin), self.origin.plus(64));
            if done >= 64 {
                self.count -= word.count_ones();
                self.words.pop_front();
                self.origin = end;
                continue;
            }
            let passed = word & ((1 << done) - 1);
            self.count -= passed.count_ones();
            if let Some(front) = self.words.front_mut() {
                *front ^= passed;
            }
            break;
        }
        if self.words.is_empty() {
            self.restart_at(tsn);
            return;
        }
        self.cumulative = tsn;
        self.absorb();
    }

    /// The runs beyond the cumulative point, as offsets from it: first and last TSN of each.
    pub(crate) fn gap_blocks(&self) -> GapBlocks<'_> {
        GapBlocks {
            set: self,
            offset: self.cumulative.next().offset_from(self.origin),
        }
    }

    fn restart_at(&mut self, cumulative: Tsn) {
        self.cumulative = cumulative;
        self.origin = cumulative.next();
        self.words.clear();
        if self.words.capacity() > KEPT_MAX {
            self.words = VecDeque::new();
        }
        self.count = 0;
    }

    /// Moves the cumulative point over the contiguous TSNs after it.
    fn absorb(&mut self) {
        while let Some(front) = self.words.front_mut() {
            let done = self.cumulative.next().offset_from(self.origin);
            let run = (*front >> done).trailing_ones();
            if run == 0 {
                return;
            }
            *front &= !((u64::MAX >> (64 - run)) << done);
            self.cumulative = self.cumulative.plus(run);
            self.count -= run;
            if done + run < 64 {
                break;
            }
            self.words.pop_front();
            self.origin = self.origin.plus(64);
        }
        if self.count == 0 {
            self.restart_at(self.cumulative);
        }
    }

    /// The first offset at or after `offset` from the origin whose bit is `wanted`.
    fn seek(&self, offset: u32, wanted: bool) -> Option<u32> {
        let mut index = offset as usize / 64;
        let mut ignored = !(u64::MAX << (offset % 64));
        loop {
            let word = *self.words.get(index)?;
            let word = if wanted { word } else { !word } & !ignored;
            if word != 0 {
                return Some(u32::try_from(index).ok()? * 64 + word.trailing_zeros());
            }
            (index, ignored) = (index + 1, 0);
        }
    }
}

/// See [`TsnSet::gap_blocks`].
#[derive(Clone, Debug)]
pub(crate) struct GapBlocks<'a> {
    set: &'a TsnSet,
    /// From the origin.
    offset: u32,
}

impl Iterator for GapBlocks<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let set = self.set;
        let start = set.seek(self.offset, true)?;
        let all = u32::try_from(set.words.len()).ok()? * 64;
        let end = set.seek(start, false).unwrap_or(all);
        self.offset = end;
        let base = set.cumulative.offset_from(set.origin);
        let relative = |offset: u32| u16::try_from(offset.wrapping_sub(base)).ok();
        Some((relative(start)?, relative(end - 1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn what_is_contiguous_moves_the_point() {
        let mut set = TsnSet::new(Tsn(u32::MAX - 1));
        assert!(set.insert(Tsn(1)));
        assert!(set.insert(Tsn(0)));
        assert_eq!(set.cumulative(), Tsn(u32::MAX - 1));
        assert_eq!(set.gap_blocks().collect::<Vec<_>>(), [(2, 3)]);
        assert!(set.insert(Tsn(u32::MAX)));
        assert_eq!(set.cumulative(), Tsn(1));
        assert_eq!((set.count_beyond(), set.gap_blocks().next()), (0, None));
        assert!(!set.insert(Tsn(1)), "a duplicate");
    }

    #[test]
    fn a_tsn_that_no_gap_block_can_name_is_refused() {
        let mut set = TsnSet::new(Tsn(100));
        assert!(!set.insert(Tsn(100 + SPAN_MAX + 1)));
        assert!(set.insert(Tsn(100 + SPAN_MAX)));
        assert_eq!(set.gap_blocks().collect::<Vec<_>>(), [(65_535, 65_535)]);
    }

    #[test]
    fn a_range_says_only_what_is_new() {
        let mut set = TsnSet::new(Tsn(0));
        set.insert_beyond(Tsn(70));
        let mut new = Vec::new();
        set.insert_range(Tsn(2), Tsn(200), |tsn| new.push(tsn.0));
        let expected: Vec<u32> = (2..=200).filter(|&n| n != 70).collect();
        assert_eq!(new, expected);
        set.insert_range(Tsn(2), Tsn(200), |tsn| panic!("{tsn} again"));
        assert_eq!(set.count_beyond(), 199);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(
            base in any::<u32>(),
            steps in prop::collection::vec((0_u32..4, 0_u32..700, 0_u32..90), 1..120),
        ) {
            let mut set = TsnSet::new(Tsn(base));
            // Offsets from base; the cumulative point is `cumulative`.
            let (mut model, mut cumulative) = (BTreeSet::<u32>::new(), 0_u32);
            for (kind, offset, more) in steps {
                match kind {
                    0 => {
                        let new = offset > cumulative && model.insert(offset);
                        prop_assert_eq!(set.insert(Tsn(base).plus(offset)), new);
                    }
                    1 => {
                        let mut said = Vec::new();
                        let (from, to) = (offset, offset + more);
                        set.insert_range(Tsn(base).plus(from), Tsn(base).plus(to), |tsn| {
                            said.push(tsn.offset_from(Tsn(base)));
                        });
                        if from > cumulative {
                            let new: Vec<u32> = (from..=to).filter(|&n| model.insert(n)).collect();
                            prop_assert_eq!(said, new);
                        }
                        set.absorb();
                    }
                    2 => {
                        set.advance_to(Tsn(base).plus(offset));
                        cumulative = cumulative.max(offset);
                    }
                    _ => prop_assert_eq!(
                        set.contains(Tsn(base).plus(offset)),
                        offset <= cumulative || model.contains(&offset)
                    ),
                }
                while model.contains(&(cumulative + 1)) {
                    cumulative += 1;
                }
                model.retain(|&n| n > cumulative);
                prop_assert_eq!(set.cumulative(), Tsn(base).plus(cumulative));
                prop_assert_eq!(set.count_beyond() as usize, model.len());
                let named: Vec<u32> = set
                    .gap_blocks()
                    .flat_map(|(first, last)| u32::from(first)..=u32::from(last))
                    .map(|n| n + cumulative)
                    .collect();
                prop_assert_eq!(named, model.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
