//! Who is measured when, and which trials count.
//!
//! The machine drifts: it warms up, and other guests of its host come and go. So A and B take turns
//! (A B B A), and a trial in which the host stole time, or in which the generator was late, says
//! nothing about the relay: it is thrown out and repeated, so many times at most.

/// The order of `subjects` in so many rounds: forwards, backwards, forwards; each by its number.
pub fn turns(subjects: usize, rounds: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rounds).flat_map(move |round| {
        (0..subjects).map(move |turn| {
            let subject = if round % 2 == 0 {
                turn
            } else {
                subjects - 1 - turn
            };
            (round, subject)
        })
    })
}

/// Why a trial says nothing about the relay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disturbance {
    /// The host gave the machine's time to others: this fraction of the trial.
    Stolen(f64),
    /// Others than the relay ran on its core: this fraction of the trial.
    Shared(f64),
    /// The generator sent only this fraction of what was wanted.
    Late(f64),
}

impl std::fmt::Display for Disturbance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stolen(part) => write!(out, "the host stole {:.1} % of the time", part * 100.0),
            Self::Shared(part) => write!(
                out,
                "others ran on the relay's core for {:.0} % of the time",
                part * 100.0
            ),
            Self::Late(part) => write!(
                out,
                "the generator sent only {:.1} % of what was wanted",
                part * 100.0
            ),
        }
    }
}

/// The most stolen time with which a trial counts, a fraction of its length.
pub const STOLEN_MAX: f64 = 0.01;

/// The most time that others may take of the relay's core, a fraction. What a kernel does in a core's
/// name without a thread is in it, and grows with the number of times the core wakes up.
pub const SHARED_MAX: f64 = 0.25;

/// The least part of the wanted packets that has to be sent for a trial to count.
pub const SENT_MIN: f64 = 0.99;

/// What disturbed a trial, if anything did.
#[must_use]
pub fn disturbance(stolen: f64, shared: f64, sent: f64) -> Option<Disturbance> {
    if stolen > STOLEN_MAX {
        Some(Disturbance::Stolen(stolen))
    } else if shared > SHARED_MAX {
        Some(Disturbance::Shared(shared))
    } else if sent < SENT_MIN {
        Some(Disturbance::Late(sent))
    } else {
        None
    }
}

/// A trial that counts, and how many before it did not.
#[derive(Debug, PartialEq)]
pub struct Kept<T> {
    /// The trial.
    pub trial: T,
    /// How many were thrown out.
    pub thrown_out: u32,
}

/// How a series of attempts ended without a trial that counts.
#[derive(Debug, PartialEq)]
pub enum Spoilt<E> {
    /// A trial could not be made at all.
    Failed(E),
    /// Every attempt was disturbed; this was the last reason.
    Disturbed(Disturbance),
}

/// Runs `trial` until one is undisturbed, `attempts` times at most.
///
/// # Errors
/// When a trial fails, or when all attempts were disturbed.
pub fn undisturbed<T, E>(
    attempts: u32,
    mut trial: impl FnMut() -> Result<T, E>,
    disturbed: impl Fn(&T) -> Option<Disturbance>,
) -> Result<Kept<T>, Spoilt<E>> {
    let mut last = Disturbance::Late(0.0);
    for thrown_out in 0..attempts {
        let trial = trial().map_err(Spoilt::Failed)?;
        match disturbed(&trial) {
            None => return Ok(Kept { trial, thrown_out }),
            Some(why) => last = why,
        }
    }
    Err(Spoilt::Disturbed(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_take_turns_forwards_and_backwards() {
        let order: Vec<usize> = turns(2, 4).map(|(_, subject)| subject).collect();
        assert_eq!(order, [0, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(turns(3, 2).last(), Some((1, 0)));
    }

    #[test]
    fn a_drift_that_grows_evenly_favours_nobody() {
        let mut sums = [0.0, 0.0];
        for (time, (_, subject)) in turns(2, 4).enumerate() {
            sums[subject] += f64::from(u32::try_from(time).unwrap());
        }
        assert_eq!(sums[0], sums[1]);
    }

    #[test]
    fn a_disturbed_trial_is_repeated_and_not_counted() {
        let mut steal = [0.05, 0.02, 0.001].into_iter();
        let kept = undisturbed(
            5,
            || steal.next().ok_or("no more"),
            |stolen| disturbance(*stolen, 0.0, 1.0),
        );
        assert_eq!(
            kept,
            Ok(Kept {
                trial: 0.001,
                thrown_out: 2
            })
        );
    }

    #[test]
    fn a_core_that_others_use_disturbs() {
        assert_eq!(disturbance(0.0, 0.5, 1.0), Some(Disturbance::Shared(0.5)));
        assert_eq!(disturbance(0.0, 0.1, 1.0), None);
    }

    #[test]
    fn repeats_are_bounded() {
        let mut runs = 0;
        let outcome: Result<Kept<f64>, Spoilt<()>> = undisturbed(
            3,
            || {
                runs += 1;
                Ok(0.5)
            },
            |sent| disturbance(0.0, 0.0, *sent),
        );
        assert_eq!(outcome, Err(Spoilt::Disturbed(Disturbance::Late(0.5))));
        assert_eq!(runs, 3);
    }

    #[test]
    fn a_trial_that_fails_is_not_repeated() {
        let mut runs = 0;
        let outcome: Result<Kept<()>, Spoilt<&str>> = undisturbed(
            3,
            || {
                runs += 1;
                Err("died")
            },
            |()| None,
        );
        assert_eq!(outcome, Err(Spoilt::Failed("died")));
        assert_eq!(runs, 1);
    }
}
