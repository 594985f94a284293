//! The data plane on hosts made for it: network namespaces joined by veth pairs. Needs root.

mod next_hop;
mod world;
