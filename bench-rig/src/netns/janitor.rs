//! Takes namespaces away, whatever happens to the process that made them.
//!
//! A small shell process waits on a pipe whose other end only the maker holds. When the maker lets
//! go of it, by dropping its guard, by panicking or by dying of any signal, the shell kills what
//! still runs in the namespaces and deletes them. Should the shell be killed too, the next
//! [`sweep`] finds the namespaces by their names, which carry the maker's process id and the time
//! that process began.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio, id};

use super::NetnsError;
use super::host::NAMESPACES;

/// The process that will take a set of namespaces away.
#[derive(Debug)]
pub(super) struct Janitor {
    shell: Child,
    names: Vec<String>,
}

impl Janitor {
    /// Starts the janitor. Do this before the first namespace is made.
    pub(super) fn start(names: Vec<String>) -> Result<Self, NetnsError> {
        let shell = Command::new("sh")
            .args(["-c", &format!("read -r _\n{REMOVE}"), "turnpike-janitor"])
            .args(&names)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and a test runner's kill go to the maker's group; this one has to outlive it.
            .process_group(0)
            .spawn()
            .map_err(NetnsError::spawning("sh"))?;
        Ok(Self { shell, names })
    }

    pub(super) fn id(&self) -> u32 {
        self.shell.id()
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let done = self.shell.wait().is_ok_and(|status| status.success());
        if !done && let Err(error) = remove(&self.names) {
            eprintln!(
                "network namespaces {:?} are left behind: {error}",
                self.names
            );
        }
    }
}

/// The prefix of the names of one set of hosts, unique on this machine.
pub(super) fn prefix(serial: usize) -> Result<String, NetnsError> {
    let pid = id();
    let began = began(pid)
        .ok_or_else(|| NetnsError::system("reading /proc")(io::ErrorKind::NotFound.into()))?;
    Ok(format!("{MARK}-{pid}-{began}-{serial}"))
}

/// Removes the namespaces of processes that are gone.
pub(super) fn sweep() -> Result<(), NetnsError> {
    let Ok(entries) = fs::read_dir(NAMESPACES) else {
        return Ok(());
    };
    let stale: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| maker(name).is_some_and(|(pid, start)| began(pid) != Some(start)))
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    remove(&stale)
}

fn remove(names: &[String]) -> Result<(), NetnsError> {
    let output = Command::new("sh")
        .args(["-c", REMOVE, "turnpike-janitor"])
        .args(names)
        .stdin(Stdio::null())
        .output()
        .map_err(NetnsError::spawning("sh"))?;
    super::ip::checked("removing network namespaces", &output).map(drop)
}

/// Process id and start time of the maker of a namespace, by its name.
fn maker(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(MARK)?.strip_prefix('-')?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// When a process began, in clock ticks since boot (field 22 of its `stat`); tells it from a later
/// process with the same id.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Kills what runs in the namespaces, deletes them, and fails if one is still there.
const REMOVE: &str = r#"
for name in "$@"; do
    for pid in $(ip netns pids "$name" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
    ip netns delete "$name" 2>/dev/null
done
for name in "$@"; do
    if [ -e "/run/netns/$name" ]; then echo "$name is still there" >&2; exit 1; fi
done
"#;

/// Begins the name of every namespace of this rig.
const MARK: &str = "turnpike";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maker_is_read_from_a_name() {
        let name = format!("{}-relay", prefix(3).unwrap());
        assert_eq!(maker(&name), Some((id(), began(id()).unwrap())));
    }

    #[test]
    fn names_of_others_have_no_maker() {
        for name in [
            "relay",
            "turnpike",
            "turnpike-",
            "turnpike-relay",
            "turnpike-12-x",
            "x-1-2",
        ] {
            assert_eq!(maker(name), None, "{name}");
        }
    }

    #[test]
    fn a_process_that_is_gone_has_no_beginning() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(began(pid), None);
    }
}
