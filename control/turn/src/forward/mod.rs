//! The reference lane (RFC 8656 sections 11 and 12): what happens to one packet.
//!
//! A [`Forwarder`] is built from an engine's commands alone and answers for each packet with a
//! [`Verdict`]; it sends nothing, keeps no packet and knows no request. The socket lane and the
//! simulator run it, and other lanes must agree with it.
//!
//! Bounded by [`ForwarderConfig::entries_max`]; nothing is allocated for a packet.

mod apply;
mod client_to_peer;
mod counters;
mod index;
mod peer_to_client;
mod prefix;
mod record;
mod slab;
mod table;
mod user_buckets;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Range;

use turnpike_types::{
    Action, AllocationId, CommandError, DropReason, Entropy, FiveTuple, Meter, PeerAddr,
    RelayedAddr, Timestamp,
};

use crate::{RelayAddress, services};
use prefix::TransactionIds;
use table::Table;

pub use counters::{ForwardCounters, Traffic};
pub use prefix::Prefix;
pub use user_buckets::UserBuckets;

/// What a [`Forwarder`] is made with.
#[derive(Clone, Debug)]
pub struct ForwarderConfig {
    /// How many relayed addresses, permissions and channels it holds together; allocation slots
    /// stay below it too.
    pub entries_max: usize,
    /// Our own transport addresses that no client may reach. An unspecified address stands for
    /// every one of `relay_map` of its family, and `::` for both families.
    pub services: Vec<SocketAddr>,
    /// The relay's addresses and what stands for them outside.
    pub relay_map: Vec<RelayAddress>,
    /// Users' token buckets, where lanes of several engines share them; those engines share a
    /// [`UserLedger`](crate::server::UserLedger). Without, it has its own.
    pub user_buckets: Option<Arc<UserBuckets>>,
}

/// Entries to relay by, and the counters of what was relayed.
#[derive(Debug)]
pub struct Forwarder {
    table: Table,
    services: Vec<SocketAddr>,
    /// Only those that a NAT 1:1 stands before: each Send indication looks through all of them.
    relay_map: Vec<RelayAddress>,
    transaction_ids: TransactionIds,
    counters: ForwardCounters,
    /// Another lane's buckets, in the place of those of the table.
    meter: Option<Arc<dyn Meter>>,
}

impl Forwarder {
    /// A forwarder that relays nothing yet.
    #[must_use]
    pub fn new(config: ForwarderConfig, entropy: &mut impl Entropy) -> Self {
        let services = services::expand(&config.services, &config.relay_map);
        let mut relay_map = config.relay_map;
        relay_map.retain(|own| own.external.is_some());
        Self {
            table: Table::new(config.entries_max, config.user_buckets, entropy),
            services,
            relay_map,
            transaction_ids: TransactionIds::new(entropy),
            counters: ForwardCounters::default(),
            meter: None,
        }
    }

    /// Has packets charged to limits that another lane keeps too.
    #[must_use]
    pub fn metered_by(self, meter: Arc<dyn Meter>) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
    }

    /// Carries a command out.
    ///
    /// An allocation's limits start empty. One that takes over a slot, a five-tuple or a relayed
    /// address ends what held it; revoking a relayed address ends all that hangs on it.
    ///
    /// # Errors
    ///
    /// [`CommandError::TableFull`] where there is no room, and [`CommandError::Absent`] for a
    /// refresh of what is not there and for a permission or channel whose allocation is not.
    pub fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        self.table.apply(now, action)
    }

    /// Decides on what a client sent: one datagram, or what the framer cut from a stream.
    pub fn from_client(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Verdict {
        self.counters.from_client += 1;
        match self.client_to_peer(now, five_tuple, packet) {
            Ok(Some(forward)) => {
                self.counters.to_peer += 1;
                Verdict::ToPeer(forward)
            }
            Ok(None) => {
                self.counters.passed += 1;
                Verdict::Pass
            }
            Err(reason) => self.refuse(reason),
        }
    }

    /// Decides on a datagram of `payload_len` bytes that came to a relayed address.
    pub fn from_peer(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        payload_len: usize,
    ) -> Verdict {
        self.counters.from_peer += 1;
        match self.peer_to_client(now, relayed, peer, payload_len) {
            Ok(forward) => {
                self.counters.to_client += 1;
                Verdict::ToClient(forward)
            }
            Err(reason) => self.refuse(reason),
        }
    }

    /// What an allocation relayed so far; `None` once it is revoked.
    #[must_use]
    pub fn traffic(&self, id: AllocationId) -> Option<Traffic> {
        self.table
            .records
            .allocation_of(id)
            .map(|allocation| allocation.traffic)
    }

    /// What was done with every packet.
    #[must_use]
    pub const fn counters(&self) -> &ForwardCounters {
        &self.counters
    }

    /// Charges one packet to an allocation and its user: both pay, or neither.
    fn charge(&mut self, now: Timestamp, slot: u32, bytes: usize) -> Result<(), DropReason> {
        let (allocation, user) = self
            .table
            .records
            .payers(slot)
            .ok_or(DropReason::NoAllocation)?;
        if let Some(meter) = &self.meter {
            let generation = allocation.generation;
            return meter.charge(AllocationId { slot, generation }, now, bytes);
        }
        let before = allocation.bucket;
        if !allocation.bucket.take(&allocation.limit, now, bytes) {
            return Err(DropReason::AllocationRate);
        }
        let may = match &self.table.user_buckets {
            Some(shared) => shared.take(user.id, &user.limit, now, bytes),
            None => user.bucket.take(&user.limit, now, bytes),
        };
        if !may {
            allocation.bucket = before;
            return Err(DropReason::UserRate);
        }
        Ok(())
    }

    fn refuse(&mut self, reason: DropReason) -> Verdict {
        self.counters.count_drop(reason);
        Verdict::Drop(reason)
    }
}

/// What to do with one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the payload to a peer.
    ToPeer(ToPeer),
    /// Send prefix, payload and padding to a client.
    ToClient(ToClient),
    /// Give the packet to the server: a request, or another STUN message.
    Pass,
    /// Forget the packet; it is counted.
    Drop(DropReason),
}

/// A datagram on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPeer {
    /// Whose it is.
    pub allocation: AllocationId,
    /// The address to send from.
    pub relayed: RelayedAddr,
    /// The address to send to, as on the wire.
    pub peer: PeerAddr,
    /// Where the payload lies in the client's packet.
    pub payload: Range<usize>,
    /// Whether the client asked for the DF bit (RFC 8656 section 18.9).
    pub dont_fragment: bool,
}

/// A message on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToClient {
    /// Whose it is.
    pub allocation: AllocationId,
    /// Where the client is, and how it is reached.
    pub five_tuple: FiveTuple,
    /// What goes before the payload.
    pub prefix: Prefix,
    /// How many zero bytes follow the payload.
    pub padding: usize,
}

/// The most that a UDP datagram carries over IPv4.
const DATAGRAM_MAX: usize = 65_507;
