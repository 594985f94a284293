//! Allocate (RFC 8656 sections 7.1, 7.3 and 7.4): asks for an allocation and keeps what was given.

use core::net::SocketAddr;
use core::time::Duration;

use turnpike_stun::{
    Attribute, AttributeType, Message, MessageBuilder, RawAttribute, UnknownAttributes,
    XorMappedAddress,
};
use turnpike_types::{AddressFamily, Entropy, ReflexiveAddr, RelayedAddr, Timestamp};

use super::request::Request;
use super::transactions::Transaction;
use super::{Client, Event, Failure, Families, Port, State};
use crate::attribute::{
    AdditionalAddressFamily, AddressErrorCode, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorRelayedAddress,
};

/// How many client transport addresses are tried before a 437 is final (RFC 8656 section 7.4).
pub const PORTS_MAX: u8 = 3;

/// What the server gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The relayed transport address of the IPv4 family.
    pub ipv4: Option<RelayedAddr>,
    /// The relayed transport address of the IPv6 family.
    pub ipv6: Option<RelayedAddr>,
    /// Where the server sees us.
    pub reflexive: ReflexiveAddr,
    /// The lifetime last granted, in seconds.
    pub lifetime: u32,
    /// When it ends unless refreshed.
    pub expires_at: Timestamp,
    /// Names the reserved next port, where [`Port::EvenWithNext`] was asked for.
    pub reservation_token: Option<ReservationToken>,
    /// The family of a dual allocation that was not given, and why: after a 440 it must not be
    /// asked for again, after a 508 not within a minute.
    pub address_error: Option<(AddressFamily, u16)>,
    /// When the next Refresh is due; `None` when none is to come.
    pub(super) refresh_at: Option<Timestamp>,
}

impl Allocation {
    /// The relayed transport address of a family.
    #[must_use]
    pub const fn relayed(&self, family: AddressFamily) -> Option<RelayedAddr> {
        match family {
            AddressFamily::Ipv4 => self.ipv4,
            AddressFamily::Ipv6 => self.ipv6,
        }
    }

    /// Whether both families are gone.
    pub(super) const fn is_spent(&self) -> bool {
        self.ipv4.is_none() && self.ipv6.is_none()
    }

    /// A lifetime was granted to a request first sent at `sent_at`. The server's clock started no
    /// earlier, so this end is never too late.
    pub(super) fn extend(&mut self, lifetime: u32, sent_at: Timestamp) {
        self.lifetime = lifetime;
        self.expires_at = sent_at + Duration::from_secs(u64::from(lifetime));
        self.refresh_at = Some(sent_at + refresh_after(lifetime));
    }

    /// Reads a success response; the failure says what is wrong with it.
    fn parse(message: &Message<'_>, sent_at: Timestamp) -> Result<Self, Failure> {
        let (Ok(Some(XorMappedAddress(mapped))), Ok(Some(Lifetime(lifetime)))) =
            (message.get::<XorMappedAddress>(), message.get::<Lifetime>())
        else {
            return Err(Failure::Malformed);
        };
        let mut allocation = Self {
            ipv4: None,
            ipv6: None,
            reflexive: ReflexiveAddr(mapped),
            lifetime: 0,
            expires_at: sent_at,
            reservation_token: message.get().map_err(|_| Failure::Malformed)?,
            address_error: message
                .get::<AddressErrorCode<'_>>()
                .map_err(|_| Failure::Malformed)?
                .map(|error| (error.family, error.code)),
            refresh_at: None,
        };
        for RawAttribute { kind, value, .. } in message.attributes() {
            if kind == AttributeType::XOR_RELAYED_ADDRESS {
                let relayed = XorRelayedAddress::decode(value, &message.transaction_id())
                    .map_err(|_| Failure::Malformed)?;
                allocation.add(relayed.0)?;
            }
        }
        if allocation.is_spent() {
            return Err(Failure::Malformed);
        }
        allocation.extend(lifetime, sent_at);
        Ok(allocation)
    }

    fn add(&mut self, relayed: SocketAddr) -> Result<(), Failure> {
        let place = match relayed {
            SocketAddr::V4(_) => &mut self.ipv4,
            SocketAddr::V6(_) => &mut self.ipv6,
        };
        if place.replace(RelayedAddr(relayed)).is_some() {
            return Err(Failure::Malformed);
        }
        Ok(())
    }
}

/// When to refresh: a minute before the end, or half way where a minute is too much of it.
fn refresh_after(lifetime: u32) -> Duration {
    let lifetime = Duration::from_secs(u64::from(lifetime));
    if lifetime > REFRESH_MARGIN * 2 {
        lifetime - REFRESH_MARGIN
    } else {
        lifetime / 2
    }
}

const REFRESH_MARGIN: Duration = Duration::from_secs(60);

impl<E: Entropy> Client<E> {
    /// The attributes of an Allocate request (RFC 8656 section 7.1).
    pub(super) fn form_allocate(&self, builder: &mut MessageBuilder<'_>) {
        builder.attribute(&RequestedTransport::UDP);
        match self.config.port {
            Port::Reserved(token) => {
                builder.attribute(&token);
            }
            Port::Any => self.form_families(builder),
            Port::Even | Port::EvenWithNext => {
                let reserve_next = self.config.port == Port::EvenWithNext;
                builder.attribute(&EvenPort { reserve_next });
                self.form_families(builder);
            }
        }
        if self.dont_fragment {
            builder.attribute(&DontFragment);
        }
        if let Some(lifetime) = self.config.lifetime {
            builder.attribute(&Lifetime(lifetime));
        }
    }

    fn form_families(&self, builder: &mut MessageBuilder<'_>) {
        match self.config.families {
            Families::Ipv4 if self.server.family() == AddressFamily::Ipv4 => {}
            Families::Ipv4 => {
                builder.attribute(&RequestedAddressFamily(AddressFamily::Ipv4));
            }
            Families::Ipv6 => {
                builder.attribute(&RequestedAddressFamily(AddressFamily::Ipv6));
            }
            Families::Both => {
                builder.attribute(&AdditionalAddressFamily(AddressFamily::Ipv6));
            }
        }
    }

    /// RFC 8656 section 7.3.
    pub(super) fn allocate_succeeded(&mut self, transaction: &Transaction, message: &Message<'_>) {
        let allocation = match Allocation::parse(message, transaction.sent_at) {
            Ok(allocation) => allocation,
            Err(failure) => return self.delete_unusable(failure),
        };
        let wrong_family = [AddressFamily::Ipv4, AddressFamily::Ipv6]
            .iter()
            .any(|family| allocation.relayed(*family).is_some() && !self.accepts_family(*family));
        if wrong_family {
            return self.delete_unusable(Failure::WrongFamily);
        }
        if matches!(self.state, State::Allocating { closing: true }) {
            return self.start_closing();
        }
        self.ports_tried = 0;
        self.state = State::Allocated(allocation);
        self.push(Event::Allocated);
    }

    /// RFC 8656 section 7.4. The long-term credential mechanism has had its turn already.
    pub(super) fn allocate_refused(
        &mut self,
        now: Timestamp,
        code: u16,
        message: &Message<'_>,
        authenticated: bool,
    ) {
        match code {
            300 => self.allocate_redirected(now, message, authenticated),
            420 if self.names_dont_fragment(message) => {
                self.dont_fragment = false;
                self.start(now, Request::Allocate);
            }
            437 => self.allocate_mismatched(),
            _ => self.fail_allocation(Failure::Refused(code)),
        }
    }

    /// An Allocate ended without an allocation.
    pub(super) fn fail_allocation(&mut self, failure: Failure) {
        let closing = matches!(self.state, State::Allocating { closing: true });
        self.state = State::Ended;
        self.push(if closing {
            Event::Closed
        } else {
            Event::AllocationFailed(failure)
        });
    }

    fn allocate_mismatched(&mut self) {
        self.ports_tried += 1;
        let closing = matches!(self.state, State::Allocating { closing: true });
        if closing || self.ports_tried >= PORTS_MAX {
            return self.fail_allocation(Failure::Refused(437));
        }
        self.state = State::Waiting;
        self.push(Event::NewPortNeeded);
    }

    fn accepts_family(&self, family: AddressFamily) -> bool {
        matches!(self.config.port, Port::Reserved(_)) || self.config.families.include(family)
    }

    /// Whether a 420 blames DONT-FRAGMENT, so that it makes sense to ask without.
    fn names_dont_fragment(&self, message: &Message<'_>) -> bool {
        let named = matches!(
            message.get::<UnknownAttributes>(),
            Ok(Some(unknown)) if unknown.iter().any(|kind| kind == AttributeType::DONT_FRAGMENT)
        );
        named && self.dont_fragment
    }

    /// There is an allocation, but not one we can use: it is deleted (RFC 8656 section 7.3).
    pub(super) fn delete_unusable(&mut self, failure: Failure) {
        if matches!(self.state, State::Allocating { closing: true }) {
            return self.start_closing();
        }
        self.push(Event::AllocationFailed(failure));
        self.state = State::Discarding;
        self.start(self.now, Request::Delete { family: None });
    }
}
