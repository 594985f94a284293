//! ICMP errors from the network (RFC 8656 section 11.5), passed on as Data indications.
//!
//! Only to an allocation that permits the peer, and only errors a client can make sense of. The
//! caller has looked into the ICMP payload and bounds how many come in a second.

use core::net::SocketAddr;

use turnpike_stun::TransactionId;
use turnpike_types::{AddressFamily, Entropy, PeerAddr, RelayedAddr, Timestamp};

use super::Server;
use super::output::{IcmpIndication, OUTPUTS_MAX, Queued};
use crate::attribute::Icmp;

/// An ICMP error about a datagram that the relay sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Source of the datagram: the relayed address, as bound on this host.
    pub relayed: RelayedAddr,
    /// Destination of the datagram, as on the wire; port 0 where it is not known.
    pub peer: PeerAddr,
    /// The ICMP or ICMPv6 type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The MTU of the next hop where the message has one, else zero.
    pub data: [u8; 4],
}

impl IcmpError {
    /// Types that RFC 8656 section 11.5 passes on.
    const fn is_relayed(&self) -> bool {
        match self.peer.family() {
            AddressFamily::Ipv4 => matches!(self.kind, 3 | 11),
            AddressFamily::Ipv6 => matches!(self.kind, 1..=3),
        }
    }
}

impl<E: Entropy> Server<E> {
    /// Takes an ICMP error; it becomes a Data indication if a live permission allows it.
    pub fn handle_icmp(&mut self, now: Timestamp, error: IcmpError) {
        self.advance(now);
        match self.icmp_indication(&error) {
            Some(indication) => self.outputs.push(Queued::Icmp(indication)),
            None => self.counters.icmp_dropped += 1,
        }
    }

    fn icmp_indication(&mut self, error: &IcmpError) -> Option<IcmpIndication> {
        if !error.is_relayed() || self.outputs.len() >= OUTPUTS_MAX {
            return None;
        }
        let id = self.allocations.id_of(self.relays.owner(error.relayed)?)?;
        let allocation = self.allocations.get(id)?;
        let permission = allocation.permission(error.peer.ip())?;
        if allocation.permission_end(permission) <= self.now {
            return None;
        }
        let peer = SocketAddr::new(self.known_ip(permission), error.peer.port());
        Some(IcmpIndication {
            five_tuple: allocation.five_tuple,
            peer: PeerAddr(peer),
            icmp: Icmp {
                kind: error.kind,
                code: error.code,
                data: error.data,
            },
            transaction_id: TransactionId::random(&mut self.entropy),
        })
    }
}
