//! A database that other programs change, and a relay that follows: `turnadmin`, a second connection
//! and the file system against [`Watch`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use turnpike::config::{Config, Secret};
use turnpike::credentials::CredentialChange;
use turnpike::database::{Database, Fixed, Source, StoredCredentials, Watch};
use turnpike::host::Host;
use turnpike::probe::{CallError, Caller};
use turnpike::relay::{Options, Plan, Relay};
use turnpike_stun::IntegrityKey;
use turnpike_turn::server::UserKeys;
use turnpike_types::AddressFamily;

const REALM: &str = "example.org";
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn database_made_by_turnadmin_is_read_as_it_is_and_turnadmin_reads_ours() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("turndb");
    turnadmin(&theirs, &["-a", "-u", "alice", "-r", REALM, "-p", "pass"]);
    turnadmin(&theirs, &["-s", "north", "-r", REALM]);
    let before = fs::read(&theirs).unwrap();
    let read = stored(&theirs);
    let keys = UserKeys {
        md5: IntegrityKey::long_term_md5("alice", REALM, "pass"),
        sha256: None,
    };
    assert_eq!(read.users.get("alice"), Some(&keys));
    assert_eq!(read.secrets, [Secret::new("north")]);
    assert!(fs::read(&theirs).unwrap() == before, "reading changed it");

    let ours = folder.path().join("turnpike.db");
    let mut database = Database::open(&ours).unwrap();
    database
        .put_user(REALM, "bob", &Secret::new("pass"))
        .unwrap();
    database.add_secret(REALM, &Secret::new("south")).unwrap();
    let users = turnadmin(&ours, &["-l", "-r", REALM]);
    assert!(users.contains("bob[example.org]"), "{users}");
    let secrets = turnadmin(&ours, &["-S", "-r", REALM]);
    assert!(secrets.contains("south[example.org]"), "{secrets}");
    turnadmin(&ours, &["-a", "-u", "bob", "-r", REALM, "-p", "other"]);
    let keys = UserKeys {
        md5: IntegrityKey::long_term_md5("bob", REALM, "other"),
        sha256: None,
    };
    assert_eq!(stored(&ours).users.get("bob"), Some(&keys));
    turnadmin(&ours, &["-d", "-u", "bob", "-r", REALM]);
    assert!(stored(&ours).users.is_empty());
}

#[test]
fn changes_of_other_programs_are_told_once_each() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let mut database = Database::open(&watched.path).unwrap();
    database.add_secret(REALM, &Secret::new("north")).unwrap();
    watched.expect("+secret north");
    turnadmin(
        &watched.path,
        &["-a", "-u", "alice", "-r", REALM, "-p", "other"],
    );
    watched.expect("+alice");
    turnadmin(&watched.path, &["-d", "-u", "alice", "-r", REALM]);
    watched.expect("-alice");
    database
        .remove_secret(REALM, &Secret::new("north"))
        .unwrap();
    watched.expect("-secret north");
    watched.put("bob");
    watched.expect("+bob");
    assert_eq!(watched.log(), Vec::<String>::new());
}

#[test]
fn database_in_wal_mode_is_followed_too() {
    let watched = Watched::start();
    let other = Connection::open(&watched.path).unwrap();
    other.pragma_update(None, "journal_mode", "wal").unwrap();
    for number in 0..3 {
        let name = format!("user{number}");
        other.execute(INSERT, [REALM, &name]).unwrap();
        watched.expect(&format!("+{name}"));
    }
    assert!(watched.watch.is_up());
}

#[test]
fn names_and_secrets_of_the_configuration_are_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db");
    let text = "realm = \"example.org\"\n[auth]\nusers = { alice = \"a\" }\nsecrets = [\"own\"]";
    let source = Source::new(&path, &Config::parse(text).unwrap());
    let watched = Watched::of(folder, source);
    let mut database = Database::open(&path).unwrap();
    database.add_secret(REALM, &Secret::new("own")).unwrap();
    watched.put("alice");
    database.remove_secret(REALM, &Secret::new("own")).unwrap();
    database.remove_user(REALM, "alice").unwrap();
    watched.put("zoe");
    watched.expect("+zoe");
}

#[test]
fn exclusive_lock_takes_it_down_with_users_kept_until_it_is_gone() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let other = Connection::open(&watched.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    watched.wait_until_up_is(false);
    other.execute(INSERT, [REALM, "bob"]).unwrap();
    assert!(
        watched.changes.try_recv().is_err(),
        "nothing is told while down"
    );
    other.execute_batch("COMMIT").unwrap();
    watched.expect("+bob");
    watched.wait_until_up_is(true);
    watched.expect_log(&["holds the database locked", "is back"]);
}

#[test]
fn lock_that_is_held_briefly_is_no_failure() {
    let watched = Watched::start();
    let other = Connection::open(&watched.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other.execute(INSERT, [REALM, "bob"]).unwrap();
    // Longer than two looks: the lock is met.
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(watched.watch.is_up());
    other.execute_batch("COMMIT").unwrap();
    watched.expect("+bob");
    assert_eq!(watched.log(), Vec::<String>::new());
}

#[test]
fn file_replaced_by_another_is_read_anew() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let next = watched.folder.path().join("next.db");
    put(&next, "bob");
    fs::rename(&next, &watched.path).unwrap();
    watched.expect("-alice");
    watched.expect("+bob");
    watched.put("carol");
    watched.expect("+carol");
    assert!(watched.watch.is_up());
}

#[test]
fn new_file_without_users_locks_nobody_out_and_is_said() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let next = watched.folder.path().join("next.db");
    drop(Database::open(&next).unwrap());
    fs::rename(&next, &watched.path).unwrap();
    watched.expect_log(&["has nobody in it: the 1 user and 0 secrets known before stay"]);
    assert!(watched.changes.try_recv().is_err(), "alice stays");
    watched.put("bob");
    watched.expect("-alice");
    watched.expect("+bob");
}

#[test]
fn start_and_each_change_are_said_with_counts() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let path = watched.path.to_str().unwrap();
    for line in [
        format!("user database {path}: 0 users and 0 secrets of realm `{REALM}`"),
        format!("user database {path}: 1 user and 0 secrets, there were 0 users and 0 secrets"),
    ] {
        wait_until(PATIENCE, || LOG.get().unwrap().text().contains(&line));
    }
}

#[test]
fn file_that_is_written_over_in_place_is_read_anew() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    // As many commits as the first has seen: SQLite's own counter is the same.
    let next = watched.folder.path().join("next.db");
    put(&next, "bob");
    fs::copy(&next, &watched.path).unwrap();
    watched.expect("-alice");
    watched.expect("+bob");
}

#[test]
fn file_that_is_deleted_takes_it_down_with_users_kept() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let aside = watched.folder.path().join("aside");
    fs::rename(&watched.path, &aside).unwrap();
    watched.wait_until_up_is(false);
    assert!(!watched.path.exists(), "a watch makes no file");
    put(&aside, "bob");
    fs::rename(&aside, &watched.path).unwrap();
    watched.expect("+bob");
    watched.wait_until_up_is(true);
    watched.expect_log(&["no such file", "is back"]);
}

#[test]
fn corrupt_header_takes_it_down_with_users_kept() {
    let watched = Watched::start();
    watched.put("alice");
    watched.expect("+alice");
    let good = fs::read(&watched.path).unwrap();
    for (damage, problem) in [
        (vec![b'x'; good.len()], "not a SQLite database"),
        (good.iter().take(700).copied().collect(), "damaged"),
        (Vec::new(), "no table turnusers_lt"),
    ] {
        fs::write(&watched.path, damage).unwrap();
        watched.wait_until_up_is(false);
        fs::write(&watched.path, &good).unwrap();
        watched.wait_until_up_is(true);
        watched.expect_log(&[problem, "is back"]);
    }
    assert!(watched.changes.try_recv().is_err(), "alice was never away");
}

#[test]
fn database_that_was_broken_at_the_start_is_told_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db");
    fs::write(&path, "not a database".repeat(100)).unwrap();
    let config = Config::embedded("guest", "password");
    let mut source = Source::new(&path, &config);
    source.realm = REALM.to_owned();
    let watched = Watched::of(folder, source);
    assert!(!watched.watch.is_up());
    fs::remove_file(&path).unwrap();
    put(&path, "alice");
    watched.expect("+alice");
    watched.wait_until_up_is(true);
    watched.expect_log(&["starting without the user database", "is back"]);
}

#[test]
fn malformed_rows_are_said_once_and_without_their_key() {
    const KEY: &str = "0123456789abcdef0123456789abcde!";
    let watched = Watched::start();
    let other = Connection::open(&watched.path).unwrap();
    other
        .execute(
            "INSERT INTO turnusers_lt VALUES (?1, 'mallory', ?2)",
            [REALM, KEY],
        )
        .unwrap();
    watched.put("alice");
    watched.expect("+alice");
    watched.put("bob");
    watched.expect("+bob");
    watched.expect_log(&["1 malformed row(s) in turnusers_lt are skipped (rowid 1)"]);
    assert!(!LOG.get().unwrap().text().contains(KEY));
}

#[test]
fn dropped_watch_ends_at_once_even_before_a_lock() {
    let watched = Watched::start();
    let other = Connection::open(&watched.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let Watched { watch, changes, .. } = watched;
    let began = Instant::now();
    drop(watch);
    // Its end of the channel went with its thread.
    assert!(changes.recv().is_err());
    assert!(began.elapsed() < Duration::from_millis(400));
}

#[test]
fn user_added_while_the_relay_runs_can_allocate_and_is_refused_when_removed() {
    const FOLLOWS_WITHIN: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db");
    let config = Config::parse(
        "realm = \"example.org\"\n[[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:0\"\n\
         [relay]\naddresses = [\"127.0.0.1\"]\n[auth]\nusers = { guest = \"password\" }",
    )
    .unwrap();
    put(&path, "before");
    let source = Source::new(&path, &config);
    let told = source.load_at_start().unwrap();
    let mut plan = Plan::new(config, &Host::look().unwrap(), 0).unwrap();
    plan.stored = told.clone().unwrap();
    let options = Options {
        pin: false,
        ..Options::default()
    };
    let relay = Arc::new(Relay::start(&plan, &options).unwrap());
    let follower = Arc::clone(&relay);
    let watch = Watch::start(source, told, move |change| {
        follower.orders().apply(&change);
    })
    .unwrap();
    let allocate = |name: &str| {
        let server = *relay.listeners().first().unwrap();
        let user = Some((name, "password"));
        Caller::allocate(server, user, AddressFamily::Ipv4, PATIENCE)
    };
    allocate("before").unwrap();
    assert!(matches!(allocate("alice"), Err(CallError::Failed(_))));
    put(&path, "alice");
    wait_until(FOLLOWS_WITHIN, || allocate("alice").is_ok());
    let mut database = Database::open(&path).unwrap();
    assert!(database.remove_user(REALM, "alice").unwrap());
    wait_until(FOLLOWS_WITHIN, || {
        matches!(allocate("alice"), Err(CallError::Failed(_)))
    });
    allocate("before").unwrap();
    drop(watch);
    assert!(relay.is_running());
}

const INSERT: &str = "INSERT INTO turnusers_lt VALUES (?1, ?2, '0123456789abcdef0123456789abcdef')";

/// A watch, and what it tells.
struct Watched {
    watch: Watch,
    changes: Receiver<CredentialChange>,
    path: PathBuf,
    folder: TempDir,
}

impl Watched {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Source {
            path: folder.path().join("turnpike.db"),
            realm: REALM.to_owned(),
            fixed: Fixed::default(),
        };
        Self::of(folder, source)
    }

    fn of(folder: TempDir, source: Source) -> Self {
        Log::listen();
        let path = source.path.clone();
        let (told, changes) = channel();
        let stored = source.load_at_start().unwrap();
        let watch = Watch::start(source, stored, move |change| {
            // A test that ends listens no more.
            let _unheard = told.send(change);
        })
        .unwrap();
        Self {
            watch,
            changes,
            path,
            folder,
        }
    }

    fn put(&self, name: &str) {
        put(&self.path, name);
    }

    /// Waits for the next change, which has to be this one.
    fn expect(&self, change: &str) {
        let told = match self.changes.recv_timeout(PATIENCE) {
            Ok(CredentialChange::PutUser(name, _)) => format!("+{name}"),
            Ok(CredentialChange::RemoveUser(name)) => format!("-{name}"),
            Ok(CredentialChange::AddSecret(secret)) => format!("+secret {}", secret.reveal()),
            Ok(CredentialChange::RemoveSecret(secret)) => format!("-secret {}", secret.reveal()),
            Err(error) => panic!("{change}: {error}"),
        };
        assert_eq!(told, change);
    }

    fn wait_until_up_is(&self, up: bool) {
        wait_until(PATIENCE, || self.watch.is_up() == up);
    }

    /// The lines logged of trouble with this database.
    fn log(&self) -> Vec<String> {
        let path = self.path.to_str().unwrap();
        let text = LOG.get().unwrap().text();
        let counts = format!("user database {path}");
        let lines = text.lines().filter(|line| line.contains(path));
        let trouble = lines.filter(|line| !line.contains(&counts));
        trouble.map(str::to_owned).collect()
    }

    /// The last lines have to be as many as are given, and say so.
    fn expect_log(&self, words: &[&str]) {
        // A line may follow the change it is about.
        wait_until(PATIENCE, || {
            let log = self.log();
            let last = log.iter().rev().zip(words.iter().rev());
            log.len() >= words.len() && last.into_iter().all(|(line, word)| line.contains(word))
        });
        let log = self.log();
        for word in words {
            let lines = log.iter().filter(|line| line.contains(word)).count();
            assert!(lines >= 1, "{word}: {log:?}");
        }
        assert_eq!(log.len() % words.len(), 0, "{log:?}");
    }
}

fn put(path: &Path, name: &str) {
    let mut database = Database::open(path).unwrap();
    let password = Secret::new("password");
    database.put_user(REALM, name, &password).unwrap();
}

fn stored(path: &Path) -> StoredCredentials {
    let database = Database::open(path).unwrap();
    let reading = database.credentials(REALM, &Fixed::default()).unwrap();
    assert!(reading.skipped.is_nothing());
    reading.credentials
}

/// coturn's own tool. It logs to a file wherever it runs, which is removed.
fn turnadmin(database: &Path, arguments: &[&str]) -> String {
    let output = Command::new("turnadmin")
        .args(arguments)
        .arg("-b")
        .arg(database)
        .output()
        .unwrap_or_else(|error| panic!("turnadmin: {error}; `make test` installs coturn"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for line in text.lines() {
        if let Some((_, file)) = line.split_once("log file opened: ") {
            fs::remove_file(file).unwrap();
        }
    }
    text
}

fn wait_until(at_most: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + at_most;
    while !is_so() {
        assert!(Instant::now() < until, "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Everything that this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() {
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        });
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
