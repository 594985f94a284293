use std::time::Duration;
use turnpike_bench_rig::account::*;
use turnpike_bench_rig::load::clients::*;
use turnpike_bench_rig::load::packet::*;
use turnpike_bench_rig::load::*;
use turnpike_bench_rig::netns::bench::*;
use turnpike_bench_rig::subject::*;
use turnpike_types::AddressFamily;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let count: u32 = args[2].parse().unwrap();
    let secs: f64 = args[3].parse().unwrap();
    pin_this_thread(GENERATOR_CORE).unwrap();
    let hosts = BenchHosts::new(Wires::Two).unwrap();
    if let Ok(p) = std::env::var("SCHED") {
        for t in hosts.relay_threads().unwrap() {
            std::process::Command::new("chrt")
                .args([
                    p.as_str(),
                    "--pid",
                    if p == "--other" { "0" } else { "1" },
                    &t.to_string(),
                ])
                .status()
                .unwrap();
        }
    }
    for subject in all() {
        let subject = match subject {
            Ok(s) => s,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        if !subject.name().contains(&args[1]) {
            continue;
        }
        let running = subject.start(&hosts, &Settings::default()).unwrap();
        let crowd = Crowd {
            servers: vec![running.server()],
            credentials: vec![running.credential()],
            count,
            relayed: AddressFamily::Ipv4,
            peers: Peers::Virtual,
            channels: true,
        };
        let c = Wire::of_clients(&hosts);
        let p = Wire::of_peers(&hosts);
        let t = std::time::Instant::now();
        let est = establish(&c, &crowd).unwrap();
        println!(
            "{} established {} in {:?} {:?} fds {:?} rss {:?}",
            subject.name(),
            est.flows.len(),
            t.elapsed(),
            est.ceiling,
            descriptors(running.pids()[0]),
            memory(running.pids()[0]).unwrap()
        );
        let mut load = PacketLoad::new(&c, &p, est.flows.clone()).unwrap();
        for rate in &args[4..] {
            let rate: f64 = rate.parse().unwrap();
            let d = hosts.drops().unwrap();
            let m = Meter::start(&hosts, &running.pids()).unwrap();
            let tally = load
                .run(
                    &Shape {
                        burst: std::env::var("BURST").map_or(1, |b| b.parse().unwrap()),
                        ..Shape::channel(172)
                    },
                    rate,
                    Duration::from_secs_f64(secs),
                )
                .unwrap();
            let cost = m.stop().unwrap();
            let d = hosts.drops().unwrap() - d;
            println!(
                "  {rate}: sent {} recv {} lost {} ({:.5}) own {} late {} p50 {}us p99 {}us max {}us off {} | charged {:.3}us/pkt busy {:?} proc {:?} napi {:?} ksoft {:?} stolen {:.4} wall {:?} unexpl {:.3} {d:?}",
                tally.sent,
                tally.received,
                tally.lost,
                tally.lost as f64 / tally.sent as f64,
                tally.own_loss,
                tally.late,
                tally.latency.value_at_quantile(0.5) / 1000,
                tally.latency.value_at_quantile(0.99) / 1000,
                tally.latency.max() / 1000,
                tally.offloaded,
                cost.charged().as_secs_f64() * 1e6 / tally.received.max(1) as f64,
                cost.core_busy,
                cost.process,
                cost.napi,
                cost.softirqs,
                cost.stolen_share(),
                cost.wall,
                cost.unexplained_share()
            );
        }
        hosts.check().unwrap();
        running.stop();
    }
}
