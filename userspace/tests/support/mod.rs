//! What the tests of a relay on loopback begin with: configurations, a plan, the program itself.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses a part of it; a panic is the failure report"
)]

use std::process::Command;

use turnpike::config::Config;
use turnpike::host::Host;
use turnpike::relay::{Options, Plan};

/// The user of [`ONE_FAMILY`] and [`BOTH_FAMILIES`].
pub const USER: (&str, &str) = ("alice", "password");

/// A UDP listener on IPv4, and a user.
pub const ONE_FAMILY: &str = r#"
[[listen]]
transport = "udp"
address = "127.0.0.1:0"
[relay]
addresses = ["127.0.0.1"]
[auth]
users = { alice = "password" }
"#;

/// UDP listeners of both families, a user, and leave to reach peers on loopback.
pub const BOTH_FAMILIES: &str = r#"
realm = "example.org"
[[listen]]
transport = "udp"
address = "127.0.0.1:0"
[[listen]]
transport = "udp"
address = "[::1]:0"
[relay]
addresses = ["127.0.0.1", "::1"]
[auth]
users = { alice = "password" }
[peers]
allow = ["127.0.0.0/8", "::1"]
"#;

/// A UDP listener on IPv4 that asks for no credentials; a user's rate is limited, and never reached.
pub const ANYBODY: &str = r#"
anonymous = true
[[listen]]
transport = "udp"
address = "127.0.0.1:0"
[relay]
addresses = ["127.0.0.1"]
[peers]
allow = ["127.0.0.0/8"]
[limits]
allocations_per_user = 1000
user_packets_per_second = 100000000
"#;

/// What a relay of this configuration is made of.
pub fn plan(text: &str) -> Plan {
    Plan::new(Config::parse(text).unwrap(), &Host::look().unwrap(), 0).unwrap()
}

/// Without a core for each shard: the tests of a program run side by side.
pub fn options() -> Options {
    Options {
        pin: false,
        ..Options::default()
    }
}

/// `turnpike run`, which leaves the network devices of this host alone.
pub fn run(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(["run", "--fast-path", "off"]).args(arguments);
    command
}
