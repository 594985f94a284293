//! Calls go on, in the kernel, when the way to a peer changes.

use crate::ground::Ground;
use crate::world::ip;

/// An address of the peer's host that is on none of its wires.
const BEHIND: &str = "192.0.2.9";

fn peer_behind() -> Ground {
    let address = format!("{BEHIND}:5000");
    Ground::on(&["wire0", "wire1", "wire2"], &address, |peer| {
        peer.wire("wire2", "eth1");
        let far_end = peer.is_a_machine("eth1");
        ip("addr add 10.99.3.1/24 dev wire2");
        peer.ip("addr add 10.99.3.2/24 dev eth1");
        peer.ip(&format!("addr add {BEHIND}/32 dev lo"));
        vec![far_end]
    })
}

#[test]
fn peer_on_another_device_and_client_hear_each_other() {
    let mut ground = Ground::with_peer("10.99.2.2:5000");
    ground.call();
    ground.until_carried();
}

/// What comes by a device and leaves by it.
#[test]
fn peer_on_the_clients_own_wire_and_client_hear_each_other() {
    let mut ground = Ground::with_peer("10.99.2.2:5000");
    ground.peer_end = ground
        .client
        .enter(|| std::net::UdpSocket::bind("10.99.1.2:5001").unwrap());
    ground.peer_end.connect(crate::ground::RELAYED).unwrap();
    ground.call();
    ground.until_carried();
}

#[test]
fn peer_that_gets_another_ethernet_address_is_followed() {
    let mut ground = Ground::with_peer("10.99.2.2:5000");
    ground.call();
    ground.until_carried();
    ground.peer.ip("link set eth0 address 02:00:00:00:99:02");
    ground.until_carried();
}

#[test]
fn route_that_moves_to_a_second_device_is_followed() {
    let mut ground = peer_behind();
    ip(&format!("route add {BEHIND} via 10.99.2.2"));
    ground.call();
    ground.until_carried();
    ip(&format!("route replace {BEHIND} via 10.99.3.2"));
    ground.peer.ip("link set eth0 down");
    ground.peer.ip("route add default via 10.99.3.1");
    ground.until_carried();
}

#[test]
fn gateway_that_appears_after_the_call_began_is_used() {
    let mut ground = peer_behind();
    ground.call();
    assert!(!ground.carried()[0], "there is no route yet");
    ip("route add 192.0.2.0/24 via 10.99.2.2");
    ground.until_carried();
}

#[test]
fn link_that_was_down_carries_again() {
    let mut ground = Ground::with_peer("10.99.2.2:5000");
    ground.call();
    for flap in ["the relay's end", "the peer's end"] {
        ground.until_carried();
        let set = |state: &str| match flap {
            "the relay's end" => ip(&format!("link set wire1 {state}")),
            _ => ground.peer.ip(&format!("link set eth0 {state}")),
        };
        set("down");
        set("up");
        // The kernel takes routes away with their device.
        if flap == "the peer's end" {
            ground.peer.ip("route add default via 10.99.2.1");
        }
    }
    ground.until_carried();
}

/// The kernel fragments for the way out, in the slow lane; the rest stays in the kernel.
#[test]
fn way_that_gets_narrower_takes_what_still_fits() {
    let mut ground = Ground::with_peer("10.99.2.2:5000");
    ground.call();
    ground.until_carried();
    ip("link set wire1 mtu 700");
    ground.until_carried();
}
