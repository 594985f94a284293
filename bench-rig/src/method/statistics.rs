//! Medians, slopes and the intervals in which they are believed, at 95 %.
//!
//! A median's interval comes from resampling (percentile bootstrap, seeded); a slope's from the
//! spread of the points around its line (Student's t). Both are honest about few trials: one trial has
//! no interval, and three points have a wide one.

use serde::{Deserialize, Serialize};

use super::random::SplitMix;

/// A figure and the interval in which it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

impl Estimate {
    /// A figure of which nothing is known but itself.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            low: value,
            high: value,
        }
    }

    /// How many times `other` this is. The interval is the widest that the two allow.
    #[must_use]
    pub fn times(&self, other: &Self) -> Option<Self> {
        (other.value > 0.0).then(|| Self {
            value: self.value / other.value,
            low: self.low / other.high,
            high: if other.low > 0.0 {
                self.high / other.low
            } else {
                f64::INFINITY
            },
        })
    }

    /// The same in another unit.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            low: self.low * factor,
            high: self.high * factor,
        }
    }
}

/// The middle one, or the mean of the two middle ones.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The median and its bootstrap interval. The same values and seed give the same interval.
#[must_use]
pub fn bootstrap_median(values: &[f64], seed: u64) -> Option<Estimate> {
    let value = median(values)?;
    let mut random = SplitMix::new(seed);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let resample: Vec<f64> = (0..values.len())
                .filter_map(|_| random.pick(values))
                .collect();
            median(&resample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Some(Estimate {
        value,
        low: *medians.get(RESAMPLES / 40)?,
        high: *medians.get(RESAMPLES - 1 - RESAMPLES / 40)?,
    })
}

/// One trial of a slope: how much was done, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// For example packets a second.
    pub x: f64,
    /// For example nanoseconds of CPU a second.
    pub y: f64,
}

/// The slope of the least-squares line through the points, with its interval. `None` for fewer than
/// two different amounts; with two points there is no spread to learn from, and the interval is the slope.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "the number of trials is far below 2^53"
)]
pub fn slope(points: &[Point]) -> Option<Estimate> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.x).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.y).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|point| (point.x - mean_x).powi(2)).sum();
    if points.len() < 2 || spread <= 0.0 {
        return None;
    }
    let together: f64 = points
        .iter()
        .map(|point| (point.x - mean_x) * (point.y - mean_y))
        .sum();
    let value = together / spread;
    let Some(freedom) = points.len().checked_sub(2).filter(|freedom| *freedom > 0) else {
        return Some(Estimate::exact(value));
    };
    let residue: f64 = points
        .iter()
        .map(|point| (point.y - mean_y - value * (point.x - mean_x)).powi(2))
        .sum();
    let half = student(freedom) * (residue / freedom as f64 / spread).sqrt();
    Some(Estimate {
        value,
        low: value - half,
        high: value + half,
    })
}

/// What measuring the same thing twice differs by: the bound below which no difference is believed.
/// From pairs of trials of one subject, as a fraction; the upper end of the median's interval.
#[must_use]
pub fn null_difference(pairs: &[(f64, f64)], seed: u64) -> Option<f64> {
    let differences: Vec<f64> = pairs
        .iter()
        .filter(|(_, second)| *second > 0.0)
        .map(|(first, second)| (first / second - 1.0).abs())
        .collect();
    bootstrap_median(&differences, seed).map(|estimate| estimate.high)
}

/// Two-sided 95 % quantile of Student's t.
fn student(freedom: usize) -> f64 {
    STUDENT
        .get(freedom.saturating_sub(1))
        .copied()
        .unwrap_or(1.96 + 2.5 / 31.0)
}

const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

const RESAMPLES: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_outliers_do_not_move_it() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 3.0, 1_000.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() {
        let mut covered = 0;
        for seed in 0..400 {
            let mut noise = SplitMix::new(seed);
            let trials: Vec<f64> = (0..15).map(|_| 90.0 + 20.0 * noise.fraction()).collect();
            let estimate = bootstrap_median(&trials, 1_000 + seed).unwrap();
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
            covered += i32::from(estimate.low <= 100.0 && 100.0 <= estimate.high);
        }
        assert!(covered > 360, "covered {covered} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let trials = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(bootstrap_median(&trials, 5), bootstrap_median(&trials, 5));
    }

    #[test]
    fn a_slope_leaves_out_what_the_relay_costs_when_idle() {
        let points = [1.0, 2.0, 3.0].map(|x| Point {
            x,
            y: 500.0 + 7.0 * x,
        });
        let slope = slope(&points).unwrap();
        assert!((slope.value - 7.0).abs() < 1e-9);
        assert!(slope.high - slope.low < 1e-6);
    }

    #[test]
    fn the_interval_of_a_slope_covers_the_truth_about_as_often_as_it_says() {
        let mut covered = 0;
        for seed in 0..400 {
            let mut noise = SplitMix::new(seed);
            let points: Vec<Point> = (0..12)
                .map(|trial| {
                    let x = f64::from(1 + trial % 3);
                    // Twelve uniform numbers make one that is nearly normal.
                    let error: f64 = (0..12).map(|_| noise.fraction() - 0.5).sum();
                    Point {
                        x,
                        y: 10.0 + 2.0 * x + error,
                    }
                })
                .collect();
            let slope = slope(&points).unwrap();
            covered += i32::from(slope.low <= 2.0 && 2.0 <= slope.high);
        }
        assert!((360..=396).contains(&covered), "covered {covered} of 400");
    }

    #[test]
    fn one_amount_has_no_slope() {
        assert_eq!(slope(&[Point { x: 1.0, y: 2.0 }; 5]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_ratio_carries_both_intervals() {
        let half = Estimate {
            value: 1.0,
            low: 0.9,
            high: 1.1,
        };
        let ratio = half.times(&half.scaled(2.0)).unwrap();
        assert!((ratio.value - 0.5).abs() < 1e-9);
        assert!(ratio.low < 0.42 && ratio.high > 0.60);
        assert_eq!(half.times(&Estimate::exact(0.0)), None);
    }

    #[test]
    fn equal_trials_differ_by_nothing_and_noisy_ones_by_their_noise() {
        assert_eq!(null_difference(&[(2.0, 2.0); 4], 1), Some(0.0));
        let bound = null_difference(&[(1.0, 1.02), (1.0, 0.97), (1.0, 1.0)], 1).unwrap();
        assert!((0.02..0.04).contains(&bound), "{bound}");
    }
}
