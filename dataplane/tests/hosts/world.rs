//! A host for the calling thread, and neighbours of it. They end with the test.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread;

use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::sched::{CloneFlags, setns, unshare};

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// Moves the calling thread to a host of its own, with nothing on it but the loopback. Threads and
/// programs that it starts from then on are there too.
pub(crate) fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect("tests of the data plane need root");
    ip("link set lo up");
}

/// A host at the other end of a wire.
pub(crate) struct Neighbour {
    holder: Child,
}

impl Neighbour {
    /// Lays a wire from `device` here to `eth0` there, both without addresses and up.
    pub(crate) fn behind(device: &str) -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux's unshare");
        await_echo(&mut holder);
        let neighbour = Self { holder };
        neighbour.wire(device, "eth0");
        neighbour
    }

    /// Lays one more wire, to `far` there.
    pub(crate) fn wire(&self, device: &str, far: &str) {
        let id = self.holder.id();
        ip(&format!(
            "link add {device} type veth peer name {far} netns {id}"
        ));
        ip(&format!("link set {device} up"));
        self.ip(&format!("link set {far} up"));
    }

    /// Makes an end a machine's until the returned value is dropped: it sends whole checksums, and takes
    /// what programs send to it, for which a veth needs a program.
    pub(crate) fn is_a_machine(&self, far: &str) -> Ebpf {
        self.run("ethtool", &format!("-K {far} tx off"));
        let object = PROGRAMS.unwrap_or_else(|missing| panic!("{missing}"));
        let mut programs = EbpfLoader::new().load(object).unwrap();
        let pass: &mut Xdp = programs.program_mut("pass").unwrap().try_into().unwrap();
        pass.load().unwrap();
        self.enter(|| pass.attach(far, XdpMode::Driver).unwrap());
        programs
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &str) {
        self.run("ip", arguments);
    }

    /// Runs a program there.
    pub(crate) fn run(&self, program: &str, arguments: &str) {
        let target = format!("--target={}", self.holder.id());
        run("nsenter", &[&target, "--net", program], arguments);
    }

    /// Does something there, on a thread of its own. Sockets that it makes stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let host = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let there = move || {
            setns(host, CloneFlags::CLONE_NEWNET).expect("tests of the data plane need root");
            work()
        };
        thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    /// The Ethernet address of its end.
    pub(crate) fn address(&self) -> [u8; 6] {
        let target = format!("--target={}", self.holder.id());
        let shown = Command::new("nsenter")
            .args([&target, "--net", "ip", "-o", "link", "show", "eth0"])
            .output();
        address_in(&String::from_utf8(shown.unwrap().stdout).unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// The namespace is there when the program in it runs.
fn await_echo(holder: &mut Child) {
    use std::io::{Read, Write};
    holder.stdin.as_mut().unwrap().write_all(b"?").unwrap();
    let mut echo = [0];
    let said = holder.stdout.as_mut().unwrap().read_exact(&mut echo);
    said.expect("tests of the data plane need root");
}

/// Runs `ip` on the calling thread's host.
pub(crate) fn ip(arguments: &str) {
    run("ip", &[], arguments);
}

/// The Ethernet address of a device here.
pub(crate) fn address_of(device: &str) -> [u8; 6] {
    let shown = Command::new("ip")
        .args(["-o", "link", "show", device])
        .output();
    address_in(&String::from_utf8(shown.unwrap().stdout).unwrap())
}

/// The index of a device here.
pub(crate) fn index_of(device: &str) -> u32 {
    nix::net::if_::if_nametoindex(device).unwrap()
}

fn address_in(shown: &str) -> [u8; 6] {
    let (_, after) = shown.split_once("link/ether ").unwrap();
    let text = after.split_whitespace().next().unwrap();
    let bytes: Vec<u8> = text
        .split(':')
        .map(|it| u8::from_str_radix(it, 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

fn run(program: &str, before: &[&str], arguments: &str) {
    let output = Command::new(program)
        .args(before)
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {said}");
}
