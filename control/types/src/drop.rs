//! Why a packet was not forwarded. Every drop has a reason, every reason a counter.

use core::fmt;

/// The reason a packet ended here, in the order a packet meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum DropReason {
    /// Neither STUN nor ChannelData (RFC 7983), or bytes that lie about their length.
    Malformed,
    /// A STUN response or an indication that the server has no use for.
    Unexpected,
    /// FINGERPRINT is present and wrong.
    BadFingerprint,
    /// ChannelData or an indication from a five-tuple without a live allocation.
    NoAllocation,
    /// ChannelData on a number that is not bound, or whose binding has lapsed.
    NoChannel,
    /// No live permission for the peer's IP address.
    NoPermission,
    /// The peer's port is refused by the port rule or belongs to one of our own services.
    ForbiddenPort,
    /// The allocation's packets or bytes a second are used up.
    AllocationRate,
    /// The user's packets or bytes a second are used up.
    UserRate,
    /// The payload does not fit what the lane can carry, or a request is longer than any honest one.
    Oversize,
    /// The lane had no room to queue the packet.
    QueueFull,
    /// The kernel refused the send.
    SendFailed,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Unexpected,
        Self::BadFingerprint,
        Self::NoAllocation,
        Self::NoChannel,
        Self::NoPermission,
        Self::ForbiddenPort,
        Self::AllocationRate,
        Self::UserRate,
        Self::Oversize,
        Self::QueueFull,
        Self::SendFailed,
    ];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::BadFingerprint => "bad_fingerprint",
            Self::NoAllocation => "no_allocation",
            Self::NoChannel => "no_channel",
            Self::NoPermission => "no_permission",
            Self::ForbiddenPort => "forbidden_port",
            Self::AllocationRate => "allocation_rate",
            Self::UserRate => "user_rate",
            Self::Oversize => "oversize",
            Self::QueueFull => "queue_full",
            Self::SendFailed => "send_failed",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_reason_at_its_own_index() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
