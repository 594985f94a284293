//! Limits of allocations and users, in the programs' own buckets: a packet that goes through a socket is
//! charged to what the programs charge, by the same arithmetic (`ebpf/programs/src/account.rs`), so that
//! both lanes together keep to a limit.
//!
//! No lock and no system call; a packet costs a few atomic steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use turnpike_abi::{Config, Limit, Terms, UserBucket};
use turnpike_types::DropReason;

use crate::counters::Counters;
use crate::lines::Lines;

/// The buckets of all shards.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) counters: Arc<Counters>,
    pub(crate) users: Lines,
    pub(crate) layout: Config,
}

impl Buckets {
    /// Charges one packet to the allocation in a slot and to its user: both pay, or neither.
    pub(crate) fn charge(
        &self,
        slot: u32,
        generation: u32,
        bytes: usize,
        now: u64,
    ) -> Result<(), DropReason> {
        let line = self.counters.line(self.layout.terms_line(slot));
        let [first, packets, byte_cost, levels @ ..] = line.ok_or(DropReason::NoAllocation)?;
        let first = first.load(Ordering::Acquire);
        if first as u32 != generation {
            return Err(DropReason::NoAllocation);
        }
        let [own, own_bytes, ..] = levels;
        let payment = Payment::of(packets, byte_cost, bytes);
        if !payment.take([own, own_bytes], now) {
            return Err(DropReason::AllocationRate);
        }
        let user = (first >> 32) as u32;
        if user != Terms::NO_USER && !self.charge_user(user, bytes, now) {
            payment.give_back([own, own_bytes]);
            return Err(DropReason::UserRate);
        }
        Ok(())
    }

    fn charge_user(&self, place: u32, bytes: usize, now: u64) -> bool {
        let line = self.users.line::<USER_WORDS>(place);
        line.is_some_and(|[packets, byte_cost, levels @ ..]| {
            Payment::of(packets, byte_cost, bytes).take(levels, now)
        })
    }
}

/// What one packet takes out of a pair of buckets, nanoseconds.
struct Payment {
    packet: u64,
    packets_full: u64,
    bytes: u64,
}

impl Payment {
    fn of(packets: &AtomicU64, byte_cost: &AtomicU64, bytes: usize) -> Self {
        let packets = packets.load(Ordering::Relaxed);
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        Self {
            packet: packets & 0xffff_ffff,
            packets_full: packets >> 32,
            bytes: Limit::cost_of(byte_cost.load(Ordering::Relaxed), bytes),
        }
    }

    /// Takes both or nothing.
    fn take(&self, [packets, bytes]: [&AtomicU64; 2], now: u64) -> bool {
        if !take(packets, self.packet, self.packets_full, now) {
            return false;
        }
        let is_paid = take(bytes, self.bytes, Limit::BYTES_FULL, now);
        if !is_paid {
            packets.fetch_sub(self.packet, Ordering::Relaxed);
        }
        is_paid
    }

    fn give_back(&self, [packets, bytes]: [&AtomicU64; 2]) {
        packets.fetch_sub(self.packet, Ordering::Relaxed);
        bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Moves the time at which a bucket will be full, unless that would be further away than it holds. A try
/// fails only when another's succeeded.
fn take(full_at: &AtomicU64, cost: u64, full: u64, now: u64) -> bool {
    let latest = now.saturating_add(full);
    let step = |before: u64| {
        let after = before.max(now).checked_add(cost)?;
        (after <= latest).then_some(after)
    };
    cost == 0
        || full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
}

/// Of a line of `USERS`: its limits, then its buckets.
const USER_WORDS: usize = UserBucket::BUCKETS + 2;
