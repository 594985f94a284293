//! ChannelBind (RFC 8656 section 12.2).

use turnpike_stun::{AttributeType, Method};
use turnpike_turn::attribute::{ChannelNumberAttribute, XorPeerAddress};
use turnpike_turn::server::Config;
use turnpike_types::{Action, DropReason, Entry, EntryKey, PeerAddr, Timestamp};

use crate::support::{PEER, addr, allocated, channel, config};

const OTHER_PEER: &str = "93.184.216.34:4001";

#[test]
fn binding_installs_permission_and_channel() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    let actions = world.take_actions();
    let [
        Action::Install(Entry::Permission(permission)),
        Action::Install(Entry::Channel(channel_entry)),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(permission.wire_ip, addr(PEER).ip());
    assert_eq!(channel_entry.number, channel(0x4000));
    assert_eq!(channel_entry.wire_peer, PeerAddr(addr(PEER)));
    assert_eq!(channel_entry.five_tuple, client.five_tuple);
    assert_eq!(channel_entry.relayed, permission.relayed);
    // The permission ends first, so the channel carries nothing after it.
    assert_eq!(channel_entry.expires_at, Timestamp::from_secs(1_300));
}

#[test]
fn channel_number_must_be_in_the_rfc_8656_range() {
    let (mut world, mut client) = allocated(config());
    for number in [0, 0x3FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF] {
        assert_eq!(
            client.bind(&mut world, number, PEER).code(),
            400,
            "{number:#x}"
        );
    }
    assert!(client.bind(&mut world, 0x4FFF, PEER).is_success());
    assert!(client.bind(&mut world, 0x4000, OTHER_PEER).is_success());
}

#[test]
fn numbers_of_rfc_5766_are_bound_where_the_operator_allows_them() {
    let mut config = config();
    config.legacy_channels = true;
    let (mut world, mut client) = allocated(config);
    for (number, peer) in [(0x5000, PEER), (0x7FFF, OTHER_PEER)] {
        assert!(client.bind(&mut world, number, peer).is_success());
    }
    for number in [0x3FFF, 0x8000] {
        assert_eq!(client.bind(&mut world, number, PEER).code(), 400);
    }
}

#[test]
fn number_and_peer_must_both_be_there() {
    let (mut world, mut client) = allocated(config());
    let number = ChannelNumberAttribute(channel(0x4000));
    let without_peer = client.request(&mut world, Method::CHANNEL_BIND, |message| {
        message.attribute(&number);
    });
    let without_number = client.request(&mut world, Method::CHANNEL_BIND, |message| {
        message.attribute(&XorPeerAddress(addr(PEER)));
    });
    let malformed = client.request(&mut world, Method::CHANNEL_BIND, |message| {
        message
            .attribute(&number)
            .raw(AttributeType::XOR_PEER_ADDRESS, &[0, 1]);
    });
    let codes = [without_peer.code(), without_number.code(), malformed.code()];
    assert_eq!(codes, [400, 400, 400]);
}

#[test]
fn number_stays_with_its_peer_and_peer_with_its_number() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    assert_eq!(client.bind(&mut world, 0x4000, OTHER_PEER).code(), 400);
    assert_eq!(client.bind(&mut world, 0x4001, PEER).code(), 400);
    assert!(world.take_actions().is_empty());
    assert!(client.bind(&mut world, 0x4001, OTHER_PEER).is_success());
}

#[test]
fn binding_the_same_again_refreshes_channel_and_permission() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    world.pass(200);
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    let actions = world.take_actions();
    let [
        Action::Refresh {
            key: EntryKey::Permission { .. },
            expires_at: first,
        },
        Action::Refresh {
            key: EntryKey::Channel { .. },
            expires_at: second,
        },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    let end = Timestamp::from_secs(1_000 + 200 + 300);
    assert_eq!((*first, *second), (end, end));
}

#[test]
fn lapsed_binding_frees_number_and_peer() {
    let (mut world, mut client) = allocated(config());
    assert!(client.refresh(&mut world, Some(3_600)).is_success());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    world.pass(601);
    client.greet(&mut world);
    assert!(
        client.bind(&mut world, 0x4000, OTHER_PEER).is_success(),
        "before any timer fired"
    );
    assert!(client.bind(&mut world, 0x4001, PEER).is_success());
}

#[test]
fn channel_rests_while_its_permission_has_lapsed_and_wakes_with_it() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    world.pass_and_wake(301);
    let actions = world.take_actions();
    assert!(matches!(
        actions[..],
        [
            Action::Revoke(EntryKey::Channel { .. }),
            Action::Revoke(EntryKey::Permission { .. })
        ]
    ));
    let channel_data = [0x40, 0x00, 0, 0];
    assert_eq!(
        world.drop_reason(client.five_tuple, &channel_data),
        DropReason::NoPermission
    );
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let actions = world.take_actions();
    let [
        Action::Install(Entry::Permission(_)),
        Action::Install(Entry::Channel(entry)),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(entry.expires_at, Timestamp::from_secs(1_600));
    world.pass_and_wake(297);
    assert!(client.refresh(&mut world, None).is_success());
    world.take_seen();
    world.pass_and_wake(5);
    let actions = world.take_actions();
    assert!(matches!(
        actions[..],
        [
            Action::Revoke(EntryKey::Channel { .. }),
            Action::Revoke(EntryKey::Permission { .. })
        ]
    ));
}

#[test]
fn permission_refresh_lengthens_the_channels_to_that_peer() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    assert!(client.bind(&mut world, 0x4001, OTHER_PEER).is_success());
    world.take_seen();
    world.pass(100);
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let keys: Vec<_> = world
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Refresh { key, expires_at } => {
                assert_eq!(expires_at, Timestamp::from_secs(1_400));
                key
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(
        keys[..],
        [
            EntryKey::Permission { .. },
            EntryKey::Channel { .. },
            EntryKey::Channel { .. }
        ]
    ));
}

#[test]
fn family_and_policy_are_judged_with_the_port() {
    let mut config = config();
    config.services = vec![addr("93.184.216.99:4000"), addr("0.0.0.0:50000")];
    let (mut world, mut client) = allocated(config);
    assert_eq!(
        client
            .bind(&mut world, 0x4000, "[2001:4860::8]:4000")
            .code(),
        443
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "127.0.0.1:4000").code(),
        403
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "93.184.216.34:80").code(),
        403
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "93.184.216.34:0").code(),
        403
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "93.184.216.99:4000").code(),
        403
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "77.88.55.1:3478").code(),
        403
    );
    assert_eq!(
        client.bind(&mut world, 0x4000, "77.88.55.1:50000").code(),
        403
    );
    assert!(world.take_actions().is_empty());
    assert!(
        client
            .bind(&mut world, 0x4000, "93.184.216.99:4001")
            .is_success()
    );
    assert!(
        client
            .bind(&mut world, 0x4001, "77.88.55.1:50001")
            .is_success()
    );
}

#[test]
fn channels_end_at_the_quota_with_508() {
    let (mut world, mut client) = allocated(config());
    for number in 0..256 {
        let peer = format!("93.184.216.34:{}", 2_000 + number);
        assert!(client.bind(&mut world, 0x4000 + number, &peer).is_success());
    }
    world.take_seen();
    for number in 256..1_100 {
        let peer = format!("93.184.216.34:{}", 2_000 + number);
        assert_eq!(client.bind(&mut world, 0x4000 + number, &peer).code(), 508);
    }
    assert!(world.take_actions().is_empty());
    assert!(
        client
            .bind(&mut world, 0x4003, "93.184.216.34:2003")
            .is_success()
    );
}

#[test]
fn all_4096_channels_can_be_bound_where_the_quota_allows() {
    let mut config = config();
    config.limits.channels_per_allocation = 4_096;
    let (mut world, mut client) = allocated(config);
    for number in 0x4000..=0x4FFF {
        let peer = format!("93.184.216.34:{number}");
        assert!(client.bind(&mut world, number, &peer).is_success());
    }
    assert_eq!(client.bind(&mut world, 0x5000, PEER).code(), 400);
}

#[test]
fn hairpin_peer_is_bound_by_the_address_behind_the_nat() {
    use turnpike_turn::RelayAddress;
    let natted = RelayAddress {
        ip: addr("10.0.0.5:0").ip(),
        external: Some(addr("77.88.55.9:0").ip()),
    };
    let (mut world, mut client) = allocated(Config {
        relay_addresses: vec![natted],
        ..config()
    });
    assert!(
        client
            .bind(&mut world, 0x4000, "77.88.55.9:50000")
            .is_success()
    );
    let actions = world.take_actions();
    let [_, Action::Install(Entry::Channel(entry))] = &actions[..] else {
        panic!()
    };
    assert_eq!(entry.wire_peer.0, addr("10.0.0.5:50000"));
    assert_eq!(
        client.bind(&mut world, 0x4001, "10.0.0.5:50000").code(),
        400
    );
}

#[test]
fn channel_data_on_an_unbound_number_is_dropped_by_that_reason() {
    let (mut world, client) = allocated(config());
    assert_eq!(
        world.drop_reason(client.five_tuple, &[0x40, 1, 0, 0]),
        DropReason::NoChannel
    );
}

#[test]
fn send_indication_that_no_lane_carried_is_dropped_by_reason() {
    use turnpike_stun::Class;
    use turnpike_turn::attribute::Data;
    let mut config = config();
    config.services = vec![addr("93.184.216.34:5000")];
    let (mut world, mut client) = allocated(config);
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let mut reason = |peer: &str| {
        let transaction = client.transaction();
        let bytes =
            crate::support::build_class(Class::Indication, Method::SEND, transaction, |message| {
                message
                    .attribute(&XorPeerAddress(addr(peer)))
                    .attribute(&Data(b"x"));
            });
        world.drop_reason(client.five_tuple, &bytes)
    };
    assert_eq!(reason("93.184.216.35:4000"), DropReason::NoPermission);
    assert_eq!(reason("93.184.216.34:80"), DropReason::ForbiddenPort);
    assert_eq!(reason("93.184.216.34:5000"), DropReason::ForbiddenPort);
    assert_eq!(reason(PEER), DropReason::Unexpected);
}

#[test]
fn service_named_by_its_external_address_is_forbidden_behind_the_nat_too() {
    let mut config = config();
    config.relay_addresses[0].external = Some("93.184.216.5".parse().unwrap());
    config.services = vec![addr("93.184.216.5:50000")];
    let (mut world, mut client) = allocated(config);
    for peer in ["93.184.216.5:50000", "77.88.55.1:50000"] {
        assert_eq!(client.bind(&mut world, 0x4000, peer).code(), 403, "{peer}");
    }
    assert!(
        client
            .bind(&mut world, 0x4000, "93.184.216.5:50001")
            .is_success()
    );
}
