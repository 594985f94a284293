//! Responses on their way out: whether they may be given, and for refusals whether they had to be.

use turnpike_stun::{Class, ErrorCode, Message, Method, XorMappedAddress};
use turnpike_turn::attribute::{
    ChannelNumberAttribute, EvenPort, Icmp, ReservationToken, XorPeerAddress,
};
use turnpike_types::FiveTuple;

use super::{Model, Request, is_current};
use crate::account::integrity_of;
use crate::mirror::Mirror;
use crate::violation::{Checked, ensure, violated};

/// Who sent a request, as far as the model can tell.
pub(super) struct Author {
    pub(super) identity: String,
    pub(super) is_current: bool,
    key: turnpike_stun::IntegrityKey,
}

impl Model {
    /// Checks a message that the server sends to a client, and learns from it.
    pub(crate) fn sent(&mut self, five_tuple: &FiveTuple, bytes: &[u8], lane: &Mirror) -> Checked {
        self.version += 1;
        let Ok(message) = Message::parse(bytes) else {
            violated!(
                RepliesInOrder,
                "the server sends what is no message: {bytes:02x?}"
            );
        };
        if message.class() == Class::Indication {
            return self.icmp_sent(five_tuple, &message);
        }
        let request = self.answered(five_tuple, &message)?;
        if let Some(allocation) = self.allocations.get_mut(five_tuple) {
            allocation.prune(request.at);
            if !allocation.is_live(request.at) {
                self.allocations.remove(five_tuple);
            }
        }
        let author = self.author(&request);
        match (message.class(), &author) {
            (Class::Success, _) if request.method == Method::BINDING => {
                let mapped = message.get::<XorMappedAddress>();
                let is_it = mapped == Ok(Some(XorMappedAddress(five_tuple.client.0)));
                ensure!(is_it, GrantWithinRules, "{mapped:?} told to {five_tuple}");
                Ok(())
            }
            (Class::Success, None) => {
                violated!(
                    Authenticated,
                    "{:?} granted to nobody: {five_tuple}",
                    request.method
                )
            }
            (Class::Success, Some(author)) => {
                check_seal(&request, &message, author)?;
                self.granted(&request, &message, author, lane)
            }
            _ => {
                let token = Self::token_of(&request.message());
                if let Some(reserved) = token.and_then(|token| self.reserved.get_mut(&token)) {
                    reserved.is_certain = false;
                }
                self.refused(&request, &message, author.as_ref())
            }
        }
    }

    fn author(&self, request: &Request) -> Option<Author> {
        let message = request.message();
        let (account, key) = self.registrar.author(&message)?;
        let is_current = is_current(account, request.unix_seconds);
        Some(Author {
            identity: account.identity.clone(),
            is_current,
            key,
        })
    }

    /// A refusal must have its cause, where the model can tell.
    fn refused(
        &self,
        request: &Request,
        response: &Message<'_>,
        author: Option<&Author>,
    ) -> Checked {
        let Ok(Some(ErrorCode { code, .. })) = response.get::<ErrorCode<'_>>() else {
            violated!(RepliesInOrder, "a refusal without a code");
        };
        let Some(author) = author else { return Ok(()) };
        let allocation = self.allocations.get(&request.five_tuple);
        let is_allocate = request.method == Method::ALLOCATE;
        let has_cause = match code {
            401 => !author.is_current,
            403 => self.names_forbidden_peer(request),
            437 => match (allocation, is_allocate) {
                (Some(it), true) => {
                    it.transaction_id != request.transaction_id || it.identity != author.identity
                }
                (None, true) => false,
                (found, false) => found.is_none(),
            },
            441 => !is_allocate && allocation.is_some_and(|it| it.identity != author.identity),
            486 => self.exceeds_quota(request, &author.identity),
            300 => request.redirecting,
            _ => true,
        };
        ensure!(
            has_cause,
            RefusalHasCause,
            "{code} to {:?} of {} on {}, at {}; there is {allocation:?}",
            request.method,
            author.identity,
            request.five_tuple,
            request.at
        );
        Ok(())
    }

    fn names_forbidden_peer(&self, request: &Request) -> bool {
        let message = request.message();
        let is_channel = message
            .get::<ChannelNumberAttribute>()
            .is_ok_and(|found| found.is_some());
        self.peers_of(&message).is_none_or(|peers| {
            peers
                .iter()
                .any(|peer| !self.admits(peer.ip()) || is_channel && !self.admits_port(*peer))
        })
    }

    fn exceeds_quota(&self, request: &Request, identity: &str) -> bool {
        let even = request.message().get::<EvenPort>();
        let more = if even == Ok(Some(EvenPort { reserve_next: true })) {
            2
        } else {
            1
        };
        self.rules.stalls || self.holds(identity, request.at) + more > self.per_user()
    }

    /// A Data indication with an ICMP error needs a live permission like any other.
    fn icmp_sent(&self, five_tuple: &FiveTuple, message: &Message<'_>) -> Checked {
        let peer = message.get::<XorPeerAddress>();
        let icmp = message.get::<Icmp>();
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(_))) = (peer, icmp) else {
            violated!(RepliesInOrder, "an indication of {peer:?} and {icmp:?}");
        };
        let wire_ip = self.wire_ip(peer.ip());
        let end = self
            .allocations
            .get(five_tuple)
            .and_then(|it| it.permission_end(wire_ip));
        let is_permitted = end.is_some_and(|end| end > self.icmp_at);
        ensure!(
            is_permitted,
            PermissionBeforeForwarding,
            "ICMP of {peer} told to {five_tuple}"
        );
        Ok(())
    }

    pub(super) fn peers_of(&self, message: &Message<'_>) -> Option<Vec<std::net::SocketAddr>> {
        use turnpike_stun::{Attribute, AttributeType};
        let id = message.transaction_id();
        let attributes = message.attributes();
        let peers = attributes.filter(|it| it.kind == AttributeType::XOR_PEER_ADDRESS);
        peers
            .map(|it| Some(XorPeerAddress::decode(it.value, &id).ok()?.0))
            .collect()
    }

    pub(super) fn token_of(message: &Message<'_>) -> Option<[u8; 8]> {
        let token = message.get::<ReservationToken>().ok()?;
        token.map(|ReservationToken(token)| token)
    }
}

/// A success response is sealed with the key that the request was.
fn check_seal(request: &Request, response: &Message<'_>, author: &Author) -> Checked {
    let algorithm = integrity_of(&request.message());
    let is_sealed = algorithm.is_some_and(|it| response.verify_integrity(it, &author.key));
    ensure!(
        is_sealed,
        Authenticated,
        "a success response without its seal"
    );
    Ok(())
}
