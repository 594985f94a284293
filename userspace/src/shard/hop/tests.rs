//! One shard of two; the other one is the test.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use turnpike_stun::{Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{EvenPort, RequestedTransport, ReservationToken};
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
            engine,
            entries_max: 100,
            user_buckets: None,
            ring: RingConfig::default(),
            mailboxes: vec![mailbox.clone(), other.clone()],
            tls: None,
            streams: StreamLimits::default(),
            places: Arc::new(Places::new(100, 100)),
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
