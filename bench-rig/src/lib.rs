//! Looks at the house from outside: hosts in network namespaces, and the end-to-end tests on them.
//!
//! [`netns`] makes client, relay and peer hosts on one machine and takes them away again whatever
//! happens. The tests beside this crate run real programs on those hosts (`tests/e2e`) and keep the
//! house in order (`tests/house`). Nothing here is part of the relay.

#![forbid(unsafe_code)]

pub mod method;
pub mod netns;
pub mod report;
