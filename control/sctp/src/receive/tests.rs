//! Reassembly by itself: what comes out, in which order, and what it is charged meanwhile.

use alloc::vec;
use alloc::vec::Vec;

use super::reassembly::Reassembly;
use crate::wire::Data;
use crate::{Event, Incoming, Ppid, StreamId, Tsn};

const FIRST: Tsn = Tsn(u32::MAX - 3);
const SPARE: usize = 1_000_000;
const PART: usize = 5_000;

/// Both ways to number fragments.
fn both() -> [(bool, Reassembly); 2] {
    [false, true].map(|is_interleaved| {
        let reassembly = Reassembly::new(FIRST, is_interleaved, PART);
        (is_interleaved, reassembly)
    })
}

/// Fragment `index` of `count` of a message whose first TSN is `tsn` after the first one.
fn fragment(message: u32, tsn: u32, index: u32, count: u32) -> Data<'static> {
    const BYTES: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    Data {
        is_interleaved: false,
        tsn: FIRST.plus(tsn + index),
        stream: StreamId(7),
        message,
        fragment: index,
        ppid: Ppid(51),
        is_begin: index == 0,
        is_end: index + 1 == count,
        payload: &BYTES[index as usize..=index as usize],
        ..Data::default()
    }
}

fn insert(reassembly: &mut Reassembly, data: &Data<'_>) {
    assert!(reassembly.insert(data, SPARE), "{data:?}");
}

fn take_all(reassembly: &mut Reassembly) -> Vec<Incoming> {
    core::iter::from_fn(|| reassembly.take()).collect()
}

fn texts(reassembly: &mut Reassembly) -> Vec<Vec<u8>> {
    let all = take_all(reassembly);
    all.into_iter().map(|it| it.payload.to_vec()).collect()
}

#[test]
fn fragments_become_their_message_in_every_order() {
    let orders = [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 3, 0, 2],
        [2, 0, 3, 1],
        [0, 3, 2, 1],
    ];
    for order in orders {
        for (_, mut it) in both() {
            for (step, &index) in order.iter().enumerate() {
                assert!(take_all(&mut it).is_empty(), "after {step} of {order:?}");
                insert(&mut it, &fragment(0, 0, index, 4));
                assert!(it.charged_bytes() > step);
            }
            assert_eq!(texts(&mut it), [b"abcd"], "{order:?}");
            assert_eq!(it.charged_bytes(), 0);
        }
    }
}

#[test]
fn ordered_messages_wait_for_the_one_before_and_unordered_ones_do_not() {
    for (_, mut it) in both() {
        let unordered = Data {
            is_unordered: true,
            payload: b"unordered",
            ..fragment(0, 3, 0, 1)
        };
        insert(&mut it, &fragment(2, 2, 0, 1));
        insert(&mut it, &fragment(1, 1, 0, 1));
        insert(&mut it, &unordered);
        assert_eq!(texts(&mut it), [b"unordered"]);
        insert(&mut it, &fragment(0, 0, 0, 1));
        assert_eq!(take_all(&mut it).len(), 3);
        assert_eq!(it.charged_bytes(), 0);
    }
}

#[test]
fn numbers_go_on_after_the_largest() {
    for (is_interleaved, mut it) in both() {
        let most = if is_interleaved { 80_000 } else { 70_000 };
        for number in 0..most {
            let message = if is_interleaved {
                number
            } else {
                u32::from(number as u16)
            };
            insert(&mut it, &fragment(message, number, 0, 1));
            assert_eq!(take_all(&mut it).len(), 1, "{number}");
        }
    }
}

#[test]
fn what_a_message_skips_is_dropped_and_what_waited_is_handed_on() {
    for (is_interleaved, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 3));
        insert(&mut it, &fragment(0, 0, 2, 3));
        insert(&mut it, &fragment(1, 3, 0, 1));
        insert(&mut it, &fragment(2, 4, 1, 2));
        it.skip_up_to(FIRST.plus(2));
        it.skip_messages(StreamId(7), false, 0);
        assert_eq!(texts(&mut it), [b"a"]);
        let left = Reassembly::cost(1);
        assert_eq!(
            it.charged_bytes(),
            left,
            "one loose fragment, {is_interleaved}"
        );
        insert(&mut it, &fragment(2, 4, 0, 2));
        assert_eq!(texts(&mut it), [b"ab"]);
        assert_eq!(it.charged_bytes(), 0);
    }
}

#[test]
fn a_long_message_comes_in_parts_and_what_follows_it_waits() {
    for (_, mut it) in both() {
        let chunk = vec![7; 2_000];
        let long = |index, count| Data {
            payload: &chunk,
            ..fragment(0, 0, index, count)
        };
        for index in 0..3 {
            insert(&mut it, &long(index, 5));
        }
        let unordered = Data {
            is_unordered: true,
            ..fragment(0, 9, 0, 1)
        };
        insert(&mut it, &unordered);
        let parts = take_all(&mut it);
        assert_eq!(parts.len(), 1, "nothing between the parts of a message");
        assert_eq!(parts[0].payload.len(), 6_000);
        assert!(parts[0].is_begin && !parts[0].is_end);
        insert(&mut it, &long(3, 5));
        insert(&mut it, &long(4, 5));
        let rest = take_all(&mut it);
        assert_eq!(rest[0].payload.len(), 4_000);
        assert!(!rest[0].is_begin && rest[0].is_end);
        assert_eq!((rest.len(), it.charged_bytes()), (2, 0));
    }
}

#[test]
fn a_message_that_is_given_up_amid_its_parts_ends_with_nothing() {
    for (_, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 3));
        it.squeeze(FIRST.previous());
        assert_eq!(texts(&mut it), [b"a"]);
        it.skip_up_to(FIRST.plus(2));
        it.skip_messages(StreamId(7), false, 0);
        let last = take_all(&mut it);
        assert_eq!((last.len(), last[0].payload.len()), (1, 0));
        assert!(last[0].is_end && !last[0].is_begin);
        assert_eq!(it.charged_bytes(), 0);
    }
}

#[test]
fn under_pressure_what_there_is_of_a_message_is_handed_on_once() {
    for (_, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 4));
        insert(&mut it, &fragment(1, 4, 0, 2));
        it.squeeze(FIRST.previous());
        it.squeeze(FIRST.previous());
        let parts = take_all(&mut it);
        assert_eq!(parts.len(), 1, "only the message whose turn it is");
        it.squeeze(FIRST.previous());
        assert!(!it.is_ready(), "there is nothing more");
    }
}

#[test]
fn a_fragment_that_contradicts_what_is_there_is_a_violation() {
    for (is_interleaved, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 4));
        insert(&mut it, &fragment(0, 0, 2, 4));
        let charged = it.charged_bytes();
        // Over I-DATA another TSN may claim to be the same fragment.
        let twice = |index| Data {
            tsn: FIRST.plus(if is_interleaved { 50 } else { index }),
            ..fragment(0, 0, index, 4)
        };
        assert!(!it.insert(&twice(0), SPARE));
        assert!(!it.insert(&twice(2), SPARE));
        assert_eq!(it.charged_bytes(), charged);
    }
}

#[test]
fn of_two_messages_with_one_number_the_first_stays_and_the_other_is_not_charged() {
    for (_, mut it) in both() {
        for (tsn, payload) in [
            (5, &b"a longer one"[..]),
            (6, b"short"),
            (7, b"the longest of all"),
        ] {
            let data = Data {
                payload,
                ..fragment(1, tsn, 0, 1)
            };
            insert(&mut it, &data);
            assert_eq!(it.charged_bytes(), Reassembly::cost(12));
        }
        insert(&mut it, &fragment(0, 0, 0, 1));
        assert_eq!(texts(&mut it), [&b"a"[..], b"a longer one"]);
        assert_eq!(it.charged_bytes(), 0);
    }
}

#[test]
fn a_reset_is_told_between_what_came_before_and_after_it() {
    for (_, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 1));
        it.reset_streams(vec![StreamId(7)]);
        insert(&mut it, &fragment(0, 1, 0, 1));
        assert_eq!(it.take_reset(), None);
        assert_eq!(take_all(&mut it).len(), 1);
        let told = Event::IncomingStreamsReset(vec![StreamId(7)]);
        assert_eq!(it.take_reset(), Some(told));
        assert_eq!(take_all(&mut it).len(), 1);
    }
}

#[test]
fn everything_starts_anew_and_nothing_unfinished_stays() {
    for (_, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 3));
        insert(&mut it, &fragment(1, 3, 0, 1));
        insert(&mut it, &fragment(2, 4, 1, 2));
        let next = FIRST.plus(1 << 31);
        it.restart(next);
        assert_eq!(texts(&mut it), [b"a"], "the whole one");
        assert_eq!(it.take_reset(), Some(Event::AssociationReset));
        assert_eq!(it.charged_bytes(), 0);
        for index in [1, 0] {
            let data = Data {
                tsn: next.plus(index),
                ..fragment(0, 0, index, 2)
            };
            insert(&mut it, &data);
        }
        assert_eq!(texts(&mut it), [b"ab"]);
    }
}

#[test]
fn closing_leaves_what_is_whole() {
    for (_, mut it) in both() {
        insert(&mut it, &fragment(0, 0, 0, 1));
        insert(&mut it, &fragment(1, 1, 0, 3));
        insert(&mut it, &fragment(3, 9, 0, 1));
        it.close();
        assert_eq!(take_all(&mut it).len(), 1);
        assert_eq!(it.charged_bytes(), 0);
    }
}

#[test]
fn for_want_of_room_what_nothing_will_reach_is_dropped_a_little_at_a_time() {
    for (_, mut it) in both() {
        // Fragments without a beginning, of which the first thousand were passed over.
        for number in 0..2_000 {
            insert(&mut it, &fragment(number, 3 * number, 1, 3));
        }
        let charged = it.charged_bytes();
        let passed = FIRST.plus(3 * 1_000);
        it.squeeze(passed);
        let dropped = (charged - it.charged_bytes()) / Reassembly::cost(1);
        assert!((1..300).contains(&dropped), "{dropped}");
        for _ in 0..20 {
            it.squeeze(passed);
        }
        assert_eq!(it.charged_bytes(), 1_000 * Reassembly::cost(1));
        assert!(!it.can_use(&fragment(5_000, 9_000, 1, 3)));
        assert!(it.can_use(&fragment(5_000, 9_000, 0, 3)));
        insert(&mut it, &fragment(5_000, 9_000, 0, 3));
        assert!(it.can_use(&fragment(5_000, 9_000, 1, 3)));
    }
}
