//! SIGINT, SIGTERM and SIGHUP as something to wait for.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that the relay heeds, held back from every thread.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Holds them back; to be called before any thread is started, which inherits that.
    pub(super) fn hold() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits at most so long; says which signal came, if one did.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<Option<Signal>> {
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        match poll(&mut descriptors, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let seen = self.0.read_signal()?;
        Ok(seen.and_then(|it| Signal::try_from(it.ssi_signo.cast_signed()).ok()))
    }
}
