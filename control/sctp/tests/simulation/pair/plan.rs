//! What a seed makes of the world, drawn before anything moves.
//!
//! One seed in four is calm: a clean path, on which work must be done quickly and nothing may be
//! given up that was sent.

use std::time::Duration;

use turnpike_sctp::{Config, RtoConfig, Scheduling};
use turnpike_sim::{Chance, LinkConfig, SeededEntropy};
use turnpike_types::{Entropy, Timestamp};

use super::endpoint::Abilities;

/// All that is settled by the seed before the start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) is_calm: bool,
    pub(crate) abilities: Abilities,
    /// The way from each side to the other.
    pub(crate) links: [LinkConfig; 2],
    /// When nothing passes in either direction.
    pub(crate) outage: Option<(Timestamp, Timestamp)>,
    pub(crate) sides: [SidePlan; 2],
    /// Until when messages are handed over.
    pub(crate) talk_until: Timestamp,
    /// Which side begins anew, and when.
    pub(crate) restart: Option<(usize, Timestamp)>,
    pub(crate) ending: Ending,
    /// How often a datagram of the past comes again.
    pub(crate) replays: Chance,
    /// How often somebody else's bytes come.
    pub(crate) garbage: Chance,
}

/// One end.
#[derive(Clone, Debug)]
pub(crate) struct SidePlan {
    pub(crate) config: Config,
    /// When it connects; `None` waits for the other.
    pub(crate) connects_at: Option<Timestamp>,
    /// The most bytes of a message.
    pub(crate) len_max: u32,
    /// How long it waits between two actions, at most.
    pub(crate) pause_ms: u64,
    /// How often it stops reading for a while.
    pub(crate) laziness: Chance,
    /// How often an action is a reset.
    pub(crate) resets: Chance,
    /// How often an action is a reset of everything.
    pub(crate) association_resets: Chance,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// One side shuts down; whether it waits until all has arrived.
    Shutdown {
        side: usize,
        is_patient: bool,
    },
    /// Both do in the same instant.
    BothShutdown,
    Abort {
        side: usize,
    },
}

impl Plan {
    pub(crate) fn draw(dice: &mut SeededEntropy, abilities: Abilities) -> Self {
        let is_calm = Chance::percent(25).happens(dice);
        let talk_until = Timestamp::from_millis(dice.within(500..20_000));
        let common = draw_common(dice);
        let mut plan = Self {
            is_calm,
            abilities,
            links: [(); 2].map(|()| if is_calm { calm(dice) } else { draw_link(dice) }),
            outage: None,
            sides: [(); 2].map(|()| draw_side(dice, &common, abilities)),
            talk_until,
            restart: None,
            ending: draw_ending(dice),
            replays: Chance::NEVER,
            garbage: Chance::NEVER,
        };
        if plan.sides.iter().all(|side| side.connects_at.is_none()) {
            plan.sides[0].connects_at = Some(Timestamp::ZERO);
        }
        plan.be_patient();
        if is_calm {
            plan.soothe();
        } else {
            plan.spoil(dice);
        }
        if abilities.association_reset && dice.below(4) == 0 {
            for side in &mut plan.sides {
                side.association_resets = Chance::per_million(dice.below(10_000));
            }
        }
        plan
    }

    /// The shutdown guard (RFC 9260 section 9.2) gives up on a peer who has much to say and may say
    /// little at a time.
    fn be_patient(&mut self) {
        let windows = self
            .sides
            .each_ref()
            .map(|side| side.config.receive_buffer_bytes);
        if let Ending::Shutdown { is_patient, .. } = &mut self.ending
            && windows.iter().any(|window| *window < 64_000)
        {
            *is_patient = true;
        }
    }

    /// What calm worlds are spared as well: a full receiver drops what the window did not allow for,
    /// and a handshake that crosses another may cost what was sent with it.
    fn soothe(&mut self) {
        let first = self.sides[0].connects_at;
        self.sides[1].connects_at = self.sides[1]
            .connects_at
            .and(first)
            .or(self.sides[1].connects_at);
        for side in &mut self.sides {
            let config = &mut side.config;
            config.receive_buffer_bytes = config.receive_buffer_bytes.max(1_000_000);
            side.laziness = Chance::NEVER;
        }
    }

    /// What calm worlds are spared.
    fn spoil(&mut self, dice: &mut SeededEntropy) {
        let talk_ms = self.talk_until.as_nanos() / 1_000_000;
        if dice.below(4) == 0 {
            let from = dice.within(0..talk_ms);
            let until = from + dice.within(100..5_000);
            self.outage = Some((Timestamp::from_millis(from), Timestamp::from_millis(until)));
        }
        if self.abilities.restart && dice.below(5) == 0 {
            let side = usize::from(dice.below(2) == 1);
            let at = Timestamp::from_millis(dice.within(0..talk_ms));
            self.restart = Some((side, at));
        }
        if self.abilities.replays && dice.below(2) == 0 {
            self.replays = Chance::per_million(dice.below(30_000));
            self.garbage = Chance::per_million(dice.below(30_000));
        }
        // A turned bit is found by CRC32c, or by nobody (RFC 9653 section 5).
        if self.sides.iter().any(|side| side.config.has_zero_checksum) {
            self.links[0].corruption = Chance::NEVER;
            self.links[1].corruption = Chance::NEVER;
            self.garbage = Chance::NEVER;
        }
    }

    /// The longest a datagram takes from one end to the other.
    pub(crate) fn way_max(&self) -> Duration {
        let way = |link: &LinkConfig| {
            let rate = link.bits_per_second.unwrap_or(u64::MAX);
            let queue = Duration::from_micros((link.queue_bytes + 3_000) * 8_000_000 / rate);
            link.delay + link.jitter + link.reordering_delay + queue
        };
        way(&self.links[0]).max(way(&self.links[1]))
    }
}

/// What both ends have alike.
struct Common {
    streams_max: u16,
    scheduling: Scheduling,
    packet_size_max: usize,
}

fn draw_common(dice: &mut SeededEntropy) -> Common {
    let schedulers = [
        Scheduling::FirstCome,
        Scheduling::RoundRobin,
        Scheduling::Priority,
        Scheduling::WeightedFair,
    ];
    Common {
        streams_max: u16::try_from(dice.within(1..12)).unwrap(),
        scheduling: *dice.pick(&schedulers).unwrap(),
        packet_size_max: usize::try_from(dice.within(512..1_400)).unwrap(),
    }
}

fn draw_side(dice: &mut SeededEntropy, common: &Common, abilities: Abilities) -> SidePlan {
    let mut config = Config {
        streams_max: common.streams_max,
        scheduling: common.scheduling,
        packet_size_max: match dice.below(2) {
            0 => 1_191,
            _ => common.packet_size_max,
        },
        rto: RtoConfig {
            max: Duration::from_secs(4),
            ..RtoConfig::default()
        },
        // Bad luck must not look like a dead peer: a world without bugs never reaches these.
        association_retransmissions_max: 200,
        path_retransmissions_max: 100,
        init_retransmissions_max: 200,
        heartbeat_interval: Duration::from_secs(dice.within(5..31)),
        has_interleaving: dice.below(3) > 0,
        has_partial_reliability: dice.below(8) > 0 || !abilities.partial_reliability,
        has_zero_checksum: dice.below(4) == 0,
        ..Config::default()
    };
    if abilities.small_buffers {
        config.send_buffer_bytes = usize::try_from(draw_size(dice, 4_000, 2_000_000)).unwrap();
        config.receive_buffer_bytes = u32::try_from(draw_size(dice, 8_000, 4_000_000)).unwrap();
        config.partial_delivery_bytes = usize::try_from(draw_size(dice, 2_000, 1_000_000)).unwrap();
    }
    SidePlan {
        connects_at: (dice.below(3) > 0).then(|| Timestamp::from_millis(dice.within(0..200))),
        len_max: u32::try_from(draw_size(dice, 200, 60_000)).unwrap(),
        pause_ms: draw_size(dice, 2, 600),
        laziness: Chance::percent(dice.below(8)),
        resets: if abilities.stream_reset {
            Chance::percent(dice.below(6))
        } else {
            Chance::NEVER
        },
        association_resets: Chance::NEVER,
        config,
    }
}

/// A size between two, small ones as often as large ones.
fn draw_size(dice: &mut SeededEntropy, least: u64, most: u64) -> u64 {
    let doublings = dice.within(0..u64::from((most / least).ilog2()) + 1);
    dice.within(least..(least << doublings).min(most) + 1)
}

fn draw_ending(dice: &mut SeededEntropy) -> Ending {
    let side = usize::from(dice.below(2) == 1);
    match dice.below(8) {
        0 => Ending::Abort { side },
        1 => Ending::BothShutdown,
        _ => Ending::Shutdown {
            side,
            is_patient: dice.below(2) == 0,
        },
    }
}

fn calm(dice: &mut SeededEntropy) -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(dice.within(1..100)),
        ..LinkConfig::PERFECT
    }
}

fn draw_link(dice: &mut SeededEntropy) -> LinkConfig {
    let mut percent = |most: u32| Chance::per_million(dice.below(most * 10_000 + 1));
    let (loss, duplication, reordering, corruption) =
        (percent(15), percent(8), percent(10), percent(2));
    let has_bottleneck = dice.below(2) == 0;
    LinkConfig {
        bits_per_second: has_bottleneck.then(|| dice.within(300_000..20_000_000)),
        queue_bytes: draw_size(dice, 5_000, 300_000),
        framing_bytes: 28,
        delay: Duration::from_millis(dice.within(1..200)),
        jitter: Duration::from_millis(dice.within(0..40)),
        loss,
        duplication,
        reordering,
        reordering_delay: Duration::from_millis(dice.within(1..200)),
        corruption,
        ..LinkConfig::PERFECT
    }
}
