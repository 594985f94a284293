//! Looks at the house from outside: hosts in network namespaces, the end-to-end tests on them, and
//! the rig that measures Turnpike beside others.
//!
//! [`netns`] makes client, relay and peer hosts on one machine and takes them away again whatever
//! happens. [`subject`] starts relays there, [`load`] makes TURN traffic and says what became of each
//! packet, [`account`] says what it cost the relay. [`method`] says which figure follows and how sure
//! it is, [`plan`] which figures are wanted, and [`report`] prints them. The tests beside
//! this crate run real programs on those hosts (`tests/e2e`), prove that the rig finds faults that
//! were planted (`tests/rig`) and keep the house in order (`tests/house`). Nothing here is part of
//! the relay.

pub mod account;
pub mod ceiling;
pub mod load;
pub mod method;
pub mod netns;
pub mod plan;
pub mod report;
pub mod subject;
