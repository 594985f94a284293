//! The book of datagrams: each copy is delivered, dropped by a named rule, or in flight.
//!
//! Bounded by what is in flight: a datagram whose last copy has come to its end leaves the book
//! and lives on in the totals.

use alloc::collections::BTreeMap;
use core::fmt;

/// Names a datagram; its duplicates share the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramId(pub u64);

/// Why a copy went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropRule {
    /// Larger than a link carries.
    AboveMtu,
    /// Lost on a link.
    Loss,
    /// A link's queue was full.
    QueueFull,
    /// Nobody has the destination address.
    NoRoute,
    /// The NAT has no mapping for the destination (RFC 4787 section 4).
    NatNoMapping,
    /// The NAT's filtering refuses the source (RFC 4787 section 5).
    NatFiltered,
    /// The NAT does not hairpin (RFC 4787 section 6).
    NatNoHairpin,
    /// The NAT has no room for another mapping, or no port.
    NatTableFull,
    /// The NAT has no outside address of the family.
    NatNoAddress,
    /// More copies in flight than the world holds.
    WorldFull,
}

impl DropRule {
    /// Every rule, in order.
    pub const ALL: [Self; 10] = [
        Self::AboveMtu,
        Self::Loss,
        Self::QueueFull,
        Self::NoRoute,
        Self::NatNoMapping,
        Self::NatFiltered,
        Self::NatNoHairpin,
        Self::NatTableFull,
        Self::NatNoAddress,
        Self::WorldFull,
    ];
}

/// Copies by what became of them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    copies: u64,
    delivered: u64,
    dropped: [u64; DropRule::ALL.len()],
    in_flight: BTreeMap<DatagramId, u32>,
}

impl Ledger {
    /// Enters one more copy of a datagram.
    pub fn enter(&mut self, id: DatagramId) {
        self.copies += 1;
        *self.in_flight.entry(id).or_default() += 1;
    }

    /// Books a copy as delivered.
    pub fn deliver(&mut self, id: DatagramId) {
        self.delivered += 1;
        self.leave(id);
    }

    /// Books a copy as dropped.
    pub fn drop_copy(&mut self, id: DatagramId, rule: DropRule) {
        if let Some(count) = self.dropped.get_mut(rule as usize) {
            *count += 1;
        }
        self.leave(id);
    }

    /// Copies that were ever entered.
    #[must_use]
    pub const fn copies(&self) -> u64 {
        self.copies
    }

    /// Copies delivered.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Copies dropped by one rule.
    #[must_use]
    pub fn dropped_by(&self, rule: DropRule) -> u64 {
        self.dropped.get(rule as usize).copied().unwrap_or(0)
    }

    /// Copies dropped by any rule.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Copies still under way, counted datagram by datagram.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight
            .values()
            .map(|copies| u64::from(*copies))
            .sum()
    }

    /// Copies of one datagram still under way.
    #[must_use]
    pub fn in_flight_of(&self, id: DatagramId) -> u32 {
        self.in_flight.get(&id).copied().unwrap_or(0)
    }

    /// Checks that the book balances, and that `carried` copies are really under way.
    ///
    /// # Errors
    /// The numbers, where they do not add up.
    pub fn check(&self, carried: u64) -> Result<(), Imbalance> {
        let (delivered, dropped) = (self.delivered, self.dropped());
        let in_flight = self.in_flight();
        if self.copies == delivered + dropped + in_flight && in_flight == carried {
            return Ok(());
        }
        Err(Imbalance {
            copies: self.copies,
            delivered,
            dropped,
            in_flight,
            carried,
        })
    }

    /// A copy that was never entered shows as an imbalance: the totals count it, the book does not.
    fn leave(&mut self, id: DatagramId) {
        let Some(copies) = self.in_flight.get_mut(&id) else {
            return;
        };
        *copies -= 1;
        if *copies == 0 {
            self.in_flight.remove(&id);
        }
    }
}

/// A book that does not balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// Copies entered.
    pub copies: u64,
    /// Copies booked as delivered.
    pub delivered: u64,
    /// Copies booked as dropped.
    pub dropped: u64,
    /// Copies the book says are under way.
    pub in_flight: u64,
    /// Copies that really are.
    pub carried: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            copies,
            delivered,
            dropped,
            in_flight,
            carried,
        } = self;
        write!(
            f,
            "{copies} copies, but {delivered} delivered, {dropped} dropped, \
             {in_flight} in flight by the book and {carried} carried"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: DatagramId = DatagramId(1);
    const TWO: DatagramId = DatagramId(2);

    #[test]
    fn rules_are_listed_at_their_own_index() {
        for (index, rule) in DropRule::ALL.iter().enumerate() {
            assert_eq!(*rule as usize, index);
        }
    }

    #[test]
    fn delivered_dropped_and_in_flight_copies_balance() {
        let mut ledger = Ledger::default();
        for id in [ONE, ONE, TWO] {
            ledger.enter(id);
        }
        assert_eq!(ledger.check(3), Ok(()));
        ledger.deliver(ONE);
        ledger.drop_copy(ONE, DropRule::Loss);
        assert_eq!(ledger.check(1), Ok(()));
        assert_eq!((ledger.in_flight_of(ONE), ledger.in_flight_of(TWO)), (0, 1));
        assert_eq!(
            (ledger.dropped_by(DropRule::Loss), ledger.dropped()),
            (1, 1)
        );
    }

    #[test]
    fn copy_that_vanishes_is_an_imbalance() {
        let mut ledger = Ledger::default();
        ledger.enter(ONE);
        let imbalance = ledger.check(0).unwrap_err();
        assert_eq!((imbalance.in_flight, imbalance.carried), (1, 0));
    }

    #[test]
    fn copy_delivered_twice_is_an_imbalance() {
        let mut ledger = Ledger::default();
        ledger.enter(ONE);
        ledger.deliver(ONE);
        ledger.deliver(ONE);
        assert!(ledger.check(0).is_err());
    }
}
