//! Interrupts the thread that sends: the kernel offers frames for ever, and looks for signals between
//! two batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use signal_hook::SigId;

use super::super::LoadError;

/// Interrupts the thread that set it, from its time on, until it is dropped.
pub(super) struct Alarm {
    rang: Arc<AtomicBool>,
    handler: SigId,
    _timer: Timer,
}

impl Alarm {
    /// Sets one for so many nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) fn at(time: u64) -> Result<Self, LoadError> {
        let rang = Arc::new(AtomicBool::new(false));
        let handler = signal_hook::flag::register(Signal::SIGALRM as i32, Arc::clone(&rang))
            .map_err(LoadError::system("handling the alarm"))?;
        let event = SigEvent::new(SigevNotify::SigevThreadId {
            signal: Signal::SIGALRM,
            thread_id: gettid().as_raw(),
            si_value: 0,
        });
        // One that rings just before the kernel begins is not heard: it rings again.
        let rings =
            Expiration::IntervalDelayed(Duration::from_nanos(time).into(), TimeSpec::from(AGAIN));
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).and_then(|mut timer| {
            timer.set(rings, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            Ok(timer)
        });
        Ok(Self {
            rang,
            handler,
            _timer: timer.map_err(|errno| LoadError::system("setting the alarm")(errno.into()))?,
        })
    }

    /// Whether its time has come.
    pub(super) fn has_rung(&self) -> bool {
        self.rang.load(Ordering::Relaxed)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.handler);
    }
}

/// How soon it rings again.
const AGAIN: Duration = Duration::from_millis(1);
