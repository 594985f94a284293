//! What must always hold, by name, and what to say when it does not.

/// A thing that must hold after each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// Each datagram copy is delivered, dropped by a named rule, or in flight.
    Conservation,
    /// Each packet the lane is shown is forwarded, passed on, or dropped for a reason.
    LaneConservation,
    /// The lane forwards what its commands say and nothing else.
    LaneAgrees,
    /// Nothing is forwarded without a live permission.
    PermissionBeforeForwarding,
    /// No relayed port is in two allocations.
    PortInOneAllocation,
    /// What hangs on an entry is revoked before it, and an entry before its port is used again.
    RevokeBeforeFree,
    /// A success response comes after the commands it promises.
    InstallBeforePromise,
    /// The lane holds no entry that no live grant stands behind.
    EntryHasGrant,
    /// The lane holds an entry for each live grant, with the same end.
    GrantHasEntry,
    /// Nothing outlives its end by more than a tick.
    TimerInTime,
    /// Nothing ends before its time without a cause.
    LivesItsTime,
    /// No deadline lies in the past once outputs are drained.
    DeadlineAhead,
    /// Each request has one response, in order.
    RepliesInOrder,
    /// Only who has proved to be someone is granted anything.
    Authenticated,
    /// Another user's allocation is untouchable (441), and so is none at all (437).
    OwnAllocationOnly,
    /// A grant follows the RFC's rules and the peer policy.
    GrantWithinRules,
    /// A refusal has its cause.
    RefusalHasCause,
    /// No quota is exceeded.
    QuotaKept,
    /// Each relayed port is free, allocated or reserved.
    PortsAccounted,
    /// Tables and queues stay within their bounds.
    MemoryBounded,
    /// Nothing is left when all lifetimes have passed.
    EmptyAtTheEnd,
    /// What arrives is what was sent, from whom it says.
    PayloadIntact,
    /// In calm weather, what a client may send by its own account is forwarded.
    ClientIsServed,
    /// The same seed gives the same trace.
    SameTrace,
    /// Nothing panics.
    NoPanic,
}

/// One that did not hold.
pub(crate) type Violation = turnpike_sim::Violation<Invariant>;

/// Either all is well, or what is not.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// Returns a violation unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $invariant:ident, $($text:tt)+) => {
        if !$condition {
            return Err($crate::violation::Violation {
                invariant: $crate::violation::Invariant::$invariant,
                what: format!($($text)+),
            });
        }
    };
}

/// Returns a violation.
macro_rules! violated {
    ($invariant:ident, $($text:tt)+) => {
        return Err($crate::violation::Violation {
            invariant: $crate::violation::Invariant::$invariant,
            what: format!($($text)+),
        })
    };
}

pub(crate) use {ensure, violated};
