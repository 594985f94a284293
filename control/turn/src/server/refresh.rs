//! Refresh (RFC 8656 section 8.2): more time for an allocation, or none.
//!
//! With REQUESTED-ADDRESS-FAMILY it is about that one address of a dual allocation. Only what the
//! lanes hold and whose effective end moves is told to them, at most the allocation's quotas.

use core::time::Duration;

use turnpike_stun::ParseError;
use turnpike_types::{AddressFamily, Entropy};

use super::authenticate::Authenticated;
use super::output::{Body, Granted};
use super::procedure::{Refused, Request};
use super::{EndReason, Refusal, Server};
use crate::attribute::{Lifetime, RequestedAddressFamily};

impl<E: Entropy> Server<E> {
    /// Answers a Refresh request.
    ///
    /// # Errors
    ///
    /// 400, 437, 441, 443.
    pub(super) fn refresh(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        let id = self.own_allocation(request, who)?;
        let asked = request
            .message
            .get::<Lifetime>()?
            .map(|Lifetime(seconds)| seconds);
        let only = requested_family(request)?;
        let allocation = self
            .allocations
            .get(id)
            .ok_or(Refusal::AllocationMismatch)?;
        let is_whole = allocation
            .families()
            .all(|family| only.is_none_or(|only| only == family));
        if only.is_some_and(|only| allocation.relay(only).is_none()) {
            return Err(Refusal::PeerAddressFamilyMismatch.into());
        }
        let families = allocation.families();
        let lifetime = match asked {
            Some(0) => 0,
            asked => self.lifetime_for(asked, who),
        };
        let mut granted = Granted::from(Body::Refreshed { id, lifetime });
        match (lifetime, only) {
            (0, Some(family)) if !is_whole => self.drop_relay(id, family),
            (0, _) => self.end(id, EndReason::Released),
            _ => {
                let expires_at = self.now + Duration::from_secs(lifetime.into());
                for family in families.filter(|family| only.is_none_or(|only| only == *family)) {
                    granted
                        .undo
                        .extend(self.put_relay_end(id, family, expires_at, true));
                }
            }
        }
        Ok(granted)
    }

    /// The lifetime to grant, in seconds: the default, or more if the client asks for more (RFC
    /// 8656 section 7.2); no more than is left of a credential that ends strictly.
    pub(super) fn lifetime_for(&self, asked: Option<u32>, who: &Authenticated<'_>) -> u32 {
        let lifetimes = &self.config.lifetimes;
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let (default, max) = (
            seconds(lifetimes.allocation),
            seconds(lifetimes.allocation_max),
        );
        let granted = asked.unwrap_or(default).min(max).max(default);
        match (self.config.strict_expiry, who.expires_at, self.wall_clock()) {
            (true, Some(end), Some(now)) => {
                let left = u32::try_from(end.saturating_sub(now)).unwrap_or(u32::MAX);
                granted.min(left).max(1)
            }
            _ => granted,
        }
    }
}

/// # Errors
///
/// 400 for a malformed attribute, 443 for a family that no allocation can have.
fn requested_family(request: &Request<'_>) -> Result<Option<AddressFamily>, Refusal> {
    match request.message.get::<RequestedAddressFamily>() {
        Ok(found) => Ok(found.map(|RequestedAddressFamily(family)| family)),
        Err(ParseError::AttributeValue) => Err(Refusal::PeerAddressFamilyMismatch),
        Err(_) => Err(Refusal::BadRequest),
    }
}
