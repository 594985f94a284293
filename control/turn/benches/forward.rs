//! What one packet costs in the reference lane, in each direction and form, with few and with many
//! allocations. Allocations are visited in an order that defeats the processor's caches.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use turnpike_sim::SeededEntropy;
use turnpike_stun::{Class, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{Data, XorPeerAddress};
use turnpike_turn::forward::{Forwarder, ForwarderConfig, Verdict};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, ClientAddr, Entropy, Entry,
    FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, ServerAddr, Timestamp,
    Transport, UserId,
};

const PAYLOAD_LEN: usize = 160;
/// A second after the entries came in, so that their buckets are full.
const NOW: Timestamp = Timestamp::from_secs(1);
const END: Timestamp = Timestamp::from_secs(600);
const SIZES: [u32; 2] = [1_000, 100_000];

fn from_client(c: &mut Criterion) {
    let mut group = c.benchmark_group("from_client");
    for size in SIZES {
        let mut forwarder = filled(size);
        let channel_data = channel_data();
        group.bench_function(BenchmarkId::new("channel_data", size), |b| {
            let mut slots = Slots::new(size);
            b.iter(|| {
                let client = five_tuple(slots.draw());
                relayed(forwarder.from_client(NOW, &client, black_box(&channel_data)))
            });
        });
        let sends: Vec<Vec<u8>> = (0..size).map(send_indication).collect();
        group.bench_function(BenchmarkId::new("send_indication", size), |b| {
            let mut slots = Slots::new(size);
            b.iter(|| {
                let slot = slots.draw();
                let packet = sends
                    .get(slot as usize)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                relayed(forwarder.from_client(NOW, &five_tuple(slot), black_box(packet)))
            });
        });
    }
}

fn from_peer(c: &mut Criterion) {
    let mut group = c.benchmark_group("from_peer");
    for size in SIZES {
        let mut forwarder = filled(size);
        for (form, port) in [
            ("channel_data", CHANNEL_PORT),
            ("data_indication", OTHER_PORT),
        ] {
            group.bench_function(BenchmarkId::new(form, size), |b| {
                let mut slots = Slots::new(size);
                b.iter(|| {
                    let slot = slots.draw();
                    let peer = PeerAddr(SocketAddr::new(peer_ip(slot), port));
                    let verdict =
                        forwarder.from_peer(NOW, relayed_addr(slot), peer, black_box(PAYLOAD_LEN));
                    relayed(verdict)
                });
            });
        }
    }
}

/// Allocations with a permission and a channel each, every one of a user of its own, limited so
/// that the budgets are worked out but never used up.
fn filled(size: u32) -> Forwarder {
    let config = ForwarderConfig {
        entries_max: 3 * size as usize,
        services: Vec::new(),
        relay_map: Vec::new(),
        user_buckets: None,
    };
    let mut forwarder = Forwarder::new(config, &mut SeededEntropy::new(1));
    for slot in 0..size {
        for entry in entries(slot) {
            assert_eq!(
                forwarder.apply(Timestamp::ZERO, &Action::Install(entry)),
                Ok(())
            );
        }
    }
    forwarder
}

fn entries(slot: u32) -> [Entry; 3] {
    let allocation = AllocationId {
        slot,
        generation: 1,
    };
    let limit = RateLimit {
        packets_per_second: Some(u32::MAX),
        bytes_per_second: Some(u64::from(u32::MAX) * 1_000),
    };
    let (five_tuple, relayed) = (five_tuple(slot), relayed_addr(slot));
    let allocation_entry = AllocationEntry {
        allocation,
        five_tuple,
        relayed,
        user: UserId(slot),
        allocation_limit: limit,
        user_limit: limit,
        expires_at: END,
    };
    let permission_entry = PermissionEntry {
        allocation,
        relayed,
        wire_ip: peer_ip(slot),
        peer_ip: peer_ip(slot),
        ports: PortRule {
            min: 1_024,
            max: u16::MAX,
            guarded: false,
        },
        expires_at: END,
    };
    let channel_entry = ChannelEntry {
        allocation,
        five_tuple,
        relayed,
        number: NUMBER,
        wire_peer: PeerAddr(SocketAddr::new(peer_ip(slot), CHANNEL_PORT)),
        expires_at: END,
    };
    [
        Entry::Allocation(allocation_entry),
        Entry::Permission(permission_entry),
        Entry::Channel(channel_entry),
    ]
}

fn five_tuple(slot: u32) -> FiveTuple {
    let [_, high, middle, low] = slot.to_be_bytes();
    FiveTuple {
        client: ClientAddr(SocketAddr::from(([172, 16 + high, middle, low], 40_000))),
        server: ServerAddr(SocketAddr::from(([192, 0, 2, 1], 3_478))),
        transport: Transport::Udp,
    }
}

/// As many relay addresses as it takes.
fn relayed_addr(slot: u32) -> RelayedAddr {
    let [high, low] = [(slot / 10_000) as u8, 1];
    let port = 40_000 + (slot % 10_000) as u16;
    RelayedAddr(SocketAddr::from(([10, 0, high, low], port)))
}

fn peer_ip(slot: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xCB00_0000 | slot.wrapping_mul(2_654_435_761) >> 8).into()
}

fn channel_data() -> Vec<u8> {
    let header = [
        NUMBER.get().to_be_bytes(),
        (PAYLOAD_LEN as u16).to_be_bytes(),
    ];
    [header.as_flattened(), &[0; PAYLOAD_LEN]].concat()
}

fn send_indication(slot: u32) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let id = TransactionId(*b"twelve bytes");
    let mut builder = MessageBuilder::new(&mut bytes, Class::Indication, Method::SEND, id);
    let peer = SocketAddr::new(peer_ip(slot), OTHER_PORT);
    builder
        .attribute(&XorPeerAddress(peer))
        .attribute(&Data(&[0; PAYLOAD_LEN]));
    let len = builder.finish().unwrap_or(0);
    bytes.truncate(len);
    bytes
}

/// A packet that is dropped would make the figure a lie.
fn relayed(verdict: Verdict) -> Verdict {
    assert!(
        matches!(verdict, Verdict::ToPeer(_) | Verdict::ToClient(_)),
        "{verdict:?}"
    );
    verdict
}

/// Slots in an order without pattern.
struct Slots {
    dice: SeededEntropy,
    size: u32,
}

impl Slots {
    fn new(size: u32) -> Self {
        Self {
            dice: SeededEntropy::new(2),
            size,
        }
    }

    fn draw(&mut self) -> u32 {
        self.dice.below(self.size)
    }
}

const NUMBER: ChannelNumber = match ChannelNumber::new(0x4001) {
    Some(number) => number,
    None => unreachable!(),
};
const CHANNEL_PORT: u16 = 7_000;
const OTHER_PORT: u16 = 7_001;

criterion_group!(benches, from_client, from_peer);
criterion_main!(benches);
