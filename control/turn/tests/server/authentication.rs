//! Long-term credentials (RFC 8489 section 9.2.4) as a client and an attacker meet them.

use turnpike_stun::long_term::{MINTED_NONCE_MAX, SecurityFeatures};
use turnpike_stun::{
    AttributeType, IntegrityAlgorithm, Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm,
    Username,
};
use turnpike_turn::attribute::RequestedTransport;
use turnpike_turn::server::{Credentials, MESSAGE_MAX, UserKeys};
use turnpike_types::DropReason;

use crate::support::{Client, PASSWORD, REALM, Response, TID, World, build, config};

fn features(response: &Response) -> SecurityFeatures {
    SecurityFeatures::of_nonce(response.raw(AttributeType::NONCE).unwrap()).unwrap_or_default()
}

fn challenge(world: &mut World) -> Response {
    let bytes = build(Method::ALLOCATE, TID, |_| {});
    world.send(Client::new(0, "").five_tuple, &bytes).unwrap()
}

/// An Allocate request whose credentials were spoiled.
fn spoiled(client: &Client, world: &mut World, spoil: impl FnOnce(&mut Client)) -> Response {
    let mut client = client.clone();
    spoil(&mut client);
    client.allocate(world)
}

fn greeted(world: &mut World, client: Client) -> Client {
    let mut client = client;
    client.greet(world);
    client
}

#[test]
fn challenge_is_no_larger_than_it_must_be() {
    let mut world = World::new(config());
    let with_algorithms = challenge(&mut world);
    // Header 20, ERROR-CODE 8, REALM 4 + 12, NONCE 4 + 32, PASSWORD-ALGORITHMS 4 + 8.
    assert_eq!(with_algorithms.0.len(), 92);
    assert_eq!(
        with_algorithms.raw(AttributeType::NONCE).unwrap().len(),
        MINTED_NONCE_MAX
    );
    let mut bare = config();
    bare.credentials.add_secret(b"north").unwrap();
    let md5 = turnpike_stun::IntegrityKey::from_md5([1; 16]);
    bare.credentials
        .add_user("old", UserKeys { md5, sha256: None })
        .unwrap();
    let bare = challenge(&mut World::new(bare));
    // Nothing to offer, so no cookie either: NONCE 4 + 20, no PASSWORD-ALGORITHMS.
    assert_eq!(bare.0.len(), 68);
    for attribute in [AttributeType::SOFTWARE, AttributeType::FINGERPRINT] {
        assert!(!with_algorithms.has(attribute) && !bare.has(attribute));
    }
    assert!(
        with_algorithms
            .get::<turnpike_stun::ErrorCode<'_>>()
            .unwrap()
            .reason
            .is_empty()
    );
}

#[test]
fn request_without_integrity_is_challenged_with_realm_and_nonce() {
    let mut world = World::new(config());
    let response = challenge(&mut world);
    assert_eq!(response.code(), 401);
    assert_eq!(response.get::<Realm<'_>>(), Some(Realm(REALM.as_bytes())));
    assert_eq!(
        response.get::<PasswordAlgorithms<'_>>(),
        Some(PasswordAlgorithms::SHA256_MD5)
    );
    let both = SecurityFeatures::PASSWORD_ALGORITHMS.union(SecurityFeatures::USERNAME_ANONYMITY);
    assert_eq!(features(&response), both);
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        assert!(!response.message().has_integrity(algorithm));
    }
}

#[test]
fn md5_client_is_answered_with_message_integrity() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    let response = client.allocate(&mut world);
    assert!(response.is_success());
    assert!(
        response
            .message()
            .verify_integrity(IntegrityAlgorithm::Sha1, &client.key())
    );
    assert!(!response.message().has_integrity(IntegrityAlgorithm::Sha256));
    for attribute in [
        AttributeType::REALM,
        AttributeType::NONCE,
        AttributeType::USERNAME,
    ] {
        assert!(!response.has(attribute));
    }
}

#[test]
fn sha256_client_with_userhash_is_answered_with_message_integrity_sha256() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice").modern();
    let response = client.allocate(&mut world);
    assert!(response.is_success());
    assert_eq!(client.algorithm(), PasswordAlgorithm::Sha256);
    assert!(
        response
            .message()
            .verify_integrity(IntegrityAlgorithm::Sha256, &client.key())
    );
    assert!(!response.message().has_integrity(IntegrityAlgorithm::Sha1));
}

#[test]
fn md5_client_may_refresh_what_a_sha256_client_allocated() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice").modern();
    assert!(client.allocate(&mut world).is_success());
    client.is_modern = false;
    assert!(client.refresh(&mut world, None).is_success());
}

#[test]
fn truncated_sha256_integrity_is_a_bad_request() {
    let mut world = World::new(config());
    let mut client = greeted(&mut world, Client::new(0, "alice").modern());
    for (len, code) in [(16, 400), (20, 400), (28, 400), (32, 0)] {
        let transaction = client.transaction();
        let bytes = build(Method::ALLOCATE, transaction, |message| {
            message
                .attribute(&RequestedTransport::UDP)
                .attribute(&Username(b"alice"));
            message
                .attribute(&Realm(REALM.as_bytes()))
                .attribute(&Nonce(&client.nonce));
            message.attribute(&PasswordAlgorithms::SHA256_MD5);
            message.attribute(&PasswordAlgorithm::Sha256);
            message.truncated_sha256_integrity(&client.key(), len);
        });
        assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), code);
    }
}

#[test]
fn unknown_user_and_wrong_password_are_told_the_same() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let wrong = spoiled(&client, &mut world, |client| {
        client.password = "wrong".into()
    });
    let unknown = spoiled(&client, &mut world, |client| {
        client.username = b"mallory".to_vec()
    });
    assert_eq!((wrong.code(), unknown.code()), (401, 401));
    assert_eq!(wrong, unknown);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn unknown_userhash_is_an_unknown_user() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice").modern());
    let unknown = spoiled(&client, &mut world, |client| {
        client.username = b"mallory".to_vec()
    });
    assert_eq!(unknown.code(), 401);
}

#[test]
fn user_names_of_every_kind_get_a_defined_answer() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let long = [b'a'; 513];
    let names: [(&[u8], u16); 11] = [
        (b"", 401),
        (&long[..508], 401),
        (&long[..512], 401),
        (&long, 400),
        (b"alice\0", 401),
        (b"%n%s%n", 401),
        (b"alice' OR '1'='1", 401),
        (b"\"alice\"", 401),
        (b"alice\r\nSet: x", 401),
        (b"\xFF\xFEalice", 401),
        (b"ALICE", 401),
    ];
    for (name, code) in names {
        let bytes = with_raw_name(&client, name);
        let response = world.send(client.five_tuple, &bytes).unwrap();
        assert_eq!(response.code(), code, "{}", name.escape_ascii());
    }
    assert_eq!(world.server.users(), 0);
}

fn with_raw_name(client: &Client, name: &[u8]) -> Vec<u8> {
    let mut buf = vec![0; 66_000];
    let mut message = turnpike_stun::MessageBuilder::new(
        &mut buf,
        turnpike_stun::Class::Request,
        Method::ALLOCATE,
        TID,
    );
    message
        .attribute(&RequestedTransport::UDP)
        .raw(AttributeType::USERNAME, name);
    message
        .attribute(&Realm(REALM.as_bytes()))
        .attribute(&Nonce(&client.nonce));
    let len = message
        .integrity(IntegrityAlgorithm::Sha1, &client.key())
        .finish()
        .unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn message_longer_than_any_honest_one_is_dropped_unread() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    for len in [MESSAGE_MAX, 65_000] {
        let bytes = with_raw_name(&client, &vec![b'a'; len]);
        assert!(world.send(client.five_tuple, &bytes).is_none());
    }
    assert_eq!(world.server.counters().dropped(DropReason::Oversize), 2);
    let bytes = with_raw_name(&client, &[b'a'; MESSAGE_MAX - 256]);
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), 400);
}

#[test]
fn integrity_without_user_name_realm_or_nonce_is_a_bad_request() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    for left_out in 0..3 {
        let bytes = build(Method::ALLOCATE, TID, |message| {
            if left_out != 0 {
                message.attribute(&Username(b"alice"));
            }
            if left_out != 1 {
                message.attribute(&Realm(REALM.as_bytes()));
            }
            if left_out != 2 {
                message.attribute(&Nonce(&client.nonce));
            }
            message.integrity(IntegrityAlgorithm::Sha1, &client.key());
        });
        let response = world.send(client.five_tuple, &bytes).unwrap();
        assert_eq!(response.code(), 400);
        assert_eq!(
            response.message().attributes().count(),
            1,
            "nothing but ERROR-CODE"
        );
    }
}

#[test]
fn realm_of_another_server_is_challenged_with_ours() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    for realm in [&b"example.com"[..], &[b'r'; 128], b""] {
        let bytes = build(Method::ALLOCATE, TID, |message| {
            message
                .attribute(&Username(b"alice"))
                .raw(AttributeType::REALM, realm);
            message.attribute(&Nonce(&client.nonce));
            message.integrity(IntegrityAlgorithm::Sha1, &client.key());
        });
        let response = world.send(client.five_tuple, &bytes).unwrap();
        assert_eq!(response.code(), 401);
        assert_eq!(response.get::<Realm<'_>>(), Some(Realm(REALM.as_bytes())));
    }
}

#[test]
fn nonce_that_is_not_ours_for_this_client_is_stale() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let other = greeted(&mut world, Client::new(1, "alice"));
    let mut flipped = client.nonce.clone();
    flipped[20] ^= 1;
    let without_cookie = client.nonce[13..].to_vec();
    let bid_down = [b"obMatJos2AAAA", &client.nonce[13..]].concat();
    let long = vec![b'n'; 129];
    for nonce in [
        other.nonce,
        flipped,
        without_cookie,
        bid_down,
        long,
        b"forged".to_vec(),
        vec![],
    ] {
        let mut again = client.clone();
        again.nonce.clone_from(&nonce);
        let transaction = again.transaction();
        let bytes = again.signed(Method::ALLOCATE, transaction, |message| {
            message.attribute(&RequestedTransport::UDP);
        });
        let response = world.send(client.five_tuple, &bytes).unwrap();
        assert_eq!(response.code(), 438, "{}", nonce.escape_ascii());
        again.learn(&response);
        assert_eq!(features(&response), features(&challenge(&mut world)));
        assert_eq!(again.allocate(&mut world).code(), 0);
        assert!(again.refresh(&mut world, Some(0)).is_success());
    }
}

#[test]
fn nonce_of_another_port_of_the_same_host_is_stale() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let neighbour = spoiled(&client, &mut world, |client| {
        client.five_tuple = Client::new(1, "alice").five_tuple;
    });
    assert_eq!(neighbour.code(), 438);
}

#[test]
fn nonce_is_good_for_its_lifetime_and_then_stale() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    world.pass_and_wake(599);
    assert_eq!(spoiled(&client, &mut world, |_| {}).code(), 0);
    world.pass_and_wake(2);
    let mut client = client;
    let stale = client.refresh(&mut world, None);
    assert_eq!(stale.code(), 438);
    assert_eq!(
        stale.get::<PasswordAlgorithms<'_>>(),
        Some(PasswordAlgorithms::SHA256_MD5)
    );
    client.learn(&stale);
    assert_eq!(client.refresh(&mut world, None).code(), 0);
}

#[test]
fn altered_or_missing_password_algorithms_are_a_bad_request() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice").modern());
    let offered = PasswordAlgorithms::SHA256_MD5;
    let (md5, sha256) = (PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256);
    let cases = [
        (Some(offered), Some(sha256), 0),
        (Some(offered), Some(md5), 437),
        (None, None, 437),
        (None, Some(sha256), 400),
        (Some(offered), None, 400),
        (Some(PasswordAlgorithms::MD5), Some(md5), 400),
        (Some(PasswordAlgorithms::MD5_SHA256), Some(sha256), 400),
    ];
    for (repeated, chosen, code) in cases {
        let algorithm = chosen.unwrap_or(md5);
        let mut keyed = client.clone();
        keyed.is_modern = algorithm == sha256;
        let transaction = keyed.transaction();
        let bytes = build(Method::ALLOCATE, transaction, |message| {
            message
                .attribute(&RequestedTransport::UDP)
                .attribute(&Username(b"alice"));
            message
                .attribute(&Realm(REALM.as_bytes()))
                .attribute(&Nonce(&client.nonce));
            if let Some(repeated) = repeated {
                message.attribute(&repeated);
            }
            if let Some(chosen) = chosen {
                message.attribute(&chosen);
            }
            message.integrity(IntegrityAlgorithm::Sha256, &keyed.key());
        });
        let got = world.send(client.five_tuple, &bytes).unwrap().code();
        // The first case allocates under the same transaction ID that the others use.
        let expected = if code == 437 { 0 } else { code };
        assert_eq!(got, expected, "{repeated:?} {chosen:?}");
    }
}

#[test]
fn sha256_is_not_offered_while_a_user_has_an_md5_key_alone() {
    let mut config = config();
    let md5 = UserKeys::of_password("carol", REALM, PASSWORD).unwrap().md5;
    config
        .credentials
        .add_user("carol", UserKeys { md5, sha256: None })
        .unwrap();
    let mut world = World::new(config);
    let response = challenge(&mut world);
    assert!(!response.has(AttributeType::PASSWORD_ALGORITHMS));
    assert_eq!(features(&response), SecurityFeatures::USERNAME_ANONYMITY);
    assert!(Client::new(1, "carol").allocate(&mut world).is_success());
    world.server.credentials_mut().remove_user("carol");
    assert!(challenge(&mut world).has(AttributeType::PASSWORD_ALGORITHMS));
}

#[test]
fn anonymity_is_not_offered_beside_a_rest_secret() {
    let mut config = config();
    config.credentials.add_secret(b"north").unwrap();
    let mut world = World::new(config);
    assert_eq!(
        features(&challenge(&mut world)),
        SecurityFeatures::PASSWORD_ALGORITHMS
    );
    let mut client = greeted(&mut world, Client::new(0, "alice").modern());
    let transaction = client.transaction();
    let hash = turnpike_stun::userhash("alice", REALM);
    let bytes = build(Method::ALLOCATE, transaction, |message| {
        message
            .attribute(&RequestedTransport::UDP)
            .raw(AttributeType::USERHASH, &hash);
        message
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(&client.nonce));
        message.integrity(IntegrityAlgorithm::Sha1, &client.key());
    });
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), 401);
}

#[test]
fn attributes_after_the_integrity_are_ignored() {
    let mut world = World::new(config());
    let mut client = greeted(&mut world, Client::new(0, "alice"));
    let transaction = client.transaction();
    let mut bytes = client.signed(Method::ALLOCATE, transaction, |message| {
        message.attribute(&RequestedTransport::UDP);
    });
    bytes.extend_from_slice(&[0x70, 0x01, 0, 0, 0x00, 0x18, 0, 1, 0x80, 0, 0, 0]);
    let len = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    let response = world.send(client.five_tuple, &bytes).unwrap();
    assert_eq!(response.code(), 0);
    assert!(!response.has(AttributeType::RESERVATION_TOKEN));
}

#[test]
fn unknown_attributes_are_named_only_to_the_authenticated() {
    let mut world = World::new(config());
    let odd = AttributeType(0x7001);
    let bytes = build(Method::REFRESH, TID, |message| {
        message.raw(odd, b"");
    });
    let mut client = Client::new(0, "alice");
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), 401);
    let response = client.allocate_with(&mut world, |message| {
        message.raw(odd, b"");
    });
    assert_eq!(response.code(), 420);
    assert!(
        response
            .message()
            .verify_integrity(IntegrityAlgorithm::Sha1, &client.key())
    );
}

#[test]
fn software_is_named_only_where_configured_and_only_to_the_authenticated() {
    let mut config = config();
    config.software = Some("relay".into());
    let mut world = World::new(config);
    assert!(!challenge(&mut world).has(AttributeType::SOFTWARE));
    let mut client = Client::new(0, "alice");
    assert!(client.allocate(&mut world).has(AttributeType::SOFTWARE));
    assert!(
        client
            .refresh(&mut world, None)
            .has(AttributeType::SOFTWARE)
    );
    assert!(
        !client
            .permit(&mut world, &[crate::support::PEER])
            .has(AttributeType::SOFTWARE)
    );
}

#[test]
fn anonymous_server_asks_nobody() {
    let mut config = config();
    config.anonymous = true;
    config.credentials = Credentials::new("");
    let mut world = World::new(config);
    let bytes = build(Method::ALLOCATE, TID, |message| {
        message.attribute(&RequestedTransport::UDP);
    });
    let five_tuple = Client::new(0, "").five_tuple;
    let response = world.send(five_tuple, &bytes).unwrap();
    assert!(response.is_success());
    assert!(!response.message().has_integrity(IntegrityAlgorithm::Sha1));
}

#[test]
fn request_of_another_user_is_refused_with_441() {
    let mut world = World::new(config());
    let mut alice = Client::new(0, "alice");
    assert!(alice.allocate(&mut world).is_success());
    let mut bob = Client::new(0, "bob");
    assert_eq!(bob.refresh(&mut world, Some(0)).code(), 441);
    assert_eq!(bob.permit(&mut world, &[crate::support::PEER]).code(), 441);
    assert_eq!(
        bob.bind(&mut world, 0x4000, crate::support::PEER).code(),
        441
    );
    assert_eq!(bob.allocate(&mut world).code(), 437);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn reply_is_sealed_with_sha256_for_a_client_that_negotiates_and_with_sha1_for_any_other() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let (sha1, sha256) = (IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256);
    let cases: [(bool, &[IntegrityAlgorithm], _); 5] = [
        (false, &[sha1], sha1),
        (false, &[sha1, sha256], sha1),
        (false, &[sha256], sha1),
        (true, &[sha256], sha256),
        (true, &[sha1], sha256),
    ];
    for (negotiates, integrities, sealed_with) in cases {
        let bytes = build(Method::REFRESH, TID, |message| {
            message
                .attribute(&Username(b"alice"))
                .attribute(&Realm(REALM.as_bytes()));
            message.attribute(&Nonce(&client.nonce));
            if negotiates {
                message.attribute(&PasswordAlgorithms::SHA256_MD5);
                message.attribute(&PasswordAlgorithm::Md5);
            }
            for integrity in integrities {
                message.integrity(*integrity, &client.key());
            }
        });
        let response = world.send(client.five_tuple, &bytes).unwrap();
        assert_eq!(response.code(), 437);
        assert!(
            response
                .message()
                .verify_integrity(sealed_with, &client.key())
        );
    }
}

#[test]
fn of_two_integrities_the_stronger_one_must_be_right() {
    let mut world = World::new(config());
    let client = greeted(&mut world, Client::new(0, "alice"));
    let mut bytes = client.signed(Method::REFRESH, TID, |_| {});
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), 437);
    bytes.extend_from_slice(&[0x00, 0x1C, 0, 32]);
    bytes.extend_from_slice(&[7; 32]);
    let len = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap().code(), 401);
}

#[test]
fn debug_shows_no_name_and_no_secret() {
    let mut config = config();
    config.credentials.add_secret(b"northern secret").unwrap();
    let mut world = World::new(config);
    assert!(Client::new(0, "alice").allocate(&mut world).is_success());
    let shown = format!("{:?}", world.server);
    assert!(!shown.contains("alice") && !shown.contains("northern"));
}
