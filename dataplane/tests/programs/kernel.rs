//! The real object in the real kernel: loaded, its tables filled from a [`World`], and run on one frame
//! at a time.

use std::net::{IpAddr, SocketAddr};

use aya::maps::{Array, DevMapHash, HashMap, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use turnpike_abi::{
    Client, Config, Endpoint, Flow, FlowKey, Limit, Local, LocalKey, NextHop, Permission, Reason,
    Role, Terms, Traffic, UserBucket, maps,
};

use crate::world::{Allocation, INGRESS, OTHER, RELAY_PORTS, World};

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// The programs with their tables.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    config: Config,
}

/// What one frame came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) action: u32,
    pub(crate) frame: Vec<u8>,
    /// The reasons that were counted, each as often as it was.
    pub(crate) reasons: Vec<Reason>,
}

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_TX: u32 = 3;
pub(crate) const XDP_REDIRECT: u32 = 4;

/// How many slots the tables have.
const SLOTS: u32 = 64;
/// The generation of a slot.
const fn generation(slot: u32) -> u32 {
    slot * 7 + 3
}

impl Kernel {
    /// The programs with a world's tables, and no limit on strangers.
    pub(crate) fn with(world: &World) -> Self {
        Self::with_strangers(world, 0, 0)
    }

    /// The same; a stranger's packet costs so many nanoseconds of those that its bucket holds.
    pub(crate) fn with_strangers(world: &World, cost: u64, full: u64) -> Self {
        let config = Config {
            stranger_cost: cost,
            stranger_full: full,
            relay_port_min: *RELAY_PORTS.start(),
            relay_port_max: *RELAY_PORTS.end(),
            flags: if world.answers_binding {
                Config::ANSWER_BINDING
            } else {
                0
            },
            cpus: aya::util::nr_cpus().unwrap() as u32,
            shards: 2,
            allocations: SLOTS,
        };
        let mut kernel = Self {
            ebpf: load(&config),
            config,
        };
        kernel.fill(world);
        kernel
    }

    pub(crate) fn program(&self, name: &str) -> &Xdp {
        let program = self.ebpf.program(name).expect("the object has it");
        program.try_into().expect("it is an XDP program")
    }

    /// Runs the program on one frame.
    pub(crate) fn run(&self, frame: &[u8]) -> Ran {
        let before = self.reasons();
        let mut out = vec![0; 4_096];
        let result = self
            .program(maps::RELAY)
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ..TestRunOptions::new()
            })
            .expect("the program runs");
        out.truncate(result.data_size_out as usize);
        let after = self.reasons();
        let counted = |reason: &Reason| {
            let index = *reason as usize;
            (after[index] - before[index]) as usize
        };
        let all = Reason::ALL.iter();
        Ran {
            action: result.return_value,
            frame: out,
            reasons: all
                .flat_map(|reason| vec![*reason; counted(reason)])
                .collect(),
        }
    }

    /// Packets by reason, over all CPUs.
    pub(crate) fn reasons(&self) -> Vec<u64> {
        let lines = self.array::<u64>(maps::REASONS);
        let cpus = 0..self.config.cpus;
        let packets = |reason: &Reason| {
            let line = |cpu| Config::reason_line(*reason, cpu);
            cpus.clone()
                .map(|cpu| lines.get(&line(cpu), 0).unwrap())
                .sum()
        };
        Reason::ALL.iter().map(packets).collect()
    }

    /// What an allocation relayed, over all CPUs.
    pub(crate) fn traffic(&self, slot: u32) -> Traffic {
        let lines = self.array::<[u64; 8]>(maps::ALLOCATIONS);
        let mut total = [0; 8];
        for cpu in 0..self.config.cpus {
            let line = lines.get(&self.config.traffic_line(slot, cpu), 0).unwrap();
            for (sum, word) in total.iter_mut().zip(line) {
                *sum += word;
            }
        }
        Traffic::from_words(&total)
    }

    /// Writes an entry of a hash map.
    pub(crate) fn put<const K: usize, const V: usize>(
        &mut self,
        name: &str,
        key: [u64; K],
        value: [u64; V],
    ) {
        let map = self.ebpf.map_mut(name).expect(name);
        let mut map: HashMap<_, [u64; K], [u64; V]> = map.try_into().expect(name);
        map.insert(key, value, 0).expect(name);
    }

    /// Reads an entry of a hash map.
    pub(crate) fn read<const K: usize, const V: usize>(
        &self,
        name: &str,
        key: [u64; K],
    ) -> [u64; V] {
        let map = self.ebpf.map(name).expect(name);
        let map: HashMap<_, [u64; K], [u64; V]> = map.try_into().expect(name);
        map.get(&key, 0).expect(name)
    }

    /// Writes an entry of an array.
    pub(crate) fn set<const V: usize>(&mut self, name: &str, index: u32, value: [u64; V]) {
        let map = self.ebpf.map_mut(name).expect(name);
        let mut map: Array<_, [u64; V]> = map.try_into().expect(name);
        map.set(index, value, 0).expect(name);
    }

    fn array<V: aya::Pod>(&self, name: &str) -> Array<&MapData, V> {
        let map = self.ebpf.map(name).expect(name);
        map.try_into().expect(name)
    }

    fn fill(&mut self, world: &World) {
        for hop in &world.hops {
            let next_hop = NextHop {
                to: hop.mac,
                from: hop.from,
                vlan: hop.vlan,
                mtu: hop.mtu,
                device: hop.device,
            };
            let words = next_hop.sealed(hop.id);
            self.set(maps::NEXT_HOPS, hop.id, words);
        }
        let map = self.ebpf.map_mut(maps::DEVICES).expect(maps::DEVICES);
        let mut devices: DevMapHash<_> = map.try_into().expect(maps::DEVICES);
        devices.insert(OTHER, INGRESS, None, 0).unwrap();
        for listener in &world.listeners {
            self.set_local(*listener, &Local::lasting(Role::Listener, Local::SERVICE));
        }
        for service in &world.services {
            self.set_local(*service, &Local::lasting(Role::Service, Local::SERVICE));
        }
        for ip in &world.relay_ips {
            let address = SocketAddr::new(*ip, 0);
            self.set_local(address, &Local::lasting(Role::RelayAddress, 0));
        }
        for (slot, allocation) in (0..).zip(&world.allocations) {
            self.install(world, slot, allocation);
        }
    }

    pub(crate) fn install(&mut self, world: &World, slot: u32, allocation: &Allocation) {
        self.set_limits(slot, allocation);
        let expires_at = end(allocation.is_live);
        for relayed in &allocation.relayed {
            let local = Local {
                role: Role::Relayed as u8,
                flags: if allocation.is_partly_lane {
                    Local::LANE
                } else {
                    0
                },
                expires_at,
            };
            self.set_local(*relayed, &local);
        }
        let key = FlowKey {
            far: Endpoint::new(allocation.client),
            near: Endpoint::new(allocation.server),
            channel: 0,
        };
        let relayed = |is_v4: bool| {
            let found = allocation
                .relayed
                .iter()
                .find(|found| found.is_ipv4() == is_v4);
            found.map_or_else(Endpoint::default, |found| Endpoint::new(*found))
        };
        let client = Client {
            relayed_v4: relayed(true),
            relayed_v6: relayed(false),
            allocation: slot,
            generation: generation(slot),
            flags: if allocation.is_partly_lane {
                Client::LANE
            } else {
                0
            },
            expires_at,
        };
        let words = client.sealed(&key);
        self.put(maps::CLIENTS, key.words(), words);
        self.install_permissions(world, slot, allocation);
        self.install_channels(world, slot, allocation);
    }

    fn install_permissions(&mut self, world: &World, slot: u32, allocation: &Allocation) {
        for permission in &allocation.permissions {
            let Some(relayed) = allocation.relayed_for(permission.ip) else {
                continue;
            };
            let address = SocketAddr::new(permission.ip, *permission.ports.start());
            let key = FlowKey::permission(Endpoint::new(address).address, Endpoint::new(relayed));
            let lane = if permission.is_lane {
                Permission::LANE
            } else {
                0
            };
            let guard = if permission.is_guarded {
                Permission::GUARDED
            } else {
                0
            };
            let is_here = world.relay_ips.contains(&permission.ip);
            let value = Permission {
                server: Endpoint::new(allocation.server),
                client: Endpoint::new(allocation.client),
                flags: lane | guard,
                to_client: world.hop(allocation.client.ip()).id,
                to_peer: way(world, permission.ip, is_here),
                allocation: slot,
                generation: generation(slot),
                port_min: *permission.ports.start(),
                port_max: *permission.ports.end(),
                expires_at: end(permission.is_live && allocation.is_live),
            };
            let words = value.sealed(&key);
            self.put(maps::PERMISSIONS, key.words(), words);
        }
    }

    fn install_channels(&mut self, world: &World, slot: u32, allocation: &Allocation) {
        for channel in &allocation.channels {
            let relayed = allocation.relayed_for(channel.peer.ip()).unwrap();
            let to_peer = Flow {
                source: Endpoint::new(relayed),
                destination: Endpoint::new(channel.peer),
                channel: 0,
                flags: if channel.is_lane { Flow::LANE } else { 0 },
                next_hop: way(world, channel.peer.ip(), world.is_here(channel.peer)),
                allocation: slot,
                generation: generation(slot),
                expires_at: end(channel.is_live && allocation.is_live),
            };
            let from_client = FlowKey {
                far: Endpoint::new(allocation.client),
                near: Endpoint::new(allocation.server),
                channel: channel.number.to_be(),
            };
            let to_client = Flow {
                source: Endpoint::new(allocation.server),
                destination: Endpoint::new(allocation.client),
                channel: channel.number.to_be(),
                next_hop: world.hop(allocation.client.ip()).id,
                ..to_peer
            };
            let from_peer = FlowKey {
                far: Endpoint::new(channel.peer),
                near: Endpoint::new(relayed),
                channel: 0,
            };
            for (key, flow) in [(from_peer, to_client), (from_client, to_peer)] {
                self.put(maps::FLOWS, key.words(), flow.sealed(&key));
            }
        }
    }

    /// With buckets that were empty when the machine began, and are full now.
    fn set_limits(&mut self, slot: u32, allocation: &Allocation) {
        let (user, limit) = match allocation.user {
            Some((place, packets, bytes)) => (place, Limit::new(packets, bytes)),
            None => (Terms::NO_USER, Limit::new(None, None)),
        };
        if allocation.user.is_some() {
            let words = UserBucket(limit).words(0);
            self.set(maps::USERS, user, words);
        }
        let terms = Terms {
            generation: generation(slot),
            user,
            limit: Limit::new(allocation.packets_per_second, allocation.bytes_per_second),
        };
        let line = self.config.terms_line(slot);
        self.set(maps::ALLOCATIONS, line, terms.words(0));
    }

    fn set_local(&mut self, address: SocketAddr, local: &Local) {
        let key = LocalKey(Endpoint::new(address));
        self.put(maps::LOCALS, key.words(), local.sealed(&key));
    }
}

fn way(world: &World, ip: IpAddr, is_here: bool) -> u32 {
    if is_here {
        NextHop::HERE
    } else {
        world.hop(ip).id
    }
}

const fn end(is_live: bool) -> u64 {
    // One nanosecond after the machine began is long past.
    if is_live { u64::MAX } else { 1 }
}

fn load(config: &Config) -> Ebpf {
    let object = PROGRAMS.unwrap_or_else(|missing| panic!("{missing}"));
    let mut ebpf = EbpfLoader::new()
        .override_global(maps::CONFIG, config.words().as_slice(), true)
        .map_max_entries(maps::ALLOCATIONS, config.lines().unwrap())
        .map_max_entries(maps::REASONS, config.cpus * Config::REASONS_EACH)
        .load(object)
        .expect("the maps are made");
    for (part, place) in maps::PARTS {
        let fd = load_program(&mut ebpf, part);
        let map = ebpf.map_mut(maps::PROGRAMS).expect(maps::PROGRAMS);
        let mut programs: ProgramArray<_> = map.try_into().expect(maps::PROGRAMS);
        programs.set(place, &fd, 0).expect("the program fits");
    }
    load_program(&mut ebpf, maps::RELAY);
    ebpf
}

fn load_program(ebpf: &mut Ebpf, name: &str) -> ProgramFd {
    let program = ebpf.program_mut(name).expect("the object has it");
    let program: &mut Xdp = program.try_into().expect("it is an XDP program");
    if let Err(error) = program.load() {
        panic!("the verifier refuses {name}: {error:?}");
    }
    program
        .fd()
        .expect("it is loaded")
        .try_clone()
        .expect("a descriptor")
}
