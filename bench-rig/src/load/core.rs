//! The generator's core.

use super::LoadError;
use crate::netns::bench::{FIFO_PRIORITY, GENERATOR_CORE, pin_this_thread};

/// Keeps the calling thread on the generator's core, and has it wake up from a sleep when it asked
/// to.
pub(super) fn take() -> Result<(), LoadError> {
    pin_this_thread(GENERATOR_CORE)?;
    nix::sys::prctl::set_timerslack(1)
        .map_err(|errno| LoadError::system("setting the timer slack")(errno.into()))
}

/// Has the calling thread, which may spin, leave its core to whatever receives there, and to nobody
/// else more than it must.
pub(super) fn give_way() -> Result<(), LoadError> {
    rustix::process::setpriority_process(None, -20)
        .map_err(|errno| LoadError::system("asking for a share")(errno.into()))
}

/// Has the calling thread, which must not spin, run as soon as it wakes up, whoever else is on the
/// machine: the same class as the relay's and the receiving threads'.
pub(super) fn go_first() -> Result<(), LoadError> {
    let parameters = libc::sched_param {
        sched_priority: FIFO_PRIORITY,
    };
    // SAFETY: the kernel reads the structure, which lives until the call returns, and keeps nothing.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    if result == 0 {
        return Ok(());
    }
    Err(LoadError::system("asking to go first")(
        std::io::Error::last_os_error(),
    ))
}
