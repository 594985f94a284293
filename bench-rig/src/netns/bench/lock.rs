//! One measurement at a time on a machine. The kernel lets go of the lock when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::NetnsError;

/// Held as long as hosts to measure on are there.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, after waiting for whoever has it.
    pub(super) fn take() -> Result<Self, NetnsError> {
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(PATH);
        let file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => NetnsError::Rights {
                said: format!("{PATH}: {source}"),
            },
            _ => NetnsError::system(format!("opening {PATH}"))(source),
        })?;
        let deadline = Instant::now() + PATIENCE;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Self::held(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
                Err(TryLockError::WouldBlock) => {
                    // Its holder may be writing at this moment.
                    let holder = fs::read_to_string(PATH).unwrap_or_default();
                    return Err(NetnsError::Busy { holder });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(NetnsError::system(format!("locking {PATH}"))(source));
                }
            }
            if !told {
                eprintln!("another measurement runs on this machine: waiting for its end");
                told = true;
            }
            thread::sleep(POLL);
        }
    }

    /// Leaves a word for those who wait.
    fn held(mut file: File) -> Result<Self, NetnsError> {
        file.set_len(0)
            .and_then(|()| write!(file, "{}", process::id()))
            .map_err(NetnsError::system(format!("writing {PATH}")))?;
        Ok(Self { _file: file })
    }
}

const PATH: &str = "/run/turnpike-bench.lock";

/// How long another measurement is waited for: a test of this rig takes less, a whole bench more.
const PATIENCE: Duration = Duration::from_mins(3);

const POLL: Duration = Duration::from_millis(50);
