//! One seed's world, judged: what it says of itself, whether it panicked, and whether the same seed
//! comes to the same again. Only with the feature `std`, since only that can catch a panic.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use core::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Violation;

/// Runs a seed's world, one seed in sixteen twice; `same_trace` did not hold where the two differ,
/// `no_panic` where one panics.
///
/// # Errors
/// What did not hold.
pub fn checked<S: PartialEq + Debug, I: Copy>(
    seed: u64,
    same_trace: I,
    no_panic: I,
    run: impl Fn() -> Result<S, Violation<I>>,
) -> Result<S, Violation<I>> {
    let summary = caught(no_panic, &run)?;
    if seed.is_multiple_of(TWICE_EVERY) {
        let again = caught(no_panic, &run)?;
        if again != summary {
            return Err(Violation {
                invariant: same_trace,
                what: format!("{summary:?}, then {again:?}"),
            });
        }
    }
    Ok(summary)
}

/// Runs a world; a panic is `no_panic` that did not hold.
///
/// # Errors
/// What did not hold.
pub fn caught<S, I>(
    no_panic: I,
    run: impl FnOnce() -> Result<S, Violation<I>>,
) -> Result<S, Violation<I>> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Violation {
            invariant: no_panic,
            what: text.unwrap_or("a panic").to_owned(),
        })
    })
}

const TWICE_EVERY: u64 = 16;

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Invariant {
        SameTrace,
        NoPanic,
    }

    fn judge(seed: u64, run: impl Fn() -> u32) -> Result<u32, (Invariant, String)> {
        let judged = checked(seed, Invariant::SameTrace, Invariant::NoPanic, || Ok(run()));
        judged.map_err(|violation| (violation.invariant, violation.what))
    }

    #[test]
    fn a_world_that_comes_to_something_else_the_second_time_is_found() {
        let count = Cell::new(0);
        let run = || count.replace(count.get() + 1);
        let differs = (Invariant::SameTrace, "1, then 2".to_owned());
        assert_eq!(judge(1, run), Ok(0));
        assert_eq!(judge(16, run), Err(differs));
        assert_eq!(judge(16, || 7), Ok(7));
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        for seed in [0, 1] {
            let found = judge(seed, || panic!("out of {}", "luck"));
            assert_eq!(found, Err((Invariant::NoPanic, "out of luck".to_owned())));
        }
        let found = judge(1, || panic!("plainly"));
        assert_eq!(found, Err((Invariant::NoPanic, "plainly".to_owned())));
    }
}
