//! Limits and counters.
//!
//! A limit is kept as the generic cell rate algorithm does (ITU-T I.371), like the socket lane's shared
//! buckets: a packet costs so many nanoseconds, and the bucket is the time at which it will be full. The
//! time moves by atomic steps, so CPUs share a bucket without a lock. A bucket holds one second.

/// Packets and bytes a second as costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Nanoseconds that one packet costs; 0: packets are not limited.
    pub packet_cost: u32,
    /// Nanoseconds of packets that the bucket holds.
    pub packets_full: u32,
    /// 1/65,536 nanoseconds that one byte of payload costs; 0: bytes are not limited.
    pub byte_cost: u64,
}

impl Limit {
    /// Nanoseconds of bytes that a bucket holds.
    pub const BYTES_FULL: u64 = SECOND;

    /// A limit of so many packets and payload bytes a second; `None` means unlimited. Costs are
    /// rounded up. A rate of 0 lets nothing through but, for bytes, empty payloads.
    #[must_use]
    pub const fn new(packets_per_second: Option<u32>, bytes_per_second: Option<u64>) -> Self {
        let (packet_cost, packets_full) = match packets_per_second {
            None => (0, 0),
            Some(0) => (NEVER as u32, SECOND as u32),
            Some(rate) => {
                let cost = SECOND.div_ceil(rate as u64);
                // So many whole packets, though each was rounded up; below 2^32 at every rate.
                (cost as u32, (cost * rate as u64) as u32)
            }
        };
        let byte_cost = match bytes_per_second {
            None => 0,
            Some(0) => NEVER << FRACTION,
            Some(rate) => (SECOND << FRACTION).div_ceil(rate),
        };
        Self {
            packet_cost,
            packets_full,
            byte_cost,
        }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.packet_cost == 0 && self.byte_cost == 0
    }

    /// Nanoseconds that so many bytes cost.
    #[inline(always)]
    #[must_use]
    pub const fn cost_of(byte_cost: u64, bytes: u16) -> u64 {
        // Never more than 47 and 16 bits.
        byte_cost.wrapping_mul(bytes as u64) >> FRACTION
    }

    const fn packets_word(&self) -> u64 {
        self.packet_cost as u64 | (self.packets_full as u64) << 32
    }
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Costs more than any bucket holds.
const NEVER: u64 = 2 * SECOND;
/// Bits of a byte's cost below the nanosecond.
const FRACTION: u32 = 16;

/// An allocation's limits and their state, 64 bytes: generation (4), user's place (4), packet cost (4),
/// packets full (4), byte cost (8), both times at which the buckets will be full (8 each), zero (24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which use of the slot this is.
    pub generation: u32,
    /// Index of `USERS`, or [`Terms::NO_USER`].
    pub user: u32,
    /// What the allocation may relay.
    pub limit: Limit,
}

impl Terms {
    /// The user is not limited.
    pub const NO_USER: u32 = u32::MAX;
    /// Where the bucket of packets is, a word's index; that of bytes is the next.
    pub const BUCKETS: usize = 3;

    /// The value as the map has it, with buckets that were empty at `now`.
    #[must_use]
    pub const fn words(&self, now: u64) -> [u64; 8] {
        let [packets, bytes] = emptied(&self.limit, now);
        [
            self.generation as u64 | (self.user as u64) << 32,
            self.limit.packets_word(),
            self.limit.byte_cost,
            packets,
            bytes,
            0,
            0,
            0,
        ]
    }
}

/// What one CPU relayed of an allocation, 64 bytes: the fields below (8 each), zero (24).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets from the client to a peer.
    pub to_peer_packets: u64,
    /// Payload bytes from the client to a peer.
    pub to_peer_bytes: u64,
    /// Packets from a peer to the client.
    pub to_client_packets: u64,
    /// Payload bytes from a peer to the client.
    pub to_client_bytes: u64,
    /// Packets that a limit, its own or its user's, refused.
    pub refused_packets: u64,
}

impl Traffic {
    /// Index of the packets to a peer among the words; bytes follow.
    pub const TO_PEER: usize = 0;
    /// Index of the packets to the client among the words; bytes follow.
    pub const TO_CLIENT: usize = 2;
    /// Index of the refused packets among the words.
    pub const REFUSED: usize = 4;

    /// The counters that such words are.
    #[must_use]
    pub const fn from_words(words: &[u64; 8]) -> Self {
        let [a, b, c, d, e, ..] = *words;
        Self {
            to_peer_packets: a,
            to_peer_bytes: b,
            to_client_packets: c,
            to_client_bytes: d,
            refused_packets: e,
        }
    }
}

/// A user's limits and their state, 32 bytes: packet cost (4), packets full (4), byte cost (8), both
/// times at which the buckets will be full (8 each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserBucket(pub Limit);

impl UserBucket {
    /// Where the bucket of packets is, a word's index; that of bytes is the next.
    pub const BUCKETS: usize = 2;

    /// The value as the map has it, with buckets that were empty at `now`.
    #[must_use]
    pub const fn words(&self, now: u64) -> [u64; 4] {
        let [packets, bytes] = emptied(&self.0, now);
        [self.0.packets_word(), self.0.byte_cost, packets, bytes]
    }
}

/// Who makes and frees allocations in turn must not get a second's worth each time.
const fn emptied(limit: &Limit, now: u64) -> [u64; 2] {
    [
        now.saturating_add(limit.packets_full as u64),
        now.saturating_add(SECOND),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_round_up_and_fit() {
        let limit = Limit::new(Some(3), Some(3));
        assert_eq!(limit.packet_cost, 333_333_334);
        assert_eq!(limit.packets_full, 1_000_000_002);
        assert_eq!(Limit::cost_of(limit.byte_cost, 3), SECOND);
        let most = Limit::new(Some(u32::MAX), Some(u64::MAX));
        assert_eq!((most.packet_cost, most.packets_full), (1, u32::MAX));
        assert_eq!(most.byte_cost, 1);
        assert!(Limit::new(None, None).is_unlimited());
    }

    #[test]
    fn rate_of_zero_costs_more_than_a_bucket_holds() {
        let never = Limit::new(Some(0), Some(0));
        assert!(never.packet_cost > never.packets_full);
        assert!(Limit::cost_of(never.byte_cost, 1) > SECOND);
        assert!(Limit::cost_of(never.byte_cost, u16::MAX) > SECOND);
        assert_eq!(Limit::cost_of(never.byte_cost, 0), 0);
        assert!(never.byte_cost.checked_mul(65_535).is_some());
    }

    #[test]
    fn buckets_begin_empty() {
        let limit = Limit::new(Some(10), None);
        let terms = Terms {
            generation: 1,
            user: 2,
            limit,
        };
        assert_eq!(terms.words(5)[Terms::BUCKETS], 5 + SECOND);
        assert_eq!(UserBucket(limit).words(5)[UserBucket::BUCKETS], 5 + SECOND);
    }
}
