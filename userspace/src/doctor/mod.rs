//! What of this host the fast path needs, looked at one by one: what was found, what it means, and the
//! command that changes it.
//!
//! It looks and changes nothing: the programs are tried out on no device, and no device is touched. What
//! only a start can tell, a start tells.
//!
//! Bounded: some files of a few bytes, two runs of `ethtool` a device, one run of the programs.

mod device;
mod network;
mod rights;
mod system;

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Value, json};
use turnpike_dataplane::inspect::Running;
use turnpike_dataplane::proof;

use crate::relay::Plan;

/// How good something is for the fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// It works, but not as well, or not for all packets.
    Warn,
    /// There is no fast path with it.
    Fail,
}

impl Verdict {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub subject: String,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What it means, unless it is as it should be.
    pub why: Option<String>,
    /// The command that changes it, where there is one.
    pub cure: Option<String>,
}

impl Finding {
    fn pass(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            verdict: Verdict::Pass,
            found: found.into(),
            why: None,
            cure: None,
        }
    }

    fn but(self, verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            verdict,
            why: Some(why.into()),
            ..self
        }
    }

    fn cured_by(self, command: impl Into<String>) -> Self {
        Self {
            cure: Some(command.into()),
            ..self
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "subject": self.subject,
            "verdict": self.verdict.name(),
            "found": self.found,
            "why": self.why,
            "cure": self.cure,
        })
    }
}

/// What the relay would use.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Devices that packets come and leave by.
    pub devices: Vec<String>,
    /// Whether somebody named them.
    pub are_named: bool,
    /// Whether the kernel may run the programs where a driver cannot.
    pub generic: bool,
    /// Relayed ports.
    pub relay_ports: RangeInclusive<u16>,
}

impl Wanted {
    /// What a relay with this plan would use.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let fast_path = &plan.config.fast_path;
        let are_named = !fast_path.interfaces.is_empty();
        Self {
            devices: if are_named {
                fast_path.interfaces.clone()
            } else {
                plan.devices.clone()
            },
            are_named,
            generic: fast_path.generic,
            relay_ports: plan.config.relay.ports.clone(),
        }
    }
}

/// Looks at all of it.
#[must_use]
pub fn examine(wanted: &Wanted) -> Vec<Finding> {
    let mut findings = system::examine();
    let rights = rights::examine();
    if rights.iter().all(|right| right.verdict != Verdict::Fail) {
        findings.push(system::trial(proof::prove()));
        findings.extend(system::room(Running::on(&wanted.devices)));
    }
    findings.extend(rights);
    findings.extend(network::examine(wanted));
    if wanted.devices.is_empty() {
        let finding = Finding::pass("devices", "none");
        findings.push(finding.but(
            Verdict::Fail,
            "no address of the relay's is on a network device; name devices with \
                 fast_path.interfaces",
        ));
    }
    for name in &wanted.devices {
        findings.extend(device::examine(name, wanted));
    }
    findings
}

/// What a file of the kernel's says, without the end of the line; `None` where it cannot be read.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}
