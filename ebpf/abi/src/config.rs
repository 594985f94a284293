//! What the programs are told when they are loaded, and cannot change while they run.

use crate::Reason;

/// The programs' constants, set as the global `CONFIG`, 40 bytes: stranger's cost (8), full (8), lowest
/// and highest port (2 each), flags (4), CPUs (4), shards (4), allocations (4), zero (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What a packet of a stranger costs, nanoseconds; 0: strangers are not limited.
    pub stranger_cost: u64,
    /// How many nanoseconds a stranger's bucket holds.
    pub stranger_full: u64,
    /// The lowest port of the relay range. No listener may have a port in it.
    pub relay_port_min: u16,
    /// The highest port of the relay range.
    pub relay_port_max: u16,
    /// [`Config::ANSWER_BINDING`] or none.
    pub flags: u32,
    /// CPUs that the kernel may ever have: an allocation has a line of counters for each.
    pub cpus: u32,
    /// How many shards relayed ports are steered to.
    pub shards: u32,
    /// Slots of allocations.
    pub allocations: u32,
}

impl Config {
    /// Binding requests are answered in the kernel.
    pub const ANSWER_BINDING: u32 = 1;

    /// Entries of `REASONS` a CPU.
    pub const REASONS_EACH: u32 = 64;

    /// The constants as the global has them.
    #[must_use]
    pub const fn words(&self) -> [u64; 5] {
        let ports = self.relay_port_min as u64 | (self.relay_port_max as u64) << 16;
        [
            self.stranger_cost,
            self.stranger_full,
            ports | (self.flags as u64) << 32,
            self.cpus as u64 | (self.shards as u64) << 32,
            self.allocations as u64,
        ]
    }

    /// The constants that such words are.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: &[u64; 5]) -> Self {
        let [stranger_cost, stranger_full, ports, cpus, allocations] = *words;
        Self {
            stranger_cost,
            stranger_full,
            relay_port_min: ports as u16,
            relay_port_max: (ports >> 16) as u16,
            flags: (ports >> 32) as u32,
            cpus: cpus as u32,
            shards: (cpus >> 32) as u32,
            allocations: allocations as u32,
        }
    }

    /// Entries that `ALLOCATIONS` needs.
    #[must_use]
    pub const fn lines(&self) -> Option<u32> {
        self.allocations.checked_mul(self.lines_each())
    }

    /// The entry of `ALLOCATIONS` that holds a slot's terms.
    #[inline(always)]
    #[must_use]
    pub const fn terms_line(&self, slot: u32) -> u32 {
        slot.wrapping_mul(self.lines_each())
    }

    /// The entry of `ALLOCATIONS` that holds what one CPU relayed of a slot.
    #[inline(always)]
    #[must_use]
    pub const fn traffic_line(&self, slot: u32, cpu: u32) -> u32 {
        self.terms_line(slot).wrapping_add(1).wrapping_add(cpu)
    }

    /// The entry of `REASONS` that holds one CPU's packets of a reason. CPUs share no cache line.
    #[inline(always)]
    #[must_use]
    pub const fn reason_line(reason: Reason, cpu: u32) -> u32 {
        cpu.wrapping_mul(Self::REASONS_EACH)
            .wrapping_add(reason as u32)
    }

    /// Which shard a relayed port (the machine's order) is steered to: ports are handed out in runs of
    /// whole pairs, as even as can be. `None` outside the range.
    #[inline(always)]
    #[must_use]
    pub const fn shard(&self, port: u16) -> Option<u32> {
        if port < self.relay_port_min || port > self.relay_port_max {
            return None;
        }
        let first = (self.relay_port_min / 2) as u64;
        let pairs = (self.relay_port_max / 2) as u64 - first + 1;
        let offset = (port / 2) as u64 - first;
        // Not `/`, which would have a program end where a divisor is zero: none may.
        match (offset * self.shards as u64).checked_div(pairs) {
            Some(shard) => Some(shard as u32),
            None => None,
        }
    }

    /// The entry of `SOCKETS` that holds a shard's socket of a family.
    #[inline(always)]
    #[must_use]
    pub const fn socket(shard: u32, is_v6: bool) -> u32 {
        shard * 2 + is_v6 as u32
    }

    const fn lines_each(&self) -> u32 {
        1u32.wrapping_add(self.cpus)
    }
}

const _: () = assert!(Reason::COUNT <= Config::REASONS_EACH);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config {
        stranger_cost: 0,
        stranger_full: 0,
        relay_port_min: 49_152,
        relay_port_max: 65_535,
        flags: 0,
        cpus: 2,
        shards: 3,
        allocations: 10,
    };

    #[test]
    fn constants_come_back_as_they_went_in() {
        assert_eq!(Config::from_words(&CONFIG.words()), CONFIG);
    }

    #[test]
    fn every_port_of_the_range_has_a_shard() {
        assert_eq!(CONFIG.shard(49_151), None);
        assert_eq!(CONFIG.shard(49_152), Some(0));
        assert_eq!(CONFIG.shard(49_152 + 5_461), Some(0));
        assert_eq!(CONFIG.shard(49_152 + 5_462), Some(1));
        assert_eq!(CONFIG.shard(65_535), Some(2));
    }

    #[test]
    fn lines_of_slots_follow_each_other() {
        assert_eq!(CONFIG.lines(), Some(30));
        assert_eq!(CONFIG.terms_line(0), 0);
        assert_eq!(CONFIG.traffic_line(0, 1), 2);
        assert_eq!(CONFIG.terms_line(1), 3);
        assert_eq!(CONFIG.traffic_line(9, 1), 29);
    }
}
