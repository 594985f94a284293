//! How a figure is found, and how sure it is: searching, alternating, and the statistics of both.
//!
//! Nothing here knows relays, packets or clocks. A measurement is a closure, so that the tests can put
//! simulated relays behind it, noisy ones too, whose right answer is known.
//!
//! * [`search`]: the highest rate that still meets a loss goal, in a bounded number of trials;
//! * [`alternate`]: who is measured when, and which trials are thrown out;
//! * [`statistics`]: medians and slopes, with the interval in which they are believed.

pub mod alternate;
mod random;
pub mod search;
pub mod statistics;

/// How much more than a result the generator has to be able to do for the result to be the relay's own.
pub const HEADROOM: f64 = 1.2;

/// Whether a result is only "at least": the generator's own ceiling is too near to it.
#[must_use]
pub fn is_at_least(result: f64, generator_ceiling: f64) -> bool {
    generator_ceiling < HEADROOM * result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_near_the_generators_ceiling_is_at_least() {
        assert!(is_at_least(100.0, 119.0));
        assert!(!is_at_least(100.0, 121.0));
    }
}
