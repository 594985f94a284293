//! Carries an engine's commands out on a lane, badly: it can fail, fill or stall.
//!
//! It keeps the engine contract: a failure is told before the next output is polled, and while a
//! command is stalled nothing is polled at all. Bounded by [`FaultPlan::entries_max`].

use alloc::collections::BTreeSet;
use core::time::Duration;

use turnpike_types::{Action, Command, CommandError, Entry, EntryKey, Timestamp};

use crate::{Chance, SeededEntropy};

/// What holds the entries.
pub trait Lane {
    /// Carries one action out.
    ///
    /// # Errors
    /// Why it could not; nothing has changed then.
    fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError>;
}

/// How badly commands are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// How often an install meets a full table.
    pub table_full: Chance,
    /// How often the relayed port of an allocation is taken by another program.
    pub port_in_use: Chance,
    /// How often an install or a refresh lacks memory.
    pub out_of_resources: Chance,
    /// Entries that fit; one more meets a full table.
    pub entries_max: usize,
    /// How often a command waits before it is carried out.
    pub stall: Chance,
    /// How long it waits.
    pub stall_for: Duration,
}

impl FaultPlan {
    /// Carries all out at once.
    pub const FAULTLESS: Self = Self {
        table_full: Chance::NEVER,
        port_in_use: Chance::NEVER,
        out_of_resources: Chance::NEVER,
        entries_max: usize::MAX,
        stall: Chance::NEVER,
        stall_for: Duration::ZERO,
    };
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is carried out.
    Done,
    /// It is not; tell the engine before polling on.
    Failed(CommandError),
    /// It waits; poll nothing until [`Executor::resume`] has carried it out.
    Stalled {
        /// When to resume.
        until: Timestamp,
    },
}

/// Carries commands out one after the other.
#[derive(Debug)]
pub struct Executor {
    plan: FaultPlan,
    entropy: SeededEntropy,
    entries: BTreeSet<EntryKey>,
    stalled: Option<(Timestamp, Command)>,
}

impl Executor {
    /// An executor with an empty table.
    #[must_use]
    pub const fn new(plan: FaultPlan, entropy: SeededEntropy) -> Self {
        Self {
            plan,
            entropy,
            entries: BTreeSet::new(),
            stalled: None,
        }
    }

    /// Changes how badly commands are carried out.
    pub const fn set_plan(&mut self, plan: FaultPlan) {
        self.plan = plan;
    }

    /// Carries a command out, fails it, or keeps it for later.
    pub fn carry_out(
        &mut self,
        now: Timestamp,
        command: &Command,
        lane: &mut impl Lane,
    ) -> Outcome {
        if self.stalled.is_none() && self.plan.stall.happens(&mut self.entropy) {
            let until = now + self.plan.stall_for;
            self.stalled = Some((until, *command));
            return Outcome::Stalled { until };
        }
        self.attempt(now, command, lane)
    }

    /// Carries the stalled command out once its time has come.
    pub fn resume(&mut self, now: Timestamp, lane: &mut impl Lane) -> Option<(Command, Outcome)> {
        let (_, command) = self.stalled.take_if(|(until, _)| *until <= now)?;
        Some((command, self.attempt(now, &command, lane)))
    }

    /// When the stalled command is due, if there is one.
    #[must_use]
    pub fn stalled_until(&self) -> Option<Timestamp> {
        self.stalled.map(|(until, _)| until)
    }

    /// Entries that are in, in order.
    pub fn entries(&self) -> impl Iterator<Item = &EntryKey> {
        self.entries.iter()
    }

    fn attempt(&mut self, now: Timestamp, command: &Command, lane: &mut impl Lane) -> Outcome {
        let result = match self.fault(&command.action) {
            Some(error) => Err(error),
            None => lane.apply(now, &command.action),
        };
        match (result, &command.action) {
            (Err(error), _) => return Outcome::Failed(error),
            (Ok(()), Action::Install(entry)) => {
                self.entries.insert(entry.key());
            }
            (Ok(()), Action::Revoke(key)) => {
                self.entries.remove(key);
            }
            (Ok(()), Action::Refresh { .. }) => (),
        }
        Outcome::Done
    }

    fn fault(&mut self, action: &Action) -> Option<CommandError> {
        let Self {
            plan,
            entropy,
            entries,
            ..
        } = self;
        match action {
            Action::Install(entry) => {
                let is_new = !entries.contains(&entry.key());
                let is_full = is_new && entries.len() >= plan.entries_max;
                if is_full || plan.table_full.happens(entropy) {
                    return Some(CommandError::TableFull);
                }
                let opens_port = matches!(entry, Entry::Allocation(_));
                if opens_port && plan.port_in_use.happens(entropy) {
                    return Some(CommandError::PortInUse);
                }
            }
            Action::Refresh { .. } => (),
            Action::Revoke(_) => return None,
        }
        plan.out_of_resources
            .happens(entropy)
            .then_some(CommandError::OutOfResources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::IpAddr;
    use turnpike_types::{AllocationId, CommandId, PermissionEntry, PortRule, RelayedAddr};

    #[derive(Default)]
    struct Recorder(Vec<Action>);

    impl Lane for Recorder {
        fn apply(&mut self, _: Timestamp, action: &Action) -> Result<(), CommandError> {
            self.0.push(*action);
            Ok(())
        }
    }

    #[test]
    fn full_table_takes_the_same_entry_again_and_a_new_one_after_a_revoke() {
        let plan = FaultPlan {
            entries_max: 1,
            ..FaultPlan::FAULTLESS
        };
        let (mut executor, mut lane) = fixture(plan);
        let mut act = |action| executor.carry_out(Timestamp::ZERO, &command(action), &mut lane);
        assert_eq!(act(install(1)), Outcome::Done);
        assert_eq!(act(install(1)), Outcome::Done);
        assert_eq!(act(install(2)), Outcome::Failed(CommandError::TableFull));
        assert_eq!(act(Action::Revoke(key(1))), Outcome::Done);
        assert_eq!(act(install(2)), Outcome::Done);
        assert_eq!(executor.entries().collect::<Vec<_>>(), [&key(2)]);
    }

    #[test]
    fn failed_command_never_reaches_the_lane_and_a_revoke_never_fails() {
        let plan = FaultPlan {
            out_of_resources: Chance::ALWAYS,
            ..FaultPlan::FAULTLESS
        };
        let (mut executor, mut lane) = fixture(plan);
        let refresh = Action::Refresh {
            key: key(1),
            expires_at: Timestamp::ZERO,
        };
        let failed = Outcome::Failed(CommandError::OutOfResources);
        let mut act = |action| executor.carry_out(Timestamp::ZERO, &command(action), &mut lane);
        assert_eq!(act(install(1)), failed);
        assert_eq!(act(refresh), failed);
        assert_eq!(act(Action::Revoke(key(1))), Outcome::Done);
        assert_eq!(lane.0, [Action::Revoke(key(1))]);
    }

    #[test]
    fn stalled_command_waits_its_time_and_is_then_carried_out() {
        let stall_for = Duration::from_millis(700);
        let plan = FaultPlan {
            stall: Chance::ALWAYS,
            stall_for,
            ..FaultPlan::FAULTLESS
        };
        let (mut executor, mut lane) = fixture(plan);
        let until = Timestamp::from_millis(700);
        let outcome = executor.carry_out(Timestamp::ZERO, &command(install(1)), &mut lane);
        assert_eq!(outcome, Outcome::Stalled { until });
        assert_eq!(executor.stalled_until(), Some(until));
        assert_eq!(
            executor.resume(Timestamp::from_millis(699), &mut lane),
            None
        );
        assert!(lane.0.is_empty());
        let resumed = executor.resume(until, &mut lane);
        assert_eq!(resumed, Some((command(install(1)), Outcome::Done)));
        assert_eq!(executor.stalled_until(), None);
    }

    fn fixture(plan: FaultPlan) -> (Executor, Recorder) {
        (
            Executor::new(plan, SeededEntropy::new(1)),
            Recorder::default(),
        )
    }

    fn command(action: Action) -> Command {
        Command {
            id: CommandId(1),
            action,
        }
    }

    fn key(peer: u8) -> EntryKey {
        EntryKey::Permission {
            allocation: ALLOCATION,
            wire_ip: ip(peer),
        }
    }

    fn install(peer: u8) -> Action {
        Action::Install(Entry::Permission(PermissionEntry {
            allocation: ALLOCATION,
            relayed: RelayedAddr((ip(0), 50_000).into()),
            wire_ip: ip(peer),
            peer_ip: ip(peer),
            ports: PortRule {
                min: 1,
                max: u16::MAX,
                guarded: false,
            },
            expires_at: Timestamp::MAX,
        }))
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    const ALLOCATION: AllocationId = AllocationId {
        slot: 0,
        generation: 0,
    };
}
