//! The server as a whole: a row of steps, each a packet, a lapse of time, a fault of a lane or an
//! operator's order.
//!
//! The first byte picks the setting, the second the room in the lane's table. A forwarder carries
//! the commands out, as it would in the relay; after each step the book kept of the commands, the
//! server's own numbers and the replies must agree.

mod ledger;
mod promise;
mod request;
mod setting;
mod world;

use std::time::Duration;

use turnpike_stun::{Class, MessageBuilder, Method};
use turnpike_turn::attribute::{Data, DontFragment, XorPeerAddress};
use turnpike_turn::channel_data::ChannelData;
use turnpike_turn::server::{IcmpError, UserKeys};
use turnpike_types::{CommandError, RelayedAddr};

use crate::addresses;
use crate::choices::Choices;
use setting::{NAMES, REALM, SECRET, Setting};
use world::World;

/// Plays the steps.
pub fn turn_server(data: &[u8]) {
    let mut choices = Choices::new(data);
    let setting = choices.pick(&Setting::ALL);
    let entries_max = choices.pick(&[64, 64, 64, 5]);
    let mut world = World::new(setting, entries_max);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        step(&mut world, &mut choices);
        world.check();
    }
}

fn step(world: &mut World, choices: &mut Choices<'_>) {
    match choices.byte() % 24 {
        0..=7 => request(world, choices),
        8 => repeat(world, choices),
        9 | 10 => client_data(world, choices),
        11 | 12 => {
            let (relayed, peer) = (relayed(world, choices), addresses::peer(choices.byte()));
            world.peer_sends(relayed, peer, usize::from(choices.byte()));
        }
        13 => raw_packet(world, choices),
        14..=16 => time_passes(world, choices),
        17 => {
            let mask = choices.byte();
            world.failures = (u16::from(mask), choices.pick(&COMMAND_ERRORS));
        }
        18 => icmp(world, choices),
        19 => {
            let five_tuple = addresses::five_tuple(choices.byte());
            world.server.handle_disconnect(world.now, &five_tuple);
            world.drain();
            assert_eq!(world.ledger.relayed(&five_tuple).count(), 0);
        }
        20 => policy_changes(world, choices.byte()),
        21 => {
            let five_tuple = addresses::five_tuple(choices.byte());
            if let Some(id) = world.server.allocation(&five_tuple) {
                world.server.end_allocation(world.now, id);
                world.drain();
                assert_eq!(world.ledger.relayed(&five_tuple).count(), 0);
            }
        }
        22 => credentials_change(world, choices.byte()),
        _ => {
            let redirect = choices.flag().then(setting::redirect);
            world
                .server
                .set_redirect(redirect)
                .expect("a sound redirect");
        }
    }
}

fn request(world: &mut World, choices: &mut Choices<'_>) {
    let client = choices.byte();
    let five_tuple = addresses::five_tuple(client);
    let place = usize::from(client % addresses::FIVE_TUPLES);
    if world.challenges[place].is_none() && world.setting != Setting::Anonymous {
        world.provoke(five_tuple);
        world.learn(client);
    }
    let id = world.next_transaction_id();
    let challenge = world.challenges[place].clone();
    let sent = request::build(choices, five_tuple, id, challenge.as_ref(), world.token);
    world.request(&sent);
    world.learn(client);
    world.last = Some(sent);
}

/// The last request again: a retransmission, or a replay from elsewhere, perhaps damaged.
fn repeat(world: &mut World, choices: &mut Choices<'_>) {
    let Some(mut sent) = world.last.clone() else {
        return;
    };
    let (client, place, mask) = (choices.byte(), choices.byte(), choices.byte());
    if client & 0x80 != 0 {
        sent.five_tuple = addresses::five_tuple(client);
    }
    let place = usize::from(place) % sent.bytes.len();
    sent.bytes[place] ^= mask;
    if mask == 0 && client & 0x80 == 0 {
        world.request(&sent);
    } else {
        world.client_sends(sent.five_tuple, &sent.bytes);
    }
}

fn client_data(world: &mut World, choices: &mut Choices<'_>) {
    let five_tuple = addresses::five_tuple(choices.byte());
    let shape = choices.byte();
    let payload = [0xA5; 64];
    let payload = &payload[..usize::from(shape >> 2)];
    let mut buf = [0; 128];
    let len = if shape & 1 == 0 {
        let header = ChannelData::header(choices.channel_number(), payload.len());
        let packet = [header.expect("64 bytes at most").as_slice(), payload].concat();
        buf[..packet.len()].copy_from_slice(&packet);
        packet.len()
    } else {
        let id = world.next_transaction_id();
        let mut builder = MessageBuilder::new(&mut buf, Class::Indication, Method::SEND, id);
        builder.attribute(&XorPeerAddress(addresses::peer(choices.byte()).0));
        if shape & 2 != 0 {
            builder.attribute(&DontFragment);
        }
        builder
            .attribute(&Data(payload))
            .finish()
            .expect("128 bytes hold it")
    };
    if shape == 0xFF {
        // A lane that gives up on a packet leaves it to the server, which names the reason.
        world.tell_server(five_tuple, &buf[..len]);
        assert!(world.news.replies.is_empty());
    } else {
        world.client_sends(five_tuple, &buf[..len]);
    }
}

fn raw_packet(world: &mut World, choices: &mut Choices<'_>) {
    let client = choices.byte();
    let five_tuple = addresses::five_tuple(client);
    let packet = choices.sized(PACKET_MAX);
    if client & 0x80 == 0 {
        world.client_sends(five_tuple, packet);
    } else {
        world.tell_server(five_tuple, packet);
    }
    world.learn(client);
}

/// To the next deadline, or by so much, with the timers looked at or not.
fn time_passes(world: &mut World, choices: &mut Choices<'_>) {
    let shape = choices.byte();
    if shape == 0 {
        let deadline = world.server.poll_timeout();
        world.now = deadline.map_or(world.now, |deadline| world.now.max(deadline.at));
    } else {
        let unit = [1, 100, 1_000, 20_000][usize::from(shape & 3)];
        world.now = world.now + Duration::from_millis(unit * u64::from(shape >> 3));
    }
    if shape & 4 == 0 {
        world.tick();
    } else {
        world.is_late = true;
    }
}

fn icmp(world: &mut World, choices: &mut Choices<'_>) {
    let relayed = relayed(world, choices);
    let peer = addresses::peer(choices.byte());
    let kind = choices.pick(&[3, 11, 1, 2, 8, 128]);
    let error = IcmpError {
        relayed,
        peer,
        kind,
        code: choices.byte(),
        data: [0, 0, 5, 220],
    };
    world.server.handle_icmp(world.now, error);
    world.drain();
    for (five_tuple, _) in &world.news.replies {
        let owns = |found: RelayedAddr| found == relayed;
        assert!(
            world.ledger.relayed(five_tuple).any(owns),
            "another's ICMP error"
        );
        assert!(
            world.ledger.permits(five_tuple, peer.ip()),
            "of a peer without a permission"
        );
    }
}

fn policy_changes(world: &mut World, choice: u8) {
    let policy = setting::policy(choice);
    let denied = policy.deny.clone();
    world.server.set_peer_policy(world.now, policy);
    world.drain();
    world.tick();
    for permission in &world.ledger.permissions {
        let is_denied = denied.iter().any(|net| net.contains(&permission.wire_ip));
        assert!(!is_denied, "{} outlives its denial", permission.wire_ip);
    }
}

fn credentials_change(world: &mut World, choice: u8) {
    let credentials = world.server.credentials_mut();
    match choice % 4 {
        0 => drop(credentials.remove_user("bob")),
        1 => {
            let (name, password) = NAMES[1];
            let keys = UserKeys::of_password(name, REALM, password).expect("plain ASCII");
            credentials.add_user(name, keys).expect("a short name");
        }
        2 => drop(credentials.remove_secret(SECRET)),
        _ => drop(credentials.add_secret(SECRET)),
    }
}

/// One that is open, if any is.
fn relayed(world: &World, choices: &mut Choices<'_>) -> RelayedAddr {
    let open = &world.ledger.addresses;
    let choice = usize::from(choices.byte());
    match open.get(choice % (open.len() + 1)) {
        Some(address) => address.relayed,
        None => RelayedAddr((addresses::RELAY_V4, addresses::PORTS.0).into()),
    }
}

const COMMAND_ERRORS: [CommandError; 4] = [
    CommandError::PortInUse,
    CommandError::TableFull,
    CommandError::Absent,
    CommandError::OutOfResources,
];

const STEPS_MAX: usize = 64;
const PACKET_MAX: usize = 256;
