//! Shards that do not start, and that end by themselves.
//!
//! The faults are the process's own: descriptors run out, or a ring's descriptor becomes another
//! file. So each test has the process to itself.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use turnpike::relay::{Options, Plan, Relay, StartError};

use support::{ONE_FAMILY, options, plan};

const PATIENCE: Duration = Duration::from_secs(5);

static ALONE: Mutex<()> = Mutex::new(());

fn start(plan: &Plan, shards: u16) -> Result<Relay, StartError> {
    let options = Options {
        shards: Some(shards),
        ..options()
    };
    Relay::start(plan, &options)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How many threads of shards there are; one that was joined is among them for a moment more.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("shard-")).count()
}

fn descriptors() -> Vec<(RawFd, String)> {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    let all = all.filter_map(|entry| {
        let entry = entry.unwrap();
        let target = fs::read_link(entry.path()).ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

#[test]
fn shard_that_cannot_start_is_named_and_those_before_it_are_gone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut plan = plan(ONE_FAMILY);
    let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
    plan.listen[0].address = bound.local_addr().unwrap();
    drop(bound);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let lowest = File::open("/dev/null").unwrap().as_raw_fd();
    let lowest = u64::try_from(lowest).unwrap();
    let mut failed = [0; 3];
    for more in 1..64 {
        setrlimit(Resource::RLIMIT_NOFILE, lowest + more, hard).unwrap();
        let result = start(&plan, 3);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        if let Err(error @ StartError::Shard { shard, .. }) = &result {
            failed[usize::from(*shard)] += 1;
            assert!(error.to_string().contains(&format!("shard {shard}")));
            wait_until("the threads are gone", || threads() == 0);
            // Whoever kept a socket would have the address still.
            let address = plan.listen[0].address;
            wait_until("the address is free", || UdpSocket::bind(address).is_ok());
        } else if let Ok(relay) = result {
            relay.stop().unwrap();
            break;
        }
    }
    assert!(failed.iter().all(|count| *count > 0), "{failed:?}");
    start(&plan, 3).unwrap().stop().unwrap();
}

#[test]
fn shard_that_ends_by_itself_is_missed_and_named_at_the_stop() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for victim in [0, 1] {
        let before = descriptors();
        let relay = start(&plan(ONE_FAMILY), 2).unwrap();
        assert!(relay.is_running());
        let is_ring = |it: &&(RawFd, String)| it.1.contains("io_uring") && !before.contains(it);
        let all = descriptors();
        let rings: Vec<_> = all.iter().filter(is_ring).collect();
        assert_eq!(rings.len(), 2, "one a shard: {all:?}");
        become_another_file(rings[victim].0);
        wait_until("it is missed", || {
            let _numbers = relay.fresh_snapshot();
            !relay.is_running()
        });
        let name = format!("shard {victim}");
        let error = relay.stop().unwrap_err().to_string();
        assert!(error.starts_with(&name), "{error}");
        wait_until("the threads are gone", || threads() == 0);
    }
}

/// Puts a file in the place of a descriptor of this process, which its owner then closes.
fn become_another_file(descriptor: RawFd) {
    nix::unistd::close(descriptor).unwrap();
    let mut held = Vec::new();
    loop {
        let file = File::open("/dev/null").unwrap();
        if file.as_raw_fd() == descriptor {
            let _its_owner_closes_it = file.into_raw_fd();
            return;
        }
        held.push(file);
        assert!(held.len() < 64, "its number is not free");
    }
}
