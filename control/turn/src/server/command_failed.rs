//! A lane could not do what it was told (table full, port in use, no memory).
//!
//! The reply that promised it still waits, so it is changed: another port is tried, or what the
//! request did is taken back and the client told 508. What failed without a promise is given up
//! here as well: the lanes and the server never disagree.
//!
//! Bounded by what one request can put out, and by [`PORT_ATTEMPTS_MAX`].

use core::num::NonZeroU16;

use turnpike_types::{
    Action, AddressFamily, AllocationEntry, AllocationId, CommandError, CommandId, Entropy, Entry,
    EntryKey, Timestamp, UserId,
};

use super::allocate::PORT_ATTEMPTS_MAX;
use super::allocation::{AddressError, Relay};
use super::output::{Body, Granted, PortDraw, PortWish, Queued, QueuedCommand, Reply};
use super::{EndReason, Refusal, Server};

const _: () = assert!(PORT_ATTEMPTS_MAX > 0);

impl<E: Entropy> Server<E> {
    /// Hears that a command was not carried out. To be called before the next output is polled.
    pub fn handle_command_failed(&mut self, now: Timestamp, id: CommandId, error: CommandError) {
        self.advance(now);
        let Some(failed) = self.outputs.take_last(id) else {
            self.counters.commands_failed_late += 1;
            return;
        };
        self.counters.commands_failed += 1;
        match failed.command.action {
            // An entry that is not there need not be taken out.
            Action::Revoke(_) => {}
            Action::Refresh { key, .. } if error == CommandError::Absent => {
                match self.entry(&key) {
                    Some(entry) => {
                        self.outputs
                            .command_again(Action::Install(entry), failed.promised);
                    }
                    None => self.withdraw(&failed, key),
                }
            }
            Action::Install(Entry::Allocation(entry)) if self.is_being_allocated(&failed) => {
                self.replace_relay(&entry, error);
            }
            Action::Install(entry) => self.withdraw(&failed, entry.key()),
            Action::Refresh { key, .. } => self.withdraw(&failed, key),
        }
    }

    /// Whether the command belongs to an Allocate request that has not been answered.
    fn is_being_allocated(&mut self, failed: &QueuedCommand) -> bool {
        failed.promised && self.draw_mut().is_some()
    }

    fn draw_mut(&mut self) -> Option<&mut PortDraw> {
        match &mut self.outputs.first_reply_mut()?.result {
            Ok(Granted {
                body: Body::Allocated { draw, .. },
                ..
            }) => draw.as_mut(),
            _ => None,
        }
    }

    /// Tries another port for a new allocation, or goes on without this address.
    fn replace_relay(&mut self, entry: &AllocationEntry, error: CommandError) {
        let (id, family) = (entry.allocation, entry.relayed.family());
        let Some(failed) = self
            .allocations
            .get(id)
            .and_then(|found| found.relay(family))
        else {
            return;
        };
        let Some(wish) = self.draw_mut().map(|draw| draw.wish) else {
            return;
        };
        let attempts_left = self.draw_mut().map_or(0, |draw| draw.attempts_left);
        self.relays.clear_owner(failed.address, failed.port);
        let another = if error == CommandError::PortInUse && attempts_left > 0 {
            self.relays.take(family, wish, &mut self.entropy)
        } else {
            None
        };
        // Given back only now, so that the same port was not drawn again.
        let spare = self.give_back_drawn(id, failed, wish);
        match another {
            Some(another) => self.go_on_with(id, family, another, spare),
            None => self.go_on_without(id, family, spare),
        }
    }

    fn go_on_with(
        &mut self,
        id: AllocationId,
        family: AddressFamily,
        (address, port): (u16, NonZeroU16),
        spare: Option<UserId>,
    ) {
        let Some(draw) = self.draw_mut() else { return };
        draw.attempts_left -= 1;
        let wish = draw.wish;
        let Some(allocation) = self.allocations.get_mut(id) else {
            return;
        };
        let user = allocation.user;
        if let Some(relay) = allocation.relay_mut(family) {
            *relay = Relay {
                address,
                port,
                ..*relay
            };
        }
        if wish == PortWish::Pair {
            self.reserve_again(id, user, (address, port), spare.is_some());
        }
        self.relays.set_owner(address, port, id.slot);
        if let Some(entry) = self.relay_entry(id, family) {
            self.outputs
                .command_again(Action::Install(Entry::Allocation(entry)), true);
        }
    }

    /// Reserves the port beside the new one, on the hold of the former reservation. That may have
    /// ended while the command waited; then the user needs another hold, or goes without.
    fn reserve_again(
        &mut self,
        id: AllocationId,
        user: UserId,
        (address, port): (u16, NonZeroU16),
        has_hold: bool,
    ) {
        let most = self.config.limits.allocations_per_user;
        if has_hold || self.users.try_hold_more(user, most) {
            self.reserve_next(id, user);
        } else if let Some(next) = port.checked_add(1) {
            self.relays.give_back(address, next);
        }
    }

    fn go_on_without(&mut self, id: AllocationId, family: AddressFamily, spare: Option<UserId>) {
        if let Some(user) = spare {
            self.users.release(user);
        }
        let Some(allocation) = self.allocations.get_mut(id) else {
            return;
        };
        *allocation.relay_mut(family) = None;
        if allocation.relay(family.other()).is_some() {
            let code = Refusal::InsufficientCapacity.code();
            let extras = allocation.extras.get_or_insert_default();
            extras.address_error = Some(AddressError { family, code });
            return;
        }
        if let Some(allocation) = self.allocations.remove(id) {
            self.wheel.disarm(id.slot);
            self.users.release(allocation.user);
        }
        self.refuse_first_reply();
    }

    /// Frees a port that no lane has opened, and the one that was to be reserved with it, whose hold
    /// on the user is the caller's now.
    fn give_back_drawn(
        &mut self,
        id: AllocationId,
        relay: Relay,
        wish: PortWish,
    ) -> Option<UserId> {
        self.relays.give_back(relay.address, relay.port);
        if wish != PortWish::Pair {
            return None;
        }
        let extras = self.allocations.get_mut(id)?.extras.as_mut()?;
        let held = self
            .reservations
            .remove(&extras.reservation_token.take()?.0)?;
        self.relays.give_back(held.address, held.port);
        Some(held.user)
    }

    /// Takes back all that the failed command's request did, and refuses the request; without a
    /// request, gives up what the command was about.
    fn withdraw(&mut self, failed: &QueuedCommand, key: EntryKey) {
        let mut waiting = self.outputs.take_queue();
        if failed.promised {
            while let Some(Queued::Command(command)) = waiting.front()
                && command.promised
            {
                waiting.pop_front();
            }
        }
        let reply = match waiting.pop_front() {
            Some(Queued::Reply(reply)) if failed.promised => Some(reply),
            Some(other) => {
                waiting.push_front(other);
                None
            }
            None => None,
        };
        match reply {
            Some(reply) => self.withdraw_reply(reply, &failed.command.action),
            None => self.give_up(key),
        }
        self.outputs.append(waiting);
    }

    fn withdraw_reply(&mut self, mut reply: Reply, failed: &Action) {
        let refused = Err(Refusal::InsufficientCapacity.into());
        if let Ok(granted) = core::mem::replace(&mut reply.result, refused)
            && let Some(id) = granted.body.allocation()
        {
            for undo in granted.undo.into_iter().rev() {
                self.undo(id, undo);
            }
        }
        // A relayed address that a lane has lost and cannot open again is gone; one that could not
        // be refreshed is there still.
        if let Action::Install(Entry::Allocation(entry)) = failed {
            self.end(entry.allocation, EndReason::Failed);
        }
        self.outputs.push(Queued::Reply(reply));
    }

    /// Ends what a lane lost and nobody waits for.
    fn give_up(&mut self, key: EntryKey) {
        match key {
            EntryKey::Allocation { allocation, .. } => self.end(allocation, EndReason::Failed),
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                self.drop_permission(allocation, wire_ip);
            }
            EntryKey::Channel { allocation, number } => self.drop_channel(allocation, number),
        }
    }

    fn refuse_first_reply(&mut self) {
        if let Some(reply) = self.outputs.first_reply_mut() {
            reply.result = Err(Refusal::InsufficientCapacity.into());
        }
    }
}
