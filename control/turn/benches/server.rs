//! What each procedure of the server takes, from the packet to the last output, with a thousand
//! allocations around.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a benchmark's way to report"
)]

#[expect(dead_code, reason = "shared with the tests of the server")]
#[path = "../tests/server/support.rs"]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use turnpike_stun::{Method, TransactionId};
use turnpike_turn::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedTransport, XorPeerAddress,
};
use turnpike_turn::server::{Output, TRANSMIT_MAX};
use turnpike_types::FiveTuple;

use support::{Client, PEER, TID, World, addr, build, channel, config};

const CROWD: u16 = 1_000;

fn crowded() -> World {
    let mut config = config();
    config.limits.allocations_per_user = u32::MAX;
    let mut world = World::new(config);
    for number in 0..CROWD {
        assert!(
            Client::new(number, "alice")
                .allocate(&mut world)
                .is_success()
        );
    }
    world.take_seen();
    world
}

/// Puts a packet in and polls until nothing is left; answers with the last message's length.
fn exchange(world: &mut World, five_tuple: FiveTuple, bytes: &[u8]) -> usize {
    world
        .server
        .handle_input(world.now, five_tuple, black_box(bytes));
    let mut buf = [0; TRANSMIT_MAX];
    let mut len = 0;
    while let Some(output) = world.server.poll_output(&mut buf) {
        if let Output::Transmit(transmit) = black_box(output) {
            len = transmit.len;
        }
    }
    len
}

fn strangers(c: &mut Criterion) {
    let mut world = crowded();
    let stranger = Client::new(CROWD, "mallory");
    let bytes = build(Method::BINDING, TID, |_| {});
    c.bench_function("binding", |b| {
        b.iter(|| exchange(&mut world, stranger.five_tuple, &bytes));
    });
    let bytes = build(Method::ALLOCATE, TID, |_| {});
    c.bench_function("challenge", |b| {
        b.iter(|| exchange(&mut world, stranger.five_tuple, &bytes));
    });
    for (name, username, password) in [
        ("wrong password", "alice", "wrong"),
        ("unknown user", "nobody", "wrong"),
    ] {
        let mut client = Client::new(CROWD, username);
        client.password = password.into();
        client.greet(&mut world);
        let bytes = client.signed(Method::ALLOCATE, TID, |message| {
            message.attribute(&RequestedTransport::UDP);
        });
        c.bench_function(name, |b| {
            b.iter(|| exchange(&mut world, client.five_tuple, &bytes));
        });
    }
}

fn procedures(c: &mut Criterion) {
    let mut world = crowded();
    let mut client = Client::new(0, "alice");
    client.greet(&mut world);
    let requests = [
        ("refresh", Method::REFRESH),
        ("create permission", Method::CREATE_PERMISSION),
        ("channel bind", Method::CHANNEL_BIND),
    ];
    for (name, method) in requests {
        let bytes = client.signed(method, TID, |message| {
            if method == Method::CHANNEL_BIND {
                message.attribute(&ChannelNumberAttribute(channel(0x4000)));
            }
            if method != Method::REFRESH {
                message.attribute(&XorPeerAddress(addr(PEER)));
            }
        });
        c.bench_function(name, |b| {
            b.iter(|| exchange(&mut world, client.five_tuple, &bytes));
        });
    }
}

fn allocate_and_free(c: &mut Criterion) {
    let mut world = crowded();
    let mut client = Client::new(CROWD, "alice").modern();
    client.greet(&mut world);
    for (name, is_modern) in [("allocate, SHA-1", false), ("allocate, SHA-256", true)] {
        client.is_modern = is_modern;
        let allocate = client.signed(Method::ALLOCATE, TransactionId([1; 12]), |message| {
            message.attribute(&RequestedTransport::UDP);
        });
        let free = client.signed(Method::REFRESH, TransactionId([2; 12]), |message| {
            message.attribute(&Lifetime(0));
        });
        c.bench_function(name, |b| {
            let world = std::cell::RefCell::new(&mut world);
            b.iter_batched(
                || exchange(&mut world.borrow_mut(), client.five_tuple, &free),
                |_| exchange(&mut world.borrow_mut(), client.five_tuple, &allocate),
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(benches, strangers, procedures, allocate_and_free);
criterion_main!(benches);
