//! A forwarder with one client on it, and the words to talk to it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use turnpike_sim::SeededEntropy;
use turnpike_stun::{Class, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{Data, XorPeerAddress};
use turnpike_turn::channel_data::ChannelData;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, ToClient, ToPeer, UserBuckets, Verdict};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, ClientAddr, CommandError,
    DropReason, Entry, FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr,
    ServerAddr, Timestamp, Transport, UserId,
};

pub(crate) const ID: AllocationId = AllocationId {
    slot: 0,
    generation: 1,
};
pub(crate) const RELAYED: &str = "10.0.0.5:50000";
pub(crate) const RELAYED_V6: &str = "[2001:db8::5]:50000";
pub(crate) const EXTERNAL_IP: &str = "198.51.100.5";
pub(crate) const PEER: &str = "203.0.113.9:7000";
pub(crate) const PEER_V6: &str = "[2001:db8:9::9]:7000";
pub(crate) const SERVICE: &str = "203.0.113.9:5432";
pub(crate) const NUMBER: u16 = 0x4001;
pub(crate) const NOW: Timestamp = Timestamp::from_secs(10);
pub(crate) const END: Timestamp = Timestamp::from_secs(600);

pub(crate) struct World {
    pub(crate) forwarder: Forwarder,
    pub(crate) now: Timestamp,
    pub(crate) client: FiveTuple,
}

impl World {
    pub(crate) fn empty(entries_max: usize) -> Self {
        Self::sharing(entries_max, None)
    }

    pub(crate) fn sharing(entries_max: usize, user_buckets: Option<Arc<UserBuckets>>) -> Self {
        let config = ForwarderConfig {
            entries_max,
            services: vec![addr(SERVICE), addr("0.0.0.0:50080")],
            relay_map: relay_map(),
            user_buckets,
        };
        Self {
            forwarder: Forwarder::new(config, &mut SeededEntropy::new(7)),
            now: NOW,
            client: five_tuple(1, Transport::Udp),
        }
    }

    /// One dual allocation, [`ID`], of a UDP client.
    pub(crate) fn new() -> Self {
        Self::with_transport(Transport::Udp)
    }

    pub(crate) fn with_transport(transport: Transport) -> Self {
        let mut world = Self::empty(100);
        world.client = five_tuple(1, transport);
        for relayed in [RELAYED, RELAYED_V6] {
            let entry = AllocationEntry {
                five_tuple: world.client,
                ..allocation(ID, 1, relayed)
            };
            world.install(Entry::Allocation(entry)).unwrap();
        }
        world
    }

    pub(crate) fn permit(mut self, peer_ip: &str) -> Self {
        self.install(Entry::Permission(permission(ID, peer_ip)))
            .unwrap();
        self
    }

    pub(crate) fn bind(mut self, number: u16, peer: &str) -> Self {
        let entry = ChannelEntry {
            five_tuple: self.client,
            ..channel(ID, number, peer)
        };
        self.install(Entry::Channel(entry)).unwrap();
        self
    }

    pub(crate) fn install(&mut self, entry: Entry) -> Result<(), CommandError> {
        self.forwarder.apply(self.now, &Action::Install(entry))
    }

    pub(crate) fn client_sends(&mut self, packet: &[u8]) -> Verdict {
        self.forwarder.from_client(self.now, &self.client, packet)
    }

    pub(crate) fn peer_sends(&mut self, relayed: &str, peer: &str, payload_len: usize) -> Verdict {
        let (relayed, peer) = (RelayedAddr(addr(relayed)), PeerAddr(addr(peer)));
        self.forwarder
            .from_peer(self.now, relayed, peer, payload_len)
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn relay_map() -> Vec<RelayAddress> {
    vec![
        RelayAddress {
            ip: addr(RELAYED).ip(),
            external: Some(ip(EXTERNAL_IP)),
        },
        RelayAddress {
            ip: addr(RELAYED_V6).ip(),
            external: None,
        },
    ]
}

pub(crate) fn five_tuple(client: u16, transport: Transport) -> FiveTuple {
    FiveTuple {
        client: ClientAddr(SocketAddr::new(ip("192.0.2.1"), 40_000 + client)),
        server: ServerAddr(addr("10.0.0.5:3478")),
        transport,
    }
}

pub(crate) fn allocation(id: AllocationId, client: u16, relayed: &str) -> AllocationEntry {
    AllocationEntry {
        allocation: id,
        five_tuple: five_tuple(client, Transport::Udp),
        relayed: RelayedAddr(addr(relayed)),
        user: UserId(1),
        allocation_limit: RateLimit::UNLIMITED,
        user_limit: RateLimit::UNLIMITED,
        expires_at: END,
    }
}

/// From the relayed address of the peer's family, as the engine does it.
pub(crate) fn relayed_for(peer_ip: IpAddr) -> RelayedAddr {
    RelayedAddr(addr(if peer_ip.is_ipv4() {
        RELAYED
    } else {
        RELAYED_V6
    }))
}

pub(crate) fn permission(id: AllocationId, peer_ip: &str) -> PermissionEntry {
    let peer_ip = ip(peer_ip);
    let wire_ip = turnpike_turn::wire_ip(&relay_map(), peer_ip);
    PermissionEntry {
        allocation: id,
        relayed: relayed_for(wire_ip),
        wire_ip,
        peer_ip,
        ports: PortRule {
            min: 1_024,
            max: u16::MAX,
            guarded: true,
        },
        expires_at: END,
    }
}

pub(crate) fn channel(id: AllocationId, number: u16, wire_peer: &str) -> ChannelEntry {
    ChannelEntry {
        allocation: id,
        five_tuple: five_tuple(1, Transport::Udp),
        relayed: relayed_for(addr(wire_peer).ip()),
        number: ChannelNumber::new(number).unwrap(),
        wire_peer: PeerAddr(addr(wire_peer)),
        expires_at: END,
    }
}

pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    [&number.to_be_bytes(), &len.to_be_bytes(), payload].concat()
}

pub(crate) fn send_indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    indication(Method::SEND, |builder| {
        builder
            .attribute(&XorPeerAddress(addr(peer)))
            .attribute(&Data(payload));
    })
}

pub(crate) fn indication(method: Method, add: impl Fn(&mut MessageBuilder<'_>)) -> Vec<u8> {
    message(Class::Indication, method, add)
}

pub(crate) fn message(
    class: Class,
    method: Method,
    add: impl Fn(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let mut bytes = vec![0; 70_000];
    let id = TransactionId(*b"twelve bytes");
    let mut builder = MessageBuilder::new(&mut bytes, class, method, id);
    add(&mut builder);
    let len = builder.finish().unwrap();
    bytes.truncate(len);
    bytes
}

pub(crate) fn to_peer(verdict: Verdict) -> ToPeer {
    match verdict {
        Verdict::ToPeer(forward) => forward,
        other => panic!("not for a peer: {other:?}"),
    }
}

pub(crate) fn to_client(verdict: Verdict) -> ToClient {
    match verdict {
        Verdict::ToClient(forward) => forward,
        other => panic!("not for a client: {other:?}"),
    }
}

pub(crate) const fn dropped(reason: DropReason) -> Verdict {
    Verdict::Drop(reason)
}

/// What a client reads of what a lane sends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    ChannelData(u16, Vec<u8>),
    DataIndication(SocketAddr, Vec<u8>),
}

/// The whole message as on the wire, checked to be well formed, and taken apart.
pub(crate) fn read(forward: &ToClient, payload: &[u8]) -> Read {
    let padding = vec![0; forward.padding];
    let wire = [forward.prefix.as_slice(), payload, &padding].concat();
    if wire[0] & 0xC0 == 0x40 {
        let parsed = ChannelData::parse(&wire).unwrap();
        if forward.five_tuple.transport.is_stream() {
            assert!(wire.len().is_multiple_of(4));
        } else {
            assert_eq!(wire.len(), parsed.payload.end);
        }
        return Read::ChannelData(parsed.number.get(), wire[parsed.payload].to_vec());
    }
    let parsed = Message::parse(&wire).unwrap();
    assert_eq!(
        (parsed.class(), parsed.method()),
        (Class::Indication, Method::DATA)
    );
    assert_eq!(parsed.attributes().count(), 2);
    let XorPeerAddress(peer) = parsed.get().unwrap().unwrap();
    let Data(data) = parsed.get().unwrap().unwrap();
    Read::DataIndication(peer, data.to_vec())
}
