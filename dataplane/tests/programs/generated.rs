//! Thousands of frames that nobody thought of: cut at every byte, with bytes changed, and made of random
//! parts. A seed makes them, so that they are the same each time.

use std::collections::BTreeMap;

use turnpike_abi::Reason;

use crate::frame::{Checksum, Frame, channel_data, stun, with_fingerprint, xor_address};
use crate::kernel::Kernel;
use crate::rows::{ID, from_client, from_peer, payload, send_indication};
use crate::trial::agree;
use crate::world::{CLIENT_4, CLIENT_6, PEER_4, PEER_6, SERVER_4, World, addr, world};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// One frame of every kind.
fn corpus(world: &World) -> Vec<Frame> {
    let mut frames = Vec::new();
    for (client, number) in [
        (CLIENT_4, 0x4000),
        (CLIENT_4, 0x4001),
        (CLIENT_4, 0x4002),
        (CLIENT_4, 0x4003),
        (CLIENT_6, 0x4fff),
        (CLIENT_6, 0x4ffe),
        (CLIENT_6, 0x4ffd),
        (CLIENT_6, 0x4ffc),
    ] {
        frames.push(from_client(client, channel_data(number, &payload(21))));
    }
    for allocation in &world.allocations {
        for peer in [PEER_4, PEER_6, "203.0.113.9:7", "[2001:db8:9::9]:65535"] {
            frames.push(from_peer(addr(peer), allocation, payload(22)));
        }
    }
    for client in [CLIENT_4, CLIENT_6] {
        for peer in [
            "203.0.113.9:7",
            "[2001:db8:9::9]:7",
            "192.0.2.2:50002",
            "[2001:db8:2::2]:50000",
        ] {
            frames.push(from_client(
                client,
                send_indication(addr(peer), &payload(5)),
            ));
        }
        let peer = addr("203.0.113.9:7");
        let sealed = with_fingerprint(send_indication(peer, &payload(6)));
        frames.push(from_client(client, sealed));
        frames.push(from_client(client, with_fingerprint(stun(0x0001, ID, &[]))));
        frames.push(from_client(client, unordered_send_indication()));
        frames.push(from_client(client, stun(0x0001, ID, &[])));
        frames.push(from_client(
            client,
            with_fingerprint(stun(0x0001, ID, &[(0x8022, vec![7; 5])])),
        ));
        frames.push(from_client(
            client,
            stun(0x0004, ID, &[(0x000d, vec![0, 0, 0, 9])]),
        ));
    }
    let tagged = frames.iter().cloned().map(|frame| Frame {
        tag: Some(0xb007),
        ..frame
    });
    frames.extend(tagged.collect::<Vec<_>>());
    frames
}

/// Data before its peer, DONT-FRAGMENT, and something that may be ignored.
fn unordered_send_indication() -> Vec<u8> {
    let attributes = [
        (0x8022, b"name".to_vec()),
        (0x0013, payload(7)),
        (0x001a, vec![]),
        (0x0012, xor_address(addr("203.0.113.9:7"), ID)),
    ];
    stun(0x0016, ID, &attributes)
}

fn tally(reasons: impl Iterator<Item = Reason>) -> BTreeMap<&'static str, usize> {
    let mut tally = BTreeMap::new();
    for reason in reasons {
        *tally.entry(reason.name()).or_default() += 1;
    }
    println!("{tally:?}");
    tally
}

#[test]
fn frames_cut_at_any_byte_are_never_misread() {
    let world = world();
    let kernel = Kernel::with(&world);
    let mut reasons = Vec::new();
    for frame in corpus(&world) {
        let bytes = frame.bytes();
        reasons.extend((14..bytes.len()).map(|cut| agree(&kernel, &world, &bytes[..cut])));
    }
    let tally = tally(reasons.into_iter());
    assert_eq!(tally.len(), 2, "{tally:?}");
    assert!(tally["bad_header"] > 4_000);
}

#[test]
fn messages_cut_at_any_byte_are_never_misread() {
    let world = world();
    let kernel = Kernel::with(&world);
    let cut = corpus(&world).into_iter().flat_map(|frame| {
        let lengths = 0..=frame.payload.len();
        lengths.map(move |length| Frame {
            payload: frame.payload[..length].to_vec(),
            ..frame.clone()
        })
    });
    let reasons = cut.map(|frame| agree(&kernel, &world, &frame.bytes()));
    let tally = tally(reasons);
    assert!(
        tally["malformed"] > 100 && tally["peer_to_channel"] > 100,
        "{tally:?}"
    );
}

#[test]
fn changed_bytes_change_both_relays_alike() {
    let world = world();
    let kernel = Kernel::with(&world);
    let corpus = corpus(&world);
    let mut random = Random(1);
    let reasons = (0..12_000).map(|_| {
        let mut bytes = random.pick(&corpus).bytes();
        for _ in 0..1 + random.below(2) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        agree(&kernel, &world, &bytes)
    });
    let tally = tally(reasons);
    assert!(tally.len() >= 12, "{tally:?}");
}

#[test]
fn changed_messages_under_right_checksums_change_both_relays_alike() {
    let world = world();
    let kernel = Kernel::with(&world);
    let corpus: Vec<Frame> = corpus(&world)
        .into_iter()
        .filter(|f| f.payload.len() > 3)
        .collect();
    let mut random = Random(2);
    let reasons = (0..12_000).map(|_| {
        let mut frame = random.pick(&corpus);
        // Headers and attributes more often than data.
        let reach = frame.payload.len().min(32);
        for _ in 0..1 + random.below(3) {
            let at = random.below(reach);
            frame.payload[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => frame.payload[at].wrapping_add(1),
                _ => 0,
            };
        }
        agree(&kernel, &world, &frame.bytes())
    });
    let tally = tally(reasons);
    assert!(tally.len() >= 12, "{tally:?}");
    assert!(
        tally["malformed"] > 100 && tally["no_channel"] > 100,
        "{tally:?}"
    );
}

#[test]
fn frames_of_random_parts_are_treated_alike() {
    let world = world();
    let kernel = Kernel::with(&world);
    let corpus = corpus(&world);
    let mut random = Random(3);
    let ends = [
        CLIENT_4,
        PEER_4,
        "203.0.113.9:7",
        SERVER_4,
        "192.0.2.2:50000",
        "192.0.2.2:50001",
    ];
    let reasons = (0..12_000).map(|_| {
        let mut frame = random.pick(&corpus);
        if random.below(3) == 0 && frame.source.is_ipv4() {
            frame.source = addr(random.pick(&ends));
            frame.destination = addr(random.pick(&ends));
        }
        if random.below(3) == 0 {
            frame
                .payload
                .truncate(random.below(frame.payload.len() + 1));
        }
        if random.below(3) == 0 {
            let length = random.pick(&[1, 2, 3, 4, 60, 1_400, 1_440]);
            frame.payload.extend((0..length).map(|_| 0x5a));
        }
        frame.trailer = vec![0xcc; random.pick(&[0, 0, 1, 30])];
        frame.checksum = random.pick(&[Checksum::Right, Checksum::None, Checksum::Off(77)]);
        frame.traffic_class = random.next() as u8;
        frame.dont_fragment = random.below(2) == 0;
        frame.time_to_live = random.pick(&[0, 1, 2, 64, 255]);
        frame.tag = random.pick(&[None, Some(0), Some(0xffff), Some(5)]);
        agree(&kernel, &world, &frame.bytes())
    });
    let tally = tally(reasons);
    assert!(tally.len() > 14, "{tally:?}");
}
