//! Memory and descriptors of a process. The kernel's own memory, such as that of sockets, is not
//! in these figures.

use std::fs;

use super::AccountError;

/// Bytes of a process's memory that are in RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All pages, those shared with other processes too.
    pub resident: u64,
    /// Shared pages divided among those who share them.
    pub proportional: u64,
    /// Pages without a file behind them: heap, stacks.
    pub anonymous: u64,
}

/// The memory of a process.
///
/// # Errors
/// When it has ended or is another user's.
pub fn memory(pid: u32) -> Result<Memory, AccountError> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(path).map_err(|_| AccountError::Gone { pid })?;
    let memory = || {
        Some(Memory {
            resident: bytes(&text, "Rss:")?,
            proportional: bytes(&text, "Pss:")?,
            anonymous: bytes(&text, "Anonymous:")?,
        })
    };
    // A process that is ending has no memory any more and an empty file.
    memory().ok_or(AccountError::Gone { pid })
}

/// Bytes of a process's memory that are in RAM, all pages.
///
/// # Errors
/// When it has ended or is another user's.
pub fn resident_bytes(pid: u32) -> Result<u64, AccountError> {
    memory(pid).map(|memory| memory.resident)
}

/// How many descriptors a process has open.
///
/// # Errors
/// When it has ended or is another user's.
pub fn descriptors(pid: u32) -> Result<usize, AccountError> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    Ok(entries.map_err(|_| AccountError::Gone { pid })?.count())
}

fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio, id};

    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = memory(id()).unwrap();
        let block = vec![1_u8; 32 << 20];
        let after = memory(id()).unwrap();
        let grown = after.anonymous - before.anonymous;
        assert!(block.iter().all(|byte| *byte == 1));
        assert!((30 << 20..40 << 20).contains(&grown), "{grown}");
        assert!(after.resident >= after.anonymous);
    }

    #[test]
    fn descriptors_are_counted() {
        let count = |opens: &str| {
            let mut child = Command::new("sh")
                .args(["-c", &format!("{opens} echo; read -r _")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut opened = [0];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut opened)
                .unwrap();
            let count = descriptors(child.id()).unwrap();
            drop(child.stdin.take());
            child.wait().unwrap();
            count
        };
        // Whatever the two may have inherited.
        let fewer = count("exec 3<&- 4<&-;");
        assert_eq!(count("exec 3</dev/null 4</dev/null;"), fewer + 2);
    }

    #[test]
    fn nobody_has_no_memory() {
        let error = resident_bytes(u32::MAX).unwrap_err();
        assert!(matches!(error, AccountError::Gone { pid: u32::MAX }));
    }
}
