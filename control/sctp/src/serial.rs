//! Numbers on the wire: TSNs with their serial arithmetic (RFC 9260 section 1.6), stream and
//! payload protocol identifiers.

use core::fmt;

/// A transmission sequence number. Comparison is serial (RFC 1982): `is_before` is not transitive
/// over more than 2^31 numbers, so there is no `Ord`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tsn(pub u32);

impl Tsn {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.minus(1)
    }

    /// The number `count` later.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number `count` earlier.
    #[must_use]
    pub const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// How many numbers `self` is after `base`, which must not be after it.
    #[must_use]
    pub const fn offset_from(self, base: Self) -> u32 {
        self.0.wrapping_sub(base.0)
    }

    /// Whether `self` comes before `other`. Numbers exactly 2^31 apart come before neither.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).wrapping_sub(1) < (1 << 31) - 1
    }

    /// Whether `self` is `other` or comes after it.
    #[must_use]
    pub const fn is_at_or_after(self, other: Self) -> bool {
        self.0 == other.0 || other.is_before(self)
    }

    /// The later of two.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }
}

impl fmt::Display for Tsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream identifier; each direction counts its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u16);

/// A payload protocol identifier: the application's own, carried unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppid(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        assert!(Tsn(u32::MAX).is_before(Tsn(0)));
        assert!(!Tsn(0).is_before(Tsn(u32::MAX)));
        assert!(Tsn(0).is_at_or_after(Tsn(u32::MAX)));
        assert_eq!(Tsn(u32::MAX).max(Tsn(3)), Tsn(3));
        assert_eq!(Tsn(2).offset_from(Tsn(u32::MAX)), 3);
    }

    #[test]
    fn a_number_is_not_before_itself_nor_before_its_antipode() {
        assert!(!Tsn(7).is_before(Tsn(7)));
        assert!(Tsn(7).is_at_or_after(Tsn(7)));
        assert!(!Tsn(0).is_before(Tsn(1 << 31)));
        assert!(!Tsn(1 << 31).is_before(Tsn(0)));
    }
}
