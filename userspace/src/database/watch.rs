//! Tells a running relay what changes in its database.
//!
//! A thread of its own looks twice a second: at the file's identity, size and time (another file may
//! have taken its place) and at SQLite's `data_version` (another program has committed). When one
//! differs, it reads everything and tells the difference to what it told last.
//!
//! A database that cannot be read changes nothing: the users known last stay, one line says so, one
//! more when it is back, and between the two it is tried ever less often.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Database, DatabaseError, Problem, Skipped, Source, StoredCredentials, USERS_MAX};
use crate::credentials::CredentialChange;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The longest between two tries while it is down.
const TRY_EVERY_MAX: Duration = Duration::from_secs(5);

/// How long one look waits for a lock; a watch that is dropped waits as long.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// A lock held longer than this is a failure: `turnadmin` needs milliseconds.
const LOCKED_MAX: Duration = Duration::from_secs(3);

/// Watches a database until it is dropped.
#[derive(Debug)]
pub struct Watch {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    is_over: AtomicBool,
    is_up: AtomicBool,
}

impl Watch {
    /// Starts to watch. `told` is what the relay holds of the database, `None` where it could not be
    /// read at the start; `apply` gets every change from then on, on the watch's thread.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(
        source: Source,
        told: Option<StoredCredentials>,
        apply: impl Fn(CredentialChange) + Send + 'static,
    ) -> io::Result<Self> {
        let state = Arc::new(State {
            is_over: AtomicBool::new(false),
            is_up: AtomicBool::new(told.is_some()),
        });
        let watcher = Watcher {
            source,
            told: told.unwrap_or_default(),
            apply,
            state: Arc::clone(&state),
            view: None,
            told_from: None,
            failing_since: None,
            skipped: Skipped::default(),
            wait: LOOK_EVERY,
        };
        let thread = std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || watcher.run())?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// Whether the database could be read when it was last looked at.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.is_up.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic has been reported by its thread.
            let _ended = thread.join();
        }
    }
}

/// What the thread holds.
struct Watcher<F> {
    source: Source,
    told: StoredCredentials,
    apply: F,
    state: Arc<State>,
    view: Option<View>,
    /// The file that `told` was last read from; unknown after the start.
    told_from: Option<FileMark>,
    /// Since when it fails, said or not.
    failing_since: Option<Instant>,
    /// What was last said to be skipped.
    skipped: Skipped,
    wait: Duration,
}

/// A database as it was read.
struct View {
    database: Database,
    file: FileMark,
    version: Option<i64>,
}

/// What another file in its place would not share, nor a file that was written over.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileMark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileMark {
    fn of(path: &Path) -> Result<Self, DatabaseError> {
        let metadata =
            std::fs::metadata(path).map_err(|error| DatabaseError::of_io(path, error))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl FileMark {
    /// Whether it is the same one, whatever was written to it.
    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl<F: Fn(CredentialChange)> Watcher<F> {
    fn run(mut self) {
        while !self.is_over() {
            let began = Instant::now();
            match self.look() {
                // Nothing waits for what is cheap; reading millions of users may take half the time.
                Ok(()) => {
                    self.recovered();
                    self.wait = LOOK_EVERY.max(began.elapsed());
                }
                Err(_) if self.is_over() => return,
                Err(error) => self.failed(&error),
            }
            std::thread::park_timeout(self.wait);
        }
    }

    fn is_over(&self) -> bool {
        self.state.is_over.load(Ordering::Relaxed)
    }

    /// Looks for a change and tells it. After a failure it begins with a new connection.
    fn look(&mut self) -> Result<(), DatabaseError> {
        let file = FileMark::of(&self.source.path)?;
        let mut view = match self.view.take() {
            Some(view) if view.file == file => view,
            _ => View {
                database: Database::open_existing(&self.source.path, LOCK_PATIENCE)?,
                file,
                version: None,
            },
        };
        // Before the reading: what is committed while it lasts is seen with the next look.
        let version = view.database.version()?;
        if view.version != Some(version) {
            let Source { realm, fixed, .. } = &self.source;
            let reading = view
                .database
                .read(realm, fixed, USERS_MAX, || self.is_over())?;
            self.say_skipped(reading.skipped);
            self.learn(reading.credentials, file);
            view.version = Some(version);
        }
        self.view = Some(view);
        Ok(())
    }

    /// Tells what was read of a file, and says so where it is news.
    fn learn(&mut self, now: StoredCredentials, file: FileMark) {
        let path = self.source.path.display();
        let is_another = self.told_from.is_some_and(|it| !it.is_same_file(&file));
        // A file that was just made is more likely a mishap than the wish to lock all out.
        if is_another && now.is_empty() && !self.told.is_empty() {
            tracing::warn!(
                "{path} is another file than before, and has nobody in it: the {} known before stay \
                 until it has. To lock all of them out, restart the relay",
                self.told
            );
            return;
        }
        self.told_from = Some(file);
        let before = std::mem::replace(&mut self.told, now);
        if self.tell(&before) > 0 {
            tracing::info!("user database {path}: {}, there were {before}", self.told);
        }
    }

    /// Tells the difference to `before`, and says how many changes that were. Secrets go before others come, for there may be no room for both.
    fn tell(&self, before: &StoredCredentials) -> usize {
        let now = &self.told;
        let secrets_gone = before
            .secrets
            .iter()
            .filter(|secret| !now.secrets.contains(secret))
            .cloned()
            .map(CredentialChange::RemoveSecret);
        let users_gone = before
            .users
            .keys()
            .filter(|name| !now.users.contains_key(*name))
            .cloned()
            .map(CredentialChange::RemoveUser);
        let users = now
            .users
            .iter()
            .filter(|(name, keys)| before.users.get(*name) != Some(keys))
            .map(|(name, keys)| CredentialChange::PutUser(name.clone(), *keys));
        let secrets = now
            .secrets
            .iter()
            .filter(|secret| !before.secrets.contains(secret))
            .cloned()
            .map(CredentialChange::AddSecret);
        let changes = secrets_gone.chain(users_gone).chain(users).chain(secrets);
        let told = changes.take_while(|_| !self.is_over());
        told.map(|change| (self.apply)(change)).count()
    }

    fn say_skipped(&mut self, skipped: Skipped) {
        if skipped != self.skipped && !skipped.is_nothing() {
            tracing::warn!("{}: {skipped}", self.source.path.display());
        }
        self.skipped = skipped;
    }

    fn recovered(&mut self) {
        self.failing_since = None;
        if !self.state.is_up.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "the user database is back: {} of realm `{}` from {}",
                self.told,
                self.source.realm,
                self.source.path.display()
            );
        }
    }

    fn failed(&mut self, error: &DatabaseError) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if matches!(error.problem(), Problem::Locked) && since.elapsed() < LOCKED_MAX {
            self.wait = LOOK_EVERY;
            return;
        }
        self.wait = self.wait.saturating_mul(2).min(TRY_EVERY_MAX);
        if self.state.is_up.swap(false, Ordering::Relaxed) {
            tracing::error!(
                "the user database is down; the {} known from it stay, changes wait. {error}",
                self.told
            );
        }
    }
}
