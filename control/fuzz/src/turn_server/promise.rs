//! What a reply says, against the request it answers and the commands that came before it.

use std::time::Duration;
use turnpike_stun::{Attribute, XorMappedAddress};

use turnpike_stun::{AttributeType, Class, ErrorCode, Message, Method, RawAttribute};
use turnpike_turn::attribute::{Lifetime, XorRelayedAddress};
use turnpike_turn::wire_ip;
use turnpike_types::{AddressFamily, PeerAddr};

use super::ledger::Ledger;
use super::request::Sent;
use super::setting::Setting;
use super::world::World;

/// Checks the reply to `sent`, before which the book was `before`.
pub(super) fn check(world: &World, sent: &Sent, before: &Ledger) {
    let [(_, bytes)] = world.news.replies.as_slice() else {
        // The lane has already looked at it: only a request that lies is not answered.
        assert!(sent.is_odd, "a well-formed request was not answered");
        return;
    };
    let reply = Message::parse(bytes).expect("checked before");
    let is_sealed = reply.raw(AttributeType::MESSAGE_INTEGRITY).is_some()
        || reply.raw(AttributeType::MESSAGE_INTEGRITY_SHA256).is_some();
    match sent.seal {
        Some(seal) if is_sealed => seal.check(&reply),
        _ => assert!(!is_sealed, "a stranger's request was answered under seal"),
    }
    let anonymous = world.setting == Setting::Anonymous;
    if reply.class() == Class::Success {
        assert!(is_sealed || anonymous || sent.method == Method::BINDING);
        if is_sealed {
            check_credential(world, sent);
        }
        check_success(world, sent, &reply);
    } else {
        let code = reply
            .get::<ErrorCode<'_>>()
            .expect("well-formed")
            .expect("present")
            .code;
        assert!(
            world.ledger.adds_nothing_to(before),
            "{code} left something behind"
        );
        assert!(
            !world.news.installed || world.news.failed,
            "{code} after an install"
        );
    }
}

/// A credential that has ended opens nothing new; where it ends strictly, nothing at all, and what
/// it opened outlives it by a second at most.
fn check_credential(world: &World, sent: &Sent) {
    let strict = world.config.strict_expiry;
    if strict || sent.method == Method::ALLOCATE {
        assert!(world.now < sent.good_until, "the credential has ended");
    }
    let open = world.ledger.addresses.iter();
    for address in open.filter(|address| strict && address.five_tuple == sent.five_tuple) {
        let latest = sent.good_until + Duration::from_secs(1);
        assert!(address.expires_at <= latest, "outlives its credential");
    }
}

fn check_success(world: &World, sent: &Sent, reply: &Message<'_>) {
    let ledger = &world.ledger;
    match sent.method {
        Method::BINDING => {
            assert_eq!(
                reply.get(),
                Ok(Some(XorMappedAddress(sent.five_tuple.client.0)))
            );
        }
        Method::ALLOCATE => check_allocated(world, sent, reply),
        Method::REFRESH if sent.is_odd => {}
        Method::REFRESH => {
            let granted = reply
                .get::<Lifetime>()
                .expect("well-formed")
                .expect("present")
                .0;
            let relayed = ledger.relayed(&sent.five_tuple);
            let of_family = relayed
                .filter(|relayed| sent.family.is_none_or(|family| family == relayed.family()));
            let is_gone = of_family.count() == 0;
            assert_eq!(is_gone, granted == 0);
            assert_eq!(granted == 0, sent.lifetime == Some(0));
        }
        Method::CREATE_PERMISSION | Method::CHANNEL_BIND if sent.is_odd => {}
        Method::CREATE_PERMISSION => {
            for peer in &sent.peers {
                let wire_ip = wire_ip(&world.config.relay_addresses, peer.ip());
                assert!(
                    ledger.permits(&sent.five_tuple, wire_ip),
                    "{peer} was promised"
                );
            }
        }
        Method::CHANNEL_BIND => {
            let [peer] = sent.peers.as_slice() else {
                unreachable!("one peer a channel")
            };
            let wire_ip = wire_ip(&world.config.relay_addresses, peer.ip());
            let wire_peer = PeerAddr((wire_ip, peer.port()).into());
            let number = sent.number.expect("a channel has a number");
            assert!(
                ledger.binds(&sent.five_tuple, number, wire_peer),
                "{peer} was promised"
            );
        }
        other => unreachable!("{other} was granted"),
    }
}

fn check_allocated(world: &World, sent: &Sent, reply: &Message<'_>) {
    let lifetime = reply
        .get::<Lifetime>()
        .expect("well-formed")
        .expect("present")
        .0;
    assert!((1..=900).contains(&lifetime), "a lifetime of {lifetime}");
    assert_eq!(
        reply.get(),
        Ok(Some(XorMappedAddress(sent.five_tuple.client.0)))
    );
    let open: Vec<_> = world.ledger.relayed(&sent.five_tuple).collect();
    let promised: Vec<_> = reply
        .attributes()
        .filter(|attribute| attribute.kind == XorRelayedAddress::TYPE)
        .map(|RawAttribute { value, .. }| {
            let XorRelayedAddress(relayed) =
                XorRelayedAddress::decode(value, &reply.transaction_id()).expect("well-formed");
            let ip = wire_ip(&world.config.relay_addresses, relayed.ip());
            turnpike_types::RelayedAddr((ip, relayed.port()).into())
        })
        .collect();
    assert!((1..=2).contains(&promised.len()));
    for relayed in &promised {
        assert!(
            open.contains(relayed),
            "{relayed} was promised and not opened"
        );
    }
    assert_eq!(open.len(), promised.len(), "opened and not told");
    let ipv4 = promised
        .iter()
        .filter(|relayed| relayed.family() == AddressFamily::Ipv4);
    assert!(ipv4.count() <= 1);
}
