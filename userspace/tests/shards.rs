//! Several shards on loopback: every client at the shard that owns it, whichever socket its datagrams
//! came in by, and every limit and order of the whole kept by all of them together.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::net::UdpSocket;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use turnpike::credentials::CredentialChange;
use turnpike::probe::{CallError, Caller};
use turnpike::relay::{Options, Relay};
use turnpike::shard::owner_of;
use turnpike_turn::client::{self, Credential, Failure, Families, Port};
use turnpike_turn::server::UserKeys;
use turnpike_types::{AddressFamily, ClientAddr, PeerAddr, ServerAddr, Transport};

use AddressFamily::{Ipv4, Ipv6};

use support::{BOTH_FAMILIES, USER, plan};

const PATIENCE: Duration = Duration::from_secs(5);

/// A relay of so many shards; with `steer` the kernel finds the owner, without it the shards do.
fn relay(text: &str, shards: u16, steer: bool) -> Relay {
    Relay::start(&plan(text), &options(shards, steer)).unwrap()
}

fn options(shards: u16, steer: bool) -> Options {
    Options {
        shards: Some(shards),
        steer,
        ..support::options()
    }
}

fn listener(relay: &Relay, family: AddressFamily) -> ServerAddr {
    let mut listeners = relay.listeners().iter();
    *listeners.find(|it| it.family() == family).unwrap()
}

/// A client that has not asked for anything yet, and the shard that owns it.
fn client_of(
    relay: &Relay,
    family: AddressFamily,
    user: (&str, &str),
    port: Port,
    shards: u16,
) -> (Caller, u16) {
    let mut config = client::Config::new(listener(relay, family), Transport::Udp);
    config.credential = Some(Credential::new(user.0, user.1));
    config.families = match family {
        Ipv4 => Families::Ipv4,
        Ipv6 => Families::Ipv6,
    };
    config.port = port;
    let caller = Caller::start(config, PATIENCE).unwrap();
    let client = ClientAddr(caller.socket().local_addr().unwrap());
    (caller, owner_of(client, shards))
}

/// A client of one shard, which has its allocation.
fn caller_at(relay: &Relay, shard: u16, shards: u16) -> Result<Caller, CallError> {
    let mut caller = idle_at(relay, shard, shards, Port::Any);
    caller.wait_for_allocation()?;
    Ok(caller)
}

fn idle_at(relay: &Relay, shard: u16, shards: u16, port: Port) -> Caller {
    std::iter::repeat_with(|| client_of(relay, Ipv4, USER, port, shards))
        .take(1_000)
        .find(|(_, owner)| *owner == shard)
        .unwrap()
        .0
}

/// A peer that speaks no TURN, on a port from the range that peers may have on the relay's host.
fn outsider() -> UdpSocket {
    let free = |port| UdpSocket::bind(("127.0.0.1", port)).ok();
    (61_000..=65_535).find_map(free).unwrap()
}

fn relayed(caller: &Caller) -> PeerAddr {
    let of = |family| caller.relayed(family);
    PeerAddr(of(Ipv4).or_else(|| of(Ipv6)).unwrap().0)
}

/// Lets two clients of one relay talk, one by indication and one by channel.
fn talk(one: &mut Caller, other: &mut Caller) {
    let (one_at, other_at) = (relayed(one), relayed(other));
    one.permit(other_at.ip()).unwrap();
    other.bind_channel(one_at).unwrap();
    for len in [0, 1, 172, 1_400, 8_000] {
        one.send(other_at, &vec![1; len]).unwrap();
        assert_eq!(other.receive().unwrap(), (one_at, vec![1; len]));
        other.send(one_at, &vec![2; len]).unwrap();
        assert_eq!(one.receive().unwrap(), (other_at, vec![2; len]));
    }
}

fn refused(result: &Result<Caller, CallError>) -> Option<u16> {
    match result {
        Err(CallError::Failed(Failure::Refused(code))) => Some(*code),
        _ => None,
    }
}

/// On the relay's own address a peer may only have a port that relayed ones are drawn from.
fn peer_on_relay(family: AddressFamily) -> UdpSocket {
    let ip = if family == Ipv4 { "127.0.0.1" } else { "::1" };
    let free = |port| UdpSocket::bind((ip, port)).ok();
    (61_000..=65_535).find_map(free).unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Calls of many clients; returns how many datagrams hopped.
fn crowd(shards: u16, steer: bool) -> u64 {
    const CALLERS: usize = 12;
    let relay = relay(BOTH_FAMILIES, shards, steer);
    for family in [Ipv4, Ipv6] {
        let mut owned = vec![0; usize::from(shards)];
        let mut callers = Vec::new();
        for _ in 0..2 * CALLERS {
            let (mut caller, owner) = client_of(&relay, family, USER, Port::Any, shards);
            caller.wait_for_allocation().unwrap();
            owned[usize::from(owner)] += 1;
            callers.push(caller);
        }
        let now = relay.fresh_snapshot();
        assert_eq!(now.allocations, 2 * CALLERS as u64);
        let per_shard = relay.numbers().per_shard();
        let held: Vec<u64> = per_shard.iter().map(|it| it.allocations).collect();
        assert_eq!(held, owned, "allocations are at their owners");
        assert!(owned.iter().filter(|count| **count > 0).count() > 1);
        while let (Some(mut one), Some(mut other)) = (callers.pop(), callers.pop()) {
            talk(&mut one, &mut other);
            one.close().unwrap();
            other.close().unwrap();
        }
    }
    let last = relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
    assert_eq!(last.packets(), 2 * CALLERS as u64 * 5 * 4, "{last:?}");
    last.hopped
}

#[test]
fn clients_of_all_shards_talk_and_nothing_hops_where_the_kernel_finds_the_owner() {
    for shards in [2, 3] {
        assert_eq!(crowd(shards, true), 0, "{shards} shards");
    }
}

#[test]
fn hops_lose_nothing_and_count_nothing_twice_where_the_kernel_does_not_help() {
    for shards in [2, 3] {
        assert!(crowd(shards, false) > 0, "{shards} shards");
    }
}

#[test]
fn run_of_a_client_hops_whole_to_the_shard_that_owns_it() {
    const RUN: usize = 50;
    const CLIENTS: usize = 16;
    let relay = relay(BOTH_FAMILIES, 2, false);
    let (mut hopped, mut stayed) = (0, 0);
    for index in 0..CLIENTS {
        let mut caller = caller_at(&relay, index as u16 % 2, 2).unwrap();
        let peer = outsider();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = PeerAddr(peer.local_addr().unwrap());
        caller.bind_channel(to).unwrap();
        let mut messages = Vec::new();
        let mut message = [0; 512];
        let mut len = 0;
        for number in 0..RUN {
            len = caller
                .write(to, &[number as u8; 172], &mut message)
                .unwrap();
            messages.extend_from_slice(&message[..len]);
        }
        let before = relay.fresh_snapshot().hopped;
        setsockopt(caller.socket(), sockopt::UdpGsoSegment, &(len as i32)).unwrap();
        caller.socket().send(&messages).unwrap();
        setsockopt(caller.socket(), sockopt::UdpGsoSegment, &0).unwrap();
        for number in 0..RUN {
            let mut got = [0; 512];
            assert_eq!(peer.recv(&mut got).unwrap(), 172);
            assert_eq!(got[..172], [number as u8; 172]);
        }
        match relay.fresh_snapshot().hopped - before {
            0 => stayed += 1,
            more => {
                assert_eq!(more, RUN as u64);
                hopped += 1;
            }
        }
        caller.close().unwrap();
    }
    assert!(hopped > 0 && stayed > 0, "{hopped} hopped, {stayed} stayed");
    let last = relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!(last.to_peer_packets, (CLIENTS * RUN) as u64);
}

#[test]
fn one_shard_owns_every_client() {
    let relay = relay(BOTH_FAMILIES, 1, true);
    let [mut one, mut other] = [(); 2].map(|()| caller_at(&relay, 0, 1).unwrap());
    talk(&mut one, &mut other);
    assert_eq!(relay.stop().unwrap().hopped, 0);
}

#[test]
fn quota_of_a_user_is_exact_though_requests_meet_different_shards_at_once() {
    const MOST: usize = 5;
    const CLIENTS: usize = 16;
    const SHARDS: u16 = 3;
    let relay = relay(
        &format!("{BOTH_FAMILIES}\n[limits]\nallocations_per_user = {MOST}\n"),
        SHARDS,
        true,
    );
    for round in 0..5 {
        let barrier = Barrier::new(CLIENTS);
        let results: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                let (mut caller, _) = client_of(&relay, Ipv4, USER, Port::Any, SHARDS);
                barrier.wait();
                caller.wait_for_allocation().map(|()| caller)
            };
            let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let over = results.iter().filter(|it| refused(it) == Some(486)).count();
        let held: Vec<Caller> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!((held.len(), over), (MOST, CLIENTS - MOST), "round {round}");
        let mut left = held.into_iter();
        left.next().unwrap().close().unwrap();
        let again = caller_at(&relay, 0, SHARDS).unwrap();
        assert_eq!(refused(&caller_at(&relay, 1, SHARDS)), Some(486));
        for caller in left.chain([again]) {
            caller.close().unwrap();
        }
    }
}

#[test]
fn rate_limit_of_a_user_holds_over_all_shards_together() {
    const RATE: u64 = 200;
    const SENT: u64 = 2 * RATE;
    let limits = format!("[limits]\nuser_packets_per_second = {RATE}\n");
    let relay = relay(&format!("{BOTH_FAMILIES}\n{limits}"), 2, true);
    let mut callers = [0, 1].map(|shard| caller_at(&relay, shard, 2).unwrap());
    let listens = peer_on_relay(Ipv4);
    let peer = PeerAddr(listens.local_addr().unwrap());
    for caller in &mut callers {
        caller.permit(peer.ip()).unwrap();
    }
    let before = relay.fresh_snapshot();
    // By then a bucket of a shard's own would be full, and there would be one a shard.
    let full = Instant::now() + Duration::from_secs(1);
    wait_until("buckets are full", || Instant::now() >= full);
    let begun = Instant::now();
    for _ in 0..SENT {
        for caller in &mut callers {
            caller.send(peer, b"one more").unwrap();
        }
    }
    wait_until("all came in", || {
        relay.fresh_snapshot().received >= before.received + 2 * SENT
    });
    let refilled = RATE * u64::try_from(begun.elapsed().as_millis()).unwrap() / 1_000 + 1;
    let now = relay.fresh_snapshot();
    let relayed = now.packets() - before.packets();
    assert!(relayed >= RATE, "{relayed} relayed");
    assert!(relayed <= RATE + refilled, "{relayed} relayed");
    assert_eq!(now.dropped() - before.dropped(), 2 * SENT - relayed);
    let per_shard = relay.numbers().per_shard();
    assert!(
        per_shard.iter().all(|it| it.received > SENT),
        "{per_shard:?}"
    );
}

#[test]
fn token_is_good_at_every_shard_and_its_five_tuple_comes_home_afterwards() {
    const SHARDS: u16 = 3;
    for steer in [true, false] {
        let relay = relay(BOTH_FAMILIES, SHARDS, steer);
        for owner in [1, 2] {
            let mut rtp = idle_at(&relay, 0, SHARDS, Port::EvenWithNext);
            rtp.wait_for_allocation().unwrap();
            let allocation = rtp.client().allocation().unwrap();
            let token = allocation.reservation_token.unwrap();
            let mut rtcp = idle_at(&relay, owner, SHARDS, Port::Reserved(token));
            rtcp.wait_for_allocation().unwrap();
            assert_eq!(relayed(&rtcp).port(), relayed(&rtp).port() + 1);
            assert_eq!(relay.fresh_snapshot().allocations, 2);
            assert_eq!(relay.numbers().per_shard()[0].allocations, 2);
            talk(&mut rtp, &mut rtcp);
            let mut far = caller_at(&relay, owner, SHARDS).unwrap();
            talk(&mut far, &mut rtcp);

            let socket = rtcp.socket().try_clone().unwrap();
            let lent = relay.fresh_snapshot();
            rtcp.close().unwrap();
            let home = relay.fresh_snapshot();
            assert!(home.hopped > lent.hopped, "the last request hopped");
            assert!(home.allocations == 2 && lent.allocations == 3);
            binding(&socket);
            if steer {
                assert_eq!(relay.fresh_snapshot().hopped, home.hopped);
            }
            assert_eq!(relay.numbers().per_shard()[0].allocations, 1);
            rtp.close().unwrap();
            far.close().unwrap();
        }
        let last = relay.stop().unwrap();
        assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
        assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
    }
}

/// Asks for a binding and waits for the response.
fn binding(socket: &UdpSocket) {
    let mut request = [0; 20];
    request[1] = 1;
    request[4..8].copy_from_slice(&0x2112_A442_u32.to_be_bytes());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(&request).unwrap();
    let mut response = [0; 128];
    assert!(socket.recv(&mut response).unwrap() > 20);
    assert_eq!(response[..2], [1, 1]);
}

#[test]
fn token_that_names_no_shard_or_one_that_never_gave_it_is_508() {
    use turnpike_turn::attribute::ReservationToken;
    let relay = relay(BOTH_FAMILIES, 2, true);
    for token in [[0; 8], [0, 1, 2, 3, 4, 5, 6, 7], [0xFF; 8]] {
        for shard in [0, 1] {
            let mut caller = idle_at(&relay, shard, 2, Port::Reserved(ReservationToken(token)));
            let result = caller.wait_for_allocation().map(|()| caller);
            assert_eq!(refused(&result), Some(508), "{token:?}");
        }
    }
    assert_eq!(relay.fresh_snapshot().allocations, 0);
}

#[test]
fn change_of_credentials_reaches_every_shard() {
    const BOB: (&str, &str) = ("bob", "his own");
    let relay = relay(BOTH_FAMILIES, 3, true);
    let asks_at = |shard| {
        let mut clients = std::iter::repeat_with(|| client_of(&relay, Ipv4, BOB, Port::Any, 3));
        let (mut caller, _) = clients.find(|(_, owner)| *owner == shard).unwrap();
        caller.wait_for_allocation().map(|()| caller)
    };
    let keys = UserKeys::of_password(BOB.0, "example.org", BOB.1).unwrap();
    for shard in 0..3 {
        assert!(asks_at(shard).is_err());
    }
    assert!(
        relay
            .orders()
            .apply(&CredentialChange::PutUser(BOB.0.to_owned(), keys))
    );
    for shard in 0..3 {
        asks_at(shard).unwrap();
    }
    assert!(
        relay
            .orders()
            .apply(&CredentialChange::RemoveUser(BOB.0.to_owned()))
    );
    for shard in 0..3 {
        assert!(asks_at(shard).is_err());
    }
}

#[test]
fn draining_relay_refuses_new_allocations_and_serves_the_others_to_their_end() {
    let relay = relay(BOTH_FAMILIES, 2, true);
    let mut one = caller_at(&relay, 0, 2).unwrap();
    let mut other = caller_at(&relay, 1, 2).unwrap();
    relay.orders().drain();
    for shard in [0, 1] {
        assert_eq!(refused(&caller_at(&relay, shard, 2)), Some(508));
    }
    talk(&mut one, &mut other);
    assert_eq!(relay.fresh_snapshot().allocations, 2);
    one.close().unwrap();
    other.close().unwrap();
    wait_until("it is drained", || relay.snapshot().allocations == 0);
    assert!(relay.is_running());
}

#[test]
fn error_of_the_network_reaches_its_client_once_whichever_shard_that_is_at() {
    for shards in [1, 2, 3] {
        let relay = relay(BOTH_FAMILIES, shards, true);
        if !relay.hears_icmp() {
            return;
        }
        for family in [Ipv4, Ipv6] {
            for shard in 0..shards {
                hears_of_an_error(&relay, family, shard, shards);
            }
        }
    }
}

fn hears_of_an_error(relay: &Relay, family: AddressFamily, shard: u16, shards: u16) {
    let mut clients =
        std::iter::repeat_with(|| client_of(relay, family, USER, Port::Any, shards)).take(1_000);
    let (mut caller, _) = clients.find(|(_, owner)| *owner == shard).unwrap();
    caller.wait_for_allocation().unwrap();
    let gone = PeerAddr(peer_on_relay(family).local_addr().unwrap());
    caller.permit(gone.ip()).unwrap();
    caller.send(gone, b"anybody?").unwrap();
    let (peer, icmp) = caller.receive_icmp().unwrap();
    let unreachable = if family == Ipv4 { (3, 3) } else { (1, 4) };
    assert_eq!((peer, (icmp.kind, icmp.code)), (gone, unreachable));
    let wait = Duration::from_millis(100);
    caller.socket().set_read_timeout(Some(wait)).unwrap();
    let more = caller.socket().recv(&mut [0; 512]);
    assert!(more.is_err(), "a second answer");
}

#[test]
fn address_can_be_listened_on_again_with_another_number_of_shards() {
    let mut plan = plan(BOTH_FAMILIES);
    let first = Relay::start(&plan, &options(2, true)).unwrap();
    caller_at(&first, 1, 2).unwrap().close().unwrap();
    for (listen, bound) in plan.listen.iter_mut().zip(first.listeners()) {
        listen.address = bound.0;
    }
    let refused = Relay::start(&plan, &options(2, true)).unwrap_err();
    assert!(refused.to_string().contains("another program"), "{refused}");
    first.stop().unwrap();
    let second = Relay::start(&plan, &options(3, true)).unwrap();
    for shard in 0..3 {
        let caller = caller_at(&second, shard, 3).unwrap();
        assert_eq!(second.fresh_snapshot().allocations, 1);
        caller.close().unwrap();
    }
    assert_eq!(second.stop().unwrap().hopped, 0);
}
