//! Numbers for users: one bucket of the shared [`UserBuckets`] each, and no number soon again.
//!
//! Not who has which: that is the ledger's. Bounded by the users it is made for.

use std::collections::VecDeque;

use turnpike_turn::forward::UserBuckets;
use turnpike_types::UserId;

/// The numbers that nobody has.
pub(super) struct UserNumbers {
    /// How many users at a time; their numbers differ in their remainders by this.
    places: u32,
    /// The lowest number that nobody ever had.
    fresh: u32,
    vacant: VecDeque<UserId>,
}

impl UserNumbers {
    /// Numbers for the buckets that are made for so many users.
    pub(super) fn new(users: usize) -> Self {
        Self {
            places: UserBuckets::places(users),
            fresh: 0,
            vacant: VecDeque::new(),
        }
    }

    /// A number for a user; `None` when all places are taken.
    pub(super) fn draw(&mut self) -> Option<UserId> {
        if self.fresh < self.places {
            self.fresh += 1;
            return Some(UserId(self.fresh - 1));
        }
        self.vacant.pop_front()
    }

    /// The user is gone. Its place comes last, and under another number: a lane that still knows the
    /// former user does not take the next one for it.
    pub(super) fn give_back(&mut self, UserId(number): UserId) {
        self.vacant
            .push_back(UserId(number.wrapping_add(self.places)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_used_again_last_and_under_another_number() {
        let mut numbers = UserNumbers::new(3);
        let first = numbers.draw();
        numbers.give_back(first.unwrap());
        let others: Vec<_> = (0..4).map(|_| numbers.draw().unwrap().0).collect();
        assert_eq!(others, [1, 2, 3, 4]);
        assert_eq!(numbers.draw(), None);
    }

    #[test]
    fn places_stay_apart_for_ever() {
        let mut numbers = UserNumbers::new(4);
        let mut held: VecDeque<_> = (0..4).map(|_| numbers.draw().unwrap()).collect();
        held[0] = UserId(held[0].0.wrapping_sub(4));
        for _ in 0..100 {
            numbers.give_back(held.pop_front().unwrap());
            held.push_back(numbers.draw().unwrap());
            let mut places: Vec<_> = held.iter().map(|number| number.0 % 4).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3]);
        }
    }
}
