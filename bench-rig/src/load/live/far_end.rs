//! A program on the far end of a wire that lets everything through: a veth delivers what is sent or
//! redirected to it by a program only where its other end has one too.

use super::super::LoadError;
use super::programs::Programs;
use crate::netns::Host;

/// The program, until this is dropped.
#[derive(Debug)]
pub struct FarEnd {
    _programs: Programs,
}

impl FarEnd {
    /// Puts it on a host's device.
    ///
    /// # Errors
    /// When the programs were not built (the error names the command), and when the kernel refuses
    /// them.
    pub fn open(host: &Host, device: &str) -> Result<Self, LoadError> {
        let mut programs = Programs::load(0, 0)?;
        // It takes only what a sender of the rig's has stamped.
        programs.attach("receiver", host, device)?;
        Ok(Self {
            _programs: programs,
        })
    }
}
