//! A host for the calling thread, and neighbours of it. They end with the test.

use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, unshare};

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
        let id = neighbour.holder.id();
        ip(&format!(
            "link add {device} type veth peer name eth0 netns {id}"
        ));
        ip(&format!("link set {device} up"));
        neighbour.ip("link set eth0 up");
        neighbour
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &str) {
        let target = format!("--target={}", self.holder.id());
        run("nsenter", &[&target, "--net", "ip"], arguments);
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
