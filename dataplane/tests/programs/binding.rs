//! Binding requests: which are answered in the kernel, with what, and which are the server's.

use turnpike_abi::Reason;

use crate::frame::{Checksum, Frame, stun, with_fingerprint};
use crate::kernel::{Kernel, XDP_TX};
use crate::rows::{ID, payload};
use crate::trial::{agree, expect};
use crate::world::{CLIENT_4, CLIENT_6, SERVER_4, SERVER_6, addr, world};

const STRANGER_4: &str = "198.51.100.77:1";
const STRANGER_6: &str = "[2001:db8:77::1]:65535";

/// A message to a server of its sender's family.
fn to_server(client: &str, message: Vec<u8>) -> Frame {
    let client = addr(client);
    let server = if client.is_ipv4() { SERVER_4 } else { SERVER_6 };
    Frame::new(client, addr(server), message)
}

fn bare() -> Vec<u8> {
    stun(0x0001, ID, &[])
}

/// A request with SOFTWARE of such a length.
fn named(length: usize) -> Vec<u8> {
    stun(0x0001, ID, &[(0x8022, payload(length))])
}

#[test]
fn everybody_is_told_where_they_are_seen() {
    let world = world();
    let kernel = Kernel::with(&world);
    let mut answered = 0;
    for client in [CLIENT_4, CLIENT_6, STRANGER_4, STRANGER_6] {
        for message in [bare(), named(0), named(5), named(92)] {
            for message in [message.clone(), with_fingerprint(message)] {
                for tag in [None, Some(0xe123)] {
                    for trailer in [vec![], vec![0xee; 3], vec![0; 40]] {
                        let plain = to_server(client, message.clone());
                        let frame = Frame {
                            tag,
                            trailer,
                            traffic_class: 0xb9,
                            time_to_live: 1,
                            flow_label: 7,
                            ..plain
                        };
                        expect(&kernel, &world, &frame.bytes(), Reason::BindingAnswered);
                        answered += 1;
                    }
                }
            }
        }
    }
    assert_eq!(answered, 4 * 8 * 6);
}

#[test]
fn an_answer_is_as_worked_out_by_hand() {
    let kernel = Kernel::with(&world());
    let ran = kernel.run(&to_server(CLIENT_4, bare()).bytes());
    let expected = [
        &[2, 9, 9, 9, 9, 2, 2, 9, 9, 9, 9, 1, 8, 0][..],
        &[0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0x4e, 0x7a],
        &[192, 0, 2, 2, 198, 51, 100, 1],
        &[0x0d, 0x96, 0x9c, 0x40, 0, 40, 0xd9, 0xc2],
        &[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42],
        &ID,
        &[0, 0x20, 0, 8, 0, 1, 0xbd, 0x52, 0xe7, 0x21, 0xc0, 0x43],
    ]
    .concat();
    assert_eq!(ran.frame, expected);
    assert_eq!(
        (ran.action, ran.reasons),
        (XDP_TX, vec![Reason::BindingAnswered])
    );
}

#[test]
fn an_answer_is_longer_by_the_address_and_nothing_else() {
    let kernel = Kernel::with(&world());
    for (client, address) in [(STRANGER_4, 12), (STRANGER_6, 24)] {
        for request in [bare(), with_fingerprint(bare())] {
            let frame = to_server(client, request).bytes();
            assert_eq!(kernel.run(&frame).frame.len(), frame.len() + address);
        }
        let frame = to_server(client, with_fingerprint(named(60))).bytes();
        assert_eq!(kernel.run(&frame).frame.len() + 64, frame.len() + address);
    }
}

#[test]
fn a_request_with_more_than_the_kernel_reads_is_the_servers() {
    let world = world();
    let kernel = Kernel::with(&world);
    let with = |kind, length| stun(0x0001, ID, &[(kind, payload(length))]);
    let mut messages = vec![
        // CHANGE-REQUEST, PADDING, RESPONSE-PORT, USERNAME, both integrities, one that nobody knows.
        with(0x0003, 4),
        with(0x0026, 8),
        with(0x0027, 4),
        with(0x0006, 5),
        with(0x0008, 20),
        with(0x001c, 32),
        with(0x7fff, 0),
        // Longer than is looked at.
        named(108),
    ];
    let mut two = bare();
    two.extend(bare());
    messages.push(two);
    for message in messages {
        for message in [message.clone(), with_fingerprint(message)] {
            for client in [STRANGER_4, STRANGER_6] {
                let frame = to_server(client, message.clone()).bytes();
                expect(&kernel, &world, &frame, Reason::Control);
            }
        }
    }
}

#[test]
fn a_damaged_request_is_not_answered() {
    let world = world();
    let kernel = Kernel::with(&world);
    let whole = with_fingerprint(named(6));
    let mut answered = 0;
    for bit in 0..whole.len() * 8 {
        let mut message = whole.clone();
        message[bit / 8] ^= 1 << (bit % 8);
        let frame = to_server(STRANGER_4, message);
        let reason = agree(&kernel, &world, &frame.bytes());
        answered += usize::from(reason == Reason::BindingAnswered);
    }
    // Where what is changed makes the FINGERPRINT an attribute that need not be understood.
    assert!(answered < 20, "{answered} of {}", whole.len() * 8);
    for (client, checksum, reason) in [
        (STRANGER_4, Checksum::Off(1), Reason::Control),
        (STRANGER_4, Checksum::None, Reason::BindingAnswered),
        (STRANGER_6, Checksum::Off(256), Reason::Control),
        (STRANGER_6, Checksum::None, Reason::Control),
    ] {
        let frame = Frame {
            checksum,
            ..to_server(client, bare())
        };
        expect(&kernel, &world, &frame.bytes(), reason);
    }
}

#[test]
fn a_fingerprint_has_to_be_the_last_and_right() {
    let world = world();
    let kernel = Kernel::with(&world);
    let run = |message, reason| {
        let frame = to_server(STRANGER_6, message);
        expect(&kernel, &world, &frame.bytes(), reason);
    };
    run(with_fingerprint(bare()), Reason::BindingAnswered);
    run(stun(0x0001, ID, &[(0x8028, vec![0; 4])]), Reason::Control);
    run(stun(0x0001, ID, &[(0x8028, vec![0; 8])]), Reason::Control);
    run(with_fingerprint(with_fingerprint(bare())), Reason::Control);
    let mut followed = with_fingerprint(named(3));
    followed.extend([0x80, 0x22, 0, 0]);
    followed[3] += 4;
    run(followed, Reason::Control);
}

#[test]
fn nobody_is_answered_who_cannot_be_one_other_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    for client in [
        "198.51.100.1:0",
        "0.1.2.3:4",
        "127.0.0.1:4",
        "224.0.0.1:4",
        "255.255.255.255:4",
        "192.0.2.2:3478",
        "192.0.2.2:50000",
        "[::]:4",
        "[::1]:4",
        "[ff02::1]:4",
        "[2001:db8:2::2]:9",
    ] {
        let frame = to_server(client, bare());
        expect(&kernel, &world, &frame.bytes(), Reason::Control);
    }
    for mac in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let plain = to_server(STRANGER_4, bare());
        let (to, from) = (plain.to, plain.from);
        for (to, from) in [(mac, from), (to, mac)] {
            let frame = Frame {
                to,
                from,
                ..plain.clone()
            };
            expect(&kernel, &world, &frame.bytes(), Reason::Control);
        }
    }
}

#[test]
fn requests_to_others_are_left_alone_and_none_is_answered_where_that_is_off() {
    let mut world = world();
    let kernel = Kernel::with(&world);
    for server in ["192.0.2.2:3479", "192.0.2.3:3478"] {
        let frame = Frame::new(addr(STRANGER_4), addr(server), bare());
        expect(&kernel, &world, &frame.bytes(), Reason::NotOurs);
    }
    world.answers_binding = false;
    let kernel = Kernel::with(&world);
    let frame = to_server(STRANGER_4, bare());
    expect(&kernel, &world, &frame.bytes(), Reason::Control);
}

#[test]
fn only_requests_that_reach_the_server_are_paid_for_by_strangers() {
    let world = world();
    let hour = 3_600_000_000_000;
    let kernel = Kernel::with_strangers(&world, hour, 2 * hour);
    let counted = |message: Vec<u8>| kernel.run(&to_server(STRANGER_4, message).bytes()).reasons;
    for _ in 0..20 {
        assert_eq!(counted(bare()), [Reason::BindingAnswered]);
    }
    let asks_for_more = stun(0x0001, ID, &[(0x0003, vec![0; 4])]);
    assert_eq!(counted(asks_for_more.clone()), [Reason::Control]);
    assert_eq!(counted(asks_for_more.clone()), [Reason::Control]);
    assert_eq!(counted(asks_for_more), [Reason::StrangerRate]);
    assert_eq!(counted(bare()), [Reason::BindingAnswered]);
}
