//! When to serve, when to drain and when to end: decided here, done in `run`.
//!
//! It takes time as an argument and touches nothing. Draining ends with the last allocation, with
//! its time, or with a second signal.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// How long a stop waits for calls to end where nothing is configured.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// How often the numbers are looked at.
const GLANCE_EVERY: Duration = Duration::from_secs(1);

/// The same while the last calls are waited for.
const GLANCE_WHEN_DRAINING: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing new.
    GoOn,
    /// Read the certificate again.
    Reload,
    /// Refuse new allocations from now on.
    Drain,
    /// End now.
    End,
}

/// How far the process is.
#[derive(Debug)]
pub(super) struct LifeCycle {
    patience: Duration,
    draining_until: Option<Instant>,
}

impl LifeCycle {
    /// Serving; a stop will wait `patience` for calls to end.
    pub(super) const fn new(patience: Duration) -> Self {
        Self {
            patience,
            draining_until: None,
        }
    }

    /// How long to wait for the next signal before the next glance.
    pub(super) const fn glance_every(&self) -> Duration {
        match self.draining_until {
            None => GLANCE_EVERY,
            Some(_) => GLANCE_WHEN_DRAINING,
        }
    }

    /// A signal came.
    pub(super) fn signalled(&mut self, signal: Signal, now: Instant) -> Step {
        match (signal, self.draining_until) {
            (Signal::SIGHUP, _) => Step::Reload,
            (_, None) => {
                self.draining_until = Some(now + self.patience);
                Step::Drain
            }
            (_, Some(_)) => Step::End,
        }
    }

    /// Nothing came, and so many allocations live.
    pub(super) fn glanced(&self, allocations: u64, now: Instant) -> Step {
        match self.draining_until {
            Some(until) if allocations == 0 || now >= until => Step::End,
            _ => Step::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn serves_until_a_signal_then_until_the_last_allocation_is_gone() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let now = Instant::now();
            let mut life = LifeCycle::new(PATIENCE);
            assert_eq!(life.glanced(0, now), Step::GoOn);
            assert_eq!(life.glance_every(), GLANCE_EVERY);
            assert_eq!(life.signalled(signal, now), Step::Drain);
            assert_eq!(life.glance_every(), GLANCE_WHEN_DRAINING);
            assert_eq!(life.glanced(1, now), Step::GoOn);
            assert_eq!(life.glanced(0, now), Step::End);
        }
    }

    #[test]
    fn draining_ends_with_its_time_whatever_lives() {
        let now = Instant::now();
        let mut life = LifeCycle::new(PATIENCE);
        life.signalled(Signal::SIGTERM, now);
        let nearly = now + PATIENCE - Duration::from_nanos(1);
        assert_eq!(life.glanced(7, nearly), Step::GoOn);
        assert_eq!(life.glanced(7, now + PATIENCE), Step::End);
    }

    #[test]
    fn without_patience_the_first_glance_ends_it() {
        let now = Instant::now();
        let mut life = LifeCycle::new(Duration::ZERO);
        assert_eq!(life.signalled(Signal::SIGINT, now), Step::Drain);
        assert_eq!(life.glanced(7, now), Step::End);
    }

    #[test]
    fn second_signal_ends_it_at_once() {
        let now = Instant::now();
        let mut life = LifeCycle::new(PATIENCE);
        life.signalled(Signal::SIGTERM, now);
        assert_eq!(life.signalled(Signal::SIGINT, now), Step::End);
    }

    #[test]
    fn sighup_reads_the_certificate_and_stops_nothing() {
        let now = Instant::now();
        let mut life = LifeCycle::new(PATIENCE);
        assert_eq!(life.signalled(Signal::SIGHUP, now), Step::Reload);
        assert_eq!(life.glanced(0, now), Step::GoOn);
        life.signalled(Signal::SIGTERM, now);
        assert_eq!(life.signalled(Signal::SIGHUP, now), Step::Reload);
        assert_eq!(life.glanced(1, now), Step::GoOn);
    }
}
