//! The programs of `ebpf/generator`, loaded, and their maps.
//!
//! Who receives, sends and redirects each loads a copy of its own: the maps of one are not seen by
//! the others.

use std::io;

use aya::maps::{Array, DevMap, MapData};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};
use turnpike_generator_layout::{Arrivals, Course, Outgoing, Totals};

use super::super::LoadError;
use crate::netns::Host;

include!(concat!(env!("OUT_DIR"), "/generator.rs"));

/// One copy of the programs.
#[derive(Debug)]
pub(super) struct Programs {
    ebpf: Ebpf,
}

impl Programs {
    /// Loads a copy whose maps have room for so many flows to send and to receive.
    pub(super) fn load(outgoing: u32, arrivals: u32) -> Result<Self, LoadError> {
        let object = GENERATOR.map_err(|missing| LoadError::Unfit(missing.to_owned()))?;
        let ebpf = EbpfLoader::new()
            .map_max_entries("OUTGOING", outgoing.max(1))
            .map_max_entries("ARRIVALS", arrivals.max(1))
            .load(object)
            .map_err(refused("loading eBPF maps"))?;
        Ok(Self { ebpf })
    }

    /// A program, loaded into the kernel if it is not yet.
    pub(super) fn program(&mut self, name: &str) -> Result<&mut Xdp, LoadError> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| lacks(name))?;
        let program: &mut Xdp = program.try_into().map_err(refused(name))?;
        if program.fd().is_err() {
            program
                .load()
                .map_err(refused(&format!("loading the eBPF program {name}")))?;
        }
        Ok(program)
    }

    /// A program that [`Programs::program`] has loaded.
    pub(super) fn loaded(&self, name: &str) -> Result<&Xdp, LoadError> {
        let program = self.ebpf.program(name).ok_or_else(|| lacks(name))?;
        program.try_into().map_err(refused(name))
    }

    /// Attaches a program to a host's device until these programs are dropped.
    pub(super) fn attach(
        &mut self,
        program: &str,
        host: &Host,
        device: &str,
    ) -> Result<(), LoadError> {
        let program = self.program(program)?;
        host.enter(|| program.attach(device, XdpMode::Driver))?
            .map(drop)
            .map_err(refused(&format!(
                "attaching to {device} on {}",
                host.name()
            )))
    }

    /// Takes out a map, after its program is loaded: the program refers to it until then.
    pub(super) fn array<T: Pod>(&mut self, name: &str) -> Result<Array<MapData, T>, LoadError> {
        let map = self.ebpf.take_map(name).ok_or_else(|| lacks(name))?;
        map.try_into().map_err(refused(name))
    }

    /// Sets a device that `redirect` and `sender` send out of.
    pub(super) fn send_out_of(
        &mut self,
        way: u32,
        host: &Host,
        device: &str,
    ) -> Result<(), LoadError> {
        let name = "WAY_OUT";
        let map = self.ebpf.map_mut(name).ok_or_else(|| lacks(name))?;
        let mut map: DevMap<&mut MapData> = map.try_into().map_err(refused(name))?;
        // Which device has this number is settled by the namespace of the thread that says it.
        host.enter(|| {
            let index = nix::net::if_::if_nametoindex(device)
                .map_err(|errno| LoadError::system(format!("finding {device}"))(errno.into()))?;
            map.set(way, index, None, 0).map_err(refused(name))
        })?
    }
}

/// A value of a map, as the programs see it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Value<T>(pub(super) T);

// SAFETY: these are plain numbers and arrays of them, `repr(C)` and without padding (their crate
// asserts their sizes), so any bytes are a value and every byte of a value is initialised.
unsafe impl Pod for Value<Outgoing> {}
// SAFETY: as above.
unsafe impl Pod for Value<Course> {}
// SAFETY: as above.
unsafe impl Pod for Value<Arrivals> {}
// SAFETY: as above.
unsafe impl Pod for Value<Totals> {}

/// An error of aya's: most often the kernel's refusal, whose words are in it.
pub(super) fn refused<E: std::error::Error + Send + Sync + 'static>(
    what: &str,
) -> impl FnOnce(E) -> LoadError {
    let what = what.to_owned();
    move |error| LoadError::system(what)(io::Error::other(Chain(error).to_string()))
}

fn lacks(name: &str) -> LoadError {
    LoadError::Unfit(format!("the eBPF object has no {name}"))
}

/// An error with its causes, which aya's errors leave out of their text.
struct Chain<E>(E);

impl<E: std::error::Error> std::fmt::Display for Chain<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
