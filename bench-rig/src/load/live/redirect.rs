//! The ceiling of every relay in the kernel: frames get new Ethernet addresses and leave through the
//! other device of the relay host. Nothing is looked up, nothing is rewritten.

use super::super::LoadError;
use super::programs::{Programs, refused};
use crate::netns::bench::{BenchHosts, CLIENT_DEVICE, Mac};

/// Two programs on the relay host's devices, taken off when this is dropped.
#[derive(Debug)]
pub struct Redirect {
    _ways: Vec<Programs>,
}

/// Joins the client and the peer wire: what comes in on one leaves on the other, UDP only. Where
/// hosts have one wire, what comes in goes back.
///
/// # Errors
/// When the programs were not built (the error names the command), or the kernel refuses them.
pub fn attach(hosts: &BenchHosts) -> Result<Redirect, LoadError> {
    let peers = hosts.relay_peer_device();
    let to_peers = (peers, [hosts.peer_mac(), hosts.relay_peer_mac()]);
    let mut ways = vec![way(hosts, CLIENT_DEVICE, to_peers)?];
    if peers != CLIENT_DEVICE {
        let to_clients = (
            CLIENT_DEVICE,
            [hosts.client_mac(), hosts.relay_client_mac()],
        );
        ways.push(way(hosts, peers, to_clients)?);
    }
    Ok(Redirect { _ways: ways })
}

fn way(
    hosts: &BenchHosts,
    device: &str,
    (out, [to, from]): (&str, [Mac; 2]),
) -> Result<Programs, LoadError> {
    let relay = &hosts.hosts.relay;
    let mut programs = Programs::load(0, 0)?;
    let [[t0, t1, t2, t3, t4, t5], [f0, f1, f2, f3, f4, f5]] = [to, from];
    let addresses = [t0, t1, t2, t3, t4, t5, f0, f1, f2, f3, f4, f5];
    programs.program("redirect")?;
    programs
        .array::<[u8; 12]>("ADDRESSES")?
        .set(0, addresses, 0)
        .map_err(refused("writing Ethernet addresses"))?;
    programs.send_out_of(0, relay, out)?;
    programs.attach("redirect", relay, device)?;
    Ok(programs)
}
