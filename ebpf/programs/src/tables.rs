//! The maps. Their sizes are the process's to set when it loads the programs; those here only let the
//! object be loaded as it is.

use core::ptr::read_volatile;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash, HashMap, LruHashMap, ProgramArray, SockMap};
use turnpike_abi::Config;
pub use turnpike_abi::maps::{BIND, SEND};
use turnpike_abi::maps::{DEVICES_MAX, NEXT_HOPS_MAX, PROGRAMS_MAX, SOCKETS_MAX};

#[map]
pub static FLOWS: HashMap<[u64; 5], [u64; 8]> = HashMap::with_max_entries(SESSIONS, 0);

#[map]
pub static PERMISSIONS: HashMap<[u64; 5], [u64; 9]> = HashMap::with_max_entries(SESSIONS, 0);

#[map]
pub static CLIENTS: HashMap<[u64; 5], [u64; 6]> = HashMap::with_max_entries(SESSIONS, 0);

#[map]
pub static LOCALS: HashMap<[u64; 3], [u64; 2]> = HashMap::with_max_entries(SESSIONS, 0);

#[map]
pub static NEXT_HOPS: Array<[u64; 3]> = Array::with_max_entries(NEXT_HOPS_MAX, 0);

#[map]
pub static ALLOCATIONS: Array<[u64; 8]> = Array::with_max_entries(SESSIONS, MMAPABLE);

#[map]
pub static USERS: Array<[u64; 4]> = Array::with_max_entries(SESSIONS, MMAPABLE);

#[map]
pub static REASONS: Array<u64> = Array::with_max_entries(SESSIONS, MMAPABLE);

#[map]
pub static STRANGERS: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(SESSIONS, 0);

#[map]
pub static DEVICES: DevMapHash = DevMapHash::with_max_entries(DEVICES_MAX, 0);

#[map]
pub static SOCKETS: SockMap = SockMap::with_max_entries(SOCKETS_MAX, 0);

/// The programs that `relay` leaves messages to: each has a stack of its own, and is verified by itself.
#[map]
pub static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(PROGRAMS_MAX, 0);

/// Set by the process; the verifier sees the values, and leaves out what they rule out.
#[unsafe(no_mangle)]
static CONFIG: [u64; 5] = [0; 5];

/// The constants that the process has set.
#[inline(always)]
pub fn config() -> Config {
    // SAFETY: a static of this program. Volatile, or the compiler would take the zeros for granted.
    Config::from_words(&unsafe { read_volatile(&raw const CONFIG) })
}

/// Whether a port, network order, is in the relay range.
#[inline(always)]
pub fn is_relayed(port: u16) -> bool {
    let (config, port) = (config(), u16::from_be(port));
    port >= config.relay_port_min && port <= config.relay_port_max
}

const SESSIONS: u32 = 1_024;

/// BPF_F_MMAPABLE: the process reads counters without a system call for each.
const MMAPABLE: u32 = 1 << 10;
