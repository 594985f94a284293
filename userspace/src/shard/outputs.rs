//! What the engine wants done, done at once.

use tracing::Level;
use turnpike_turn::server::{EndReason, Event, Output};
use turnpike_types::{Action, AllocationId, Command, CommandError, Entry, FiveTuple, UserId};

use super::Shard;
use super::complaints::Trouble;
use crate::uring::Buffer;

/// What log lines that name a client or a user are filed under: whoever sets the log up decides
/// whether there are any.
pub const CLIENTS_TARGET: &str = "turnpike::clients";

impl Shard {
    /// Polls the engine dry: each command is carried out, and its failure told, before the next.
    pub(super) fn drain(&mut self) {
        loop {
            let mut buffer = self.lane.ring.take_reply();
            let room = match &mut buffer {
                Some(buffer) => self.lane.ring.bytes_mut(buffer),
                None => &mut *self.scratch,
            };
            let output = self.server.poll_output(room);
            match (output, buffer) {
                (Some(Output::Transmit(transmit)), buffer)
                    if transmit.five_tuple.transport.is_stream() =>
                {
                    self.reply_on_stream(buffer, transmit.len, &transmit.five_tuple);
                }
                (Some(Output::Transmit(transmit)), Some(buffer)) => {
                    self.lane.reply(buffer, transmit.len, &transmit.five_tuple);
                }
                (Some(Output::Transmit(_)), None) => self.lane.counters.replies_lost += 1,
                (Some(Output::Command(command)), buffer) => {
                    self.give_back(buffer);
                    self.carry_out(&command);
                }
                (Some(Output::Event(event)), buffer) => {
                    self.note(&event);
                    self.give_back(buffer);
                }
                (None, buffer) => return self.give_back(buffer),
            }
        }
    }

    /// Appends what the engine wrote to what waits for a client on a stream.
    fn reply_on_stream(&mut self, buffer: Option<Buffer>, len: usize, five_tuple: &FiveTuple) {
        let bytes = match &buffer {
            Some(buffer) => self.lane.ring.bytes(buffer),
            None => &*self.scratch,
        };
        let message = bytes.get(..len).unwrap_or(&[]);
        if !self.streams.reply(five_tuple, message) {
            self.lane.counters.replies_lost += 1;
        }
        self.give_back(buffer);
    }

    fn give_back(&mut self, buffer: Option<Buffer>) {
        if let Some(buffer) = buffer {
            self.lane.ring.give_back(buffer);
        }
    }

    fn carry_out(&mut self, command: &Command) {
        let error = if self.borrow_for(&command.action) {
            let Err(error) = self.lane.carry_out(self.now, &command.action) else {
                return;
            };
            self.complain_of(error);
            error
        } else {
            self.complain(
                Trouble::BusyOwner,
                "an allocation with a reservation token is refused: the shard that its client \
                 belongs to has too much to do. Give the relay more cores",
            );
            CommandError::OutOfResources
        };
        self.server
            .handle_command_failed(self.now, command.id, error);
        // One of two families may live on.
        if let Action::Install(Entry::Allocation(entry)) = &command.action
            && self.server.allocation(&entry.five_tuple).is_none()
        {
            self.give_back_tuple(&entry.five_tuple);
        }
    }

    fn complain_of(&mut self, error: CommandError) {
        match error {
            CommandError::PortInUse => {}
            CommandError::OutOfResources => self.complain(
                Trouble::NoSocket,
                "no socket for a relayed address: out of descriptors or memory, or the relay \
                 address left this host. Raise `ulimit -n` (systemd: LimitNOFILE=)",
            ),
            other => self.complain(
                Trouble::Command,
                &format!("a forwarding command failed: {other}"),
            ),
        }
    }

    /// Logs what happened to an allocation; addresses and names only under [`CLIENTS_TARGET`];
    /// and lets its stream know.
    fn note(&mut self, event: &Event) {
        match event {
            Event::AllocationCreated {
                allocation,
                five_tuple,
                user,
                relayed,
                lifetime,
            } => {
                self.noted.allocation_created(five_tuple.transport);
                self.streams.allocation_created(five_tuple);
                let slot = allocation.slot;
                let lifetime = lifetime.as_secs();
                let [first, second] = relayed.map(|it| it.map(|it| tracing::field::display(it.0)));
                if tracing::enabled!(target: CLIENTS_TARGET, Level::INFO) {
                    tracing::info!(
                        target: CLIENTS_TARGET,
                        slot,
                        client = %five_tuple.client.0,
                        transport = five_tuple.transport.name(),
                        user = self.server.username(*user).unwrap_or_default(),
                        relayed = first,
                        also_relayed = second,
                        shard = std::thread::current().name(),
                        lifetime,
                        "allocation created"
                    );
                } else {
                    tracing::debug!(slot, lifetime, "allocation created");
                }
            }
            Event::AllocationEnded {
                allocation,
                five_tuple,
                user,
                reason,
            } => {
                self.noted.allocation_ended(five_tuple.transport);
                self.streams.allocation_ended(self.now, five_tuple);
                self.give_back_tuple(five_tuple);
                self.note_end(*allocation, five_tuple, *user, *reason);
            }
            _ => {}
        }
    }

    fn note_end(&self, id: AllocationId, whose: &FiveTuple, user: UserId, reason: EndReason) {
        let traffic = self.lane.traffic(id);
        if tracing::enabled!(target: CLIENTS_TARGET, Level::INFO) {
            tracing::info!(
                target: CLIENTS_TARGET,
                slot = id.slot,
                client = %whose.client.0,
                transport = whose.transport.name(),
                user = self.server.username(user).unwrap_or_default(),
                shard = std::thread::current().name(),
                ?reason,
                to_peer_packets = traffic.to_peer_packets,
                to_peer_bytes = traffic.to_peer_bytes,
                to_client_packets = traffic.to_client_packets,
                to_client_bytes = traffic.to_client_bytes,
                "allocation ended"
            );
        } else {
            tracing::debug!(slot = id.slot, ?reason, ?traffic, "allocation ended");
        }
    }

    /// Says what is wrong, but not again and again.
    pub(super) fn complain(&mut self, trouble: Trouble, text: &str) {
        self.complaints.say(self.now, trouble, text);
    }
}
