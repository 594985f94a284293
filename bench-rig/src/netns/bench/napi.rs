//! The threads that receive for a device, each on the core of the host whose device it is.
//!
//! A veth's receiver works in the softirq of whichever core sent, unless its NAPI has a thread
//! (`threaded` in sysfs, on a device with GRO or an XDP program). The thread is a kernel thread
//! `napi/DEVICE-ID`, seen from everywhere; the number is the machine's, the device's name that of
//! its namespace. Those that were there before ours are others'.
//!
//! The threads are of the first-in-first-out class, like the relay and the generator: others on the
//! machine cannot keep a core from them, and they do not take it from each other. They run as soon as
//! what runs on their core rests. Were it interrupted for them, in a virtual machine that would cost
//! sender and receiver tens of microseconds each time, more than the packets do. A network card does
//! not interrupt for each packet either.
//!
//! For the same reason a far end [polls](POLLED_EVERY) while packets come: a card takes a packet without
//! its driver having to wake somebody up.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::Command;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::super::ip::checked;
use super::{
    CLIENT_DEVICE, FAR_DEVICE, GENERATOR_CORE, Host, Hosts, NetnsError, PEER_DEVICE, RELAY_CORE,
};

/// The receiving threads of one set of hosts.
#[derive(Debug)]
pub(super) struct Napi {
    strangers: BTreeSet<u32>,
}

impl Napi {
    /// To be made before the first device has a thread.
    pub(super) fn new(_before: &Hosts) -> Result<Self, NetnsError> {
        let strangers = threads()?.into_iter().map(|thread| thread.pid).collect();
        Ok(Self { strangers })
    }

    /// Puts every thread where it belongs.
    pub(super) fn pin(&self) -> Result<(), NetnsError> {
        for (thread, core) in self.placed()? {
            pin(Some(thread.pid), core)?;
            never_wait_for_others(&thread, FIFO_PRIORITY)?;
        }
        Ok(())
    }

    /// Has the threads of the relay's devices go before the relay.
    pub(super) fn receive_first(&self) -> Result<(), NetnsError> {
        let placed = self.placed()?.into_iter();
        placed
            .filter(|(_, core)| *core == RELAY_CORE)
            .try_for_each(|(thread, _)| never_wait_for_others(&thread, FIFO_PRIORITY + 1))
    }

    /// Whether every thread is there and where it belongs.
    pub(super) fn check(&self) -> Result<(), NetnsError> {
        for (thread, core) in self.placed()? {
            if !is_pinned(thread.pid, core)? {
                return Err(NetnsError::broken(format!(
                    "the thread {} is not on core {core} alone",
                    thread.name
                )));
            }
            if !goes_first(thread.pid)? {
                return Err(NetnsError::broken(format!(
                    "the thread {} waits for others on its core",
                    thread.name
                )));
            }
        }
        Ok(())
    }

    /// The threads of the relay's devices.
    pub(super) fn relay_threads(&self) -> Result<Vec<u32>, NetnsError> {
        let placed = self.placed()?.into_iter();
        let relay = placed.filter(|(_, core)| *core == RELAY_CORE);
        Ok(relay.map(|(thread, _)| thread.pid).collect())
    }

    /// All threads, each with its core; an error when one is missing.
    fn placed(&self) -> Result<Vec<(Thread, usize)>, NetnsError> {
        let mut ours = threads()?;
        ours.retain(|thread| !self.strangers.contains(&thread.pid));
        for (device, wanted) in [(CLIENT_DEVICE, 1), (PEER_DEVICE, 1), (FAR_DEVICE, 2)] {
            let found = ours.iter().filter(|thread| thread.is_of(device)).count();
            if found != wanted {
                return Err(NetnsError::broken(format!(
                    "{found} threads receive for {device}, it should be {wanted}"
                )));
            }
        }
        let place = |thread: Thread| {
            let core = match thread.is_of(FAR_DEVICE) {
                true => GENERATOR_CORE,
                false => RELAY_CORE,
            };
            (thread, core)
        };
        Ok(ours.into_iter().map(place).collect())
    }
}

/// Whether a thread is of the first-in-first-out class.
fn goes_first(pid: u32) -> Result<bool, NetnsError> {
    let output = Command::new("chrt")
        .args(["--pid", &pid.to_string()])
        .output()
        .map_err(NetnsError::spawning("chrt"))?;
    checked(&format!("chrt --pid {pid}"), &output).map(|said| said.contains("SCHED_FIFO"))
}

/// Puts a thread into the class of the relay and of the generator.
fn never_wait_for_others(thread: &Thread, priority: i32) -> Result<(), NetnsError> {
    let (priority, pid) = (priority.to_string(), thread.pid.to_string());
    let args = ["--fifo", "--pid", &priority, &pid];
    let output = Command::new("chrt")
        .args(args)
        .output()
        .map_err(NetnsError::spawning("chrt"))?;
    checked(&format!("chrt {}", args.join(" ")), &output).map(drop)
}

/// The priority of all that is measured, and of what it is measured by.
pub const FIFO_PRIORITY: i32 = 1;

/// Gives a device's NAPI a thread, and a far end's its moderation.
pub(super) fn thread(host: &Host, device: &str) -> Result<(), NetnsError> {
    // Which namespace's devices /sys shows is settled when it is mounted.
    let mut script =
        format!("mount -t sysfs none /sys && cd /sys/class/net/{device} && echo 1 > threaded");
    if device == FAR_DEVICE {
        script += &format!(
            " && echo {POLLED_EVERY} > gro_flush_timeout && echo {POLLED_FOR} > napi_defer_hard_irqs"
        );
    }
    host.run("unshare", ["--mount", "sh", "-c", &script])
        .map(drop)
}

/// How often a far end looks for packets while there are some, nanoseconds.
const POLLED_EVERY: u32 = 50_000;

/// How often it looks in vain before it waits to be told.
const POLLED_FOR: u32 = 200;

/// Keeps the calling thread, and those it starts, on one core.
///
/// # Errors
/// When the machine has no such core.
pub fn pin_this_thread(core: usize) -> Result<(), NetnsError> {
    pin(None, core)
}

/// Refuses a machine on which generator and relay would share a core.
pub(super) fn two_cores() -> Result<(), NetnsError> {
    // Not this thread's own affinity: it may already be pinned to the generator's core.
    if fs::exists(format!("/sys/devices/system/cpu/cpu{RELAY_CORE}")).unwrap_or(false) {
        return Ok(());
    }
    Err(NetnsError::broken("measuring needs two cores"))
}

/// A kernel thread that receives for a device of that name in some namespace.
#[derive(Debug)]
struct Thread {
    pid: u32,
    name: String,
}

impl Thread {
    fn is_of(&self, device: &str) -> bool {
        let name = self.name.strip_prefix("napi/");
        name.and_then(|name| name.rsplit_once('-'))
            .is_some_and(|(name, _)| name == device)
    }
}

fn threads() -> Result<Vec<Thread>, NetnsError> {
    let entries = fs::read_dir("/proc").map_err(NetnsError::system("reading /proc"))?;
    let named = entries.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // A process may be gone by now.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let name = name.trim_end().to_owned();
        name.starts_with("napi/").then_some(Thread { pid, name })
    });
    Ok(named.collect())
}

fn pin(pid: Option<u32>, core: usize) -> Result<(), NetnsError> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(process(pid), &set)
        .map_err(|errno| NetnsError::system(format!("pinning to core {core}"))(errno.into()))
}

fn is_pinned(pid: u32, core: usize) -> Result<bool, NetnsError> {
    let set = sched_getaffinity(process(Some(pid)))
        .map_err(|errno| NetnsError::system("asking for an affinity")(io::Error::from(errno)))?;
    Ok(set.count() == 1 && set.is_set(core))
}

fn process(pid: Option<u32>) -> Option<Pid> {
    pid.and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw)
}
