//! `turnpike why CLIENT PEER`

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use turnpike_dataplane::inspect::{Running, Way};

use super::Failure;
use super::doctor::plan;
use crate::clock;
use crate::doctor::Wanted;

/// What `why` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The client's transport address, as the relay sees it
    client: SocketAddr,
    /// The peer's transport address
    peer: SocketAddr,
    /// The configuration file that the relay was started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object: {"running":true,"ways":[{"to_peer":{"lane":"xdp",...},...}]}
    #[arg(long)]
    json: bool,
}

pub(super) const LONG_ABOUT: &str = "Say which lane the packets between a client and a peer take \
    through the relay that runs on this host, and why.\n\n\
    The lane is `xdp` (relayed in the kernel), `socket` (relayed by the process) or `none` (dropped). \
    It looks into the tables of the programs that are on this host's devices, for which it must be \
    root. Exit status 1 when no relay with a fast path runs here, or the client has no allocation \
    there; then its packets, if it has one, go through sockets.";

pub(super) const EXAMPLES: &str = "Examples:\n  \
    sudo turnpike why 198.51.100.7:40000 203.0.113.9:5000\n  \
    sudo turnpike why '[2001:db8::7]:40000' 203.0.113.9:5000 --json | jq '.ways[].to_peer.lane'";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let wanted = Wanted::of(&plan(args.config.as_deref())?);
    let running = Running::on(&wanted.devices)?;
    let now = clock::now().as_nanos();
    let ways = running
        .as_ref()
        .map(|running| running.ways(args.client, args.peer, now));
    let mut out = io::stdout().lock();
    if args.json {
        let shown = ways.as_deref().unwrap_or(&[]).iter().map(shown);
        let answer = json!({
            "running": ways.is_some(),
            "ways": shown.collect::<Vec<_>>(),
        });
        writeln!(out, "{answer}")?;
    } else {
        write_text(&mut out, ways.as_deref())?;
    }
    Ok(match ways.is_some_and(|ways| !ways.is_empty()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn shown(way: &Way) -> Value {
    let direction = |why: turnpike_dataplane::inspect::Why| json!({ "lane": why.lane(), "reason": why.reason() });
    json!({
        "server": way.server,
        "relayed": way.relayed,
        "channel": way.channel,
        "to_peer": direction(way.to_peer),
        "to_client": direction(way.to_client),
    })
}

fn write_text(out: &mut impl Write, ways: Option<&[Way]>) -> io::Result<()> {
    let Some(ways) = ways else {
        return writeln!(
            out,
            "no relay with a fast path runs here: packets go through sockets; `turnpike doctor` says \
             what is missing"
        );
    };
    if ways.is_empty() {
        return writeln!(
            out,
            "no allocation of this client is in the kernel: if it has one, over TCP or TLS, its \
             packets go through sockets"
        );
    }
    for way in ways {
        write!(out, "{} relays for it from {}", way.server, way.relayed)?;
        match way.channel {
            Some(number) => writeln!(out, ", channel 0x{number:04x}")?,
            None => writeln!(out)?,
        }
        for (name, why) in [("to peer", way.to_peer), ("to client", way.to_client)] {
            writeln!(out, "  {name:<10} {:<7} {}", why.lane(), why.reason())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use turnpike_dataplane::inspect::Why;

    #[test]
    fn each_direction_has_its_lane_and_reason() {
        let way = Way {
            server: "192.0.2.1:3478".parse().unwrap(),
            relayed: "192.0.2.1:50000".parse().unwrap(),
            channel: Some(0x4001),
            to_peer: Why::Channel,
            to_client: Why::NoNextHop,
        };
        let mut text = Vec::new();
        write_text(&mut text, Some(&[way])).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("channel 0x4001\n  to peer    xdp     a channel"),
            "{text}"
        );
        assert!(text.contains("to client  socket  the next hop"), "{text}");
        assert_eq!(shown(&way)["to_client"]["lane"], "socket");
    }

    #[test]
    fn nothing_found_is_said() {
        for (ways, said) in [(None, "doctor"), (Some([].as_slice()), "sockets")] {
            let mut text = Vec::new();
            write_text(&mut text, ways).unwrap();
            assert!(String::from_utf8(text).unwrap().contains(said));
        }
    }
}
