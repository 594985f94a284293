//! What is printed at the start: addresses, URIs, and the line for a browser.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use turnpike_turn::RelayAddress;
use turnpike_types::{AddressFamily, Transport};

use super::setup::{Guest, Setup};
use crate::config::ListenConfig;
use crate::probe::{ProbeError, Proof};
use crate::relay::Plan;
use crate::tls::{self, Certificates};

/// What browsers reach the relay by; they take TLS only with a certificate that they trust.
const PLAIN: [Transport; 2] = [Transport::Udp, Transport::Tcp];

pub(super) fn print(
    out: &mut impl Write,
    plan: &Plan,
    listeners: &[ListenConfig],
    setup: &Setup,
    facts: &[(&str, String)],
) -> io::Result<()> {
    writeln!(out, "turnpike {}", env!("CARGO_PKG_VERSION"))?;
    for ListenConfig { transport, address } in listeners {
        writeln!(out, "  listening  {transport} {address}")?;
    }
    print_relays(out, plan)?;
    for (name, text) in facts {
        writeln!(out, "  {name:<10} {text}")?;
    }
    writeln!(out)?;
    for listener in reachable(plan, listeners) {
        writeln!(out, "  {}", uri(&listener))?;
    }
    print_if_alone(out, listeners)?;
    match &setup.guest {
        Some(guest) => print_guest(out, plan, listeners, guest)?,
        None if plan.config.anonymous => writeln!(
            out,
            "  no credentials are asked for: anybody may relay through this host\n"
        )?,
        None => writeln!(out, "  credentials are those of the configuration\n")?,
    }
    match &setup.certificates {
        Some(own) if setup.is_self_signed => print_own_certificate(out, plan, listeners, own),
        _ => Ok(()),
    }
}

/// An address of this host alone is all there is.
fn print_if_alone(out: &mut impl Write, listeners: &[ListenConfig]) -> io::Result<()> {
    if listeners.iter().any(|it| !it.address.ip().is_loopback()) {
        return Ok(());
    }
    writeln!(
        out,
        "  only programs on this host can reach that: connect it to a network and start again, or \
         name\n  an address that others reach under [[listen]]"
    )
}

fn print_relays(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let ports = &plan.config.relay.ports;
    for own in &plan.relay {
        let (first, last) = (ports.start(), ports.end());
        write!(out, "  relaying   {} ports {first}-{last}", own.ip)?;
        match own.external {
            Some(external) => writeln!(out, ", known outside as {external}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn print_guest(
    out: &mut impl Write,
    plan: &Plan,
    listeners: &[ListenConfig],
    guest: &Guest,
) -> io::Result<()> {
    writeln!(out, "  user       {}", guest.name)?;
    write!(out, "  password   {}  ", guest.password.reveal())?;
    match &guest.kept {
        Ok(file) => writeln!(out, "(kept in {})", file.display())?,
        Err(error) => writeln!(
            out,
            "(new at each start)\n  not kept   {error}; nor is the TLS certificate"
        )?,
    }
    writeln!(out, "\nFor a browser: new RTCPeerConnection(THE NEXT LINE)")?;
    writeln!(out, "{}\n", ice_servers(plan, listeners, guest))
}

/// What `turns:` needs.
fn print_own_certificate(
    out: &mut impl Write,
    plan: &Plan,
    listeners: &[ListenConfig],
    own: &Certificates,
) -> io::Result<()> {
    let urls = preferred(plan, listeners, &[Transport::Tls]);
    let Some(url) = urls.first().map(uri) else {
        return Ok(());
    };
    write!(
        out,
        "For {url} a browser needs a certificate that it trusts. "
    )?;
    let until = tls::date(own.expires_at());
    match own.files() {
        Some(files) => writeln!(
            out,
            "This one is self-signed\n(until {until}): other clients can be told to trust {}",
            files.certificate.display()
        )?,
        None => writeln!(out, "This one is self-signed\nand ends with the process")?,
    }
    writeln!(
        out,
        "To use one from a CA: [tls] certificate and key in a configuration file\n"
    )
}

pub(super) fn print_proof(
    out: &mut impl Write,
    results: &[Result<Proof, ProbeError>],
) -> io::Result<()> {
    for result in results {
        match result {
            Ok(proof) => writeln!(
                out,
                "self-test PASS  {} {}: two {} allocations relayed to each other in {:.1} ms",
                proof.listener.transport,
                proof.listener.address,
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
            "no relayed port could be opened: see `ulimit -n`, [relay] addresses and ports, and \
             [limits] allocations"
        }
        Cause::Socket(error) if error.kind() == io::ErrorKind::InvalidData => {
            "what answers there is not this relay's TLS: does another program have the port?"
        }
        _ => "run again with TURNPIKE_LOG=debug to see more",
    }
}

/// Where clients can go: all listeners but loopback, or loopback where there is nothing else; by
/// their outside where a NAT is named.
fn reachable(plan: &Plan, listeners: &[ListenConfig]) -> Vec<ListenConfig> {
    let outside = |ip: IpAddr| {
        let own = plan.relay.iter().find(|own| own.ip == ip);
        own.map_or(ip, RelayAddress::advertised)
    };
    let seen = listeners.iter().map(|it| ListenConfig {
        transport: it.transport,
        address: SocketAddr::new(outside(it.address.ip()), it.address.port()),
    });
    let (near, far): (Vec<_>, Vec<_>) = seen.partition(|it| it.address.ip().is_loopback());
    if far.is_empty() { near } else { far }
}

/// Listeners in the order in which clients would use them: on relay addresses, which the default
/// route leads to; then others; those of this host alone last.
pub(super) fn by_use(plan: &Plan, listeners: &[ListenConfig]) -> Vec<ListenConfig> {
    let rank = |it: &ListenConfig| {
        let ip = it.address.ip();
        let is_relay = plan.relay.iter().any(|own| own.ip == ip);
        (ip.is_loopback(), !is_relay)
    };
    let mut sorted = listeners.to_vec();
    sorted.sort_by_key(rank);
    sorted
}

/// What a client is told: listeners of these transports on relay addresses, which the default route
/// leads to, where there are any. It would wait for each of the others in vain.
fn preferred(
    plan: &Plan,
    listeners: &[ListenConfig],
    transports: &[Transport],
) -> Vec<ListenConfig> {
    let mut wanted = reachable(plan, listeners);
    wanted.retain(|it| transports.contains(&it.transport));
    let is_relay = |it: &&ListenConfig| {
        let ip = it.address.ip();
        plan.relay.iter().any(|own| own.advertised() == ip)
    };
    let on_relay: Vec<ListenConfig> = wanted.iter().filter(is_relay).copied().collect();
    if on_relay.is_empty() {
        wanted
    } else {
        on_relay
    }
}

/// RFC 7065
fn uri(listener: &ListenConfig) -> String {
    let address = listener.address;
    match listener.transport {
        Transport::Udp => format!("turn:{address}?transport=udp"),
        Transport::Tcp => format!("turn:{address}?transport=tcp"),
        Transport::Tls => format!("turns:{address}?transport=tcp"),
        Transport::Dtls => format!("turns:{address}?transport=udp"),
    }
}

/// The configuration object of `RTCPeerConnection`.
fn ice_servers(plan: &Plan, listeners: &[ListenConfig], guest: &Guest) -> String {
    let urls: Vec<String> = preferred(plan, listeners, &PLAIN).iter().map(uri).collect();
    let quoted = |text: &str| serde_json::Value::from(text);
    format!(
        "{{\"iceServers\":[{{\"urls\":{},\"username\":{},\"credential\":{}}}]}}",
        serde_json::Value::from(urls),
        quoted(&guest.name),
        quoted(guest.password.reveal())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Secret};
    use crate::state::StateError;

    fn plan() -> Plan {
        Plan {
            listen: Vec::new(),
            relay: vec![RelayAddress {
                ip: [10, 0, 0, 1].into(),
                external: Some([198, 51, 100, 7].into()),
            }],
            devices: Vec::new(),
            config: Config::embedded("u", "p"),
            stored: crate::database::StoredCredentials::default(),
        }
    }

    /// Listeners as `udp ADDRESS`, one a line.
    fn printed(listeners: &[&str], kept: Result<&str, StateError>) -> String {
        let listener = |text: &&str| {
            let (transport, address) = text.split_once(' ').unwrap();
            ListenConfig {
                transport: match transport {
                    "udp" => Transport::Udp,
                    "tcp" => Transport::Tcp,
                    "tls" => Transport::Tls,
                    other => panic!("{other}"),
                },
                address: address.parse().unwrap(),
            }
        };
        let listeners: Vec<ListenConfig> = listeners.iter().map(listener).collect();
        let setup = Setup {
            config: Config::embedded("u", "p"),
            guest: Some(Guest {
                name: "guest".to_owned(),
                password: Secret::new("sec\"ret"),
                kept: kept.map(Into::into),
            }),
            certificates: Some(tls::in_memory(&["10.0.0.1".to_owned()]).unwrap()),
            is_self_signed: true,
        };
        let mut out = Vec::new();
        let facts = [("rights", "none".to_owned())];
        print(&mut out, &plan(), &listeners, &setup, &facts).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn browser_line_has_the_plain_uris_user_and_password() {
        let text = printed(
            &[
                "udp 172.17.0.1:3478",
                "udp 10.0.0.1:3478",
                "udp 127.0.0.1:3478",
                "tcp 10.0.0.1:3478",
                "tls 10.0.0.1:5349",
            ],
            Ok("/state/user.toml"),
        );
        let line = "{\"iceServers\":[{\"urls\":[\"turn:198.51.100.7:3478?transport=udp\",\
                    \"turn:198.51.100.7:3478?transport=tcp\"],\
                    \"username\":\"guest\",\"credential\":\"sec\\\"ret\"}]}";
        assert!(text.lines().any(|it| it == line), "{text}");
        for uri in [
            "  turn:172.17.0.1:3478?transport=udp\n",
            "  turns:198.51.100.7:5349?transport=tcp\n",
            "For turns:198.51.100.7:5349?transport=tcp a browser needs a certificate",
            "(kept in /state/user.toml)",
            "  listening  tcp 10.0.0.1:3478\n",
        ] {
            assert!(text.contains(uri), "{uri}\n{text}");
        }
    }

    #[test]
    fn listeners_beside_the_relay_addresses_are_named_when_there_are_no_others() {
        let listeners = [
            "udp 10.9.9.9:3478",
            "udp [fd00::5]:3478",
            "udp 127.0.0.1:3478",
        ];
        let text = printed(&listeners, Ok("f"));
        let urls = "[\"turn:10.9.9.9:3478?transport=udp\",\"turn:[fd00::5]:3478?transport=udp\"]";
        assert!(text.contains(urls), "{text}");
    }

    #[test]
    fn proof_goes_where_clients_go_and_to_loopback_last() {
        let listeners = ["127.0.0.1:1", "172.17.0.1:1", "10.0.0.1:1"].map(|address| ListenConfig {
            transport: Transport::Udp,
            address: address.parse().unwrap(),
        });
        let [loopback, other, relay] = listeners;
        assert_eq!(by_use(&plan(), &listeners), [relay, other, loopback]);
    }

    #[test]
    fn relay_that_nobody_else_can_reach_says_so() {
        let alone = printed(&["udp 127.0.0.1:3478", "udp [::1]:3478"], Ok("f"));
        assert!(alone.contains("only programs on this host"), "{alone}");
        let open = printed(&["udp 127.0.0.1:3478", "udp 10.0.0.1:3478"], Ok("f"));
        assert!(!open.contains("only programs on this host"), "{open}");
    }

    #[test]
    fn loopback_is_named_when_there_is_nothing_else() {
        let text = printed(&["udp 127.0.0.1:3478"], Ok("f"));
        assert!(text.contains("turn:127.0.0.1:3478?transport=udp"), "{text}");
    }

    #[test]
    fn user_that_is_not_kept_is_said_with_the_reason() {
        let text = printed(&["udp 10.0.0.1:3478"], Err(StateError::Nowhere));
        assert!(text.contains("(new at each start)"), "{text}");
        assert!(text.contains("there is no home folder"), "{text}");
    }
}
