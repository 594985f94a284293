//! Looks at the house from outside: hosts in network namespaces, the end-to-end tests on them, and
//! the load that measures are taken with.
//!
//! [`netns`] makes client, relay and peer hosts on one machine and takes them away again whatever
//! happens. [`load`] makes TURN traffic there and says what became of each packet. The tests beside
//! this crate run real programs on those hosts (`tests/e2e`), prove that the rig finds faults that
//! were planted (`tests/rig`) and keep the house in order (`tests/house`). Nothing here is part of
//! the relay.

pub mod account;
pub mod ceiling;
pub mod load;
pub mod netns;
pub mod subject;
