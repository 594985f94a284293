//! One socket a shard and family for all relayed ports: the `steer` program chooses it when the kernel
//! looks for the socket of a datagram.
//!
//! It is attached to the network namespace, beside programs of others. What it chooses from are sockets
//! of this process; when they close they leave the table by themselves.

use std::fs::File;
use std::os::fd::BorrowedFd;

use aya::maps::SockMap;
use aya::programs::{ProgramError, SkLookup};
use turnpike_abi::{Config, maps};
use turnpike_types::AddressFamily;

use super::{LoadError, Loaded, lacking};

/// The socket that a shard hears its relayed ports by.
#[derive(Clone, Copy, Debug)]
pub struct ShardSocket<'s> {
    /// Whose ports.
    pub shard: u16,
    /// Of which family.
    pub family: AddressFamily,
    /// A bound UDP socket.
    pub socket: BorrowedFd<'s>,
}

impl Loaded {
    /// Has the kernel give these sockets what comes to relayed ports, in the calling thread's network
    /// namespace.
    pub(crate) fn steer(&mut self, sockets: &[ShardSocket<'_>]) -> Result<(), LoadError> {
        let what = "steer relayed ports to sockets";
        let map = self.ebpf.map_mut(maps::SOCKETS).ok_or_else(lacking)?;
        let map = SockMap::try_from(map);
        let mut map = map.map_err(|error| LoadError::refused(what, &error))?;
        for ShardSocket {
            shard,
            family,
            socket,
        } in sockets
        {
            let place = Config::socket(u32::from(*shard), *family == AddressFamily::Ipv6);
            map.set(place, socket, 0)
                .map_err(|error| LoadError::refused(what, &error))?;
        }
        let program = self.ebpf.program_mut(maps::STEER).ok_or_else(lacking)?;
        let program: &mut SkLookup = program
            .try_into()
            .map_err(|error: ProgramError| LoadError::refused("find a program", &error))?;
        program
            .load()
            .map_err(|error| LoadError::refused("load the program that steers", &error))?;
        let here = File::open(NAMESPACE);
        let here = here.map_err(|error| LoadError::refused(what, &error))?;
        program
            .attach(here)
            .map_err(|error| LoadError::refused(what, &error))?;
        Ok(())
    }
}

/// The calling thread's, which need not be its process's.
const NAMESPACE: &str = "/proc/thread-self/ns/net";
