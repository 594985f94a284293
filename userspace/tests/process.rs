//! The `turnpike` binary as a process: what it prints, how it stops, what it holds open.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use turnpike::probe::{CallError, Caller};
use turnpike_turn::client::Failure;
use turnpike_types::{AddressFamily, ServerAddr};

use support::{ONE_FAMILY, USER};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn sigterm_and_sigint_stop_it_with_a_summary_and_status_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut relay = Running::start("stop", ONE_FAMILY, None);
        assert!(relay.banner.contains("self-test PASS"), "{}", relay.banner);
        let caller = Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE);
        caller.unwrap().close().unwrap();
        let (status, rest) = relay.stop(signal);
        assert_eq!(status, Some(0));
        assert!(rest.contains(&format!("stopped    by {signal}")), "{rest}");
        assert!(rest.contains("served     1 allocation\n"), "{rest}");
    }
}

#[test]
fn first_signal_waits_for_the_last_allocation_and_ends_with_it() {
    let mut relay = Running::start("drain", ONE_FAMILY, None);
    let mut caller =
        Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE).unwrap();
    relay.signal(Signal::SIGTERM);
    let said = relay.line();
    assert!(said.starts_with("draining   1 allocation live"), "{said}");
    // What lives keeps working while it is waited for.
    caller.permit([127, 0, 0, 1].into()).unwrap();
    caller.close().unwrap();
    let (status, rest) = relay.wait();
    assert_eq!(status, Some(0));
    assert!(rest.contains("stopped    by SIGTERM\n"), "{rest}");
}

#[test]
fn allocations_that_a_failed_proof_leaves_do_not_hold_up_the_end() {
    // Room for one allocation: the second of the proof is refused.
    let config = format!("{ONE_FAMILY}[limits]\nallocations = 1\n[runtime]\nshards = 1\n");
    let mut relay = Running::start("leftover", &config, None);
    assert!(relay.banner.contains("self-test FAIL"), "{}", relay.banner);
    let (status, rest) = relay.stop(Signal::SIGINT);
    assert_eq!(status, Some(0));
    assert!(!rest.contains("draining"), "{rest}");
}

#[test]
fn second_signal_ends_what_the_first_waits_for() {
    let mut relay = Running::start("twice", ONE_FAMILY, None);
    let caller = Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE).unwrap();
    relay.signal(Signal::SIGTERM);
    let said = relay.line();
    assert!(said.starts_with("draining"), "{said}");
    let (status, rest) = relay.stop(Signal::SIGINT);
    assert_eq!(status, Some(0));
    assert!(rest.contains("stopped    by SIGTERM, at once\n"), "{rest}");
    drop(caller);
}

#[test]
fn sighup_stops_nothing() {
    let mut relay = Running::start("hup", ONE_FAMILY, None);
    relay.signal(Signal::SIGHUP);
    let caller = Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE).unwrap();
    caller.close().unwrap();
    let (status, rest) = relay.stop(Signal::SIGTERM);
    assert_eq!(status, Some(0));
    assert!(rest.contains("served     1 allocation\n"), "{rest}");
}

#[test]
fn configured_credentials_are_printed_nowhere() {
    let mut relay = Running::start(
        "secrets",
        &ONE_FAMILY.replace("password", "hunter2hunter2"),
        None,
    );
    let banner = std::mem::take(&mut relay.banner);
    let (_, rest) = relay.stop(Signal::SIGTERM);
    assert!(
        !format!("{banner}{rest}").contains("hunter2"),
        "{banner}{rest}"
    );
}

#[test]
fn descriptor_exhaustion_is_answered_with_508_and_recovers() {
    const DESCRIPTORS: u32 = 40;
    let mut relay = Running::start("descriptors", ONE_FAMILY, Some(DESCRIPTORS));
    wait_until("the self-test's sockets are closed", || {
        relay.relay_sockets() == 0
    });
    let before = relay.descriptors();
    let mut callers = Vec::new();
    let refused = loop {
        match Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE) {
            Ok(caller) => callers.push(caller),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, CallError::Failed(Failure::Refused(508))),
        "{refused:?}"
    );
    assert!(
        callers.len() > 10 && callers.len() < DESCRIPTORS as usize,
        "{}",
        callers.len()
    );
    callers.pop().unwrap().close().unwrap();
    let again = Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE).unwrap();
    again.close().unwrap();
    for caller in callers {
        caller.close().unwrap();
    }
    wait_until("all descriptors are back", || relay.descriptors() == before);
    assert_eq!(relay.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn log_that_nobody_reads_stalls_no_call() {
    const PIPE_BYTES: i32 = 4_096;
    const CALLS: usize = 100;
    let (mut unread, stderr) = std::io::pipe().unwrap();
    fcntl(&stderr, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).unwrap();
    let mut relay = Running::start_logging_to(stderr.into(), "unread", ONE_FAMILY, None);
    for _ in 0..CALLS {
        let caller = Caller::allocate(relay.server, Some(USER), AddressFamily::Ipv4, PATIENCE);
        caller.unwrap().close().unwrap();
    }
    let (status, rest) = relay.stop(Signal::SIGTERM);
    assert_eq!(status, Some(0));
    assert!(
        rest.contains(&format!("served     {CALLS} allocations")),
        "{rest}"
    );
    let mut log = Vec::new();
    unread.read_to_end(&mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    // A line that does not fit waits whole.
    assert!(log.len() > PIPE_BYTES as usize / 2, "{log}");
    assert!(log.matches("allocation created").count() < CALLS, "{log}");
}

#[test]
fn port_in_use_names_what_to_do() {
    let free = |port| UdpSocket::bind(("127.0.0.1", port)).ok();
    let taken = (21_000..22_000).find_map(free).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = config_file("in-use", &ONE_FAMILY.replace("127.0.0.1:0", &address));
    let config = file.0.to_str().unwrap();
    let output = turnpike(&["run", "--fast-path", "off", "--config", config]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&address) && stderr.contains("ss -ulpn"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn user_without_rights_runs_it_and_every_shard_has_a_core_to_itself() {
    const NOBODY: u32 = 65_534;
    // Where nobody may read it, unlike perhaps the folder it was built in.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("turnpike");
    fs::copy(env!("CARGO_BIN_EXE_turnpike"), &program).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = config_file("nobody", ONE_FAMILY);
    let mut command = Command::new(&program);
    command
        .args(["run", "--fast-path", "off", "--config"])
        .arg(&file.0);
    if nix::unistd::geteuid().is_root() {
        // Takes the other groups away, too.
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut relay = Running::of(command.stderr(Stdio::null()), file);
    assert!(relay.banner.contains("self-test PASS"), "{}", relay.banner);
    assert_eq!(relay.of_status("CapEff"), "0000000000000000");
    let mut cores = relay.cores_of_shards();
    let shards = std::thread::available_parallelism().unwrap().get();
    assert_eq!(cores.len(), shards, "{cores:?}");
    assert!(cores.iter().all(|core| core.parse::<u16>().is_ok()));
    cores.dedup();
    assert_eq!(cores.len(), shards, "{cores:?}");
    assert_eq!(relay.stop(Signal::SIGTERM).0, Some(0));
}

#[test]
fn check_says_good_or_shows_the_mistake() {
    let good = config_file("good", ONE_FAMILY);
    let output = turnpike(&["check", good.0.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains(": good"));
    let bad = config_file("bad", "anonymos = true\n");
    let output = turnpike(&["check", bad.0.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(":1:1: unknown key `anonymos`; did you mean `anonymous`?"),
        "{stderr}"
    );
}

fn turnpike(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(arguments)
        .output()
        .unwrap()
}

fn config_file(name: &str, text: &str) -> TemporaryFile {
    let name = format!("turnpike-{}-{name}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, text).unwrap();
    TemporaryFile(path)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `/proc` says of a process or thread under a name.
fn status_of(folder: &Path, name: &str) -> String {
    let status = fs::read_to_string(folder.join("status")).unwrap();
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(its, _)| *its == name);
    found.unwrap().1.trim().to_owned()
}

struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // A file that stays in the temporary folder fails no test.
        let _left_behind = fs::remove_file(&self.0);
    }
}

/// A relay in a process of its own, past its self-test.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    banner: String,
    server: ServerAddr,
    _config: TemporaryFile,
}

impl Running {
    fn start(name: &str, config: &str, descriptors: Option<u32>) -> Self {
        // As on a full disk: a log that cannot be written must end nothing.
        let stderr = fs::File::create("/dev/full").unwrap();
        Self::start_logging_to(stderr.into(), name, config, descriptors)
    }

    fn start_logging_to(stderr: Stdio, name: &str, config: &str, descriptors: Option<u32>) -> Self {
        let file = config_file(name, config);
        let limit = descriptors.map_or(String::new(), |count| format!("ulimit -n {count}; "));
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limit}exec \"$0\" run --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_turnpike"))
            .arg(&file.0)
            .env("TURNPIKE_LOG", "debug")
            .stderr(stderr);
        Self::of(&mut command, file)
    }

    fn of(command: &mut Command, file: TemporaryFile) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("self-test") {
            assert_ne!(
                stdout.read_line(&mut banner).unwrap(),
                0,
                "it ended: {banner}"
            );
        }
        let listening = banner
            .lines()
            .find_map(|line| line.trim().strip_prefix("listening  udp "));
        let server: SocketAddr = listening.unwrap().parse().unwrap();
        Self {
            child,
            stdout,
            banner,
            server: ServerAddr(server),
            _config: file,
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// What `/proc` says of the process under a name.
    fn of_status(&self, name: &str) -> String {
        status_of(&PathBuf::from(format!("/proc/{}", self.child.id())), name)
    }

    /// The cores that each shard's thread may run on, in order.
    fn cores_of_shards(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let tasks = tasks.map(|task| task.unwrap().path());
        let shards = tasks.filter(|task| status_of(task, "Name").starts_with("shard-"));
        let mut cores: Vec<String> = shards
            .map(|shard| status_of(&shard, "Cpus_allowed_list"))
            .collect();
        cores.sort();
        cores
    }

    /// The next line that is not empty.
    fn line(&mut self) -> String {
        let mut line = String::new();
        while line.trim().is_empty() {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "it ended");
        }
        line
    }

    fn stop(&mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        self.wait()
    }

    fn wait(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// UDP sockets on relayed ports in the process's network namespace.
    fn relay_sockets(&self) -> usize {
        let table = fs::read_to_string(format!("/proc/{}/net/udp", self.child.id())).unwrap();
        let inodes: Vec<String> = fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|target| {
                let target = target
                    .to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?;
                Some(target.to_owned())
            })
            .collect();
        table
            .lines()
            .filter(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                let is_own = columns
                    .get(9)
                    .is_some_and(|inode| inodes.iter().any(|it| it == inode));
                let port = columns
                    .get(1)
                    .and_then(|local| local.split_once(':'))
                    .map(|it| it.1);
                let port = port.and_then(|port| u16::from_str_radix(port, 16).ok());
                is_own && port.is_some_and(|port| port != self.server.port())
            })
            .count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}
