//! One direction of one wire: rate, queue, delay, jitter, loss, duplication, reordering, corruption,
//! MTU.
//!
//! A link holds no datagrams, only the time until which it is busy; what it decides is when each
//! copy arrives. Order is kept, also under jitter, but for the copies that the `reordering` chance
//! picks: those wait longer and are overtaken.

use core::time::Duration;

use turnpike_types::{Entropy, Timestamp};

use crate::{Chance, DropRule};

/// What a link does to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Bits a second; `None` sends at once and never queues.
    pub bits_per_second: Option<u64>,
    /// Bytes that may wait behind the one being sent; more are dropped.
    pub queue_bytes: u64,
    /// Bytes that each datagram takes on the wire beside its payload: headers below it.
    pub framing_bytes: u64,
    /// From the last bit sent to the arrival.
    pub delay: Duration,
    /// Added to the delay, from zero up to this.
    pub jitter: Duration,
    /// How often a datagram is lost.
    pub loss: Chance,
    /// How often a datagram arrives twice.
    pub duplication: Chance,
    /// How often a copy is held back.
    pub reordering: Chance,
    /// How long a copy is held back.
    pub reordering_delay: Duration,
    /// How often a datagram, and its duplicate with it, arrives with one bit turned.
    pub corruption: Chance,
    /// The largest payload in bytes that passes.
    pub mtu: usize,
}

impl LinkConfig {
    /// Loses nothing and takes no time.
    pub const PERFECT: Self = Self {
        bits_per_second: None,
        queue_bytes: 0,
        framing_bytes: 0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Chance::NEVER,
        duplication: Chance::NEVER,
        reordering: Chance::NEVER,
        reordering_delay: Duration::ZERO,
        corruption: Chance::NEVER,
        mtu: 65_535,
    };
}

/// A link and how busy it is.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    busy_until: Timestamp,
    last_arrival: Timestamp,
}

/// What became of a datagram offered to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It ends here.
    Dropped(DropRule),
    /// It arrives, perhaps twice.
    Arrives {
        /// When the first copy does.
        at: Timestamp,
        /// When the duplicate does, if there is one.
        duplicate_at: Option<Timestamp>,
        /// Whether a bit of it is turned on the way.
        is_corrupted: bool,
    },
}

impl Link {
    /// An idle link.
    #[must_use]
    pub const fn new(config: LinkConfig) -> Self {
        Self {
            config,
            busy_until: Timestamp::ZERO,
            last_arrival: Timestamp::ZERO,
        }
    }

    /// Changes what the link does from now on; what is under way is not touched.
    pub const fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// Decides when a datagram of `bytes` that is offered `now` arrives.
    pub fn offer(&mut self, now: Timestamp, bytes: usize, entropy: &mut impl Entropy) -> Passage {
        if bytes > self.config.mtu {
            return Passage::Dropped(DropRule::AboveMtu);
        }
        if self.config.loss.happens(entropy) {
            return Passage::Dropped(DropRule::Loss);
        }
        let Some(sent) = self.send(now, bytes as u64 + self.config.framing_bytes) else {
            return Passage::Dropped(DropRule::QueueFull);
        };
        let at = self.arrival(sent, entropy);
        let duplicated = self.config.duplication.happens(entropy);
        let duplicate_at = duplicated.then(|| self.arrival(sent, entropy));
        Passage::Arrives {
            at,
            duplicate_at,
            is_corrupted: self.config.corruption.happens(entropy),
        }
    }

    /// Bytes accepted and not sent yet.
    #[must_use]
    pub fn backlog_bytes(&self, now: Timestamp) -> u64 {
        let wait_ns = self.busy_until.since(now).as_nanos();
        let bits = wait_ns * u128::from(self.config.bits_per_second.unwrap_or(0));
        u64::try_from(bits / NANOSECOND_BITS_A_BYTE).unwrap_or(u64::MAX)
    }

    /// The instant the last bit leaves, or `None` where the queue has no room.
    fn send(&mut self, now: Timestamp, bytes: u64) -> Option<Timestamp> {
        let Some(rate) = self.config.bits_per_second else {
            return Some(now);
        };
        let backlog = self.backlog_bytes(now);
        if backlog > 0 && backlog.saturating_add(bytes) > self.config.queue_bytes {
            return None;
        }
        let took = (u128::from(bytes) * NANOSECOND_BITS_A_BYTE).div_ceil(u128::from(rate.max(1)));
        let took = Duration::from_nanos(u64::try_from(took).unwrap_or(u64::MAX));
        self.busy_until = self.busy_until.max(now) + took;
        Some(self.busy_until)
    }

    fn arrival(&mut self, sent: Timestamp, entropy: &mut impl Entropy) -> Timestamp {
        let jitter_us = u32::try_from(self.config.jitter.as_micros()).unwrap_or(u32::MAX);
        let jitter = match jitter_us {
            0 => Duration::ZERO,
            most => Duration::from_micros(u64::from(entropy.below(most.saturating_add(1)))),
        };
        let at = sent + self.config.delay + jitter;
        if self.config.reordering.happens(entropy) {
            return at + self.config.reordering_delay;
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }
}

const NANOSECOND_BITS_A_BYTE: u128 = 8 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;
    use alloc::vec::Vec;

    const EIGHT_KBIT: LinkConfig = LinkConfig {
        bits_per_second: Some(8_000),
        queue_bytes: 3_000,
        delay: Duration::from_millis(20),
        ..LinkConfig::PERFECT
    };

    fn arrives(at_ms: u64) -> Passage {
        Passage::Arrives {
            at: Timestamp::from_millis(at_ms),
            duplicate_at: None,
            is_corrupted: false,
        }
    }

    #[test]
    fn rate_and_delay_add_up_exactly() {
        let (mut link, mut entropy) = (Link::new(EIGHT_KBIT), SeededEntropy::new(1));
        // 1,000 bytes at 8 kbit/s take one second each.
        assert_eq!(
            link.offer(Timestamp::ZERO, 1_000, &mut entropy),
            arrives(1_020)
        );
        assert_eq!(
            link.offer(Timestamp::ZERO, 500, &mut entropy),
            arrives(1_520)
        );
        assert_eq!(
            link.offer(Timestamp::from_secs(10), 1, &mut entropy),
            arrives(10_021)
        );
    }

    #[test]
    fn framing_takes_its_time_and_its_room() {
        let config = LinkConfig {
            framing_bytes: 500,
            queue_bytes: 1_500,
            ..EIGHT_KBIT
        };
        let (mut link, mut entropy) = (Link::new(config), SeededEntropy::new(1));
        let first = link.offer(Timestamp::ZERO, 250, &mut entropy);
        assert_eq!(first, arrives(770));
        assert_eq!(link.backlog_bytes(Timestamp::ZERO), 750);
        let full = Passage::Dropped(DropRule::QueueFull);
        assert_eq!(link.offer(Timestamp::ZERO, 251, &mut entropy), full);
        let second = link.offer(Timestamp::ZERO, 250, &mut entropy);
        assert_eq!(second, arrives(1_520));
    }

    #[test]
    fn queue_takes_its_bytes_and_not_one_more() {
        let (mut link, mut entropy) = (Link::new(EIGHT_KBIT), SeededEntropy::new(1));
        for _ in 0..3 {
            link.offer(Timestamp::ZERO, 1_000, &mut entropy);
        }
        assert_eq!(link.backlog_bytes(Timestamp::ZERO), 3_000);
        let full = Passage::Dropped(DropRule::QueueFull);
        assert_eq!(link.offer(Timestamp::ZERO, 1, &mut entropy), full);
        let later = Timestamp::from_millis(1);
        assert_eq!(link.backlog_bytes(later), 2_999);
        assert_eq!(link.offer(later, 2, &mut entropy), full);
        assert_eq!(link.offer(later, 1, &mut entropy), arrives(3_021));
    }

    #[test]
    fn one_datagram_passes_even_without_a_queue() {
        let config = LinkConfig {
            queue_bytes: 0,
            ..EIGHT_KBIT
        };
        let (mut link, mut entropy) = (Link::new(config), SeededEntropy::new(1));
        assert_eq!(
            link.offer(Timestamp::ZERO, 1_000, &mut entropy),
            arrives(1_020)
        );
        let full = Passage::Dropped(DropRule::QueueFull);
        assert_eq!(link.offer(Timestamp::ZERO, 1, &mut entropy), full);
    }

    #[test]
    fn mtu_is_the_last_size_that_passes() {
        let config = LinkConfig {
            mtu: 1_200,
            ..LinkConfig::PERFECT
        };
        let (mut link, mut entropy) = (Link::new(config), SeededEntropy::new(1));
        assert_eq!(link.offer(Timestamp::ZERO, 1_200, &mut entropy), arrives(0));
        let dropped = Passage::Dropped(DropRule::AboveMtu);
        assert_eq!(link.offer(Timestamp::ZERO, 1_201, &mut entropy), dropped);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_breaks_it() {
        let jittery = LinkConfig {
            jitter: Duration::from_millis(50),
            ..EIGHT_KBIT
        };
        assert!(is_in_order(&arrivals(LinkConfig {
            bits_per_second: None,
            ..jittery
        })));
        let shuffled = LinkConfig {
            reordering: Chance::percent(20),
            reordering_delay: Duration::from_millis(80),
            ..LinkConfig::PERFECT
        };
        assert!(!is_in_order(&arrivals(shuffled)));
    }

    #[test]
    fn loss_duplication_and_corruption_come_at_their_rates() {
        let config = LinkConfig {
            loss: Chance::percent(20),
            duplication: Chance::percent(10),
            corruption: Chance::percent(5),
            ..LinkConfig::PERFECT
        };
        let (mut link, mut entropy) = (Link::new(config), SeededEntropy::new(4));
        let (mut lost, mut twice, mut corrupted) = (0, 0, 0);
        for _ in 0..10_000 {
            match link.offer(Timestamp::ZERO, 1, &mut entropy) {
                Passage::Dropped(_) => lost += 1,
                Passage::Arrives {
                    duplicate_at,
                    is_corrupted,
                    ..
                } => {
                    twice += u32::from(duplicate_at.is_some());
                    corrupted += u32::from(is_corrupted);
                }
            }
        }
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((700..900).contains(&twice), "{twice}");
        assert!((330..470).contains(&corrupted), "{corrupted}");
    }

    fn arrivals(config: LinkConfig) -> Vec<Timestamp> {
        let (mut link, mut entropy) = (Link::new(config), SeededEntropy::new(9));
        let mut times = Vec::new();
        for ms in 0..200 {
            let passage = link.offer(Timestamp::from_millis(ms), 100, &mut entropy);
            if let Passage::Arrives { at, .. } = passage {
                times.push(at);
            }
        }
        times
    }

    fn is_in_order(times: &[Timestamp]) -> bool {
        times.windows(2).all(|pair| pair[0] <= pair[1])
    }
}
