//! A program running on a host: what it prints is kept, and it never outlives its guard.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::NetnsError;

/// A running program. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    printed: Arc<Printed>,
}

impl Process {
    /// Starts a command whose process group is its own (as [`super::Host::command`] makes them).
    pub(super) fn spawn(command: &mut Command) -> Result<Self, NetnsError> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(NetnsError::spawning("setpriv"))?;
        let printed = Arc::new(Printed::default());
        if let Some(stdout) = child.stdout.take() {
            printed.collect(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            printed.collect(stderr);
        }
        Ok(Self { child, printed })
    }

    /// Waits until a printed line (of standard output or error) satisfies `wanted`; returns it.
    ///
    /// # Errors
    /// When the program ends or `within` passes without such a line.
    pub fn wait_for_line(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, NetnsError> {
        let deadline = Instant::now() + within;
        let mut lines = self.printed.lines();
        loop {
            if let Some(line) = lines.text.iter().find(|line| wanted(line)) {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.open == 0 {
                let output = lines.text.join("\n");
                return Err(NetnsError::TooLate {
                    waited: within,
                    what: what.to_owned(),
                    output,
                });
            }
            lines = self
                .printed
                .changed
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// All lines printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.printed.lines().text.join("\n")
    }

    /// Waits for the program to end by itself, and for the last of what it printed.
    ///
    /// # Errors
    /// When it still runs after `within`. It is left running then.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus, NetnsError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .map_err(NetnsError::system("waiting for a program"))?
            {
                self.wait_for_line("the end of output", LAST_WORDS, |_| false)
                    .ok();
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let output = self.output();
                let what = "the program to end".to_owned();
                return Err(NetnsError::TooLate {
                    waited: within,
                    what,
                    output,
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the program to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus, NetnsError> {
        self.signal(Signal::TERM);
        self.wait(within)
    }

    /// Its process id, which is the program's own.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs. One that has ended stays known until it is waited for.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid()
            .is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    /// Sends a signal to the program's process group.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // A group that is gone already needs no signal.
            kill_process_group(pid, signal).ok();
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().ok();
    }
}

/// The lines of both streams, in the order in which they came.
#[derive(Debug, Default)]
struct Printed {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<String>,
    open: usize,
}

impl Printed {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream to its end on a thread of its own.
    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lines().open += 1;
        let printed = Arc::clone(self);
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                printed.lines().text.push(text);
                printed.changed.notify_all();
            }
            printed.lines().open -= 1;
            printed.changed.notify_all();
        });
    }
}

/// How long a program that has ended may keep its output open, through a child of its own.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(10);
