//! Outputs leave here: commands as they are, replies written into the caller's buffer.
//!
//! A port is free, and a user's hold released, at the moment the command that revokes it is handed
//! out: whatever reuses it comes later in the queue.

use turnpike_types::{Action, AllocationId, Entropy};

use super::output::{Body, Freed, Granted, Queued, QueuedCommand, Reply};
use super::{Event, Output, Refusal, Server, Transmit};

impl<E: Entropy> Server<E> {
    /// The next thing to do; `None` when nothing is left. A message is written to the start of
    /// `buf`, which must hold [`TRANSMIT_MAX`](super::TRANSMIT_MAX) bytes.
    ///
    /// A command that fails is reported to
    /// [`handle_command_failed`](Self::handle_command_failed) before this is called again.
    pub fn poll_output(&mut self, buf: &mut [u8]) -> Option<Output> {
        loop {
            let output = match self.outputs.pop()? {
                Queued::Command(queued) => self.hand_out(&queued),
                Queued::Reply(reply) => self.send_reply(reply, buf),
                Queued::Icmp(indication) => self.send_icmp(&indication, buf),
                Queued::Event(event) => Some(Output::Event(event)),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    fn hand_out(&mut self, queued: &QueuedCommand) -> Option<Output> {
        if let Some(Freed {
            address,
            port,
            user,
        }) = queued.frees
        {
            self.relays.give_back(address, port);
            if let Some(user) = user {
                self.users.release(user);
            }
        }
        let is_stale = match &queued.command.action {
            Action::Install(entry) => self.entry(&entry.key()).is_none(),
            Action::Refresh { key, .. } => self.entry(key).is_none(),
            Action::Revoke(_) => false,
        };
        // Ended while the command waited, because another one failed or the caller does not poll
        // in between: what it would put in has been revoked already, or is about to be.
        (!is_stale).then_some(Output::Command(queued.command))
    }

    fn send_reply(&mut self, mut reply: Reply, buf: &mut [u8]) -> Option<Output> {
        let allocation = match &reply.result {
            Ok(Granted {
                body: Body::Allocated { id, .. },
                ..
            }) => Some(*id),
            _ => None,
        };
        if allocation.is_some_and(|id| self.allocations.get(id).is_none()) {
            reply.result = Err(Refusal::InsufficientCapacity.into());
        }
        let Ok(len) = self.write_reply(&reply, buf) else {
            self.counters.replies_lost += 1;
            return None;
        };
        match &reply.result {
            Ok(granted) => {
                self.counters.count_granted(reply.procedure);
                self.note(granted.body);
            }
            Err(refused) => self
                .counters
                .count_refused(reply.procedure, refused.refusal),
        }
        Some(Output::Transmit(Transmit {
            five_tuple: reply.five_tuple,
            len,
        }))
    }

    fn send_icmp(
        &mut self,
        indication: &super::output::IcmpIndication,
        buf: &mut [u8],
    ) -> Option<Output> {
        let Ok(len) = super::reply::write_icmp(indication, buf) else {
            self.counters.replies_lost += 1;
            return None;
        };
        self.counters.icmp_relayed += 1;
        Some(Output::Transmit(Transmit {
            five_tuple: indication.five_tuple,
            len,
        }))
    }

    /// Puts out the event that follows a success response.
    fn note(&mut self, body: Body) {
        let event = match body {
            Body::Allocated { id, draw: Some(_) } => {
                self.counters.allocations_created += 1;
                self.created(id)
            }
            Body::Refreshed { id, lifetime } if lifetime > 0 => Some(Event::AllocationRefreshed {
                allocation: id,
                lifetime: core::time::Duration::from_secs(lifetime.into()),
            }),
            _ => None,
        };
        if let Some(event) = event {
            self.outputs.push_front(Queued::Event(event));
        }
    }

    fn created(&self, id: AllocationId) -> Option<Event> {
        let allocation = self.allocations.get(id)?;
        Some(Event::AllocationCreated {
            allocation: id,
            five_tuple: allocation.five_tuple,
            user: allocation.user,
            relayed: allocation
                .relays
                .map(|relay| relay.and_then(|relay| self.relayed_of(relay))),
            lifetime: core::time::Duration::from_secs(allocation.lifetime.into()),
        })
    }
}
