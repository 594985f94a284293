//! The sockets of all shards, opened before any of them starts.

use std::io;
use std::time::Duration;

use socket2::Socket;
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

/// Raw ICMP sockets for the families relayed from, once a shard: each hears every error and answers
/// for its own relayed ports. None without the right, which is said once.
pub(super) fn icmp_sockets(plan: &Plan, shards: u16) -> Vec<IcmpSockets> {
    let families = [AddressFamily::Ipv4, AddressFamily::Ipv6].into_iter();
    let families = families.filter(|family| {
        let is_of = |ip| AddressFamily::of(ip) == *family;
        plan.relay.iter().any(|own| is_of(&own.ip))
    });
    let families: Vec<_> = families.collect();
    let open = |family: &AddressFamily| {
        let socket = shard::open_icmp(*family == AddressFamily::Ipv6)?;
        Ok((*family, socket))
    };
    let of_shards: io::Result<Vec<IcmpSockets>> = (0..shards)
        .map(|_| families.iter().map(open).collect())
        .collect();
    of_shards.unwrap_or_else(|error| {
        tracing::warn!(
            "clients will not hear of ICMP errors ({error}); the process needs CAP_NET_RAW for that"
        );
        (0..shards).map(|_| Vec::new()).collect()
    })
}
