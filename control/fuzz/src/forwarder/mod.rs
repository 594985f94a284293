//! The reference lane (RFC 8656 sections 11 and 12) against a naive model of it.
//!
//! The input is a row of steps: commands, packets from clients and from peers, and time. After each
//! step the forwarder must have said what the model says, and have counted every packet once.

mod model;

use turnpike_stun::{Class, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{Data, DontFragment, XorPeerAddress};
use turnpike_turn::channel_data::ChannelData;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, ToClient, Verdict};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, DropReason, Entry, EntryKey, FiveTuple,
    PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, Timestamp, UserId,
};

use crate::addresses::{self, PORTS, RELAY_V4, RELAY_V6, SERVER_V4};
use crate::choices::Choices;
use crate::entropy::Seeded;
use crate::naive_stun::{self, NaiveMessage};
use model::{Expected, Model};

/// Plays the steps on both.
pub fn forwarder(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut pair = Pair::new(choices.byte());
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        pair.step(&mut choices);
        pair.check_counters();
    }
}

/// The forwarder and what it should be.
struct Pair {
    forwarder: Forwarder,
    model: Model,
    now: Timestamp,
}

impl Pair {
    fn new(choice: u8) -> Self {
        let entries_max = [4, 8, 64][usize::from(choice % 3)];
        let services = vec![SERVER_V4];
        let config = ForwarderConfig {
            entries_max,
            services: services.clone(),
            relay_map: addresses::relay_addresses(),
            user_buckets: None,
        };
        Self {
            forwarder: Forwarder::new(config, &mut Seeded(u64::from(choice))),
            model: Model::new(entries_max),
            now: Timestamp::from_secs(1),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0..=2 => self.apply(&Action::Install(Entry::Allocation(allocation(
                choices, self.now,
            )))),
            3 | 4 => self.apply(&Action::Install(Entry::Permission(permission(
                choices, self.now,
            )))),
            5 | 6 => self.apply(&Action::Install(Entry::Channel(channel(choices, self.now)))),
            7 => {
                let (key, expires_at) = (key(choices), end(choices, self.now));
                self.apply(&Action::Refresh { key, expires_at });
            }
            8 => self.apply(&Action::Revoke(key(choices))),
            9 => {
                let five_tuple = addresses::five_tuple(choices.byte());
                let packet = channel_data(choices);
                self.client_sent(&five_tuple, &packet);
            }
            10 | 11 => {
                let five_tuple = addresses::five_tuple(choices.byte());
                let packet = send_indication(choices);
                self.client_sent(&five_tuple, &packet);
            }
            12 => {
                let five_tuple = addresses::five_tuple(choices.byte());
                let packet = choices.sized(PACKET_MAX);
                self.client_sent(&five_tuple, packet);
            }
            13 | 14 => self.peer_sent(choices),
            _ => {
                let step = u64::from(choices.byte()).pow(2);
                self.now = self.now + std::time::Duration::from_millis(step);
            }
        }
    }

    fn apply(&mut self, action: &Action) {
        let expected = self.model.apply(self.now, action);
        assert_eq!(
            self.forwarder.apply(self.now, action),
            expected,
            "{action:?}"
        );
        for (id, traffic) in self.model.traffic() {
            assert_eq!(self.forwarder.traffic(id), Some(traffic), "{id:?}");
        }
    }

    fn client_sent(&mut self, five_tuple: &FiveTuple, packet: &[u8]) {
        let expected = self.model.client_sent(self.now, five_tuple, packet);
        let verdict = self.forwarder.from_client(self.now, five_tuple, packet);
        match (verdict, expected) {
            (Verdict::Pass, Expected::Pass) => {}
            (Verdict::Drop(reason), Expected::Drop(expected)) => assert_eq!(reason, expected),
            (Verdict::ToPeer(found), Expected::ToPeer(expected)) => assert_eq!(found, expected),
            (verdict, expected) => unlike(&verdict, &expected),
        }
    }

    fn peer_sent(&mut self, choices: &mut Choices<'_>) {
        let (relayed, peer) = (relayed(choices.byte()), addresses::peer(choices.byte()));
        let len = match choices.byte() {
            0 => 65_400 + usize::from(choices.byte()),
            len => usize::from(len) - 1,
        };
        let expected = self.model.peer_sent(self.now, relayed, peer, len);
        match (
            self.forwarder.from_peer(self.now, relayed, peer, len),
            expected,
        ) {
            (Verdict::Drop(reason), Expected::Drop(expected)) => assert_eq!(reason, expected),
            (
                Verdict::ToClient(found),
                Expected::ToClient {
                    id,
                    five_tuple,
                    channel,
                    peer,
                },
            ) => {
                assert_eq!((found.allocation, found.five_tuple), (id, five_tuple));
                match channel {
                    Some(number) => assert_channel_data(&found, number.get(), len),
                    None => assert_data_indication(&found, peer, len),
                }
            }
            (verdict, expected) => unlike(&verdict, &expected),
        }
    }

    /// received = forwarded + passed + dropped, and each as the model counted.
    fn check_counters(&self) {
        let counters = self.forwarder.counters();
        let accounted = counters.forwarded() + counters.passed + counters.dropped_total();
        assert_eq!(
            counters.received(),
            accounted,
            "a packet was counted twice, or not at all"
        );
        let tally = &self.model.tally;
        assert_eq!(counters.from_client, tally.from_client);
        assert_eq!(counters.from_peer, tally.from_peer);
        assert_eq!(counters.to_peer, tally.to_peer);
        assert_eq!(counters.to_client, tally.to_client);
        assert_eq!(counters.passed, tally.passed);
        for reason in DropReason::ALL {
            assert_eq!(
                counters.dropped(reason),
                tally.dropped[reason as usize],
                "{reason}"
            );
        }
    }
}

fn unlike(verdict: &Verdict, expected: &Expected) {
    assert_eq!(format!("{verdict:?}"), format!("{expected:?}"));
}

fn assert_channel_data(found: &ToClient, number: u16, len: usize) {
    let prefix = found.prefix.as_slice();
    let [high, low] = number.to_be_bytes();
    let length = u16::try_from(len)
        .expect("the length field can say so")
        .to_be_bytes();
    assert_eq!(prefix, [high, low, length[0], length[1]]);
    let padding = if found.five_tuple.transport.is_stream() {
        (4 - len % 4) % 4
    } else {
        0
    };
    assert_eq!(found.padding, padding);
}

/// Prefix, payload and padding together are one Data indication, for either parser.
fn assert_data_indication(found: &ToClient, peer: PeerAddr, len: usize) {
    let payload = vec![0xA5; len];
    let bytes = [found.prefix.as_slice(), &payload, &vec![0; found.padding]].concat();
    let naive = NaiveMessage::parse(&bytes).expect("a STUN message");
    assert_eq!((naive.class, naive.method), (1, 0x007));
    let address = naive.first(0x0012).expect("XOR-PEER-ADDRESS");
    assert_eq!(
        naive_stun::address(&address.value, Some(&naive.transaction_id)),
        Some(peer.0)
    );
    assert_eq!(naive.first(0x0013).map(|data| &data.value), Some(&payload));
    assert_eq!(naive.attributes.len(), 2);
    let ours = Message::parse(&bytes).expect("a STUN message");
    assert_eq!(ours.get(), Ok(Some(XorPeerAddress(peer.0))));
}

fn allocation(choices: &mut Choices<'_>, now: Timestamp) -> AllocationEntry {
    AllocationEntry {
        allocation: id(choices.byte()),
        five_tuple: addresses::five_tuple(choices.byte()),
        relayed: relayed(choices.byte()),
        user: UserId(u32::from(choices.byte() & 1)),
        allocation_limit: limit(choices.byte()),
        user_limit: limit(choices.byte()),
        expires_at: end(choices, now),
    }
}

fn permission(choices: &mut Choices<'_>, now: Timestamp) -> PermissionEntry {
    let peer_ip = addresses::peer(choices.byte()).ip();
    PermissionEntry {
        allocation: id(choices.byte()),
        relayed: relayed(choices.byte()),
        wire_ip: model::wire_ip(peer_ip),
        peer_ip,
        ports: choices.pick(&[
            PortRule {
                min: 1_024,
                max: u16::MAX,
                guarded: true,
            },
            PortRule {
                min: 1,
                max: u16::MAX,
                guarded: false,
            },
            PortRule {
                min: PORTS.0,
                max: PORTS.1,
                guarded: false,
            },
        ]),
        expires_at: end(choices, now),
    }
}

fn channel(choices: &mut Choices<'_>, now: Timestamp) -> ChannelEntry {
    let peer = addresses::peer(choices.byte()).0;
    ChannelEntry {
        allocation: id(choices.byte()),
        five_tuple: addresses::five_tuple(choices.byte()),
        relayed: relayed(choices.byte()),
        number: choices.channel_number(),
        wire_peer: PeerAddr((model::wire_ip(peer.ip()), peer.port()).into()),
        expires_at: end(choices, now),
    }
}

fn key(choices: &mut Choices<'_>) -> EntryKey {
    let kind = choices.byte() % 3;
    let allocation = id(choices.byte());
    match kind {
        0 => EntryKey::Allocation {
            allocation,
            relayed: relayed(choices.byte()),
        },
        1 => {
            let wire_ip = model::wire_ip(addresses::peer(choices.byte()).ip());
            EntryKey::Permission {
                allocation,
                wire_ip,
            }
        }
        _ => EntryKey::Channel {
            allocation,
            number: choices.channel_number(),
        },
    }
}

/// Slots 0 to 3 of generations 0 and 1; slot 70 is beyond every table.
fn id(choice: u8) -> AllocationId {
    let slot = if choice == 0xFF {
        70
    } else {
        u32::from(choice & 3)
    };
    AllocationId {
        slot,
        generation: u32::from(choice >> 2 & 1),
    }
}

fn relayed(choice: u8) -> RelayedAddr {
    let port = PORTS.0 + u16::from(choice >> 1 & 3);
    let ip = if choice & 1 == 0 {
        RELAY_V4.into()
    } else {
        RELAY_V6.into()
    };
    RelayedAddr(std::net::SocketAddr::new(ip, port))
}

fn limit(choice: u8) -> RateLimit {
    match choice % 8 {
        0 => RateLimit {
            packets_per_second: Some(2),
            bytes_per_second: None,
        },
        1 => RateLimit {
            packets_per_second: None,
            bytes_per_second: Some(100),
        },
        _ => RateLimit::UNLIMITED,
    }
}

/// Mostly far off, sometimes soon or gone.
fn end(choices: &mut Choices<'_>, now: Timestamp) -> Timestamp {
    match choices.byte() {
        0 => Timestamp::from_millis(500),
        byte @ 1..=127 => now + std::time::Duration::from_secs(u64::from(byte)),
        _ => Timestamp::MAX,
    }
}

fn channel_data(choices: &mut Choices<'_>) -> Vec<u8> {
    let number = choices.channel_number();
    let payload = choices.sized(64);
    let header = ChannelData::header(number, payload.len()).expect("64 bytes at most");
    [&header, payload].concat()
}

fn send_indication(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut buf = vec![0; 256];
    let id = TransactionId([choices.byte(); 12]);
    let mut builder = MessageBuilder::new(&mut buf, Class::Indication, Method::SEND, id);
    builder.attribute(&XorPeerAddress(addresses::peer(choices.byte()).0));
    let flags = choices.byte();
    if flags & 1 != 0 {
        builder.attribute(&DontFragment);
    }
    if flags & 2 == 0 {
        builder.attribute(&Data(choices.sized(64)));
    }
    if flags & 4 != 0 {
        builder.fingerprint();
    }
    let len = builder.finish().expect("256 bytes hold it");
    if flags & 8 != 0 {
        buf[len - 1] ^= choices.byte();
    }
    buf.truncate(len);
    buf
}

const STEPS_MAX: usize = 128;
const PACKET_MAX: usize = 256;
