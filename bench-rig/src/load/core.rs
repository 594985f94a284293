//! The generator's core.

use rustix::process::setpriority_process;

use super::LoadError;
use crate::netns::bench::{GENERATOR_CORE, pin_this_thread};

/// Keeps the calling thread on the generator's core, before every common thread there, and has it
/// wake up from a sleep when it asked to.
pub(super) fn take() -> Result<(), LoadError> {
    pin_this_thread(GENERATOR_CORE)?;
    // Not a real-time rank: the receiving threads of the generator's devices must come first.
    setpriority_process(None, -20).map_err(|errno| {
        LoadError::system("asking for the first rank on the core")(errno.into())
    })?;
    nix::sys::prctl::set_timerslack(1)
        .map_err(|errno| LoadError::system("setting the timer slack")(errno.into()))
}
