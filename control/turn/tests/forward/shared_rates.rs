//! One user's limit over the lanes of several engines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use turnpike_turn::forward::{UserBuckets, Verdict};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, DropReason, Entry, EntryKey, FiveTuple, Meter,
    RateLimit, RelayedAddr, Timestamp, Transport, UserId,
};

use crate::world::*;

const LANES: usize = 2;
const USERS: u32 = 3;
const PLACES: u32 = 4;

/// Rates of which a nanosecond is a whole part, so that both kinds of bucket are exact.
const LIMIT: RateLimit = RateLimit {
    packets_per_second: Some(4),
    bytes_per_second: Some(1_000),
};

fn buckets() -> Arc<UserBuckets> {
    Arc::new(UserBuckets::new(PLACES as usize))
}

fn lane(buckets: &Arc<UserBuckets>) -> World {
    World::sharing(100, Some(Arc::clone(buckets)))
}

fn relayed(slot: u32) -> RelayedAddr {
    let port = 51_000 + u16::try_from(slot).unwrap();
    RelayedAddr(std::net::SocketAddr::new(addr(RELAYED).ip(), port))
}

const fn id(slot: u32) -> AllocationId {
    AllocationId {
        slot,
        generation: 1,
    }
}

fn client(slot: u32) -> FiveTuple {
    five_tuple(u16::try_from(slot).unwrap(), Transport::Udp)
}

fn allocate(world: &mut World, slot: u32, user: UserId, user_limit: RateLimit) {
    let entry = AllocationEntry {
        five_tuple: client(slot),
        relayed: relayed(slot),
        user,
        user_limit,
        ..allocation(id(slot), 1, RELAYED)
    };
    world.install(Entry::Allocation(entry)).unwrap();
    let entry = turnpike_types::ChannelEntry {
        five_tuple: client(slot),
        relayed: relayed(slot),
        ..channel(id(slot), NUMBER, PEER)
    };
    world.install(Entry::Channel(entry)).unwrap();
}

fn free(world: &mut World, slot: u32) {
    let key = EntryKey::Allocation {
        allocation: id(slot),
        relayed: relayed(slot),
    };
    let (now, revoke) = (world.now, Action::Revoke(key));
    world.forwarder.apply(now, &revoke).unwrap();
}

fn send(world: &mut World, slot: u32, payload_len: usize) -> Verdict {
    world.client = client(slot);
    world.client_sends(&channel_data(NUMBER, &vec![0; payload_len]))
}

/// How many packets get through before one is refused for the user.
fn relayed_of(world: &mut World, slot: u32) -> usize {
    let sent = (0..100).map(|_| send(world, slot, 0));
    sent.take_while(|verdict| *verdict != dropped(DropReason::UserRate))
        .count()
}

#[test]
fn two_lanes_together_relay_what_one_may() {
    let buckets = buckets();
    let mut lanes = [lane(&buckets), lane(&buckets)];
    for lane in &mut lanes {
        allocate(lane, 0, UserId(1), LIMIT);
        lane.now = NOW + Duration::from_secs(1);
    }
    let [one, other] = &mut lanes;
    for _ in 0..2 {
        assert!(matches!(send(one, 0, 1), Verdict::ToPeer(_)));
        assert!(matches!(send(other, 0, 1), Verdict::ToPeer(_)));
    }
    assert_eq!(send(one, 0, 1), dropped(DropReason::UserRate));
    assert_eq!(send(other, 0, 1), dropped(DropReason::UserRate));
}

#[test]
fn first_allocation_on_another_lane_neither_refills_nor_empties() {
    let buckets = buckets();
    let [mut one, mut other] = [lane(&buckets), lane(&buckets)];
    allocate(&mut one, 0, UserId(1), LIMIT);
    (one.now, other.now) = (NOW + Duration::from_secs(1), NOW + Duration::from_secs(1));
    assert!(matches!(send(&mut one, 0, 0), Verdict::ToPeer(_)));
    allocate(&mut other, 0, UserId(1), LIMIT);
    assert_eq!(relayed_of(&mut other, 0), 3);
    free(&mut other, 0);
    allocate(&mut other, 0, UserId(1), LIMIT);
    assert_eq!(relayed_of(&mut other, 0), 0);
}

#[test]
fn next_user_of_a_bucket_starts_empty_though_a_lane_still_has_the_former() {
    let buckets = buckets();
    let [mut one, mut other] = [lane(&buckets), lane(&buckets)];
    allocate(&mut one, 0, UserId(1), LIMIT);
    other.now = NOW + Duration::from_secs(1);
    allocate(&mut other, 0, UserId(1 + PLACES), LIMIT);
    assert_eq!(relayed_of(&mut other, 0), 0);
    free(&mut one, 0);
    other.now = NOW + Duration::from_secs(2);
    assert_eq!(relayed_of(&mut other, 0), 4);
}

#[test]
fn user_without_a_limit_is_not_held_to_the_bucket() {
    let buckets = buckets();
    let mut world = lane(&buckets);
    allocate(&mut world, 0, UserId(1), RateLimit::UNLIMITED);
    assert_eq!(relayed_of(&mut world, 0), 100);
}

#[test]
fn another_limit_begins_empty() {
    let buckets = buckets();
    let mut world = lane(&buckets);
    allocate(&mut world, 0, UserId(1), LIMIT);
    world.now = NOW + Duration::from_secs(1);
    let twice = RateLimit {
        packets_per_second: Some(8),
        ..LIMIT
    };
    allocate(&mut world, 0, UserId(1), twice);
    assert_eq!(relayed_of(&mut world, 0), 0);
    world.now = NOW + Duration::from_secs(2);
    assert_eq!(relayed_of(&mut world, 0), 8);
}

#[test]
fn lanes_on_several_threads_never_relay_more_than_the_limit() {
    let buckets = buckets();
    let limit = RateLimit {
        packets_per_second: Some(10_000),
        bytes_per_second: None,
    };
    let relayed: usize = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..4)
            .map(|_| {
                let mut lane = lane(&buckets);
                allocate(&mut lane, 0, UserId(1), limit);
                scope.spawn(move || {
                    lane.now = NOW + Duration::from_secs(1);
                    let sent = (0..10_000).map(|_| send(&mut lane, 0, 0));
                    sent.filter(|verdict| matches!(verdict, Verdict::ToPeer(_)))
                        .count()
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    assert_eq!(relayed, 10_000);
}

/// Two lanes that share, one that does the work of both, and who has which number.
struct Twins {
    lanes: [World; LANES],
    whole: World,
    /// The number of each user, and the lanes that it is on.
    users: BTreeMap<u32, (UserId, [bool; LANES])>,
    vacant: VecDeque<u32>,
}

#[derive(Clone, Debug)]
enum Step {
    Allocate(usize, u32),
    Free(usize, u32),
    Send(usize, u32, usize),
    Advance(u64),
}

impl Twins {
    fn new() -> Self {
        let buckets = buckets();
        Self {
            lanes: [lane(&buckets), lane(&buckets)],
            whole: World::empty(100),
            users: BTreeMap::new(),
            vacant: (0..PLACES).collect(),
        }
    }

    fn whole_slot(lane: usize, user: u32) -> u32 {
        u32::try_from(lane).unwrap() * USERS + user
    }

    fn take(&mut self, step: &Step) -> Option<bool> {
        match *step {
            Step::Allocate(lane, user) => {
                let vacant = &mut self.vacant;
                let draw = || (UserId(vacant.pop_front().unwrap()), [false; LANES]);
                let (number, on) = self.users.entry(user).or_insert_with(draw);
                on[lane] = true;
                allocate(&mut self.lanes[lane], user, *number, LIMIT);
                let slot = Self::whole_slot(lane, user);
                allocate(&mut self.whole, slot, *number, LIMIT);
                None
            }
            Step::Free(lane, user) => {
                free(&mut self.lanes[lane], user);
                free(&mut self.whole, Self::whole_slot(lane, user));
                if let Some((number, on)) = self.users.get_mut(&user) {
                    on[lane] = false;
                    if *on == [false; LANES] {
                        self.vacant.push_back(number.0 + PLACES);
                        self.users.remove(&user);
                    }
                }
                None
            }
            Step::Send(lane, user, len) => {
                let slot = Self::whole_slot(lane, user);
                let shared = send(&mut self.lanes[lane], user, len);
                let whole = send(&mut self.whole, slot, len);
                let reason = |verdict: &Verdict| match verdict {
                    Verdict::Drop(reason) => Some(*reason),
                    _ => None,
                };
                assert_eq!(reason(&shared), reason(&whole), "{step:?}");
                Some(reason(&shared).is_none())
            }
            Step::Advance(millis) => {
                let worlds = self.lanes.iter_mut().chain([&mut self.whole]);
                worlds.for_each(|world| world.now = world.now + Duration::from_millis(millis));
                None
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::sample::select(vec![0, 100, 250, 600, 1_001]);
    let millis = prop::sample::select(vec![1, 50, 250, 500, 1_000, 5_000]);
    prop_oneof![
        3 => (0..LANES, 0..USERS).prop_map(|(lane, user)| Step::Allocate(lane, user)),
        1 => (0..LANES, 0..USERS).prop_map(|(lane, user)| Step::Free(lane, user)),
        8 => (0..LANES, 0..USERS, sizes).prop_map(|(lane, user, len)| Step::Send(lane, user, len)),
        3 => millis.prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn lanes_that_share_relay_exactly_what_one_lane_would(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut twins = Twins::new();
        for step in &steps {
            twins.take(step);
        }
    }
}

#[test]
fn the_comparison_sees_packets_relayed_and_refused() {
    let mut twins = Twins::new();
    twins.take(&Step::Allocate(0, 0));
    twins.take(&Step::Allocate(1, 0));
    twins.take(&Step::Advance(1_000));
    let sent = (0..6).map(|turn| twins.take(&Step::Send(turn % LANES, 0, 100)).unwrap());
    assert_eq!(
        sent.collect::<Vec<_>>(),
        [true, true, true, true, false, false]
    );
}

/// Notes what it is asked for, and refuses what has no payload.
#[derive(Debug, Default)]
struct Other(Mutex<Vec<(AllocationId, Timestamp, usize)>>);

impl Meter for Other {
    fn charge(&self, id: AllocationId, now: Timestamp, bytes: usize) -> Result<(), DropReason> {
        self.0.lock().unwrap().push((id, now, bytes));
        (bytes > 0).then_some(()).ok_or(DropReason::UserRate)
    }
}

#[test]
fn packets_are_charged_to_another_lanes_buckets_where_it_keeps_them() {
    let meter = Arc::new(Other::default());
    let mut world = World::empty(100);
    world.forwarder = world.forwarder.metered_by(Arc::clone(&meter) as _);
    let nothing = RateLimit {
        packets_per_second: Some(0),
        bytes_per_second: None,
    };
    allocate(&mut world, 1, UserId(1), nothing);
    assert!(matches!(send(&mut world, 1, 7), Verdict::ToPeer(_)));
    assert_eq!(send(&mut world, 1, 0), dropped(DropReason::UserRate));
    let relayed = relayed(1).0.to_string();
    let heard = world.peer_sends(&relayed, PEER, 9);
    assert!(matches!(heard, Verdict::ToClient(_)));
    let charged = [7, 0, 9].map(|bytes| (id(1), world.now, bytes));
    assert_eq!(*meter.0.lock().unwrap(), charged);
}
