//! Next hops follow the kernel's routes, neighbours and devices.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use turnpike_dataplane::next_hop::{HopId, Limits, Mac, NextHop, NextHops, Watch, Way};

use crate::world::{Neighbour, address_of, enter, index_of, ip};

/// Far longer than the kernel takes to resolve a neighbour.
const PATIENCE: Duration = Duration::from_secs(20);

/// Next hops with their watch, and what is written for the programs.
struct Bench {
    hops: Arc<NextHops>,
    written: Receiver<(HopId, Option<NextHop>)>,
    moved: Receiver<()>,
    _watch: Watch,
}

impl Bench {
    fn through(devices: &[&str]) -> Self {
        let (write, written) = channel();
        let (move_on, moved) = channel();
        let devices = devices.iter().map(|device| index_of(device)).collect();
        let writer = Box::new(move |id, hop: Option<&NextHop>| {
            let _unread = write.send((id, hop.copied()));
            Ok(())
        });
        let hops = Arc::new(NextHops::new(devices, Limits::default(), writer).unwrap());
        let watch = Watch::start(Arc::clone(&hops), move || {
            let _unread = move_on.send(());
        });
        Self {
            hops,
            written,
            moved,
            _watch: watch.unwrap(),
        }
    }

    fn hold(&self, from: &str, to: &str) -> HopId {
        let [from, to] = [from, to].map(|it| it.parse::<IpAddr>().unwrap());
        self.hops.hold(Way { from, to })
    }

    /// Waits until something is written for `id` that is as wanted.
    fn await_written(&self, id: HopId, is_it: impl Fn(Option<NextHop>) -> bool) -> Option<NextHop> {
        let until = Instant::now() + PATIENCE;
        if is_it(self.hops.resolved(id)) {
            return self.hops.resolved(id);
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (written, hop) = self.written.recv_timeout(left).expect("nothing is written");
            if written == id && is_it(hop) {
                return hop;
            }
        }
    }

    fn await_resolved(&self, id: HopId) -> NextHop {
        self.await_written(id, |hop| hop.is_some()).unwrap()
    }

    /// Waits until ids are to be asked for again, and asks until `to` has another one.
    fn await_moved(&self, from: &str, to: &str, old: HopId) -> HopId {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.moved.recv_timeout(left).expect("routes stay");
            let id = self.hold(from, to);
            if id != old {
                return id;
            }
            self.hops.release(id);
        }
    }
}

/// A neighbour 10.99.NET.2 and fd99:NET::2 behind a device that has .1 and ::1.
fn neighbour(device: &str, net: u8) -> Neighbour {
    let neighbour = Neighbour::behind(device);
    for (family, address) in [
        ("-4", format!("10.99.{net}.")),
        ("-6", format!("fd99:{net}::")),
    ] {
        let bits = if family == "-4" { "24" } else { "64 nodad" };
        let (bits, nodad) = bits.split_once(' ').unwrap_or((bits, ""));
        ip(&format!(
            "{family} addr add {address}1/{bits} dev {device} {nodad}"
        ));
        neighbour.ip(&format!(
            "{family} addr add {address}2/{bits} dev eth0 {nodad}"
        ));
    }
    neighbour
}

#[test]
fn unknown_neighbour_is_asked_for_and_its_address_written() {
    enter();
    let other = neighbour("wire0", 1);
    let bench = Bench::through(&["wire0"]);
    for (from, to) in [("10.99.1.1", "10.99.1.2"), ("fd99:1::1", "fd99:1::2")] {
        let id = bench.hold(from, to);
        assert_ne!(id, HopId::NONE, "{to}");
        let expected = NextHop {
            device: index_of("wire0"),
            source: Mac(address_of("wire0")),
            destination: Mac(other.address()),
            vlan: None,
            mtu: 1_500,
        };
        assert_eq!(bench.await_resolved(id), expected, "{to}");
    }
}

#[test]
fn destinations_behind_one_gateway_share_an_id() {
    enter();
    let _other = neighbour("wire0", 1);
    ip("route add default via 10.99.1.2");
    let bench = Bench::through(&["wire0"]);
    let first = bench.hold("10.99.1.1", "192.0.2.1");
    assert_ne!(first, HopId::NONE);
    assert_eq!(bench.hold("10.99.1.1", "198.51.100.7"), first);
    assert_eq!(bench.hold("10.99.1.1", "10.99.1.2"), first);
    ip("route add 203.0.113.0/24 via 10.99.1.2 mtu 1280");
    let narrow = bench.await_moved("10.99.1.1", "203.0.113.1", first);
    assert_eq!(bench.await_resolved(narrow).mtu, 1_280);
}

#[test]
fn what_the_programs_cannot_send_by_has_no_hop() {
    enter();
    let _first = neighbour("wire0", 1);
    let _second = neighbour("wire1", 2);
    let bench = Bench::through(&["wire0"]);
    for (from, to, why) in [
        ("10.99.1.1", "192.0.2.1", "no route"),
        ("10.99.1.1", "10.99.1.1", "our own address"),
        ("127.0.0.1", "127.0.0.1", "the loopback"),
        ("10.99.2.1", "10.99.2.2", "a device without programs"),
        ("fd99:1::1", "2001:db8::1", "no route"),
    ] {
        assert_eq!(bench.hold(from, to), HopId::NONE, "{why}");
    }
}

#[test]
fn route_over_a_second_device_gives_another_id() {
    enter();
    let _first = neighbour("wire0", 1);
    let second = neighbour("wire1", 2);
    ip("route add 192.0.2.0/24 via 10.99.1.2");
    let bench = Bench::through(&["wire0", "wire1"]);
    let before = bench.hold("10.99.1.1", "192.0.2.1");
    assert_eq!(bench.await_resolved(before).device, index_of("wire0"));
    ip("route replace 192.0.2.0/24 via 10.99.2.2");
    let after = bench.await_moved("10.99.1.1", "192.0.2.1", before);
    let hop = bench.await_resolved(after);
    assert_eq!(hop.device, index_of("wire1"));
    assert_eq!(hop.destination, Mac(second.address()));
}

#[test]
fn neighbour_that_changes_its_address_is_followed() {
    enter();
    let other = neighbour("wire0", 1);
    let bench = Bench::through(&["wire0"]);
    let id = bench.hold("10.99.1.1", "10.99.1.2");
    bench.await_resolved(id);
    other.ip("link set eth0 address 02:00:00:00:99:02");
    // As the kernel does when it hears of it.
    ip("neigh replace 10.99.1.2 dev wire0 lladdr 02:00:00:00:99:02 nud reachable");
    let new = Mac([2, 0, 0, 0, 0x99, 2]);
    bench.await_written(id, |hop| hop.is_some_and(|hop| hop.destination == new));
}

#[test]
fn hop_is_unresolved_while_its_link_is_down_and_comes_back_with_it() {
    enter();
    let other = neighbour("wire0", 1);
    let bench = Bench::through(&["wire0"]);
    let id = bench.hold("10.99.1.1", "10.99.1.2");
    bench.await_resolved(id);
    other.ip("link set eth0 down");
    bench.await_written(id, |hop| hop.is_none());
    other.ip("link set eth0 up");
    bench.await_resolved(id);
    ip("link set wire0 mtu 1400");
    bench.await_written(id, |hop| hop.is_some_and(|hop| hop.mtu == 1_400));
}

#[test]
fn id_that_nobody_holds_is_taken_out() {
    enter();
    let _other = neighbour("wire0", 1);
    let bench = Bench::through(&["wire0"]);
    let id = bench.hold("10.99.1.1", "10.99.1.2");
    bench.await_resolved(id);
    bench.hops.release(id);
    bench.await_written(id, |hop| hop.is_none());
}
