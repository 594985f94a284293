//! A program that runs beside a test and goes with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

pub(super) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a program whose output is collected.
    #[expect(clippy::disallowed_methods, reason = "tests may wait in a thread")]
    pub(super) fn start(program: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        let seen = Arc::new(Mutex::new(String::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen }
    }

    /// Waits for a line.
    pub(super) fn wait_for(&mut self, text: &str) {
        self.wait_until(Duration::from_secs(20), |line| line == text);
    }

    /// Waits for a line that satisfies.
    pub(super) fn wait_until(
        &mut self,
        limit: Duration,
        satisfies: impl Fn(&str) -> bool,
    ) -> String {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if satisfies(&line) => return line,
                Ok(_) => {}
                Err(_) => panic!("what was awaited never came: {}", self.output()),
            }
        }
    }

    /// The first line so far that satisfies.
    pub(super) fn find(&self, satisfies: impl Fn(&str) -> bool) -> Option<String> {
        let output = self.output();
        output
            .lines()
            .find(|line| satisfies(line))
            .map(String::from)
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the program has closed its output; all of it.
    pub(super) fn finish(&mut self) -> String {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.output(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it runs on: {}", self.output()),
            }
        }
    }

    /// What it has said so far.
    pub(super) fn output(&self) -> String {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
