//! Trouble that is worth a log line, now and then: each kind by itself, so that one that goes on
//! hides no other.

use std::time::Duration;

use turnpike_types::Timestamp;

/// How often a kind of trouble is said.
const EVERY: Duration = Duration::from_secs(60);

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trouble {
    /// The shard that a five-tuple belongs to does not hear.
    BusyOwner,
    /// No socket for a relayed address.
    NoSocket,
    /// A command of the engine's failed otherwise.
    Command,
    /// A receive failed.
    Receive,
    /// Connections cannot be accepted.
    Accept,
    /// A change of users or secrets is not used.
    Credentials,
    /// The tables of the XDP programs are full.
    FastPathFull,
}

impl Trouble {
    const ALL: [Self; 7] = [
        Self::BusyOwner,
        Self::NoSocket,
        Self::Command,
        Self::Receive,
        Self::Accept,
        Self::Credentials,
        Self::FastPathFull,
    ];
}

/// When each was said last.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    said: [Option<Timestamp>; Trouble::ALL.len()],
}

impl Complaints {
    /// Says what is wrong, unless the like was said lately. Whether it did.
    pub(super) fn say(&mut self, now: Timestamp, trouble: Trouble, text: &str) -> bool {
        let Some(said) = self.said.get_mut(trouble as usize) else {
            return false;
        };
        if said.is_some_and(|then| now.since(then) < EVERY) {
            return false;
        }
        *said = Some(now);
        tracing::warn!("{text}");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_once_a_minute_and_keeps_no_other_from_being_said() {
        let mut complaints = Complaints::default();
        let start = Timestamp::from_nanos(5_000_000_000);
        for (index, trouble) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!(trouble as usize, index);
            assert!(complaints.say(start, trouble, "x"));
            assert!(!complaints.say(start, trouble, "x"));
        }
        let soon = start + (EVERY - Duration::from_nanos(1));
        assert!(!complaints.say(soon, Trouble::Receive, "x"));
        assert!(complaints.say(start + EVERY, Trouble::Receive, "x"));
    }
}
