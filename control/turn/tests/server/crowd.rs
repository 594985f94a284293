//! A crowd of clients, each of another user, with one permission and one channel: server and
//! reference lane together, and what they cost in resident memory.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use turnpike_sim::SeededEntropy;
use turnpike_turn::RelayAddress;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, Verdict};
use turnpike_turn::server::{Config, Credentials, Output, Server, TRANSMIT_MAX};
use turnpike_types::{ClientAddr, FiveTuple};

use crate::support::{Client, PEER, REALM, Response, addr, config};

pub(crate) struct Crowd {
    pub(crate) server: Server<SeededEntropy>,
    pub(crate) forwarder: Forwarder,
    /// Resident memory that came with the crowd, server and lane together.
    pub(crate) bytes_an_allocation: u64,
}

const SECRET: &[u8] = b"north";

/// Lets `count` clients allocate and bind a channel, through a lane that takes what it is told.
pub(crate) fn gather(count: u32) -> Crowd {
    let before = resident_bytes();
    let addresses = u8::try_from(1 + count / 64_000).unwrap();
    let relay_addresses: Vec<_> = (1..=addresses).map(own_address).collect();
    let mut credentials = Credentials::new(REALM);
    credentials.add_secret(SECRET).unwrap();
    let mut settings = Config {
        relay_addresses,
        credentials,
        ports: 1_024..=65_535,
        ..config()
    };
    settings.limits.allocations = count as usize;
    let lane = ForwarderConfig {
        entries_max: 3 * count as usize,
        services: Vec::new(),
        relay_map: settings.relay_addresses.clone(),
        user_buckets: None,
    };
    let forwarder = Forwarder::new(lane, &mut SeededEntropy::new(3));
    let now = turnpike_types::Timestamp::from_secs(1);
    let mut server = Server::new(settings, SeededEntropy::new(4), now).unwrap();
    server.set_wall_clock(now, 1_700_000_000);
    let mut crowd = Crowd {
        server,
        forwarder,
        bytes_an_allocation: 0,
    };
    for number in 0..count {
        crowd.admit(number);
    }
    assert_eq!(crowd.server.allocations(), count as usize);
    let grown = resident_bytes().saturating_sub(before);
    crowd.bytes_an_allocation = grown / u64::from(count);
    crowd
}

impl Crowd {
    fn admit(&mut self, number: u32) {
        let mut client = client(number);
        let bytes = crate::support::build(
            turnpike_stun::Method::ALLOCATE,
            client.transaction(),
            |_| {},
        );
        client.learn(&self.send(client.five_tuple, &bytes));
        let transaction = client.transaction();
        let bytes = client.signed(turnpike_stun::Method::ALLOCATE, transaction, |message| {
            message.attribute(&turnpike_turn::attribute::RequestedTransport::UDP);
        });
        assert!(self.send(client.five_tuple, &bytes).is_success());
        let transaction = client.transaction();
        let bytes = client.signed(
            turnpike_stun::Method::CHANNEL_BIND,
            transaction,
            |message| {
                let number = crate::support::channel(0x4000);
                message.attribute(&turnpike_turn::attribute::ChannelNumberAttribute(number));
                message.attribute(&turnpike_turn::attribute::XorPeerAddress(addr(PEER)));
            },
        );
        assert!(self.send(client.five_tuple, &bytes).is_success());
    }

    fn send(&mut self, five_tuple: FiveTuple, bytes: &[u8]) -> Response {
        let now = turnpike_types::Timestamp::from_secs(1);
        self.server.handle_input(now, five_tuple, bytes);
        let mut buf = [0; TRANSMIT_MAX];
        let mut response = None;
        while let Some(output) = self.server.poll_output(&mut buf) {
            match output {
                Output::Command(command) => self.forwarder.apply(now, &command.action).unwrap(),
                Output::Transmit(sent) => response = Some(Response(buf[..sent.len].to_vec())),
                Output::Event(_) => {}
            }
        }
        response.unwrap()
    }

    /// What one `poll_timeout` takes, as the best of several runs.
    #[expect(clippy::disallowed_types, reason = "this measures real time")]
    pub(crate) fn poll_timeout_cost(&self) -> Duration {
        const CALLS: u32 = 100_000;
        let run = || {
            let start = std::time::Instant::now();
            for _ in 0..CALLS {
                std::hint::black_box(std::hint::black_box(&self.server).poll_timeout());
            }
            start.elapsed() / CALLS
        };
        (0..5).map(|_| run()).min().unwrap()
    }

    /// Whether the lane relays for a client of the crowd.
    pub(crate) fn relays_for(&mut self, number: u32) -> bool {
        let now = turnpike_types::Timestamp::from_secs(1);
        let client = client(number).five_tuple;
        let verdict = self
            .forwarder
            .from_client(now, &client, &[0x40, 0, 0, 1, 7, 0, 0, 0]);
        matches!(verdict, Verdict::ToPeer(_))
    }
}

fn client(number: u32) -> Client {
    let username = format!("9999999999:user{number:07}");
    let mac = Hmac::<Sha1>::new_from_slice(SECRET).unwrap();
    let mut client = Client::new(0, &username);
    client.password = STANDARD.encode(mac.chain_update(&username).finalize().into_bytes());
    let ip = Ipv4Addr::from_bits(0x0B00_0000 + number / 4);
    let port = u16::try_from(2_000 + number % 4).unwrap();
    client.five_tuple.client = ClientAddr((ip, port).into());
    client
}

fn own_address(last: u8) -> RelayAddress {
    RelayAddress {
        ip: IpAddr::from([77, 88, 55, last]),
        external: None,
    }
}

/// 0 where the system does not say.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}
