//! What the engine wants done, done at once.

use std::time::Duration;

use turnpike_turn::server::{Event, Output};
use turnpike_types::{Command, CommandError, FiveTuple, Timestamp};

use super::Shard;
use crate::uring::Buffer;

/// How often trouble is worth a log line.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

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
        let Err(error) = self.lane.carry_out(self.now, &command.action) else {
            return;
        };
        match error {
            CommandError::PortInUse => {}
            CommandError::OutOfResources => self.complain(
                "no socket for a relayed address: out of descriptors or memory, or the relay \
                 address left this host. Raise `ulimit -n` (systemd: LimitNOFILE=)",
            ),
            other => self.complain(&format!("a forwarding command failed: {other}")),
        }
        self.server
            .handle_command_failed(self.now, command.id, error);
    }

    /// Logs what happened to an allocation, without addresses or names, and lets its stream know.
    fn note(&mut self, event: &Event) {
        match event {
            Event::AllocationCreated {
                allocation,
                lifetime,
                five_tuple,
                ..
            } => {
                self.streams.allocation_created(five_tuple);
                tracing::debug!(slot = allocation.slot, ?lifetime, "allocation created");
            }
            Event::AllocationEnded {
                allocation,
                reason,
                five_tuple,
                ..
            } => {
                self.streams.allocation_ended(self.now, five_tuple);
                let traffic = self.lane.forwarder.traffic(*allocation).unwrap_or_default();
                tracing::debug!(
                    slot = allocation.slot,
                    ?reason,
                    ?traffic,
                    "allocation ended"
                );
            }
            _ => {}
        }
    }

    /// Says what is wrong, but not again and again.
    pub(super) fn complain(&mut self, trouble: &str) {
        let recent = |then: Timestamp| self.now.since(then) < COMPLAIN_EVERY;
        if !self.complained.is_some_and(recent) {
            self.complained = Some(self.now);
            tracing::warn!("{trouble}");
        }
    }
}
