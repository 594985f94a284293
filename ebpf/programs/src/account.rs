//! Charging packets to limits, and counting them.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use turnpike_abi::{Config, Limit, Reason, Terms, Traffic, UserBucket};

use crate::memory::{add, replace};
use crate::tables::{ALLOCATIONS, REASONS, USERS, config};

/// Counts a packet under its reason.
#[inline(always)]
pub fn count_reason(config: &Config, reason: Reason) {
    let line = Config::reason_line(reason, cpu(config));
    if let Some(packets) = REASONS.get_ptr_mut(line) {
        // SAFETY: the look-up has just returned it, and no other CPU writes it.
        unsafe { packets.write_volatile(packets.read_volatile().wrapping_add(1)) };
    }
}

/// Counts a packet that was relayed for an allocation; `word` is [`Traffic::TO_PEER`] or
/// [`Traffic::TO_CLIENT`].
#[inline(always)]
pub fn count_traffic(slot: u32, word: usize, bytes: u16) {
    count(slot, word, 1);
    count(slot, word + 1, u64::from(bytes));
}

#[inline(always)]
fn count(slot: u32, word: usize, amount: u64) {
    let config = config();
    let line = config.traffic_line(slot, cpu(&config));
    if let Some(words) = ALLOCATIONS.get_ptr_mut(line) {
        // SAFETY: the look-up has just returned it, no other CPU writes it, and `word` is a constant
        // below its length.
        unsafe {
            let at = words.cast::<u64>().add(word);
            at.write_volatile(at.read_volatile().wrapping_add(amount));
        }
    }
}

/// Charges a packet to an allocation and its user: both pay, or neither.
#[inline(always)]
pub fn charge(slot: u32, generation: u32, bytes: u16, now: u64) -> Result<(), Reason> {
    let config = config();
    let Some(terms) = ALLOCATIONS.get_ptr_mut(config.terms_line(slot)) else {
        return Err(Reason::NoAllocation);
    };
    let terms = terms.cast::<u64>();
    // SAFETY: the look-up has just returned it; words are read once each.
    let (first, packets, byte_cost) = unsafe {
        let packets = terms.add(1).read_volatile();
        (terms.read_volatile(), packets, terms.add(2).read_volatile())
    };
    if first as u32 != generation {
        return Err(Reason::NoAllocation);
    }
    let own = Payment::new(packets, byte_cost, bytes);
    // SAFETY: the buckets are inside of the same value.
    let buckets = unsafe { terms.add(Terms::BUCKETS) };
    if !own.take(buckets, now) {
        count(slot, Traffic::REFUSED, 1);
        return Err(Reason::AllocationRate);
    }
    let user = (first >> 32) as u32;
    if user != Terms::NO_USER && !charge_user(user, bytes, now) {
        own.give_back(buckets);
        count(slot, Traffic::REFUSED, 1);
        return Err(Reason::UserRate);
    }
    Ok(())
}

#[inline(always)]
fn charge_user(user: u32, bytes: u16, now: u64) -> bool {
    let Some(words) = USERS.get_ptr_mut(user) else {
        return false;
    };
    let words = words.cast::<u64>();
    // SAFETY: the look-up has just returned it; the buckets are inside of the value.
    let (packets, byte_cost, buckets) = unsafe {
        let byte_cost = words.add(1).read_volatile();
        (
            words.read_volatile(),
            byte_cost,
            words.add(UserBucket::BUCKETS),
        )
    };
    Payment::new(packets, byte_cost, bytes).take(buckets, now)
}

/// What one packet takes out of a pair of buckets, nanoseconds.
struct Payment {
    packet: u64,
    packets_full: u64,
    bytes: u64,
}

impl Payment {
    #[inline(always)]
    fn new(packets: u64, byte_cost: u64, bytes: u16) -> Self {
        Self {
            packet: packets & 0xffff_ffff,
            packets_full: packets >> 32,
            bytes: Limit::cost_of(byte_cost, bytes),
        }
    }

    /// Takes both or nothing; `buckets` are those of packets and bytes, one after the other.
    #[inline(always)]
    fn take(&self, buckets: *mut u64, now: u64) -> bool {
        if !take(buckets, self.packet, self.packets_full, now) {
            return false;
        }
        // SAFETY: the caller's pointer is to two words.
        let bytes = unsafe { buckets.add(1) };
        if take(bytes, self.bytes, Limit::BYTES_FULL, now) {
            return true;
        }
        give_back(buckets, self.packet);
        false
    }

    #[inline(always)]
    fn give_back(&self, buckets: *mut u64) {
        give_back(buckets, self.packet);
        // SAFETY: the caller's pointer is to two words.
        give_back(unsafe { buckets.add(1) }, self.bytes);
    }
}

/// Moves the time at which a bucket will be full, unless that would be further away than it holds. A try
/// fails only when another CPU's succeeded; a packet that loses so many races is refused.
#[inline(always)]
pub fn take(bucket: *mut u64, cost: u64, full: u64, now: u64) -> bool {
    if cost == 0 {
        return true;
    }
    for _ in 0..RACES {
        // SAFETY: the caller's pointer is to a word of a map's value.
        let before = unsafe { bucket.read_volatile() };
        let from = if before > now { before } else { now };
        let after = from.wrapping_add(cost);
        if after > now.wrapping_add(full) {
            return false;
        }
        // SAFETY: as above.
        if unsafe { replace(bucket, before, after) } {
            return true;
        }
    }
    false
}

#[inline(always)]
fn give_back(bucket: *mut u64, cost: u64) {
    if cost != 0 {
        // SAFETY: the caller's pointer is to a word of a map's value.
        unsafe { add(bucket, cost.wrapping_neg()) };
    }
}

#[inline(always)]
fn cpu(config: &Config) -> u32 {
    // SAFETY: the helper takes nothing and may be called anywhere.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    // Never so: the process counts every CPU there can be. Here a line of another slot is at stake.
    if cpu < config.cpus { cpu } else { 0 }
}

const RACES: u32 = 4;
