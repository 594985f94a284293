//! Where usrsctp's programs are, and ours on its library.

use std::env;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's place for its examples.
const TSCTP: &str = "/usr/lib/usrsctp/tsctp";

/// Whether somebody gave a reason to go without.
pub(super) fn is_left_out() -> bool {
    match env::var("TURNPIKE_NO_USRSCTP") {
        Ok(reason) if !reason.is_empty() => {
            println!("usrsctp is left out: {reason}");
            true
        }
        _ => false,
    }
}

/// usrsctp's own test program.
pub(super) fn tsctp() -> PathBuf {
    let program = env::var_os("TURNPIKE_TSCTP").map_or_else(|| TSCTP.into(), PathBuf::from);
    assert!(
        program.exists(),
        "{} is missing: install libusrsctp-examples, or set TURNPIKE_TSCTP",
        program.display()
    );
    program
}

/// `peer.c`, compiled; each test of a run has a file of its own.
pub(super) fn peer() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strangers/usrsctp/peer.c");
    let name = format!("usrsctp-peer-{}", std::process::id());
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !program.exists() {
        let output = Command::new("cc")
            .args(["-O1", "-o"])
            .arg(&program)
            .arg(&source)
            .args(["-lusrsctp", "-lpthread"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "install libusrsctp-dev and a C compiler: {text}"
        );
    }
    program
}

/// A UDP port that nobody has just now.
pub(super) fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}
