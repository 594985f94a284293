//! What the server must hold, worked out from what clients can see: requests that reached it and
//! the responses that left it.
//!
//! It knows the server's configuration and nothing of its state. Time is the time the server was
//! given with each request.

mod allocated;
mod allocation;
mod grant;
mod held;
mod request;
mod response;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use turnpike_stun::{Message, Method, TransactionId};
use turnpike_turn::RelayAddress;
use turnpike_turn::server::{EndReason, Event, Lifetimes, Limits};
use turnpike_types::{AddressFamily, ChannelNumber, FiveTuple, Timestamp};

use crate::account::{Account, Registrar};
use crate::mirror::Held;
use crate::plan::{self, Plan};
use crate::violation::{Checked, ensure, violated};

/// Grants, and the requests that wait for their responses.
#[derive(Debug)]
pub(crate) struct Model {
    rules: Rules,
    registrar: Registrar,
    /// Peers that the policy denies beside those that are always denied.
    denied: BTreeSet<IpAddr>,
    redirecting: bool,
    waiting: VecDeque<Waiting>,
    allocations: BTreeMap<FiveTuple, Allocation>,
    reserved: BTreeMap<[u8; 8], Reserved>,
    /// Every relayed address that a client was ever told of, and which client.
    pub(crate) relayed_ever: BTreeMap<SocketAddr, Vec<FiveTuple>>,
    /// Five-tuples whose allocation the caller has ended.
    ended_by_order: BTreeSet<FiveTuple>,
    /// Promises that were not kept at once; excused if the allocation ends in the same drain.
    owed: Vec<Owed>,
    faults: u64,
    icmp_at: Timestamp,
    /// Grows with each change.
    pub(crate) version: u64,
}

/// The configuration, as far as clients can tell it.
#[derive(Debug)]
struct Rules {
    relay: Vec<RelayAddress>,
    ports: RangeInclusive<u16>,
    lifetimes: Lifetimes,
    limits: Limits,
    peers: BTreeSet<IpAddr>,
    /// What has ended may be counted for as long as a command stalls.
    stalls: bool,
}

#[derive(Debug)]
enum Waiting {
    Request(Request),
    Policy { denied: BTreeSet<IpAddr> },
}

/// A request, with what was true when it was handed over.
#[derive(Debug)]
struct Request {
    at: Timestamp,
    unix_seconds: u64,
    five_tuple: FiveTuple,
    method: Method,
    transaction_id: TransactionId,
    bytes: Vec<u8>,
    redirecting: bool,
    /// The allocation ended by this very request.
    released: bool,
}

#[derive(Clone, Debug)]
struct Allocation {
    transaction_id: TransactionId,
    identity: String,
    /// IPv4 first.
    relays: [Option<Relay>; 2],
    permissions: BTreeMap<IpAddr, Permission>,
    channels: BTreeMap<ChannelNumber, Channel>,
}

/// One relayed address, as bound.
#[derive(Clone, Copy, Debug)]
struct Relay {
    address: SocketAddr,
    ends_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ends_at: Timestamp,
    /// A command about it has failed since it was granted: it may be gone.
    is_certain: bool,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    ends_at: Timestamp,
    peer: SocketAddr,
    is_certain: bool,
}

/// A promise that the lane did not keep when the response left.
#[derive(Debug)]
struct Owed {
    five_tuple: FiveTuple,
    held: Held,
    end: Timestamp,
    found: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Reserved {
    address: SocketAddr,
    ends_at: Timestamp,
    identity: String,
    /// Its token was shown in vain: it may be used up.
    is_certain: bool,
}

impl Model {
    pub(crate) fn new(plan: &Plan) -> Self {
        let rules = Rules {
            relay: plan.relay.clone(),
            ports: plan.ports.clone(),
            lifetimes: plan.lifetimes,
            limits: plan.limits,
            peers: plan.peers.iter().copied().collect(),
            stalls: plan.faults.stall > turnpike_sim::Chance::NEVER,
        };
        Self {
            rules,
            registrar: Registrar::new(&plan.accounts),
            denied: BTreeSet::new(),
            redirecting: false,
            waiting: VecDeque::new(),
            allocations: BTreeMap::new(),
            reserved: BTreeMap::new(),
            relayed_ever: BTreeMap::new(),
            ended_by_order: BTreeSet::new(),
            owed: Vec::new(),
            faults: 0,
            icmp_at: Timestamp::ZERO,
            version: 0,
        }
    }

    /// The policy changed; what was granted before changes with it, in its turn.
    pub(crate) fn policy_changed(&mut self, denied: BTreeSet<IpAddr>) {
        self.waiting.push_back(Waiting::Policy { denied });
    }

    pub(crate) const fn redirect(&mut self, redirecting: bool) {
        self.redirecting = redirecting;
    }

    /// The caller ends whatever allocation is there.
    pub(crate) fn end_by_order(&mut self, five_tuple: FiveTuple) {
        self.ended_by_order.insert(five_tuple);
    }

    pub(crate) const fn icmp(&mut self, at: Timestamp) {
        self.icmp_at = at;
    }

    /// Checks an event against what clients know.
    pub(crate) fn event(&mut self, now: Timestamp, event: &Event) -> Checked {
        let Event::AllocationEnded {
            five_tuple, reason, ..
        } = event
        else {
            return Ok(());
        };
        self.version += 1;
        self.apply_policies();
        let Some(allocation) = self.allocations.remove(five_tuple) else {
            // Its Allocate request is still to be answered, or its success was never sent.
            return Ok(());
        };
        match reason {
            EndReason::Expired => {
                let ends_at = allocation.ends_at();
                ensure!(
                    ends_at <= now,
                    LivesItsTime,
                    "{five_tuple} expired before {ends_at}"
                );
            }
            EndReason::Released => {
                let released = self.released(five_tuple, &allocation);
                ensure!(
                    released,
                    LivesItsTime,
                    "{five_tuple} released, but not by its owner"
                );
            }
            EndReason::Disconnected | EndReason::Ordered => {
                let ordered = self.ended_by_order.contains(five_tuple);
                ensure!(ordered, LivesItsTime, "{five_tuple} ended without an order");
            }
            EndReason::Failed => {
                ensure!(
                    self.faults > 0,
                    LivesItsTime,
                    "{five_tuple} failed without a fault"
                );
            }
            reason => violated!(LivesItsTime, "{five_tuple} ended: {reason:?}"),
        }
        Ok(())
    }

    /// Checks after outputs are drained: nothing waits, and each promise was kept in the end.
    pub(crate) fn drained(&mut self) -> Checked {
        self.apply_policies();
        if let Some(Waiting::Request(request)) = self.waiting.front() {
            violated!(
                RepliesInOrder,
                "no response to {:?}",
                request.transaction_id
            );
        }
        for Owed {
            five_tuple,
            held,
            end,
            found,
        } in std::mem::take(&mut self.owed)
        {
            if !self.allocations.contains_key(&five_tuple) {
                continue;
            }
            match found {
                None => violated!(InstallBeforePromise, "{held:?} is promised, not installed"),
                Some(found) if found > end => {
                    violated!(
                        EntryHasGrant,
                        "{held:?} until {found}, promised until {end}"
                    )
                }
                Some(found) => {
                    violated!(
                        InstallBeforePromise,
                        "{held:?} until {found}, not until {end}"
                    )
                }
            }
        }
        let allocations = self.allocations.len();
        let most = self.rules.limits.allocations;
        // Some of these may have ended without anybody having been told.
        ensure!(
            allocations <= most * 4 + 64,
            MemoryBounded,
            "the model grows"
        );
        Ok(())
    }

    /// Whether the policy admits a peer, as on the wire or as the client names it.
    fn admits(&self, peer: IpAddr) -> bool {
        let is_own = |relay: &RelayAddress| relay.ip == peer || relay.external == Some(peer);
        if self.rules.relay.iter().any(is_own) {
            return true;
        }
        let is_listener = plan::listener(peer, turnpike_types::Transport::Udp).ip() == peer;
        (is_listener || self.rules.peers.contains(&peer)) && !self.denied.contains(&peer)
    }

    /// Whether the policy lets a port of an admitted peer through.
    fn admits_port(&self, peer: SocketAddr) -> bool {
        let is_own =
            |relay: &RelayAddress| relay.ip == peer.ip() || relay.external == Some(peer.ip());
        let is_relay = self.rules.relay.iter().any(is_own);
        let in_range = if is_relay {
            self.rules.ports.contains(&peer.port())
        } else {
            peer.port() >= 1_024
        };
        in_range && !plan::services().contains(&peer)
    }

    fn wire_ip(&self, peer: IpAddr) -> IpAddr {
        let relay = self
            .rules
            .relay
            .iter()
            .find(|relay| relay.external == Some(peer));
        relay.map_or(peer, |relay| relay.ip)
    }

    /// Takes up policy changes that come before the next response.
    fn apply_policies(&mut self) {
        while let Some(Waiting::Policy { .. }) = self.waiting.front() {
            let Some(Waiting::Policy { denied }) = self.waiting.pop_front() else {
                return;
            };
            self.denied = denied;
            self.version += 1;
            let mut cut = Vec::new();
            for (five_tuple, allocation) in &self.allocations {
                let channels = allocation
                    .channels
                    .values()
                    .map(|channel| channel.peer.ip());
                for wire_ip in allocation.permissions.keys().copied().chain(channels) {
                    if !self.admits(wire_ip) {
                        cut.push((*five_tuple, wire_ip));
                    }
                }
            }
            for (five_tuple, wire_ip) in cut {
                if let Some(allocation) = self.allocations.get_mut(&five_tuple) {
                    allocation.cut(wire_ip);
                }
            }
        }
    }
}

impl Waiting {
    const fn request_mut(&mut self) -> Option<&mut Request> {
        match self {
            Self::Request(request) => Some(request),
            Self::Policy { .. } => None,
        }
    }
}

impl Request {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }
}

const fn slot(family: AddressFamily) -> usize {
    match family {
        AddressFamily::Ipv4 => 0,
        AddressFamily::Ipv6 => 1,
    }
}

/// Whether a credential is good for a new allocation.
fn is_current(account: &Account, unix_seconds: u64) -> bool {
    account.expires_at.is_none_or(|end| end > unix_seconds)
}
