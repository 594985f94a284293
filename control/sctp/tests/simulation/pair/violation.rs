//! What must hold, and the report when it does not.

/// What must hold in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// What arrives is what was sent, where it was sent.
    PayloadIntact,
    /// No message arrives twice.
    DeliveredOnce,
    /// Ordered messages of a stream arrive in order, and none before a reliable one sent earlier.
    InOrder,
    /// Every reliable message arrives.
    ReliableArrives,
    /// A message is sent no more often, and no later, than its policy allows.
    PolicyKept,
    /// No message is given up before it was sent once, unless its time ran out.
    NotAbandonedUnsent,
    /// Sent, then acknowledged or expired: each tracked message has one last word, and it is true.
    LifeTold,
    /// A reset falls between what was sent before and after it.
    ResetInPlace,
    /// What was sent to the end before its restart does not reach the one after.
    RestartForgets,
    /// No packet is larger than allowed, and each is well formed.
    PacketWithinBounds,
    /// Memory stays within the buffers.
    MemoryBounded,
    /// Somebody says something while work is left.
    NoSilence,
    /// All work is done in time.
    DoneInTime,
    /// The clock moves.
    TimePasses,
    /// The association ends as it should.
    EndsCleanly,
    /// The same seed gives the same bytes.
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
            return Err($crate::pair::violation::Violation {
                invariant: $crate::pair::violation::Invariant::$invariant,
                what: format!($($text)+),
            });
        }
    };
}

pub(crate) use ensure;
