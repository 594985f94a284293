//! What did not hold in a world, by the name that a room's tests give it.

use alloc::string::String;
use core::fmt;

/// An invariant that did not hold, and what happened instead.
#[derive(Clone, Debug)]
pub struct Violation<I> {
    /// Which one: an enum of the room's.
    pub invariant: I,
    /// What happened instead.
    pub what: String,
}

impl<I: fmt::Debug> fmt::Display for Violation<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}
