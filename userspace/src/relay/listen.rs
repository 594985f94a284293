//! The sockets of all shards, opened before any of them starts.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use socket2::Socket;
use turnpike_turn::server::owner;
use turnpike_types::{AddressFamily, ServerAddr};

use super::{Plan, StartError};
use crate::config::ListenConfig;
use crate::shard::{self, IcmpSockets, Listener};

/// How often a port that is in use is tried again.
const BIND_TRIES: u32 = 10;

const BIND_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Opens every listener once a shard; the n-th item is what the n-th shard listens on.
pub(super) fn bind(
    listen: &[ListenConfig],
    shards: u16,
    steer: bool,
) -> Result<Vec<Vec<Listener>>, StartError> {
    let mut of_shards: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    for listen in listen {
        let address = listen.address;
        let failed = |source| StartError::Listen {
            listen: *listen,
            source,
        };
        let group = open_patiently(listen, shards, steer).map_err(failed)?;
        for (socket, listeners) in group.into_iter().zip(&mut of_shards) {
            let bound = socket.local_addr().map_err(failed)?;
            listeners.push(Listener {
                transport: listen.transport,
                server: ServerAddr(bound.as_socket().unwrap_or(address)),
                socket,
            });
        }
    }
    Ok(of_shards)
}

/// Opens a listener. The kernel takes the ring of a process that was killed apart, and with it the
/// listeners, some time after the process is gone: a port in use may be free in a moment.
fn open_patiently(listen: &ListenConfig, shards: u16, steer: bool) -> io::Result<Vec<Socket>> {
    let open = || {
        if listen.transport.is_stream() {
            shard::stream_listeners(listen.address, shards)
        } else {
            shard::open_listeners(listen.address, shards, steer)
        }
    };
    for _ in 0..BIND_TRIES {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(BIND_AGAIN_AFTER);
            }
            result => return result,
        }
    }
    open()
}

/// Raw ICMP sockets for the families relayed from, once a shard: each hears of its own relayed ports.
/// None without the right, which is said once.
pub(super) fn icmp_sockets(plan: &Plan, shards: u16) -> Vec<IcmpSockets> {
    let families = [AddressFamily::Ipv4, AddressFamily::Ipv6].into_iter();
    let families = families.filter(|family| {
        let is_of = |ip| AddressFamily::of(ip) == *family;
        plan.relay.iter().any(|own| is_of(&own.ip))
    });
    let families: Vec<_> = families.collect();
    let open = |shard| {
        let ports = own_ports(&plan.config.relay.ports, shards, shard);
        let open = |family: &AddressFamily| Ok((*family, shard::open_icmp(*family, &ports)?));
        families.iter().map(open).collect()
    };
    let of_shards: io::Result<Vec<IcmpSockets>> = (0..shards).map(open).collect();
    of_shards.unwrap_or_else(|error| {
        tracing::warn!(
            "clients will not hear of ICMP errors ({error}); the process needs CAP_NET_RAW for that"
        );
        (0..shards).map(|_| Vec::new()).collect()
    })
}

/// The run of relayed ports that a shard hands out.
fn own_ports(ports: &RangeInclusive<u16>, shards: u16, shard: u16) -> RangeInclusive<u16> {
    let is_own = |port: &u16| owner(ports, shards, *port) == Some(shard);
    let first = ports.clone().find(is_own);
    let last = ports.clone().rev().find(is_own);
    first.unwrap_or(u16::MAX)..=last.unwrap_or(0)
}
