//! What a good configuration will be regretted for on this host. The relay starts all the same.

use std::fs;
use std::ops::RangeInclusive;

use nix::sys::resource::{Resource, getrlimit};
use turnpike_turn::server;
use turnpike_types::Transport;

use crate::relay::Plan;

/// Below these many characters a shared secret may be guessed from one credential made with it.
const SECRET_CHARS_MIN: usize = 16;

/// What the kernel says of ports and descriptors.
pub(super) struct Kernel {
    /// Ports that it gives to other programs.
    local_ports: Option<RangeInclusive<u16>>,
    /// But for these.
    reserved: Vec<RangeInclusive<u16>>,
    /// The most that this user may have open.
    descriptors: u64,
}

impl Kernel {
    /// Looks; what cannot be read warns of nothing.
    pub(super) fn look() -> Self {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default()
        };
        Self {
            local_ports: range(&read("ip_local_port_range")),
            reserved: read("ip_local_reserved_ports")
                .split(',')
                .filter_map(range)
                .collect(),
            descriptors: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard),
        }
    }
}

/// Two ports with a blank or a dash between, or one port.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ports = text.trim().split(['-', ' ', '\t']).map(str::parse);
    let low = ports.next()?.ok()?;
    Some(low..=ports.next().unwrap_or(Ok(low)).ok()?)
}

/// Each in one sentence that says what to do.
pub(super) fn of(plan: &Plan, kernel: &Kernel) -> Vec<String> {
    [
        lifetimes(plan),
        short_secrets(plan),
        chosen_ports(plan),
        own_port(plan),
        shared_ports(plan, kernel),
        few_ports(plan),
        few_descriptors(plan, kernel),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn lifetimes(plan: &Plan) -> Option<String> {
    let limits = &plan.config.limits;
    (limits.lifetime? > limits.lifetime_max?).then(|| {
        "limits.lifetime is longer than limits.lifetime_max, which caps it; make them agree"
            .to_owned()
    })
}

fn short_secrets(plan: &Plan) -> Option<String> {
    let secrets = plan.config.auth.secrets.iter();
    let short = |it: &&_| length(it) < SECRET_CHARS_MIN;
    let count = secrets.filter(short).count();
    (count > 0).then(|| {
        format!(
            "{count} of auth.secrets shorter than {SECRET_CHARS_MIN} characters: whoever sees one \
             credential may guess it; `openssl rand -hex 32` makes a long one"
        )
    })
}

fn length(secret: &crate::config::Secret) -> usize {
    secret.reveal().chars().count()
}

fn chosen_ports(plan: &Plan) -> Option<String> {
    let listener = plan.listen.iter().find(|it| it.address.port() == 0)?;
    Some(format!(
        "listener {} {}: with port 0 the kernel chooses one, another at each start; write a port",
        listener.transport, listener.address
    ))
}

/// Where the file names a listener that is refused; here are those that were chosen.
fn own_port(plan: &Plan) -> Option<String> {
    let ports = &plan.config.relay.ports;
    let mut udp = plan
        .listen
        .iter()
        .filter(|it| it.transport == Transport::Udp);
    let listener = udp.find(|it| ports.contains(&it.address.port()))?;
    Some(format!(
        "relay.ports hold the listener's own port {}; begin them above it",
        listener.address.port()
    ))
}

fn shared_ports(plan: &Plan, kernel: &Kernel) -> Option<String> {
    let ports = &plan.config.relay.ports;
    let local = kernel.local_ports.clone()?;
    let is_reserved = |port: &u16| kernel.reserved.iter().any(|it| it.contains(port));
    let mut shared = ports
        .clone()
        .filter(|it| local.contains(it) && !is_reserved(it));
    let first = shared.next()?;
    let last = shared.next_back().unwrap_or(first);
    let (low, high) = (ports.start(), ports.end());
    Some(format!(
        "the kernel gives ports {first} to {last} of relay.ports to other programs too; `sysctl -w \
         net.ipv4.ip_local_reserved_ports={low}-{high}` keeps them for the relay"
    ))
}

fn few_ports(plan: &Plan) -> Option<String> {
    let asked = plan.config.limits.allocations? as usize;
    let room = room(plan);
    (room < asked).then(|| {
        format!(
            "limits.allocations is {asked}, and relay.ports on {} address(es) are enough for {room}",
            plan.relay.len()
        )
    })
}

fn few_descriptors(plan: &Plan, kernel: &Kernel) -> Option<String> {
    let limit = plan.config.limits.allocations.map(|it| it as usize);
    let limit = limit.unwrap_or_else(|| server::Limits::default().allocations);
    let wanted = limit.min(room(plan)) as u64;
    (kernel.descriptors < wanted).then(|| {
        format!(
            "this user may open {} files, and each of {wanted} allocations needs one; raise the \
             hard limit (`ulimit -Hn`, or LimitNOFILE= in a systemd unit)",
            kernel.descriptors
        )
    })
}

/// Relayed transport addresses that there are.
fn room(plan: &Plan) -> usize {
    plan.config
        .relay
        .ports
        .len()
        .saturating_mul(plan.relay.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::host::Host;

    const QUIET: &str = "[[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:3478\"\n\
                         [auth]\nsecrets = [\"0123456789abcdef\"]\n";

    fn kernel() -> Kernel {
        Kernel {
            local_ports: range("32768\t60999\n"),
            reserved: "49152-50000,50001-65535\n"
                .split(',')
                .filter_map(range)
                .collect(),
            descriptors: 1 << 20,
        }
    }

    fn warnings(text: &str, kernel: &Kernel) -> Vec<String> {
        let config = Config::parse(text).unwrap();
        of(
            &Plan::new(config, &Host::look().unwrap(), 3_478).unwrap(),
            kernel,
        )
    }

    #[test]
    fn sound_configuration_warns_of_nothing() {
        assert_eq!(warnings(QUIET, &kernel()), [""; 0]);
    }

    #[test]
    fn each_regret_is_said() {
        let mut bare = kernel();
        bare.reserved.clear();
        let mut narrow = kernel();
        narrow.descriptors = 1_024;
        let few = "[relay]\naddresses = [\"127.0.0.1\"]\nports = \"50000-50009\"\n";
        for (text, kernel, words) in [
            (
                format!("{QUIET}[limits]\nlifetime = \"2h\"\nlifetime_max = \"1h\""),
                kernel(),
                "limits.lifetime is longer",
            ),
            (
                QUIET.replace("0123456789", "0"),
                kernel(),
                "1 of auth.secrets",
            ),
            (QUIET.replace(":3478", ":0"), kernel(), "port 0"),
            (
                "anonymous = true\n[relay]\nports = \"1024-30000\"".to_owned(),
                kernel(),
                "own port 3478",
            ),
            (QUIET.to_owned(), bare, "ports 49152 to 60999"),
            (
                format!("{QUIET}{few}[limits]\nallocations = 11"),
                kernel(),
                "enough for 10",
            ),
            (QUIET.to_owned(), narrow, "may open 1024 files"),
        ] {
            let warnings = warnings(&text, &kernel);
            assert_eq!(warnings.len(), 1, "{words}: {warnings:?}");
            assert!(warnings[0].contains(words), "{words}: {warnings:?}");
        }
    }
}
