//! One shard of two; the other one is the test.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use turnpike_stun::{Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{EvenPort, RequestedTransport, ReservationToken, XorRelayedAddress};
use turnpike_turn::server::{Config, Credentials};
use turnpike_types::ServerAddr;

use super::super::mailbox::{Inbox, ORDERS_MAX, Order, WORDS_MAX, mailbox};
use super::super::{Listener, Places, ShardConfig, StreamLimits};
use super::*;
use crate::credentials::CredentialChange;
use crate::uring::RingConfig;

const HERE: &str = "127.0.0.1:0";
const PARCEL_BYTES: usize = 2_048;

struct First {
    shard: Shard,
    server: ServerAddr,
    mailbox: Mailbox,
    other: Mailbox,
    its_inbox: Inbox,
}

impl First {
    fn new() -> Self {
        let socket = UdpSocket::bind(HERE).unwrap();
        let server = ServerAddr(socket.local_addr().unwrap());
        let (mailbox, inbox) = mailbox(PARCEL_BYTES).unwrap();
        let (other, its_inbox) = super::super::mailbox(PARCEL_BYTES).unwrap();
        let relay_address = RelayAddress {
            ip: server.0.ip(),
            external: None,
        };
        let engine = Config {
            realm: "example.org".to_owned(),
            credentials: Credentials::new("example.org"),
            anonymous: true,
            relay_addresses: vec![relay_address],
            shard: ShardSlice { index: 0, count: 2 },
            ..Config::default()
        };
        let config = ShardConfig {
            listeners: vec![Listener {
                transport: Transport::Udp,
                server,
                socket: socket.into(),
            }],
            icmp: Vec::new(),
            relay_sockets: None,
            engine,
            entries_max: 100,
            user_buckets: None,
            ring: RingConfig::default(),
            mailboxes: vec![mailbox.clone(), other.clone()],
            tls: None,
            streams: StreamLimits::default(),
            places: Arc::new(Places::new(100, 100)),
            fast_path: None,
        };
        Self {
            shard: Shard::new(config, inbox, Arc::default()).unwrap(),
            server,
            mailbox,
            other,
            its_inbox,
        }
    }

    /// What a client is answered, whose datagrams come from its owner where that is the other one.
    fn ask(&mut self, client: &UdpSocket, request: &[u8]) -> Vec<u8> {
        let source = client.local_addr().unwrap();
        if owner_of(ClientAddr(source), 2) == 0 {
            client.send_to(request, self.server.0).unwrap();
        } else {
            assert!(self.mailbox.pass_on(source, self.server, request));
        }
        let mut response = vec![0; PARCEL_BYTES];
        for _ in 0..20 {
            assert!(self.shard.turn().unwrap());
            if let Ok(len) = client.recv(&mut response) {
                response.truncate(len);
                return response;
            }
        }
        unreachable!("no answer")
    }

    fn reserve(&mut self) -> ReservationToken {
        let request = allocate(&EvenPort { reserve_next: true });
        let response = self.ask(&client_of(0), &request);
        let response = Message::parse(&response).unwrap();
        response.get().unwrap().unwrap()
    }

    /// The error code that a client of the other shard is told for a token; 0 for none.
    fn code_for(&mut self, token: &ReservationToken) -> u16 {
        let response = self.ask(&client_of(1), &allocate(token));
        let response = Message::parse(&response).unwrap();
        let error = response.get::<ErrorCode<'_>>().unwrap();
        error.map_or(0, |error| error.code)
    }

    /// Leaves no room for a word; the words are of nobody's five-tuple.
    fn fill_the_others_mailbox(&self) {
        let five_tuple = listener_tuple(ClientAddr(self.server.0), self.server);
        let word = Word::Unlend {
            five_tuple,
            from: 9,
        };
        let told = (0..=WORDS_MAX).filter(|_| self.other.tell(word));
        assert_eq!(told.count(), WORDS_MAX);
    }

    fn lent(&self) -> usize {
        let words = std::iter::from_fn(|| self.its_inbox.take_word());
        let is_lend = |word: &Word| matches!(word, Word::Lend { to: 0, .. });
        words.filter(is_lend).count()
    }
}

fn client_of(shard: u16) -> UdpSocket {
    let sockets = std::iter::repeat_with(|| UdpSocket::bind(HERE).unwrap());
    let is_own = |socket: &UdpSocket| {
        let client = ClientAddr(socket.local_addr().unwrap());
        owner_of(client, 2) == shard
    };
    let socket = sockets.take(1_000).find(is_own).unwrap();
    let moment = Duration::from_millis(100);
    socket.set_read_timeout(Some(moment)).unwrap();
    socket
}

fn allocate<'a>(attribute: &impl turnpike_stun::Attribute<'a>) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let id = TransactionId(*b"twelve bytes");
    let mut builder = MessageBuilder::new(&mut bytes, Class::Request, Method::ALLOCATE, id);
    builder
        .attribute(&RequestedTransport::UDP)
        .attribute(attribute);
    let len = builder.finish().unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn token_is_508_while_the_owner_of_the_five_tuple_has_no_room_for_the_word() {
    let mut first = First::new();
    let token = first.reserve();
    first.fill_the_others_mailbox();
    assert_eq!(first.code_for(&token), 508);
    assert_eq!(first.lent(), 0);
    let token = first.reserve();
    assert_eq!(first.code_for(&token), 0);
    assert_eq!(first.lent(), 1);
}

#[test]
fn many_changes_of_credentials_delay_no_packet_and_no_word_of_a_shard() {
    let mut first = First::new();
    let change = |n: usize| Order::Credentials(CredentialChange::RemoveUser(n.to_string()));
    assert!((0..ORDERS_MAX).all(|n| first.mailbox.try_send(change(n))));
    assert!(!first.mailbox.try_send(change(0)));
    let client = client_of(0).local_addr().unwrap();
    let five_tuple = listener_tuple(ClientAddr(client), first.server);
    assert!(first.mailbox.tell(Word::Lend { five_tuple, to: 1 }));
    assert!(first.shard.turn().unwrap());
    assert_eq!(first.shard.hop.lent.get(&five_tuple), Some(&1));
    let room = (0..ORDERS_MAX).take_while(|n| first.mailbox.try_send(change(*n)));
    let obeyed = room.count();
    assert!((1..=64).contains(&obeyed), "{obeyed} in one turn");
    // What was left is not forgotten, though nobody wakes the shard again.
    let mut turns = 0;
    while first.shard.inbox.is_waiting() && turns < ORDERS_MAX {
        turns += 1;
        assert!(first.shard.turn().unwrap());
    }
    assert!(first.shard.inbox.take().is_none());
}

/// The five-tuple of a client of the other shard with an allocation by token here.
fn borrowed(first: &mut First, client: &UdpSocket) -> FiveTuple {
    let token = first.reserve();
    let response = first.ask(client, &allocate(&token));
    let response = Message::parse(&response).unwrap();
    assert_eq!(response.get::<ErrorCode<'_>>().unwrap(), None);
    let five_tuple = listener_tuple(ClientAddr(client.local_addr().unwrap()), first.server);
    assert!(first.shard.server.allocation(&five_tuple).is_some());
    five_tuple
}

#[test]
fn word_that_found_no_room_does_not_end_what_was_lent_after_it() {
    let mut first = First::new();
    let client = client_of(1);
    let five_tuple = borrowed(&mut first, &client);
    assert_eq!(first.lent(), 1);
    first.fill_the_others_mailbox();
    first.shard.end_allocation(&five_tuple);
    assert!(first.shard.server.allocation(&five_tuple).is_none());
    // There is room again, but the word waits for its next try.
    while first.its_inbox.take_word().is_some() {}
    assert_eq!(borrowed(&mut first, &client), five_tuple);
    first.shard.hop.retry();
    let words: Vec<Word> = std::iter::from_fn(|| first.its_inbox.take_word()).collect();
    assert!(matches!(words[..], [Word::Lend { to: 0, .. }]), "{words:?}");
}

#[test]
fn word_that_found_no_room_is_said_when_nothing_came_after_it() {
    let mut first = First::new();
    let five_tuple = borrowed(&mut first, &client_of(1));
    assert_eq!(first.lent(), 1);
    first.fill_the_others_mailbox();
    first.shard.end_allocation(&five_tuple);
    while first.its_inbox.take_word().is_some() {}
    first.shard.hop.retry();
    let words: Vec<Word> = std::iter::from_fn(|| first.its_inbox.take_word()).collect();
    assert!(
        matches!(words[..], [Word::Unlend { from: 0, .. }]),
        "{words:?}"
    );
}

#[test]
fn shard_that_lost_a_five_tuple_to_a_third_is_told_to_end_its_allocation() {
    let mut first = First::new();
    let client = client_of(0).local_addr().unwrap();
    let five_tuple = listener_tuple(ClientAddr(client), first.server);
    // Both families of one allocation, then one of a third shard.
    for to in [1, 1, 2] {
        assert_eq!(first.its_inbox.take_word().map(|it| *it.five_tuple()), None);
        first.shard.lend(five_tuple, to);
    }
    let told = first.its_inbox.take_word();
    assert!(matches!(told, Some(Word::End { five_tuple: it }) if it == five_tuple));
    // Its own word of that is late.
    first.shard.have_back(five_tuple, 1);
    assert_eq!(first.shard.hop.lent.get(&five_tuple), Some(&2));
    // And on the other side:
    let five_tuple = borrowed(&mut first, &client_of(1));
    assert!(first.mailbox.tell(Word::End { five_tuple }));
    assert!(first.shard.turn().unwrap());
    assert!(first.shard.server.allocation(&five_tuple).is_none());
}

#[test]
fn end_that_found_no_room_is_said_though_the_five_tuple_is_lent_once_more() {
    let mut first = First::new();
    let client = client_of(0).local_addr().unwrap();
    let five_tuple = listener_tuple(ClientAddr(client), first.server);
    first.shard.lend(five_tuple, 1);
    first.fill_the_others_mailbox();
    // The client has gone on to a third shard, whose second family is then lent for too.
    first.shard.lend(five_tuple, 2);
    first.shard.lend(five_tuple, 2);
    while first.its_inbox.take_word().is_some() {}
    first.shard.hop.retry();
    let told = first.its_inbox.take_word();
    assert!(matches!(told, Some(Word::End { five_tuple: it }) if it == five_tuple));
    // One that has it back is not told to end what it has now.
    first.fill_the_others_mailbox();
    first.shard.lend(five_tuple, 1);
    first.shard.lend(five_tuple, 2);
    first.shard.lend(five_tuple, 1);
    while first.its_inbox.take_word().is_some() {}
    first.shard.hop.retry();
    assert!(first.its_inbox.take_word().is_none());
}

#[test]
fn parcels_leave_the_buffers_of_the_servers_answers_alone() {
    let mut first = First::new();
    let client = client_of(1);
    let request = allocate(&EvenPort { reserve_next: true });
    let mut taken = Vec::new();
    while let Some(buffer) = first.shard.lane.ring.take_reply_above(REPLIES_KEPT) {
        taken.push(buffer);
    }
    assert!(!taken.is_empty());
    let source = client.local_addr().unwrap();
    assert!(first.mailbox.pass_on(source, first.server, &request));
    assert!(first.shard.turn().unwrap());
    assert_eq!(first.shard.server.allocations(), 0);
    let refused = first.shard.lane.counters.drops[DropReason::QueueFull as usize];
    assert_eq!(refused, 1);
    let answer = first.ask(&client_of(0), &request);
    let answer = Message::parse(&answer).unwrap();
    assert_eq!(answer.get::<ErrorCode<'_>>().unwrap(), None);
}

#[test]
fn five_tuple_is_given_back_when_its_allocation_could_not_be_opened() {
    let mut first = First::new();
    let request = allocate(&EvenPort { reserve_next: true });
    let answer = first.ask(&client_of(0), &request);
    let answer = Message::parse(&answer).unwrap();
    let token = answer.get::<ReservationToken>().unwrap().unwrap();
    let relayed = answer.get::<XorRelayedAddress>().unwrap().unwrap().0;
    let reserved = SocketAddr::new(relayed.ip(), relayed.port() + 1);
    let _other_program = UdpSocket::bind(reserved).unwrap();
    assert_eq!(first.code_for(&token), 508);
    let words: Vec<Word> = std::iter::from_fn(|| first.its_inbox.take_word()).collect();
    assert!(
        matches!(
            words[..],
            [Word::Lend { to: 0, .. }, Word::Unlend { from: 0, .. }]
        ),
        "{words:?}"
    );
}
