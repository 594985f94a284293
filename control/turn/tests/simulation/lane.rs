//! What the lane must answer, worked out from the list of entries alone.

use std::net::SocketAddr;

use turnpike_stun::{AttributeType, Fingerprint, Message};
use turnpike_turn::attribute::XorPeerAddress;
use turnpike_turn::forward::{ToClient, ToPeer, Verdict};
use turnpike_turn::{RelayAddress, advertised_ip, wire_ip};
use turnpike_types::{
    DropReason, Entry, EntryKey, FiveTuple, PeerAddr, PermissionEntry, RelayedAddr, Timestamp,
};

use crate::mirror::Mirror;
use crate::plan;
use crate::violation::{Checked, ensure, violated};

/// A packet on its way through the relay, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) five_tuple: FiveTuple,
    pub(crate) relayed: SocketAddr,
    /// As on the wire.
    pub(crate) peer: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

impl Mirror {
    /// Shows the lane a packet from a client and compares its verdict.
    pub(crate) fn show_from_client(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        bytes: &[u8],
        own: &[RelayAddress],
    ) -> Checked<(Verdict, Option<Passage>)> {
        let expected = self.expected_to_peer(now, five_tuple, bytes, own);
        let verdict = self.forwarder.from_client(now, five_tuple, bytes);
        match (&verdict, &expected) {
            (
                Verdict::ToPeer(ToPeer {
                    relayed,
                    peer,
                    payload,
                    ..
                }),
                Some(expected),
            ) => {
                let payload = bytes[payload.clone()].to_vec();
                let (relayed, peer) = (relayed.0, peer.0);
                let found = Passage {
                    five_tuple: *five_tuple,
                    relayed,
                    peer,
                    payload,
                };
                ensure!(
                    found == *expected,
                    LaneAgrees,
                    "{found:?} instead of {expected:?}"
                );
            }
            (Verdict::ToPeer(found), None) => {
                violated!(
                    PermissionBeforeForwarding,
                    "{five_tuple} reached {:?}",
                    found.peer
                )
            }
            (Verdict::Drop(reason), Some(expected)) if !is_about_rate(*reason) => {
                violated!(LaneAgrees, "{expected:?} dropped: {reason}")
            }
            (Verdict::Pass, Some(expected)) => {
                violated!(LaneAgrees, "{expected:?} passed on to the server")
            }
            (Verdict::ToClient(_), _) => violated!(LaneAgrees, "{five_tuple} sent to itself"),
            _ => {}
        }
        Ok((verdict, expected))
    }

    /// Shows the lane a datagram from a peer and compares its verdict; the message comes with it.
    pub(crate) fn show_from_peer(
        &mut self,
        now: Timestamp,
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
        own: &[RelayAddress],
    ) -> Checked<Option<(FiveTuple, Vec<u8>)>> {
        let expected = self.expected_to_client(now, relayed, peer);
        let verdict =
            self.forwarder
                .from_peer(now, RelayedAddr(relayed), PeerAddr(peer), payload.len());
        match (verdict, expected) {
            (Verdict::ToClient(found), Some((five_tuple, channel))) => {
                let to_whom = found.five_tuple;
                ensure!(
                    to_whom == five_tuple,
                    LaneAgrees,
                    "{to_whom}, not {five_tuple}"
                );
                let message = assemble(&found, payload);
                let known = SocketAddr::new(advertised_ip(own, peer.ip()), peer.port());
                check_message(&message, payload, channel, known)?;
                Ok(Some((five_tuple, message)))
            }
            (Verdict::ToClient(found), None) => {
                let to_whom = found.five_tuple;
                violated!(
                    PermissionBeforeForwarding,
                    "{peer} reached {to_whom} by {relayed}"
                )
            }
            (Verdict::Drop(reason), Some(_)) if !is_about_rate(reason) => {
                violated!(LaneAgrees, "from {peer} to {relayed} dropped: {reason}")
            }
            (Verdict::Drop(_), _) => Ok(None),
            (verdict, _) => violated!(LaneAgrees, "a peer's datagram became {verdict:?}"),
        }
    }

    fn expected_to_peer(
        &self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        bytes: &[u8],
        own: &[RelayAddress],
    ) -> Option<Passage> {
        let passage = |relayed: RelayedAddr, peer, payload: &[u8]| Passage {
            five_tuple: *five_tuple,
            relayed: relayed.0,
            peer,
            payload: payload.to_vec(),
        };
        if let [n0 @ 0x40..=0x4F, n1, l0, l1, rest @ ..] = bytes {
            let number = u16::from_be_bytes([*n0, *n1]);
            let payload = rest.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?;
            let channel = self.entries().find_map(|entry| match entry {
                Entry::Channel(it) => {
                    (it.number.get() == number && it.five_tuple == *five_tuple).then_some(it)
                }
                _ => None,
            })?;
            return (channel.expires_at > now)
                .then(|| passage(channel.relayed, channel.wire_peer.0, payload));
        }
        let [0x00, 0x16, ..] = bytes else { return None };
        let message = Message::parse(bytes).ok()?;
        let XorPeerAddress(peer) = message.get().ok()??;
        let payload = message.raw(AttributeType::DATA)?;
        let peer = SocketAddr::new(wire_ip(own, peer.ip()), peer.port());
        let permission = self.permission(|it| {
            it.wire_ip == peer.ip() && self.five_tuple(it.allocation) == Some(*five_tuple)
        })?;
        (is_sound(&message) && permission.expires_at > now && admits(permission, peer))
            .then(|| passage(permission.relayed, peer, payload))
    }

    /// Whom a peer's datagram reaches, and by which channel.
    fn expected_to_client(
        &self,
        now: Timestamp,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) -> Option<(FiveTuple, Option<u16>)> {
        let channel = self.entries().find_map(|entry| match entry {
            Entry::Channel(it) => {
                let is_it = it.relayed.0 == relayed && it.wire_peer.0 == peer;
                (is_it && it.expires_at > now).then_some(it)
            }
            _ => None,
        });
        if let Some(channel) = channel {
            return Some((channel.five_tuple, Some(channel.number.get())));
        }
        let permission =
            self.permission(|it| it.relayed.0 == relayed && it.wire_ip == peer.ip())?;
        let five_tuple = self.five_tuple(permission.allocation)?;
        (permission.expires_at > now && admits(permission, peer)).then_some((five_tuple, None))
    }

    fn permission(&self, is_it: impl Fn(&PermissionEntry) -> bool) -> Option<&PermissionEntry> {
        self.entries().find_map(|entry| match entry {
            Entry::Permission(it) => is_it(it).then_some(it),
            _ => None,
        })
    }

    /// The key of a permission's entry and of all channels to its peer.
    pub(crate) fn keys_to(&self, key: &EntryKey) -> Vec<(FiveTuple, EntryKey)> {
        let (id, peer_ip) = match key {
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => (*allocation, *wire_ip),
            EntryKey::Channel { allocation, .. } => {
                let Some(peer) = self.channel_peer(key) else {
                    return Vec::new();
                };
                (*allocation, peer.ip())
            }
            EntryKey::Allocation { .. } => return Vec::new(),
        };
        let Some(five_tuple) = self.five_tuple(id) else {
            return Vec::new();
        };
        let keys = self.entries().filter_map(|entry| match entry {
            Entry::Channel(it) if it.allocation == id && it.wire_peer.ip() == peer_ip => {
                Some(entry.key())
            }
            _ => None,
        });
        keys.map(|key| (five_tuple, key)).collect()
    }
}

/// Whether each attribute that must be understood is one of STUN's or TURN's own, and neither
/// DONT-FRAGMENT nor the fingerprint lies.
fn is_sound(message: &Message<'_>) -> bool {
    let mut attributes = message.attributes();
    let all_known =
        attributes.all(|it| !it.kind.is_comprehension_required() || KNOWN.contains(&it.kind.0));
    let dont_fragments = message.attributes();
    let mut dont_fragments = dont_fragments.filter(|it| it.kind == AttributeType::DONT_FRAGMENT);
    let are_empty = dont_fragments.all(|it| it.value.is_empty());
    all_known && are_empty && message.fingerprint() != Fingerprint::Invalid
}

/// RFC 8489 section 18.3 and RFC 8656 section 18.
const KNOWN: [u16; 21] = [
    0x01, 0x06, 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A,
    0x1C, 0x1D, 0x1E, 0x20, 0x22,
];

fn admits(permission: &PermissionEntry, peer: SocketAddr) -> bool {
    let rule = permission.ports;
    let is_service = rule.guarded
        && plan::services().iter().any(|service| {
            let any = service.ip().is_unspecified() && service.is_ipv4() == peer.is_ipv4();
            service.port() == peer.port() && (any || service.ip() == peer.ip())
        });
    (rule.min..=rule.max).contains(&peer.port()) && !is_service
}

const fn is_about_rate(reason: DropReason) -> bool {
    matches!(reason, DropReason::AllocationRate | DropReason::UserRate)
}

fn assemble(found: &ToClient, payload: &[u8]) -> Vec<u8> {
    let mut message = found.prefix.as_slice().to_vec();
    message.extend(payload);
    message.resize(message.len() + found.padding, 0);
    message
}

/// Whether the message carries the payload and names the peer as its client knows it.
fn check_message(
    message: &[u8],
    payload: &[u8],
    channel: Option<u16>,
    peer: SocketAddr,
) -> Checked {
    if let Some(number) = channel {
        let header = [number.to_be_bytes(), (payload.len() as u16).to_be_bytes()].concat();
        let is_it = message.starts_with(&header) && message[4..].starts_with(payload);
        ensure!(
            is_it,
            PayloadIntact,
            "channel {number:#x} carries {message:02x?}"
        );
        return Ok(());
    }
    let Ok(message) = Message::parse(message) else {
        violated!(
            PayloadIntact,
            "a Data indication that does not parse: {message:02x?}"
        );
    };
    let named = message.get::<XorPeerAddress>();
    let is_named = named == Ok(Some(XorPeerAddress(peer)));
    ensure!(
        is_named,
        PayloadIntact,
        "{named:?} in a Data indication from {peer}"
    );
    let carried = message.raw(AttributeType::DATA);
    ensure!(
        carried == Some(payload),
        PayloadIntact,
        "{carried:02x?}, not {payload:02x?}"
    );
    Ok(())
}
