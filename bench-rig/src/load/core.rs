//! The generator's core.

use super::LoadError;
use crate::netns::bench::{GENERATOR_CORE, pin_this_thread};

/// Keeps the calling thread on the generator's core, and has it wake up from a sleep when it asked
/// to.
pub(super) fn take() -> Result<(), LoadError> {
    pin_this_thread(GENERATOR_CORE)?;
    nix::sys::prctl::set_timerslack(1)
        .map_err(|errno| LoadError::system("setting the timer slack")(errno.into()))
}
