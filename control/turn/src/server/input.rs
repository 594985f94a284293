//! Packets from clients: what they are, and which procedure answers them.
//!
//! Bytes that lie are dropped and counted, never answered. ChannelData and Send indications are the
//! lanes' own; those that come here have missed there, and the reason is named.

use turnpike_stun::{AttributeType, Class, Fingerprint, Message, Method};
use turnpike_types::{DropReason, Entropy, FiveTuple, PeerAddr, Timestamp};

use super::allocation::Allocation;
use super::authenticate::Authenticated;
use super::output::{Granted, OUTPUTS_MAX, Queued, Reply};
use super::procedure::{Procedure, Refused, Request};
use super::{Refusal, Server};
use crate::attribute::XorPeerAddress;
use crate::channel_data::ChannelData;
use crate::wire_ip;

/// The most bytes of a message that is looked at: more than the longest credentials and as many
/// peers as a message has room for. A longer one would cost a MAC over all of it for each secret.
pub const MESSAGE_MAX: usize = 4_096;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It was answered, or needed no answer.
    Consumed,
    /// It ended here.
    Dropped(DropReason),
}

impl<E: Entropy> Server<E> {
    /// Takes a packet from a client: a datagram, or a message cut out of its stream.
    pub fn handle_input(
        &mut self,
        now: Timestamp,
        five_tuple: FiveTuple,
        bytes: &[u8],
    ) -> Disposition {
        self.advance(now);
        match self.take_input(five_tuple, bytes) {
            Ok(()) => Disposition::Consumed,
            Err(reason) => {
                self.counters.count_dropped(reason);
                Disposition::Dropped(reason)
            }
        }
    }

    fn take_input(&mut self, five_tuple: FiveTuple, bytes: &[u8]) -> Result<(), DropReason> {
        if self.outputs.len() >= OUTPUTS_MAX {
            return Err(DropReason::QueueFull);
        }
        if bytes.first().is_some_and(|first| first & 0xC0 == 0x40) {
            return Err(self.why_not_channel_data(&five_tuple, bytes));
        }
        if bytes.len() > MESSAGE_MAX {
            return Err(DropReason::Oversize);
        }
        let message = Message::parse(bytes).map_err(|_| DropReason::Malformed)?;
        let fingerprint = message.fingerprint();
        if fingerprint == Fingerprint::Invalid {
            return Err(DropReason::BadFingerprint);
        }
        match (message.class(), message.method()) {
            (Class::Request, method) => {
                let procedure = Procedure::of(method).ok_or(DropReason::Unexpected)?;
                let fingerprint = fingerprint == Fingerprint::Valid;
                self.answer(&Request {
                    procedure,
                    five_tuple,
                    message,
                    fingerprint,
                });
                Ok(())
            }
            (Class::Indication, Method::BINDING) => {
                self.counters.binding_indications += 1;
                Ok(())
            }
            (Class::Indication, Method::SEND) => Err(self.why_not_send(&five_tuple, &message)),
            _ => Err(DropReason::Unexpected),
        }
    }

    fn answer(&mut self, request: &Request<'_>) {
        let (seal, result) = if request.procedure == Procedure::Binding {
            (None, self.binding(request))
        } else {
            self.sweep_if_due(&request.five_tuple);
            match self.authenticate(request) {
                Ok(who) => (who.seal(), self.carry_out(request, &who)),
                Err(refused) => (None, Err(refused)),
            }
        };
        self.outputs.push(Queued::Reply(Reply {
            procedure: request.procedure,
            five_tuple: request.five_tuple,
            transaction_id: request.message.transaction_id(),
            fingerprint: request.fingerprint,
            seal,
            result,
        }));
    }

    fn carry_out(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        let unknown = request.unknown(self.config.dont_fragment);
        if !unknown.is_empty() {
            return Err(Refused {
                refusal: Refusal::UnknownAttribute,
                unknown,
            });
        }
        match request.procedure {
            Procedure::Binding => self.binding(request),
            Procedure::Allocate => self.allocate(request, who),
            Procedure::Refresh => self.refresh(request, who),
            Procedure::CreatePermission => self.create_permission(request, who),
            Procedure::ChannelBind => self.channel_bind(request, who),
        }
    }

    /// The allocation that a request is about, for the procedures that need one.
    ///
    /// # Errors
    ///
    /// 437 where there is none, 441 where it is another user's (RFC 8656 section 5).
    pub(super) fn own_allocation(
        &self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<turnpike_types::AllocationId, Refusal> {
        let found = self.allocations.find(&request.five_tuple);
        let id = found.ok_or(Refusal::AllocationMismatch)?;
        let allocation = self
            .allocations
            .get(id)
            .ok_or(Refusal::AllocationMismatch)?;
        if self.users.is(allocation.user, &who.identity()) {
            Ok(id)
        } else {
            Err(Refusal::WrongCredentials)
        }
    }

    fn allocation_of(&self, five_tuple: &FiveTuple) -> Option<&Allocation> {
        self.allocations.get(self.allocations.find(five_tuple)?)
    }

    /// Why a lane did not carry this ChannelData message.
    fn why_not_channel_data(&mut self, five_tuple: &FiveTuple, bytes: &[u8]) -> DropReason {
        let Ok(ChannelData { number, .. }) = ChannelData::parse(bytes) else {
            return DropReason::Malformed;
        };
        self.sweep_if_due(five_tuple);
        let Some(allocation) = self.allocation_of(five_tuple) else {
            return DropReason::NoAllocation;
        };
        match allocation
            .channel(number)
            .map(|channel| allocation.channel_end(channel))
        {
            None => DropReason::NoChannel,
            Some(None) => DropReason::NoPermission,
            // The lanes hold it by now, or say themselves why they do not carry it.
            Some(Some(_)) => DropReason::NoChannel,
        }
    }

    /// Why a lane did not carry this Send indication.
    fn why_not_send(&mut self, five_tuple: &FiveTuple, message: &Message<'_>) -> DropReason {
        let Ok(Some(XorPeerAddress(peer))) = message.get::<XorPeerAddress>() else {
            return DropReason::Malformed;
        };
        if message.raw(AttributeType::DATA).is_none() {
            return DropReason::Malformed;
        }
        self.sweep_if_due(five_tuple);
        let Some(allocation) = self.allocation_of(five_tuple) else {
            return DropReason::NoAllocation;
        };
        let wire_ip = wire_ip(&self.config.relay_addresses, peer.ip());
        let wire_peer = PeerAddr(core::net::SocketAddr::new(wire_ip, peer.port()));
        match allocation.permission(wire_ip) {
            None => DropReason::NoPermission,
            Some(known) if !self.reaches(known.ports, wire_peer) => DropReason::ForbiddenPort,
            Some(_) => DropReason::Unexpected,
        }
    }
}
