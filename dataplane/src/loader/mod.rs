//! Loads the programs into the kernel and attaches them: to devices, and to the network namespace.
//!
//! In the driver first; by the kernel in the driver's place only where that is allowed. A device that
//! has another program is left alone. What was attached ends with this process or with the value that
//! `load` returns, whichever comes first: nothing is left behind in the kernel.
//!
//! Not here: what is in the tables.

mod device;
mod error;
mod steer;

use std::os::fd::AsFd;

use aya::maps::{DevMapHash, Map, MapData, ProgramArray};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::errno::Errno;
use turnpike_abi::{Config, maps};

use crate::netlink::Netlink;

pub use device::{Device, Mode};
pub use error::LoadError;
pub use steer::ShardSocket;

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// What is missing for the programs to be part of this binary, if anything, and how to get it.
///
/// # Errors
/// The message.
pub fn built() -> Result<(), &'static str> {
    PROGRAMS.map(|_| ())
}

/// Whether a device could be given a program: it is there, and has none yet. Loads and attaches nothing.
///
/// # Errors
/// What [`DataPlane::start`](crate::DataPlane::start) would stumble over.
pub fn look_at(device: &str, is_named: bool) -> Result<(), LoadError> {
    let netlink = Netlink::new();
    let mut netlink =
        netlink.map_err(|error| LoadError::refused("look at network devices", &error))?;
    device::free(&mut netlink, device, is_named).map(|_| ())
}

/// A device's longest packet in bytes, and whether it is a veth; `None` when it is not there.
#[must_use]
pub fn shape(device: &str) -> Option<(u32, bool)> {
    let (_, link) = device::find(&mut Netlink::new().ok()?, device).ok()?;
    Some((device::mtu(&link)?, device::is_veth(&link)))
}

/// The ids of the programs that are on these devices.
pub(crate) fn attached_to(devices: &[String]) -> Result<Vec<u32>, LoadError> {
    let netlink = Netlink::new();
    let mut netlink =
        netlink.map_err(|error| LoadError::refused("look at network devices", &error))?;
    let ids = devices.iter().filter_map(|name| {
        let (_, link) = device::find(&mut netlink, name).ok()?;
        device::attached(&link)
    });
    Ok(ids.collect())
}

/// Entries that the tables have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Channels.
    pub channels: u32,
    /// Permissions.
    pub permissions: u32,
    /// Transport addresses of our own that stay: listeners, services, relay addresses.
    pub own_addresses: u32,
    /// Users, a power of two.
    pub users: u32,
    /// Source prefixes whose unauthenticated packets are counted.
    pub strangers: u32,
}

/// The programs in the kernel. Dropping it takes them off their devices.
#[derive(Debug)]
pub(crate) struct Loaded {
    ebpf: Ebpf,
    devices: Vec<Device>,
}

/// Loads the programs with tables of these sizes; they are not on any device yet.
pub(crate) fn load(config: &Config, sizes: &Sizes) -> Result<Loaded, LoadError> {
    let object = PROGRAMS.map_err(LoadError::NotBuilt)?;
    let words = config.words();
    let mut loader = EbpfLoader::new();
    loader.override_global(maps::CONFIG, words.as_slice(), true);
    for (map, entries) in entries(config, sizes).ok_or(LoadError::Sizes)? {
        loader.map_max_entries(map, entries.max(1));
    }
    let ebpf = loader.load(object);
    let ebpf = ebpf.map_err(|error| LoadError::refused("make the tables", &error))?;
    let mut loaded = Loaded {
        ebpf,
        devices: Vec::new(),
    };
    for (name, place) in maps::PARTS {
        // Without it the relay lets its messages through to the server.
        if let Err(error) = loaded.add_part(name, place) {
            tracing::warn!("a part of the fast path is missing: {error}");
        }
    }
    let program = loaded.program(maps::RELAY)?;
    program
        .load()
        .map_err(|error| LoadError::refused("load the XDP program", &error))?;
    Ok(loaded)
}

/// How many entries each table has.
fn entries(config: &Config, sizes: &Sizes) -> Option<[(&'static str, u32); 8]> {
    let allocations = config.allocations;
    Some([
        (maps::FLOWS, sizes.channels.checked_mul(2)?),
        (maps::PERMISSIONS, sizes.permissions),
        (maps::CLIENTS, allocations),
        (
            maps::LOCALS,
            allocations
                .checked_mul(2)?
                .checked_add(sizes.own_addresses)?,
        ),
        (maps::ALLOCATIONS, config.lines()?),
        (maps::USERS, sizes.users),
        (
            maps::REASONS,
            config.cpus.checked_mul(Config::REASONS_EACH)?,
        ),
        (maps::STRANGERS, sizes.strangers),
    ])
}

impl Loaded {
    /// Puts the program on all these devices, or on none.
    pub(crate) fn attach(
        &mut self,
        names: &[String],
        are_named: bool,
        generic: bool,
    ) -> Result<(), LoadError> {
        if names.is_empty() {
            return Err(LoadError::NoDevice);
        }
        let mut netlink = Netlink::new()
            .map_err(|error| LoadError::refused("look at network devices", &error))?;
        for name in names {
            let index = device::free(&mut netlink, name, are_named)?;
            // It must be there before another device's packets are sent to it.
            self.allow(index)?;
            let mode = self.attach_to(name, index, generic)?;
            self.devices.push(Device {
                name: name.clone(),
                index,
                mode,
            });
        }
        Ok(())
    }

    fn attach_to(&mut self, name: &str, index: u32, generic: bool) -> Result<Mode, LoadError> {
        let program = self.program(maps::RELAY)?;
        let Err(native) = program.attach_to_if_index(index, XdpMode::Driver) else {
            return Ok(Mode::Native);
        };
        let what = format!("attach the XDP program to {name}");
        if !is_the_drivers(&native) {
            return Err(LoadError::refused(what, &native));
        }
        if !generic {
            let number = error::errno(&native).unwrap_or(Errno::UnknownErrno);
            return Err(LoadError::NotNative {
                device: name.to_owned(),
                source: number.into(),
            });
        }
        let attached = program.attach_to_if_index(index, XdpMode::Skb);
        attached.map_err(|error| LoadError::refused(what, &error))?;
        Ok(Mode::Generic)
    }

    /// Lets packets leave by a device that they did not come by.
    fn allow(&mut self, index: u32) -> Result<(), LoadError> {
        let what = "allow a device";
        let map = self.ebpf.map_mut(maps::DEVICES).ok_or_else(lacking)?;
        let mut map: DevMapHash<&mut MapData> = map
            .try_into()
            .map_err(|error| LoadError::refused(what, &error))?;
        map.insert(index, index, None, 0)
            .map_err(|error| LoadError::refused(what, &error))
    }

    /// Runs the program on a frame that came by no device: what becomes of it, and how long it is then.
    pub(crate) fn run_on(&mut self, frame: &[u8]) -> Result<(u32, usize), LoadError> {
        let mut out = vec![0; FRAME_MAX];
        let run = self.program(maps::RELAY)?.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        });
        let run = run.map_err(|error| LoadError::refused("run the XDP program", &error))?;
        Ok((run.return_value, run.data_size_out as usize))
    }

    /// The devices that the program is on.
    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Another descriptor of a table.
    pub(crate) fn map(&self, name: &str) -> Result<MapData, LoadError> {
        let map = self.ebpf.map(name).ok_or_else(lacking)?;
        let (Map::HashMap(data) | Map::Array(data) | Map::LruHashMap(data)) = map else {
            return Err(lacking());
        };
        let again = data.fd().as_fd().try_clone_to_owned();
        let again = again.map_err(|error| LoadError::refused("open a table", &error))?;
        MapData::from_fd(again).map_err(|error| LoadError::refused("open a table", &error))
    }

    /// Loads a program that the relay calls, and puts it where the relay looks for it.
    fn add_part(&mut self, name: &str, place: u32) -> Result<(), LoadError> {
        let what = || format!("load the XDP program {name}");
        let program = self.program(name)?;
        program
            .load()
            .map_err(|error| LoadError::refused(what(), &error))?;
        let fd = program.fd();
        let fd = fd.map_err(|error| LoadError::refused(what(), &error))?;
        let fd = fd.try_clone();
        let fd = fd.map_err(|error| LoadError::refused(what(), &error))?;
        let map = self.ebpf.map_mut(maps::PROGRAMS).ok_or_else(lacking)?;
        let programs = ProgramArray::try_from(map);
        let mut programs = programs.map_err(|error| LoadError::refused(what(), &error))?;
        programs
            .set(place, &fd, 0)
            .map_err(|error| LoadError::refused(what(), &error))
    }

    fn program(&mut self, name: &str) -> Result<&mut Xdp, LoadError> {
        let program = self.ebpf.program_mut(name).ok_or_else(lacking)?;
        program
            .try_into()
            .map_err(|error: ProgramError| LoadError::refused("find the XDP program", &error))
    }
}

/// Longer than a frame that is tried out becomes.
const FRAME_MAX: usize = 2_048;

/// Whether a device's driver, not the kernel, refused: some say that they lack memory when they lack
/// queues.
fn is_the_drivers(error: &ProgramError) -> bool {
    matches!(
        error::errno(error),
        Some(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ERANGE | Errno::ENOMEM | Errno::ENOSPC)
    )
}

/// The object is not the one that this was built for.
fn lacking() -> LoadError {
    LoadError::Refused {
        what: "find a table".to_owned(),
        said: "the XDP programs are not those of this binary".to_owned(),
    }
}
