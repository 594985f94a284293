//! What a relayed packet costs the shard's thread, in nanoseconds of CPU, over loopback.
//!
//! `lane_cost [rounds]` prints a line a workload: clients by turns send bursts, each by one system
//! call a packet or as one run of UDP_SEGMENT, to their peers and back. The load and the shard have
//! a core each; the number is the shard's alone. It is the median of several tries.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for developers: a panic is its failure report"
)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use turnpike::config::Config;
use turnpike::host::Host;
use turnpike::probe::Caller;
use turnpike::relay::{Options, Plan, Relay};
use turnpike_types::{AddressFamily, PeerAddr};

const PATIENCE: Duration = Duration::from_secs(5);
/// How long a round waits for packets that may have been dropped.
const ROUND_PATIENCE: Duration = Duration::from_millis(20);
const TRIES: usize = 7;
const CONFIG: &str = r#"
anonymous = true
[[listen]]
transport = "udp"
address = "127.0.0.1:0"
[relay]
addresses = ["127.0.0.1"]
[peers]
allow = ["127.0.0.0/8"]
[limits]
allocations_per_user = 1000
user_packets_per_second = 100000000
"#;

/// What is sent in one round.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    payload: usize,
    burst: usize,
    /// Whether a burst is one run of UDP_SEGMENT.
    is_run: bool,
}

const LOADS: &[Load] = &[
    load(1, 172, 1, false),
    load(200, 172, 1, false),
    load(200, 1_200, 1, false),
    load(32, 172, 8, false),
    load(32, 1_200, 8, false),
    load(64, 172, 2, true),
    load(32, 172, 8, true),
    load(8, 172, 32, true),
    load(64, 1_200, 2, true),
    load(32, 1_200, 8, true),
    load(8, 1_200, 32, true),
];

const fn load(clients: usize, payload: usize, burst: usize, is_run: bool) -> Load {
    Load {
        clients,
        payload,
        burst,
        is_run,
    }
}

fn main() {
    let packets: usize = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    println!("clients payload burst   to peer, to client: ns a packet (relayed of sent)");
    for load in LOADS {
        // Threads inherit their core, and the shard is to have another one than the load.
        let results = std::thread::spawn(move || measure(load, packets));
        let results = results.join().unwrap();
        let form = if load.is_run { "run" } else { "single" };
        let Load {
            clients,
            payload,
            burst,
            ..
        } = load;
        println!(
            "{clients:>7} {payload:>7} {burst:>3} {form:<6}  {}",
            results.join("   ")
        );
    }
}

fn measure(load: &Load, packets: usize) -> Vec<String> {
    let plan = Plan::new(Config::parse(CONFIG).unwrap(), &Host::look().unwrap(), 0).unwrap();
    let mut options = Options {
        shards: Some(1),
        ..Options::default()
    };
    if let Some(buffers) = std::env::args().nth(2).and_then(|text| text.parse().ok()) {
        options.ring.receive_buffers = buffers;
    }
    let relay = Relay::start(&plan, &options).unwrap();
    // The shard has taken the first core.
    let last = core_affinity::get_core_ids().unwrap().pop().unwrap();
    assert!(core_affinity::set_for_current(last));
    let calls: Vec<Call> = (0..load.clients).map(|_| Call::new(&relay, load)).collect();
    let rounds = packets.div_ceil(load.clients * load.burst);
    let results = [Call::to_peer, Call::to_client].map(|send| {
        let mut costs = Vec::new();
        let mut shares = Vec::new();
        for _ in 0..TRIES {
            let (before, cpu_before) = (relay.fresh_snapshot().packets(), shard_cpu());
            for _ in 0..rounds {
                round(&calls, load, send);
            }
            let (after, cpu_after) = (relay.fresh_snapshot().packets(), shard_cpu());
            costs.push((cpu_after - cpu_before) / (after - before));
            shares.push((after - before) as f64 / (rounds * load.clients * load.burst) as f64);
        }
        costs.sort_unstable();
        shares.sort_unstable_by(f64::total_cmp);
        format!(
            "{:>5} [{}..{}] ({:.3})",
            costs[TRIES / 2],
            costs[0],
            costs[TRIES - 1],
            shares[TRIES / 2]
        )
    });
    relay.stop().unwrap();
    results.to_vec()
}

fn round(calls: &[Call], load: &Load, send: fn(&Call, &Load)) {
    let mut missing = calls.len() * load.burst;
    for call in calls {
        send(call, load);
    }
    let until = Instant::now() + ROUND_PATIENCE;
    while missing > 0 && Instant::now() < until {
        for call in calls {
            missing = missing.saturating_sub(call.receive_all());
        }
    }
}

/// CPU time of the shard's thread so far, in nanoseconds.
fn shard_cpu() -> u64 {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        if std::fs::read_to_string(path.join("comm"))
            .unwrap()
            .starts_with("shard")
        {
            let times = std::fs::read_to_string(path.join("schedstat")).unwrap();
            return times.split_whitespace().next().unwrap().parse().unwrap();
        }
    }
    unreachable!("no shard runs");
}

struct Call {
    caller: Caller,
    peer: UdpSocket,
    relayed: SocketAddr,
    /// As the client sends it: one message, or a run.
    message: Vec<u8>,
    payload: Vec<u8>,
}

impl Call {
    fn new(relay: &Relay, load: &Load) -> Self {
        let server = relay.listeners()[0];
        let mut caller = Caller::allocate(server, None, AddressFamily::Ipv4, PATIENCE).unwrap();
        // Below the relay's own ports.
        let free = |port| UdpSocket::bind(("127.0.0.2", port)).ok();
        let peer = (20_000..=30_000).find_map(free).unwrap();
        let peer_at = PeerAddr(peer.local_addr().unwrap());
        caller.bind_channel(peer_at).unwrap();
        let relayed = caller.relayed(AddressFamily::Ipv4).unwrap().0;
        let mut message = vec![0; load.payload + 64];
        let len = caller
            .write(peer_at, &vec![7; load.payload], &mut message)
            .unwrap();
        message.truncate(len);
        let mut payload = vec![7; load.payload];
        if load.is_run {
            setsockopt(caller.socket(), sockopt::UdpGsoSegment, &(len as i32)).unwrap();
            setsockopt(&peer, sockopt::UdpGsoSegment, &(load.payload as i32)).unwrap();
            message = message.repeat(load.burst);
            payload = payload.repeat(load.burst);
        }
        caller.socket().set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        Self {
            caller,
            peer,
            relayed,
            message,
            payload,
        }
    }

    fn to_peer(&self, load: &Load) {
        for _ in 0..if load.is_run { 1 } else { load.burst } {
            self.caller.socket().send(&self.message).unwrap();
        }
    }

    fn to_client(&self, load: &Load) {
        for _ in 0..if load.is_run { 1 } else { load.burst } {
            self.peer.send_to(&self.payload, self.relayed).unwrap();
        }
    }

    fn receive_all(&self) -> usize {
        let mut buffer = [0; 2_048];
        let mut count = 0;
        while self.caller.socket().recv(&mut buffer).is_ok() || self.peer.recv(&mut buffer).is_ok()
        {
            count += 1;
        }
        count
    }
}
