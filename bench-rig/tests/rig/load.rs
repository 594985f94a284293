//! Load against a real relay: what is sent comes back, whichever way it goes.

use std::time::Duration;

use turnpike_bench_rig::load::clients::{Crowd, Established, Peers, establish};
use turnpike_bench_rig::load::packet::{PacketLoad, Wire};
use turnpike_bench_rig::load::{Carrier, Direction, Load, Path, Shape, Tally};
use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_types::AddressFamily;

use super::hosts;
use super::relay::{Relay, credential, servers};

#[test]
fn dev_speed() {
    let hosts = hosts(Wires::Two);
    let count: u32 = std::env::var("N").map_or(100, |n| n.parse().unwrap());
    let _relay = Relay::start(&hosts, 200_000);
    let began = std::time::Instant::now();
    let established = call(&hosts, &Crowd { count, ..crowd() });
    println!(
        "{count} in {:?}; ceiling {:?}",
        began.elapsed(),
        established.ceiling
    );
    let mut load = load(&hosts, &established);
    let rates = std::env::var("RATES").unwrap_or("10000 50000 100000".to_owned());
    let shape = Shape {
        burst: std::env::var("BURST").map_or(1, |n| n.parse().unwrap()),
        ..Shape::channel(172)
    };
    for rate in rates.split_whitespace() {
        let t = load
            .run(&shape, rate.parse().unwrap(), Duration::from_secs(2))
            .unwrap();
        println!(
            "{rate}: sent/s {:.0} recv/s {:.0} loss {:.5} late {} own {} dup {} reord {} corr {} misd {} offl {} worst {:.3} lat p50 {} p99 {} max {} pace {}",
            t.sent_per_second(),
            t.received_per_second(),
            t.loss(),
            t.late,
            t.own_loss,
            t.duplicated,
            t.reordered,
            t.corrupted,
            t.misdirected,
            t.offloaded,
            t.worst_flow_loss,
            t.latency.value_at_quantile(0.5),
            t.latency.value_at_quantile(0.99),
            t.latency.max(),
            t.kept_pace()
        );
    }
}

fn crowd() -> Crowd {
    let [v4, _] = servers();
    Crowd {
        servers: vec![v4],
        credentials: vec![credential()],
        count: 1,
        relayed: AddressFamily::Ipv4,
        peers: Peers::Virtual,
        channels: true,
    }
}

fn call(hosts: &BenchHosts, crowd: &Crowd) -> Established {
    establish(&Wire::of_clients(hosts), crowd).unwrap_or_else(|error| panic!("{error}"))
}

fn load(hosts: &BenchHosts, established: &Established) -> PacketLoad {
    let wires = [Wire::of_clients(hosts), Wire::of_peers(hosts)];
    let [clients, peers] = wires;
    PacketLoad::new(&clients, &peers, established.flows.clone()).unwrap()
}
