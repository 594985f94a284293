//! The highest rate at which a relay loses no more than a goal allows.
//!
//! *Zero loss* is at most 1 packet in 10,000 lost in two of three trials. Rates lie on a grid of 3 %
//! steps, so a search has a last step, and two goals share the trials at a rate. First the answer is
//! bracketed, then halved; at the end the rate above the answer gets new trials, because one unlucky
//! pair on the way would otherwise hide everything above it. The number of trials is bounded.

use std::collections::BTreeMap;

/// What one trial at one rate showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Lost packets, a fraction of those sent.
    pub loss: f64,
    /// The generator could not send as fast as it should have, so the rate was not tried at all.
    pub late: bool,
}

/// The most that may be lost, a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal(pub f64);

/// At most 1 packet in 10,000.
pub const ZERO_LOSS: Goal = Goal(1e-4);

/// At most 1 packet in 200.
pub const HALF_PERCENT: Goal = Goal(5e-3);

/// What kept an answer from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedBy {
    /// The next rate of the grid loses too much.
    Loss,
    /// The generator can do no more: the answer is "at least".
    Generator,
    /// The number of trials ran out: the answer is "at least".
    Trials,
}

/// The answer of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Highest {
    /// The highest rate that met the goal.
    pub rate: f64,
    /// The lowest higher rate that did not, or was not tried.
    pub above: f64,
    /// Why it is not higher.
    pub bounded_by: BoundedBy,
}

/// Trials of one relay under one load, and what they showed so far.
#[derive(Debug)]
pub struct Trials<F> {
    trial: F,
    seen: BTreeMap<i32, Vec<Outcome>>,
    left: u32,
    floor: i32,
    ceiling: i32,
}

impl<F> Trials<F> {
    /// At most `trials_max` trials, at rates (packets a second) from `floor` to `ceiling`.
    pub fn new(floor: f64, ceiling: f64, trials_max: u32, trial: F) -> Self {
        Self {
            trial,
            seen: BTreeMap::new(),
            left: trials_max,
            floor: step_of(floor),
            ceiling: step_of(ceiling),
        }
    }

    /// The highest rate that meets the goal, looked for from `start` on. `None` when not even the
    /// floor does.
    ///
    /// # Errors
    /// The first error of a trial ends the search.
    pub fn highest<E>(&mut self, goal: Goal, start: f64) -> Result<Option<Highest>, E>
    where
        F: FnMut(f64) -> Result<Outcome, E>,
    {
        let start = step_of(start).clamp(self.floor, self.ceiling);
        let mut bracket = match self.judge(start, goal)? {
            Judgement::Passes => self.upwards(start, goal)?,
            _ => self.downwards(start, goal)?,
        };
        for _ in 0..SECOND_LOOKS {
            bracket = self.halve(bracket, goal)?;
            let (Some(low), Some(high)) = (bracket.low, bracket.high) else {
                break;
            };
            self.seen.remove(&high);
            if self.judge(high, goal)? != Judgement::Passes {
                return Ok(Some(self.answer(low, high)));
            }
            bracket = self.upwards(high, goal)?;
        }
        bracket = self.halve(bracket, goal)?;
        Ok(bracket
            .low
            .map(|low| self.answer(low, bracket.high.unwrap_or(low + 1))))
    }

    fn answer(&self, low: i32, high: i32) -> Highest {
        let late = self
            .seen
            .get(&high)
            .is_some_and(|seen| seen.iter().any(|outcome| outcome.late));
        let bounded_by = if late || high > self.ceiling {
            BoundedBy::Generator
        } else if self.left == 0 {
            BoundedBy::Trials
        } else {
            BoundedBy::Loss
        };
        Highest {
            rate: rate_of(low),
            above: rate_of(high),
            bounded_by,
        }
    }

    /// From a rate that passes to one that does not, in growing strides.
    fn upwards<E>(&mut self, from: i32, goal: Goal) -> Result<Bracket, E>
    where
        F: FnMut(f64) -> Result<Outcome, E>,
    {
        let mut low = from;
        let mut stride = STRIDE;
        while low < self.ceiling {
            let next = (low + stride).min(self.ceiling);
            if self.judge(next, goal)? != Judgement::Passes {
                return Ok(Bracket::of(low, next));
            }
            low = next;
            stride = (stride * 2).min(STRIDE_MAX);
        }
        Ok(Bracket {
            low: Some(low),
            high: None,
        })
    }

    /// From a rate that does not pass to one that does.
    fn downwards<E>(&mut self, from: i32, goal: Goal) -> Result<Bracket, E>
    where
        F: FnMut(f64) -> Result<Outcome, E>,
    {
        let mut high = from;
        let mut stride = STRIDE;
        while high > self.floor {
            let next = (high - stride).max(self.floor);
            if self.judge(next, goal)? == Judgement::Passes {
                return Ok(Bracket::of(next, high));
            }
            high = next;
            stride = (stride * 2).min(STRIDE_MAX);
        }
        Ok(Bracket {
            low: None,
            high: Some(high),
        })
    }

    /// Halves a bracket until its ends are neighbours, or the trials run out.
    fn halve<E>(&mut self, mut bracket: Bracket, goal: Goal) -> Result<Bracket, E>
    where
        F: FnMut(f64) -> Result<Outcome, E>,
    {
        while let (Some(low), Some(high)) = (bracket.low, bracket.high) {
            if high - low <= 1 {
                break;
            }
            let middle = low + (high - low) / 2;
            match self.judge(middle, goal)? {
                Judgement::Passes => bracket.low = Some(middle),
                Judgement::Fails => bracket.high = Some(middle),
                Judgement::Unknown => break,
            }
        }
        Ok(bracket)
    }

    /// Tries a rate until two of three trials agree.
    fn judge<E>(&mut self, step: i32, goal: Goal) -> Result<Judgement, E>
    where
        F: FnMut(f64) -> Result<Outcome, E>,
    {
        loop {
            let seen = self.seen.entry(step).or_default();
            let passed = seen.iter().filter(|outcome| meets(outcome, goal)).count();
            if passed >= AGREE {
                return Ok(Judgement::Passes);
            }
            if seen.len() - passed >= AGREE {
                return Ok(Judgement::Fails);
            }
            if self.left == 0 {
                return Ok(Judgement::Unknown);
            }
            self.left -= 1;
            seen.push((self.trial)(rate_of(step))?);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Passes,
    Fails,
    /// No trials are left to find out.
    Unknown,
}

/// Steps of the grid: the highest known to pass and the lowest known not to.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    low: Option<i32>,
    high: Option<i32>,
}

impl Bracket {
    fn of(low: i32, high: i32) -> Self {
        Self {
            low: Some(low),
            high: Some(high),
        }
    }
}

fn meets(outcome: &Outcome, goal: Goal) -> bool {
    !outcome.late && outcome.loss <= goal.0
}

fn rate_of(step: i32) -> f64 {
    RESOLUTION.powi(step)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithm of any rate above 0 is far below 2^31"
)]
fn step_of(rate: f64) -> i32 {
    (rate.max(1.0).ln() / RESOLUTION.ln()).round() as i32
}

/// The ratio of neighbouring rates.
const RESOLUTION: f64 = 1.03;

/// How many trials of three have to agree.
const AGREE: usize = 2;

/// First stride of a bracket, in steps: a quarter more or less.
const STRIDE: i32 = 8;

/// Longest stride of a bracket: twice or half.
const STRIDE_MAX: i32 = 24;

/// How often the rate above the answer is tried anew.
const SECOND_LOOKS: u32 = 3;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::random::SplitMix;
    use super::*;

    /// A relay that forwards `capacity` packets a second and drops the others.
    fn loss_of(capacity: f64, rate: f64) -> f64 {
        (1.0 - capacity / rate).max(0.0)
    }

    fn steady(capacity: f64) -> impl FnMut(f64) -> Result<Outcome, String> {
        move |rate| {
            Ok(Outcome {
                loss: loss_of(capacity, rate),
                late: false,
            })
        }
    }

    #[test]
    fn finds_the_capacity_of_a_steady_relay_from_any_start() {
        for capacity in [3_000.0, 47_000.0, 310_000.0, 2_900_000.0] {
            for start in [1_000.0, 50_000.0, 3_000_000.0] {
                let mut trials = Trials::new(1_000.0, 5e6, 200, steady(capacity));
                let found = trials.highest(ZERO_LOSS, start).unwrap().unwrap();
                assert_eq!(found.bounded_by, BoundedBy::Loss);
                assert!(
                    found.rate <= capacity * 1.0001 && capacity < found.rate * 1.031,
                    "{found:?} for {capacity} from {start}"
                );
            }
        }
    }

    #[test]
    fn half_a_percent_is_found_above_zero_loss_and_shares_its_trials() {
        // Loses 1 in 1,000 from 40,000 on, and much from 80,000 on.
        let runs = Cell::new(0);
        let relay = |rate: f64| -> Result<Outcome, String> {
            runs.set(runs.get() + 1);
            let early = if rate > 40_000.0 { 1e-3 } else { 0.0 };
            Ok(Outcome {
                loss: early + loss_of(80_000.0, rate),
                late: false,
            })
        };
        let mut trials = Trials::new(1_000.0, 1e6, 200, relay);
        let zero = trials.highest(ZERO_LOSS, 30_000.0).unwrap().unwrap();
        let first = runs.get();
        let half = trials.highest(HALF_PERCENT, zero.rate).unwrap().unwrap();
        assert!((38_800.0..=40_000.0).contains(&zero.rate), "{zero:?}");
        assert!((77_000.0..=80_500.0).contains(&half.rate), "{half:?}");
        assert!(runs.get() - first < 20);
    }

    #[test]
    fn finds_the_capacity_of_noisy_relays_within_tolerance() {
        let mut near = 0;
        for seed in 0..200 {
            let mut noise = SplitMix::new(seed);
            let capacity = 100_000.0;
            let relay = |rate: f64| -> Result<Outcome, String> {
                // The capacity wavers by 2 % to each side; one trial in 12 loses 1 in 500 for
                // reasons of its own.
                let now = capacity * (0.98 + 0.04 * noise.fraction());
                let accident = if noise.fraction() < 0.08 { 2e-3 } else { 0.0 };
                Ok(Outcome {
                    loss: loss_of(now, rate) + accident,
                    late: false,
                })
            };
            let mut trials = Trials::new(1_000.0, 1e6, 100, relay);
            let found = trials.highest(ZERO_LOSS, 40_000.0).unwrap().unwrap();
            near += u32::from((found.rate / capacity - 1.0).abs() < 0.06);
        }
        assert!(near >= 194, "right in {near} of 200 seeds");
    }

    #[test]
    fn a_relay_that_loses_one_in_a_thousand_at_any_rate_has_no_zero_loss_rate() {
        let relay = |_: f64| -> Result<Outcome, String> {
            Ok(Outcome {
                loss: 1e-3,
                late: false,
            })
        };
        let mut trials = Trials::new(1_000.0, 1e6, 100, relay);
        assert_eq!(trials.highest(ZERO_LOSS, 50_000.0).unwrap(), None);
        let half = trials.highest(HALF_PERCENT, 50_000.0).unwrap().unwrap();
        assert_eq!(half.bounded_by, BoundedBy::Generator);
    }

    #[test]
    fn a_generator_that_is_late_makes_the_answer_at_least() {
        let relay = |rate: f64| -> Result<Outcome, String> {
            Ok(Outcome {
                loss: 0.0,
                late: rate > 200_000.0,
            })
        };
        let mut trials = Trials::new(1_000.0, 5e6, 100, relay);
        let found = trials.highest(ZERO_LOSS, 50_000.0).unwrap().unwrap();
        assert_eq!(found.bounded_by, BoundedBy::Generator);
        assert!((193_000.0..=200_000.0).contains(&found.rate), "{found:?}");
    }

    #[test]
    fn the_number_of_trials_is_bounded_and_the_answer_says_so() {
        let mut runs = 0;
        let mut steady = steady(1e6);
        let mut trials = Trials::new(1_000.0, 5e6, 9, |rate| {
            runs += 1;
            steady(rate)
        });
        let found = trials.highest(ZERO_LOSS, 10_000.0).unwrap().unwrap();
        assert_eq!(found.bounded_by, BoundedBy::Trials);
        assert!(found.rate < 1e6);
        drop(trials);
        assert_eq!(runs, 9);
    }

    #[test]
    fn a_relay_that_dies_ends_the_search() {
        let relay = |rate: f64| {
            if rate > 60_000.0 {
                return Err("died under load");
            }
            Ok(Outcome {
                loss: 0.0,
                late: false,
            })
        };
        let mut trials = Trials::new(1_000.0, 5e6, 100, relay);
        assert_eq!(trials.highest(ZERO_LOSS, 50_000.0), Err("died under load"));
    }
}
