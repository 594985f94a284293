//! What the server wants done, first in, first out.
//!
//! A reply waits as a small plan behind the commands it depends on and is written only when it is
//! polled, so that a command that failed can still change it (see `command_failed`).
//!
//! One request puts in no more than its allocation's quotas; [`OUTPUTS_MAX`] stops a caller that
//! never polls.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;

use turnpike_stun::{IntegrityAlgorithm, IntegrityKey, TransactionId};
use turnpike_types::{
    Action, AddressFamily, AllocationId, ChannelNumber, Command, CommandId, FiveTuple, PeerAddr,
    RelayedAddr, Timestamp, UserId,
};

use super::allocation::{ChannelBinding, Permission};
use super::procedure::{Procedure, Refused};

/// How many outputs may wait before further packets are dropped: the caller has stopped polling.
pub const OUTPUTS_MAX: usize = 65_536;

/// The most bytes of a [`Transmit`]; buffers given to
/// [`Server::poll_output`](super::Server::poll_output) must be as large.
pub const TRANSMIT_MAX: usize = 1_280;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Must be done, and reported if it cannot be.
    Command(Command),
    /// Must be sent.
    Transmit(Transmit),
    /// May be noted.
    Event(Event),
}

/// A message in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To its client, from its server address.
    pub five_tuple: FiveTuple,
    /// Bytes from the start of the buffer.
    pub len: usize,
}

/// Something worth a log line or a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An allocation came to be; its success response is the output before.
    AllocationCreated {
        /// Which.
        allocation: AllocationId,
        /// Whose client this is.
        five_tuple: FiveTuple,
        /// See [`Server::username`](super::Server::username).
        user: UserId,
        /// As bound on this host, IPv4 first.
        relayed: [Option<RelayedAddr>; 2],
        /// As granted.
        lifetime: Duration,
    },
    /// A Refresh request was granted.
    AllocationRefreshed {
        /// Which.
        allocation: AllocationId,
        /// As granted; not zero.
        lifetime: Duration,
    },
    /// An allocation ends. Lanes still hold its traffic, and the server its user's name, until the
    /// commands that follow are polled.
    AllocationEnded {
        /// Which.
        allocation: AllocationId,
        /// Whose client this was.
        five_tuple: FiveTuple,
        /// See [`Server::username`](super::Server::username).
        user: UserId,
        /// Why.
        reason: EndReason,
    },
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// It was not refreshed in time.
    Expired,
    /// The client refreshed it with a lifetime of zero.
    Released,
    /// The client's stream was closed.
    Disconnected,
    /// The operator said so.
    Ordered,
    /// A lane lost it and could not take it again.
    Failed,
}

/// What waits.
#[derive(Debug)]
pub(super) enum Queued {
    Command(QueuedCommand),
    Reply(Reply),
    Icmp(IcmpIndication),
    Event(Event),
}

/// A command and what hangs on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedCommand {
    pub(super) command: Command,
    /// What is free again once the command is polled.
    pub(super) frees: Option<Freed>,
    /// Whether the next reply in the queue promises that it was carried out.
    pub(super) promised: bool,
}

/// A relayed port, and with an allocation's last one the hold on its user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freed {
    pub(super) address: u16,
    pub(super) port: NonZeroU16,
    pub(super) user: Option<UserId>,
}

/// A response to be.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) procedure: Procedure,
    pub(super) five_tuple: FiveTuple,
    pub(super) transaction_id: TransactionId,
    pub(super) fingerprint: bool,
    /// What to authenticate it with; nothing where the request did not authenticate.
    pub(super) seal: Option<Seal>,
    pub(super) result: Result<Granted, Refused>,
}

/// The message integrity of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    /// Which attributes, in the order they stand in.
    pub(super) algorithms: &'static [IntegrityAlgorithm],
    pub(super) key: IntegrityKey,
}

/// A success response to be, and how to take it back.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) body: Body,
    /// What the request changed, first change first.
    pub(super) undo: Vec<Undo>,
}

impl From<Body> for Granted {
    fn from(body: Body) -> Self {
        Self {
            body,
            undo: Vec::new(),
        }
    }
}

/// What a success response says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// XOR-MAPPED-ADDRESS
    Binding,
    /// What the allocation holds; again for a retransmission.
    Allocated {
        id: AllocationId,
        /// `None` for a retransmission.
        draw: Option<PortDraw>,
    },
    /// LIFETIME, in seconds
    Refreshed { id: AllocationId, lifetime: u32 },
    /// Nothing
    Permitted { id: AllocationId },
}

impl Body {
    /// The allocation it is about.
    pub(super) const fn allocation(&self) -> Option<AllocationId> {
        match self {
            Self::Binding => None,
            Self::Allocated { id, .. } | Self::Refreshed { id, .. } | Self::Permitted { id } => {
                Some(*id)
            }
        }
    }
}

/// How the relayed ports of a new allocation were drawn, to draw others where one is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortDraw {
    pub(super) wish: PortWish,
    pub(super) attempts_left: u8,
}

/// Which ports will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortWish {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, and the odd one after it reserved.
    Pair,
    /// One that was reserved.
    Reserved,
}

impl PortWish {
    /// How many allocations and reservations come of it.
    pub(super) const fn holds(self) -> u32 {
        match self {
            Self::Pair => 2,
            Self::Any | Self::Even | Self::Reserved => 1,
        }
    }
}

/// One change of state, to be taken back should a lane fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undo {
    Relay {
        family: AddressFamily,
        expires_at: Timestamp,
    },
    Permission {
        added: core::net::IpAddr,
    },
    PermissionChange {
        before: Permission,
    },
    Channel {
        added: ChannelNumber,
    },
    ChannelChange {
        before: ChannelBinding,
    },
}

/// A Data indication to be (RFC 8656 section 11.5).
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpIndication {
    pub(super) five_tuple: FiveTuple,
    pub(super) transaction_id: TransactionId,
    pub(super) peer: PeerAddr,
    pub(super) icmp: crate::attribute::Icmp,
}

/// The outputs that wait.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    queue: VecDeque<Queued>,
    /// The command polled last: the only one that may still be reported as failed.
    last: Option<QueuedCommand>,
    next_command: u64,
}

impl Outputs {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.queue.push_back(queued);
    }

    /// Puts a command last; see [`QueuedCommand`].
    pub(super) fn command(&mut self, action: Action, promised: bool, frees: Option<Freed>) {
        let command = self.number(action);
        self.push(Queued::Command(QueuedCommand {
            command,
            frees,
            promised,
        }));
    }

    /// Puts a command first, in place of one that failed.
    pub(super) fn command_again(&mut self, action: Action, promised: bool) {
        let command = self.number(action);
        let queued = QueuedCommand {
            command,
            frees: None,
            promised,
        };
        self.queue.push_front(Queued::Command(queued));
    }

    pub(super) fn push_front(&mut self, queued: Queued) {
        self.queue.push_front(queued);
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front();
        self.last = match &queued {
            Some(Queued::Command(command)) => Some(*command),
            _ => None,
        };
        queued
    }

    /// The command polled last, if it is this one; it can fail only once.
    pub(super) fn take_last(&mut self, id: CommandId) -> Option<QueuedCommand> {
        self.last.take_if(|last| last.command.id == id)
    }

    /// Takes out all that waits.
    pub(super) fn take_queue(&mut self) -> VecDeque<Queued> {
        core::mem::take(&mut self.queue)
    }

    /// Puts more behind what waits.
    pub(super) fn append(&mut self, mut more: VecDeque<Queued>) {
        self.queue.append(&mut more);
    }

    /// The first reply that waits: the one that promises what was polled last.
    pub(super) fn first_reply_mut(&mut self) -> Option<&mut Reply> {
        self.queue.iter_mut().find_map(|queued| match queued {
            Queued::Reply(reply) => Some(reply),
            _ => None,
        })
    }

    fn number(&mut self, action: Action) -> Command {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        Command { id, action }
    }
}
