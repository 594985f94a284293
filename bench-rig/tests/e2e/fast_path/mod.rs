//! The fast path beside its plain relaying, which every stranger's test does in both lanes: how it starts
//! and ends, its relayed addresses, what becomes of calls whose allocation or room ends, what is counted, and what the commands
//! say that look at it.

mod asked;
mod calls;
mod counts;
mod one_socket;
mod start;

use std::time::Duration;

/// How long the relay may take to say something, or to end.
const SAID_WITHIN: Duration = Duration::from_secs(20);
