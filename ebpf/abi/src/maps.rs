//! Names of the maps, as in the object file, and the sizes that no configuration sets.

/// Packets by what they belong to: ChannelData by its client and number, datagrams by peer.
pub const FLOWS: &str = "FLOWS";
/// Peers by IP address, for Send and Data indications.
pub const PERMISSIONS: &str = "PERMISSIONS";
/// Allocations by five-tuple.
pub const CLIENTS: &str = "CLIENTS";
/// Our own transport addresses.
pub const LOCALS: &str = "LOCALS";
/// Where packets go next.
pub const NEXT_HOPS: &str = "NEXT_HOPS";
/// Limits and counters of allocations.
pub const ALLOCATIONS: &str = "ALLOCATIONS";
/// Limits of users.
pub const USERS: &str = "USERS";
/// Packets by reason.
pub const REASONS: &str = "REASONS";
/// Token buckets of source prefixes.
pub const STRANGERS: &str = "STRANGERS";
/// Devices that packets may leave by, besides the one they came by.
pub const DEVICES: &str = "DEVICES";
/// Sockets that relayed ports are steered to.
pub const SOCKETS: &str = "SOCKETS";

/// The programs that [`RELAY`] leaves messages to.
pub const PROGRAMS: &str = "PROGRAMS";

/// Every map, as the order of pinning.
pub const ALL: [&str; 12] = [
    FLOWS,
    PERMISSIONS,
    CLIENTS,
    LOCALS,
    NEXT_HOPS,
    ALLOCATIONS,
    USERS,
    REASONS,
    STRANGERS,
    DEVICES,
    SOCKETS,
    PROGRAMS,
];

/// The XDP program.
pub const RELAY: &str = "relay";
/// The XDP programs that [`RELAY`] leaves messages to, with their places in [`PROGRAMS`]. Where one is not
/// there, its messages go to the server.
pub const PARTS: [(&str, u32); 2] = [("send", SEND), ("bind", BIND)];
/// The place of the program that reads Send indications.
pub const SEND: u32 = 0;
/// The place of the program that answers Binding requests.
pub const BIND: u32 = 1;
/// The program that steers relayed ports to sockets.
pub const STEER: &str = "steer";
/// The program that lets everything through: a device that packets are redirected to needs one.
pub const PASS: &str = "pass";
/// The programs' constants, set when they are loaded ([`Config`](crate::Config)).
pub const CONFIG: &str = "CONFIG";

/// Entries of `NEXT_HOPS`.
pub const NEXT_HOPS_MAX: u32 = 4_096;
/// Entries of `DEVICES`.
pub const DEVICES_MAX: u32 = 64;
/// Entries of `PROGRAMS`.
pub const PROGRAMS_MAX: u32 = 2;
/// Entries of `SOCKETS`: two families a shard.
pub const SOCKETS_MAX: u32 = 512;
