//! Allocate (RFC 8656 section 7.2): a relayed transport address, or one of each family.
//!
//! Refusals come first; from the first port taken on, nothing is refused but for want of ports. A
//! retransmission is known by its transaction ID and told the same again.
//!
//! Bounded by the limits on allocations and by [`PORT_ATTEMPTS_MAX`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;

use turnpike_stun::{Message, ParseError};
use turnpike_types::{AddressFamily, AllocationId, Entropy, Timestamp, UserId};

use super::allocation::{AddressError, Allocation, Extras, Relay};
use super::authenticate::Authenticated;
use super::output::{Body, Granted, PortDraw, PortWish};
use super::procedure::{Refused, Request};
use super::reservation::{self, Reservation, Token};
use super::{Refusal, Server};
use crate::attribute::{
    AdditionalAddressFamily, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
    ReservationToken,
};

/// How many ports are tried for one request when other programs on this host use them.
pub const PORT_ATTEMPTS_MAX: u8 = 8;

/// What an Allocate request asks for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    families: Families,
    wish: PortWish,
    token: Option<Token>,
    lifetime: Option<u32>,
}

/// Which relayed addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    One(AddressFamily),
    Both,
}

/// Ports that have been taken for a request.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    relays: [Option<(u16, NonZeroU16)>; 2],
    address_error: Option<AddressError>,
}

impl<E: Entropy> Server<E> {
    /// Answers an Allocate request.
    ///
    /// # Errors
    ///
    /// 300, 400, 437, 440, 442, 486, 508.
    pub(super) fn allocate(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        if let Some(id) = self.allocations.find(&request.five_tuple) {
            return self.allocate_again(id, request, who);
        }
        let wanted = Wanted::read(&request.message)?;
        let client = request.five_tuple.client.ip();
        if self
            .config
            .redirect
            .as_ref()
            .is_some_and(|to| to.servers_for(client).is_some())
        {
            return Err(Refusal::TryAlternate.into());
        }
        if self.draining {
            return Err(Refusal::InsufficientCapacity.into());
        }
        let (user, taken) = match wanted.token {
            Some(token) => self.take_reserved(token, who)?,
            None => self.take_new(&wanted, who)?,
        };
        let Some(id) = self.begin(request, who, user, &wanted, &taken) else {
            self.give_back_all(&taken, wanted.wish);
            self.release(user, wanted.wish);
            return Err(Refusal::InsufficientCapacity.into());
        };
        let draw = PortDraw {
            wish: wanted.wish,
            attempts_left: PORT_ATTEMPTS_MAX - 1,
        };
        Ok(Body::Allocated {
            id,
            draw: Some(draw),
        }
        .into())
    }

    /// The five-tuple is taken: by this very request, or by another.
    fn allocate_again(
        &self,
        id: AllocationId,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        let allocation = self
            .allocations
            .get(id)
            .ok_or(Refusal::AllocationMismatch)?;
        let is_retransmission = allocation.transaction_id == request.message.transaction_id()
            && self.users.is(allocation.user, &who.identity());
        if !is_retransmission {
            return Err(Refusal::AllocationMismatch.into());
        }
        Ok(Body::Allocated { id, draw: None }.into())
    }

    /// Counts what is asked for against the quotas, and takes its ports.
    ///
    /// # Errors
    ///
    /// 486 where the user would have too many, 508 where all together would or no port is left, 440
    /// where there is no such address; nothing is held then.
    fn take_new(
        &mut self,
        wanted: &Wanted,
        who: &Authenticated<'_>,
    ) -> Result<(UserId, Taken), Refusal> {
        let limits = &self.config.limits;
        let more = wanted.wish.holds();
        let most = limits.allocations_per_user;
        let user = self.users.try_hold(&who.identity(), more, most)?;
        let total = self.allocations.len() + self.reservations.len() + more as usize;
        let taken = if total > limits.allocations {
            Err(Refusal::InsufficientCapacity)
        } else {
            self.take_ports(wanted)
        };
        if taken.is_err() {
            self.release(user, wanted.wish);
        }
        Ok((user, taken?))
    }

    /// Takes what a token holds; the hold on the user goes over with the port.
    ///
    /// # Errors
    ///
    /// 508 for a token that is unknown, past its end, or another user's.
    fn take_reserved(
        &mut self,
        token: Token,
        who: &Authenticated<'_>,
    ) -> Result<(UserId, Taken), Refusal> {
        let user = self
            .users
            .find(&who.identity())
            .ok_or(Refusal::InsufficientCapacity)?;
        let held = self.reservations.find(&token, user, self.now);
        let Reservation { address, port, .. } = held.ok_or(Refusal::InsufficientCapacity)?;
        let ip = self
            .relays
            .ip(address)
            .ok_or(Refusal::InsufficientCapacity)?;
        self.reservations.remove(&token);
        let mut taken = Taken::default();
        taken.set(AddressFamily::of(&ip), (address, port));
        Ok((user, taken))
    }

    /// Ends the holds of a request that comes to nothing.
    fn release(&mut self, user: UserId, wish: PortWish) {
        for _ in 0..wish.holds() {
            self.users.release(user);
        }
    }

    /// # Errors
    ///
    /// 440 where there is no such address, 508 where no port is left.
    fn take_ports(&mut self, wanted: &Wanted) -> Result<Taken, Refusal> {
        let mut taken = Taken::default();
        match wanted.families {
            Families::One(family) => {
                taken.set(family, self.take_port(family, wanted.wish)?);
            }
            Families::Both => {
                let mut first_refusal = None;
                for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
                    match self.take_port(family, wanted.wish) {
                        Ok(port) => taken.set(family, port),
                        Err(refusal) => {
                            first_refusal.get_or_insert(refusal);
                            let code = refusal.code();
                            taken.address_error = Some(AddressError { family, code });
                        }
                    }
                }
                if let (true, Some(refusal)) = (taken.is_empty(), first_refusal) {
                    return Err(refusal);
                }
            }
        }
        Ok(taken)
    }

    fn take_port(
        &mut self,
        family: AddressFamily,
        wish: PortWish,
    ) -> Result<(u16, NonZeroU16), Refusal> {
        if !self.relays.has(family) {
            return Err(Refusal::AddressFamilyNotSupported);
        }
        let taken = self.relays.take(family, wish, &mut self.entropy);
        taken.ok_or(Refusal::InsufficientCapacity)
    }

    fn give_back_all(&mut self, taken: &Taken, wish: PortWish) {
        for (address, port) in taken.relays.into_iter().flatten() {
            self.relays.give_back(address, port);
            if let (PortWish::Pair, Some(next)) = (wish, port.checked_add(1)) {
                self.relays.give_back(address, next);
            }
        }
    }

    /// Makes the allocation, and the reservation beside it, on the holds of their user; tells the
    /// lanes. `None`, and nothing is done, when numbers are used up.
    fn begin(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
        user: UserId,
        wanted: &Wanted,
        taken: &Taken,
    ) -> Option<AllocationId> {
        let lifetime = self.lifetime_for(wanted.lifetime, who);
        let expires_at = self.now + Duration::from_secs(lifetime.into());
        let allocation = Allocation {
            five_tuple: request.five_tuple,
            key: who.key,
            transaction_id: request.message.transaction_id(),
            relays: taken.relays_until(expires_at),
            user,
            lifetime,
            deadline: expires_at,
            permissions: Vec::new(),
            channels: Vec::new(),
            extras: taken.extras(),
        };
        let id = self.allocations.insert(allocation)?;
        if wanted.wish == PortWish::Pair {
            self.reserve_next(id, user);
        }
        self.wheel.arm(id.slot, expires_at);
        for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
            self.install_relay(id, family);
        }
        Some(id)
    }

    /// Reserves the port after the allocation's own, which was taken with it, on a hold of the
    /// user's that was taken for it.
    pub(super) fn reserve_next(&mut self, id: AllocationId, user: UserId) {
        if !self.try_reserve_next(id, user) {
            self.users.release(user);
        }
    }

    fn try_reserve_next(&mut self, id: AllocationId, user: UserId) -> bool {
        let expires_at = self.now + self.config.lifetimes.reservation;
        let Some(allocation) = self.allocations.get_mut(id) else {
            return false;
        };
        let Some(relay) = allocation.relays.into_iter().flatten().next() else {
            return false;
        };
        let Some(port) = relay.port.checked_add(1) else {
            return false;
        };
        let token = reservation::new_token(self.config.shard, &mut self.entropy);
        let reservation = Reservation {
            user,
            address: relay.address,
            port,
            expires_at,
        };
        let is_held = self.reservations.hold(token, reservation);
        if is_held {
            allocation.extras.get_or_insert_default().reservation_token =
                Some(ReservationToken(token));
        } else {
            self.relays.give_back(relay.address, port);
        }
        is_held
    }
}

impl Wanted {
    /// # Errors
    ///
    /// 400, 440, 442.
    fn read(message: &Message<'_>) -> Result<Self, Refused> {
        let transport = message
            .get::<RequestedTransport>()?
            .ok_or(Refusal::BadRequest)?;
        if transport != RequestedTransport::UDP {
            return Err(Refusal::UnsupportedTransport.into());
        }
        let even = message.get::<EvenPort>()?;
        let token = message
            .get::<ReservationToken>()?
            .map(|ReservationToken(token)| token);
        let requested = requested_family(message)?;
        let wants_both = wants_both(message)?;
        let wish = match (token, even) {
            (None, None) => PortWish::Any,
            (
                None,
                Some(EvenPort {
                    reserve_next: false,
                }),
            ) => PortWish::Even,
            (None, Some(EvenPort { reserve_next: true })) if !wants_both => PortWish::Pair,
            (Some(_), None) if requested.is_none() && !wants_both => PortWish::Reserved,
            _ => return Err(Refusal::BadRequest.into()),
        };
        let families = match (requested, wants_both) {
            (Some(_), true) => return Err(Refusal::BadRequest.into()),
            (Some(family), false) => Families::One(family?),
            (None, true) => Families::Both,
            (None, false) => Families::One(AddressFamily::Ipv4),
        };
        let lifetime = message.get::<Lifetime>()?.map(|Lifetime(seconds)| seconds);
        Ok(Self {
            families,
            wish,
            token,
            lifetime,
        })
    }
}

/// REQUESTED-ADDRESS-FAMILY; 440 inside for a family that does not exist.
fn requested_family(
    message: &Message<'_>,
) -> Result<Option<Result<AddressFamily, Refusal>>, Refusal> {
    match message.get::<RequestedAddressFamily>() {
        Ok(found) => Ok(found.map(|RequestedAddressFamily(family)| Ok(family))),
        Err(ParseError::AttributeValue) => Ok(Some(Err(Refusal::AddressFamilyNotSupported))),
        Err(_) => Err(Refusal::BadRequest),
    }
}

/// ADDITIONAL-ADDRESS-FAMILY, which can only ask for IPv6 beside IPv4.
fn wants_both(message: &Message<'_>) -> Result<bool, Refusal> {
    match message.get::<AdditionalAddressFamily>() {
        Ok(None) => Ok(false),
        Ok(Some(AdditionalAddressFamily(AddressFamily::Ipv6))) => Ok(true),
        Ok(Some(AdditionalAddressFamily(AddressFamily::Ipv4))) | Err(_) => Err(Refusal::BadRequest),
    }
}

impl Taken {
    const fn set(&mut self, family: AddressFamily, taken: (u16, NonZeroU16)) {
        let [ipv4, ipv6] = &mut self.relays;
        match family {
            AddressFamily::Ipv4 => *ipv4 = Some(taken),
            AddressFamily::Ipv6 => *ipv6 = Some(taken),
        }
    }

    fn relays_until(&self, expires_at: Timestamp) -> [Option<Relay>; 2] {
        self.relays.map(|taken| {
            taken.map(|(address, port)| Relay {
                expires_at,
                port,
                address,
            })
        })
    }

    fn extras(&self) -> Option<Box<Extras>> {
        let address_error = Some(self.address_error?);
        let extras = Extras {
            address_error,
            reservation_token: None,
        };
        Some(Box::new(extras))
    }

    const fn is_empty(&self) -> bool {
        matches!(self.relays, [None, None])
    }
}
