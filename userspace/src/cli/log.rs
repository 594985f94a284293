//! The log: which lines, in which form, and that writing them harms nothing.
//!
//! Whoever logs only leaves a line in a bounded queue; a thread of its own writes to stderr. A full
//! disk, a closed pipe or one that nobody reads costs log lines, which are counted, and no call. No
//! line names a client or a user unless the configuration says so.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::LOG_VARIABLE;
use crate::clock;
use crate::config::{LogConfig, LogFormat};
use crate::shard::CLIENTS_TARGET;

/// Lines that may wait for the writer.
const QUEUE_LINES_MAX: usize = 1_024;

/// Lines a second at `info` and `warn`: some 3 GB a day, if a flood makes them all.
const LINES_PER_SECOND_MAX: u64 = 200;

/// How often lines that were left out are told of.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long the end waits for the last lines to be written.
const FLUSH_PATIENCE: Duration = Duration::from_millis(500);

/// What the log says of itself is filed under this, and never left out for being too much.
const LOG_TARGET: &str = "turnpike::log";

/// The log of this process, from now to its end. Dropping it writes what still waits.
#[derive(Debug)]
pub(super) struct Log {
    lines: Sender<Line>,
    lost: Arc<Lost>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// Answered when all before is written.
    Flush(Sender<()>),
}

/// Lines that nobody will read.
#[derive(Debug, Default)]
struct Lost {
    /// For any reason.
    lines: Arc<AtomicU64>,
    /// Those left out for being too many, which later lines tell of.
    left_out: AtomicU64,
}

impl Lost {
    fn leave_out(&self) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

impl Log {
    /// Starts logging as configured; `TURNPIKE_LOG` says what. To be called once.
    ///
    /// # Errors
    /// When there is no thread or descriptor for it.
    pub(super) fn start(config: &LogConfig) -> io::Result<Self> {
        let (lines, waiting) = bounded(QUEUE_LINES_MAX);
        let lost = Arc::new(Lost::default());
        let filter =
            EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
        let gate = Gate {
            clients: config.clients,
            window: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            lost: Arc::clone(&lost),
        };
        let queue = Queue {
            lines: lines.clone(),
            lost: Arc::clone(&lost),
        };
        // A descriptor of its own: the lock of the standard library's is never held while it blocks.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let counts = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&waiting, out, &counts))?;
        tracing_subscriber::registry()
            .with(filter)
            .with(gate)
            .with(form(config.format, queue))
            .try_init()
            .map_err(io::Error::other)?;
        Ok(Self { lines, lost })
    }

    /// How many lines were lost so far, for metrics.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost.lines)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = bounded(1);
        if self
            .lines
            .send_timeout(Line::Flush(done), FLUSH_PATIENCE)
            .is_ok()
        {
            // Nobody reads them: that keeps nobody waiting.
            let _late = written.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

fn form<S>(format: LogFormat, queue: Queue) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer()
        .with_writer(move || queue.clone())
        .with_ansi(false)
        // It would say so on stderr, and panic where that is what cannot be written.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer
            .json()
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}

/// Lets no line through that names a client, unless told to, and not too many of any.
#[derive(Debug)]
struct Gate {
    clients: bool,
    /// The second that `lines` are of.
    window: AtomicU64,
    lines: AtomicU64,
    lost: Arc<Lost>,
}

impl<S: Subscriber> Layer<S> for Gate {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.clients || metadata.target() != CLIENTS_TARGET
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_limited = matches!(*metadata.level(), Level::INFO | Level::WARN)
            && metadata.target() != LOG_TARGET;
        let passes = !is_limited || self.has_room(clock::now().as_nanos() / 1_000_000_000);
        if !passes {
            self.lost.leave_out();
        }
        passes
    }
}

impl Gate {
    /// Counts a line of this second. Two threads at the turn of a second may let a few more through.
    fn has_room(&self, second: u64) -> bool {
        if self.window.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND_MAX
    }
}

/// Takes a formatted line, if there is room, and never waits.
#[derive(Clone, Debug)]
struct Queue {
    lines: Sender<Line>,
    lost: Arc<Lost>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.lost.leave_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer's thread: the only one that waits for whoever reads the log.
fn write_out(waiting: &Receiver<Line>, mut out: impl Write, lost: &Lost) {
    let mut told = 0;
    let mut told_at = Instant::now();
    loop {
        match waiting.recv_timeout(TELL_EVERY) {
            Ok(Line::Text(line)) => {
                if out.write_all(&line).is_err() {
                    lost.lines.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(Line::Flush(done)) => {
                // Whoever asked may have given up.
                let _unheard = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let left_out = lost.left_out.load(Ordering::Relaxed);
        if left_out > told && told_at.elapsed() >= TELL_EVERY {
            let lines = left_out - told;
            tracing::warn!(target: LOG_TARGET, lines, "log lines were left out");
            told = left_out;
            told_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(clients: bool) -> Gate {
        Gate {
            clients,
            window: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            lost: Arc::default(),
        }
    }

    /// What is logged by `work`, as it would reach stderr.
    fn logged(format: LogFormat, clients: bool, work: impl FnOnce()) -> String {
        let (lines, waiting) = bounded(QUEUE_LINES_MAX);
        let queue = Queue {
            lines,
            lost: Arc::default(),
        };
        let subscriber = tracing_subscriber::registry()
            .with(gate(clients))
            .with(form(format, queue));
        tracing::subscriber::with_default(subscriber, work);
        let mut out = Vec::new();
        write_out(&waiting, &mut out, &Lost::default());
        String::from_utf8(out).unwrap()
    }

    fn lines_about_clients() {
        tracing::info!(target: CLIENTS_TARGET, client = "192.0.2.7:9", "allocation created");
        tracing::info!("an ordinary line");
    }

    #[test]
    fn client_is_named_only_where_the_configuration_says_so() {
        let quiet = logged(LogFormat::Text, false, || {
            assert!(!tracing::enabled!(target: CLIENTS_TARGET, Level::INFO));
            lines_about_clients();
        });
        assert!(
            quiet.contains("ordinary") && !quiet.contains("192.0.2.7"),
            "{quiet}"
        );
        let open = logged(LogFormat::Text, true, lines_about_clients);
        assert!(open.contains("192.0.2.7:9"), "{open}");
    }

    #[test]
    fn json_is_an_object_a_line_even_with_a_hostile_name() {
        let text = logged(LogFormat::Json, true, || {
            tracing::info!(target: CLIENTS_TARGET, user = "eve\"}\n{\"level\":\"x", "allocation");
            tracing::warn!("second");
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        for key in ["timestamp", "level", "target", "fields"] {
            assert!(lines.iter().all(|line| line.get(key).is_some()), "{text}");
        }
        assert_eq!(lines[0]["fields"]["user"], "eve\"}\n{\"level\":\"x");
        assert_eq!(lines[1]["level"], "WARN");
    }

    #[test]
    fn hostile_name_stays_on_its_line_of_text() {
        let text = logged(LogFormat::Text, true, || {
            tracing::info!(target: CLIENTS_TARGET, user = "eve\nERROR forged\x1b[2J", "allocation");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn flood_of_lines_is_cut_and_counted() {
        let gate = gate(false);
        let passed = (0..10_000).filter(|_| gate.has_room(7)).count() as u64;
        assert_eq!(passed, LINES_PER_SECOND_MAX);
        assert!(gate.has_room(8), "the next second has room again");
    }

    #[test]
    fn full_queue_costs_lines_and_no_time() {
        let (lines, waiting) = bounded(2);
        let lost = Arc::new(Lost::default());
        let mut queue = Queue {
            lines,
            lost: Arc::clone(&lost),
        };
        for _ in 0..5 {
            queue.write_all(b"line\n").unwrap();
        }
        assert_eq!(waiting.len(), 2);
        assert_eq!(lost.lines.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn line_that_the_disk_refuses_is_counted() {
        let (lines, waiting) = bounded(2);
        lines.send(Line::Text(b"line\n".to_vec())).unwrap();
        drop(lines);
        let lost = Lost::default();
        write_out(&waiting, File::create("/dev/full").unwrap(), &lost);
        assert_eq!(lost.lines.load(Ordering::Relaxed), 1);
    }
}
