//! What is printed at the start: addresses, URIs, and the line for a browser.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use turnpike_turn::RelayAddress;
use turnpike_types::{AddressFamily, ServerAddr};

use crate::probe::{ProbeError, Proof};
use crate::relay::Plan;

/// A generated user.
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) password: String,
}

pub(super) fn print(
    out: &mut impl Write,
    plan: &Plan,
    listeners: &[ServerAddr],
    guest: Option<&Guest>,
) -> io::Result<()> {
    writeln!(out, "turnpike {}", env!("CARGO_PKG_VERSION"))?;
    for server in listeners {
        writeln!(out, "  listening  udp {server}")?;
    }
    let ports = &plan.config.relay.ports;
    for own in &plan.relay {
        write!(
            out,
            "  relaying   {} ports {}-{}",
            own.ip,
            ports.start(),
            ports.end()
        )?;
        match own.external {
            Some(external) => writeln!(out, ", known outside as {external}")?,
            None => writeln!(out)?,
        }
    }
    writeln!(out)?;
    for address in reachable(plan, listeners) {
        writeln!(out, "  {}", uri(address))?;
    }
    match guest {
        Some(guest) => {
            writeln!(out, "  user       {}", guest.name)?;
            writeln!(out, "  password   {}  (new at each start)", guest.password)?;
            writeln!(out, "\nFor a browser: new RTCPeerConnection(THE NEXT LINE)")?;
            writeln!(out, "{}\n", ice_servers(plan, listeners, guest))
        }
        None if plan.config.anonymous => {
            writeln!(
                out,
                "  no credentials are asked for: anybody may relay through this host\n"
            )
        }
        None => writeln!(out, "  credentials are those of the configuration\n"),
    }
}

pub(super) fn print_proof(
    out: &mut impl Write,
    results: &[Result<Proof, ProbeError>],
) -> io::Result<()> {
    for result in results {
        match result {
            Ok(proof) => writeln!(
                out,
                "self-test PASS  udp {}: two {} allocations relayed to each other in {:.1} ms",
                proof.server,
                family_name(proof.relayed),
                proof.took.as_secs_f64() * 1_000.0
            )?,
            Err(error) => {
                writeln!(out, "self-test FAIL  {error}")?;
                writeln!(out, "                {}", advice(error))?;
            }
        }
    }
    writeln!(out)
}

const fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}

fn advice(error: &ProbeError) -> &'static str {
    use crate::probe::CallError as Cause;
    match &error.cause {
        Cause::Silence(_) | Cause::Failed(turnpike_turn::client::Failure::TimedOut) => {
            "packets to this host's own addresses do not arrive: see `nft list ruleset` and \
             `ip route get` for a filter or a route in the way"
        }
        Cause::Failed(turnpike_turn::client::Failure::Refused(486)) => {
            "[limits] leave no room for two allocations of one user"
        }
        Cause::Failed(turnpike_turn::client::Failure::Refused(508)) => {
            "no relayed port could be opened: see `ulimit -n`, and [relay] addresses and ports"
        }
        _ => "run again with TURNPIKE_LOG=debug to see more",
    }
}

/// Where clients can go: all listeners but loopback, or loopback where there is nothing else; by
/// their outside where a NAT is named.
fn reachable(plan: &Plan, listeners: &[ServerAddr]) -> Vec<SocketAddr> {
    let outside = |ip: IpAddr| {
        let own = plan.relay.iter().find(|own| own.ip == ip);
        own.map_or(ip, RelayAddress::advertised)
    };
    let addresses = listeners
        .iter()
        .map(|it| SocketAddr::new(outside(it.ip()), it.port()));
    let (near, far): (Vec<_>, Vec<_>) = addresses.partition(|it| it.ip().is_loopback());
    if far.is_empty() { near } else { far }
}

/// What a browser is told: listeners on relay addresses, which the default route leads to, where
/// there are any. It would wait for each of the others in vain.
fn preferred(plan: &Plan, listeners: &[ServerAddr]) -> Vec<SocketAddr> {
    let reachable = reachable(plan, listeners);
    let is_relay = |it: &&SocketAddr| plan.relay.iter().any(|own| own.advertised() == it.ip());
    let on_relay: Vec<SocketAddr> = reachable.iter().filter(is_relay).copied().collect();
    if on_relay.is_empty() {
        reachable
    } else {
        on_relay
    }
}

/// RFC 7065
fn uri(address: SocketAddr) -> String {
    format!("turn:{address}?transport=udp")
}

/// The configuration object of `RTCPeerConnection`. Nothing in it needs escaping: name and
/// password are generated, and addresses hold neither quotes nor backslashes.
fn ice_servers(plan: &Plan, listeners: &[ServerAddr], guest: &Guest) -> String {
    let quoted = |address| format!("\"{}\"", uri(address));
    let urls: Vec<String> = preferred(plan, listeners).into_iter().map(quoted).collect();
    format!(
        "{{\"iceServers\":[{{\"urls\":[{}],\"username\":\"{}\",\"credential\":\"{}\"}}]}}",
        urls.join(","),
        guest.name,
        guest.password
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn plan() -> Plan {
        Plan {
            listen: Vec::new(),
            relay: vec![RelayAddress {
                ip: [10, 0, 0, 1].into(),
                external: Some([198, 51, 100, 7].into()),
            }],
            config: Config::embedded("u", "p"),
            stored: crate::database::StoredCredentials::default(),
        }
    }

    fn printed(listeners: &[&str]) -> String {
        let listeners: Vec<ServerAddr> = listeners
            .iter()
            .map(|it| ServerAddr(it.parse().unwrap()))
            .collect();
        let guest = Guest {
            name: "guest".to_owned(),
            password: "secret".to_owned(),
        };
        let mut out = Vec::new();
        print(&mut out, &plan(), &listeners, Some(&guest)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn browser_line_has_the_uri_user_and_password() {
        let text = printed(&["172.17.0.1:3478", "10.0.0.1:3478", "127.0.0.1:3478"]);
        let line = "{\"iceServers\":[{\"urls\":[\"turn:198.51.100.7:3478?transport=udp\"],\
                    \"username\":\"guest\",\"credential\":\"secret\"}]}";
        assert!(text.lines().any(|it| it == line), "{text}");
        assert!(
            text.contains("  turn:172.17.0.1:3478?transport=udp\n"),
            "{text}"
        );
    }

    #[test]
    fn listeners_beside_the_relay_addresses_are_named_when_there_are_no_others() {
        let text = printed(&["10.9.9.9:3478", "[fd00::5]:3478", "127.0.0.1:3478"]);
        let urls = "[\"turn:10.9.9.9:3478?transport=udp\",\"turn:[fd00::5]:3478?transport=udp\"]";
        assert!(text.contains(urls), "{text}");
    }

    #[test]
    fn loopback_is_named_when_there_is_nothing_else() {
        assert!(printed(&["127.0.0.1:3478"]).contains("turn:127.0.0.1:3478?transport=udp"));
    }
}
