//! The data plane as a whole: programs on their devices, tables that shards write, next hops kept
//! fresh, counters.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use aya::maps::{Array, HashMap, MapData, MapError};
use turnpike_abi::{Config, Endpoint, Local, LocalKey, NextHop as Entry, Role, maps};

use crate::counters::Counters;
use crate::lines::Lines;
use crate::loader::{self, Device, LoadError, Loaded, ShardSocket, Sizes};
use crate::meter::Buckets;
use crate::next_hop::{HopId, Limits, NextHops, Watch, Writer};
use crate::tables::{Maps, Shared, Tables, Users};

/// What a data plane is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Devices that packets of clients and peers come by.
    pub interfaces: Vec<String>,
    /// Whether somebody named them, and answers for their far ends.
    pub is_named: bool,
    /// Whether the kernel may run the programs where a driver cannot.
    pub generic: bool,
    /// How many engines write.
    pub shards: u16,
    /// Slots of allocations that each engine has.
    pub allocations_a_shard: u32,
    /// Room in the tables.
    pub sizes: Sizes,
    /// Our addresses that relayed ones are taken from.
    pub relay_ips: Vec<IpAddr>,
    /// Relayed ports; no listener's is among them.
    pub relay_ports: RangeInclusive<u16>,
    /// Where clients come in by UDP.
    pub listeners: Vec<SocketAddr>,
    /// Our other transport addresses, which no client may reach through the relay.
    pub services: Vec<SocketAddr>,
    /// Unauthenticated packets a second that are let through from one IPv4 address or IPv6 /64.
    pub strangers_per_second: u32,
}

/// A running data plane. Dropping it takes the programs off their devices.
pub struct DataPlane {
    // The thread ends before what it writes to goes.
    watch: Watch,
    loaded: Loaded,
    tables: Vec<Arc<Tables>>,
    counters: Arc<Counters>,
    hops: Arc<NextHops>,
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlane")
            .field("watch", &self.watch)
            .field("devices", &self.devices())
            .finish_non_exhaustive()
    }
}

impl DataPlane {
    /// Loads the programs, fills in what stays, and attaches them in the calling thread's network
    /// namespace. Datagrams to relayed ports that are left to sockets come to those given, from then
    /// on and as long as these are open.
    ///
    /// # Errors
    /// [`LoadError`], which says what is missing and what cures it. Nothing is left behind then.
    pub fn start(settings: &Settings, sockets: &[ShardSocket<'_>]) -> Result<Self, LoadError> {
        for device in &settings.interfaces {
            loader::look_at(device, settings.is_named)?;
        }
        let layout = layout(settings)?;
        let mut loaded = loader::load(&layout, &settings.sizes)?;
        write_own_addresses(&loaded, settings)?;
        loaded.steer(sockets)?;
        loaded.attach(&settings.interfaces, settings.is_named, settings.generic)?;
        let hops = Arc::new(next_hops(&loaded)?);
        let counters = Arc::new(counters(&loaded, layout)?);
        let buckets = lines(&loaded, maps::USERS, settings.sizes.users, 4)?;
        let meter = Buckets {
            counters: Arc::clone(&counters),
            users: lines(&loaded, maps::USERS, settings.sizes.users, 4)?,
            layout,
        };
        let shared = Arc::new(Shared {
            hops: Arc::clone(&hops),
            meter,
            counters: Arc::clone(&counters),
            users: Mutex::new(Users::new(buckets, settings.sizes.users)),
            layout,
            relay_ips: settings.relay_ips.clone(),
            relay_ports: settings.relay_ports.clone(),
        });
        let tables: Result<Vec<_>, LoadError> = (0..u32::from(settings.shards))
            .map(|shard| {
                let maps = open_maps(&loaded)?;
                Ok(Arc::new(Tables::new(shard, Arc::clone(&shared), maps)))
            })
            .collect();
        let tables = tables?;
        let watch = watch(&hops, &tables)?;
        Ok(Self {
            watch,
            loaded,
            tables,
            counters,
            hops,
        })
    }

    /// The tables that a shard writes.
    #[must_use]
    pub fn tables(&self, shard: u16) -> Option<Arc<Tables>> {
        self.tables.get(usize::from(shard)).cloned()
    }

    /// The devices that the programs are on.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        self.loaded.devices()
    }

    /// What the programs count.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The next hops in use.
    #[must_use]
    pub fn next_hops(&self) -> &NextHops {
        &self.hops
    }
}

fn layout(settings: &Settings) -> Result<Config, LoadError> {
    let shards = u32::from(settings.shards.max(1));
    let (first, last) = (*settings.relay_ports.start(), *settings.relay_ports.end());
    let cost = SECOND / u64::from(settings.strangers_per_second.max(1));
    let allocations = settings.allocations_a_shard.checked_mul(shards);
    Ok(Config {
        stranger_cost: cost,
        stranger_full: SECOND,
        relay_port_min: first,
        relay_port_max: last,
        flags: Config::ANSWER_BINDING,
        cpus: cpus()?,
        shards,
        allocations: allocations.ok_or(LoadError::Sizes)?,
    })
}

/// CPUs that there may be.
pub(crate) fn cpus() -> Result<u32, LoadError> {
    let cpus = aya::util::nr_cpus();
    let cpus = cpus.map_err(|(_, error)| LoadError::refused("count the CPUs", &error))?;
    u32::try_from(cpus).map_err(|_| LoadError::Sizes)
}

/// Listeners, relay addresses and services: they stay as long as the process.
fn write_own_addresses(loaded: &Loaded, settings: &Settings) -> Result<(), LoadError> {
    let mut locals: HashMap<MapData, [u64; 3], [u64; 2]> =
        typed(loaded.map(maps::LOCALS)?, HashMap::try_from)?;
    let listeners = settings.listeners.iter();
    let listeners = listeners.map(|it| (*it, Local::lasting(Role::Listener, Local::SERVICE)));
    let services = settings.services.iter();
    let services = services
        .filter(|it| !settings.listeners.contains(it))
        .map(|it| (*it, Local::lasting(Role::Service, Local::SERVICE)));
    let relays = settings.relay_ips.iter();
    let relays = relays.map(|ip| {
        let every_port = SocketAddr::new(*ip, 0);
        (every_port, Local::lasting(Role::RelayAddress, 0))
    });
    for (address, local) in services.chain(listeners).chain(relays) {
        let key = LocalKey(Endpoint::new(address));
        locals
            .insert(key.words(), local.sealed(&key), 0)
            .map_err(|error| LoadError::refused("write our own addresses", &error))?;
    }
    Ok(())
}

fn next_hops(loaded: &Loaded) -> Result<NextHops, LoadError> {
    let what = "make the table of next hops";
    let mut array: Array<MapData, [u64; 3]> = typed(loaded.map(maps::NEXT_HOPS)?, Array::try_from)?;
    let unknown = Entry::default().sealed(HopId::NONE.0);
    array
        .set(HopId::NONE.0, unknown, 0)
        .map_err(|error| LoadError::refused(what, &error))?;
    let writer: Writer = Box::new(move |id, hop| {
        let entry = hop.map_or_else(Entry::default, |hop| Entry {
            to: hop.destination.0,
            from: hop.source.0,
            vlan: hop.vlan.unwrap_or(0),
            mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
            device: hop.device,
        });
        array
            .set(id.0, entry.sealed(id.0), 0)
            .map_err(std::io::Error::other)
    });
    let devices = loaded.devices().iter().map(|device| device.index).collect();
    NextHops::new(devices, Limits::default(), writer)
        .map_err(|error| LoadError::refused("look at routes", &error))
}

pub(crate) fn counters(loaded: &Loaded, layout: Config) -> Result<Counters, LoadError> {
    let reasons = layout.cpus.checked_mul(Config::REASONS_EACH);
    let reasons = reasons.ok_or(LoadError::Sizes)?;
    let allocations = layout.lines().ok_or(LoadError::Sizes)?;
    Ok(Counters::new(
        lines(loaded, maps::REASONS, reasons, 1)?,
        lines(loaded, maps::ALLOCATIONS, allocations, 8)?,
        layout,
    ))
}

pub(crate) fn lines(
    loaded: &Loaded,
    name: &str,
    entries: u32,
    words_each: usize,
) -> Result<Lines, LoadError> {
    Lines::map(&loaded.map(name)?, entries, words_each)
        .map_err(|error| LoadError::refused("map the counters", &error))
}

pub(crate) fn open_maps(loaded: &Loaded) -> Result<Maps, LoadError> {
    Ok(Maps {
        flows: typed(loaded.map(maps::FLOWS)?, HashMap::try_from)?,
        permissions: typed(loaded.map(maps::PERMISSIONS)?, HashMap::try_from)?,
        clients: typed(loaded.map(maps::CLIENTS)?, HashMap::try_from)?,
        locals: typed(loaded.map(maps::LOCALS)?, HashMap::try_from)?,
    })
}

pub(crate) fn typed<T>(
    data: MapData,
    make: impl FnOnce(aya::maps::Map) -> Result<T, MapError>,
) -> Result<T, LoadError> {
    aya::maps::Map::from_map_data(data)
        .and_then(make)
        .map_err(|error| LoadError::refused("open a table", &error))
}

fn watch(hops: &Arc<NextHops>, tables: &[Arc<Tables>]) -> Result<Watch, LoadError> {
    let tables = tables.to_vec();
    Watch::start(Arc::clone(hops), move || {
        for tables in &tables {
            tables.follow_routes();
        }
    })
    .map_err(|error| LoadError::refused("watch routes", &error))
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
