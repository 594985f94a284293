//! Keeps idle cores from sleeping while something is measured.
//!
//! A core that halts has to be woken up for each packet that finds it idle. In a virtual machine
//! that is an exit to the hypervisor at either end, 15 microseconds or so, of which most relays'
//! figures at low rates would consist. The kernel's own way to say so is a descriptor of
//! `/dev/cpu_dma_latency` that asks for a latency of nothing: idle cores poll, their time still
//! counts as idle, and all is as before once the descriptor is closed. It is what benches of network
//! cards set on real machines too, and the same for every subject.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::NetnsError;

/// Held as long as cores are to stay awake.
#[derive(Debug)]
pub(super) struct Awake {
    request: Option<File>,
}

impl Awake {
    /// Asks for it. A kernel without power states to choose from has no such file, and needs none.
    pub(super) fn new() -> Result<Self, NetnsError> {
        let mut file = match OpenOptions::new().write(true).open(PATH) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { request: None });
            }
            Err(error) => return Err(NetnsError::system(format!("opening {PATH}"))(error)),
        };
        // Microseconds, as the four bytes of a number.
        file.write_all(&0_i32.to_ne_bytes())
            .map_err(NetnsError::system(format!("writing {PATH}")))?;
        let request = Some(file);
        Ok(Self { request })
    }

    /// Whether the kernel took the wish.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.request.is_some()
    }
}

const PATH: &str = "/dev/cpu_dma_latency";
