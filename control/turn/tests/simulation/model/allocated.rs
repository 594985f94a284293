//! A success response to an Allocate request: addresses nobody else has, within quotas.

use std::net::SocketAddr;
use std::time::Duration;

use turnpike_stun::{Attribute, AttributeType, Message};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{Lifetime, XorRelayedAddress};
use turnpike_types::AddressFamily;

use super::response::Author;
use super::{Allocation, Model, Relay, Request, Reserved, slot};
use crate::mirror::{Held, Mirror};
use crate::violation::{Checked, ensure, violated};

impl Model {
    pub(super) fn allocated(
        &mut self,
        request: &Request,
        response: &Message<'_>,
        author: &Author,
        lane: &Mirror,
    ) -> Checked {
        let five_tuple = request.five_tuple;
        let relayed = self.relayed_of(response)?;
        if let Some(known) = self.allocations.get(&five_tuple) {
            return allocated_again(known, request, author, &relayed);
        }
        ensure!(
            author.is_current,
            Authenticated,
            "{} is past its end",
            author.identity
        );
        ensure!(
            !request.redirecting,
            GrantWithinRules,
            "{five_tuple} should go elsewhere"
        );
        let lifetime = self.lifetime_of(response)?;
        let ends_at = request.at + lifetime;
        let mut relays = [None; 2];
        for address in relayed {
            self.check_free(request, author, address)?;
            relays[slot(AddressFamily::of(&address.ip()))] = Some(Relay { address, ends_at });
            let advertised = self.advertised(address);
            self.relayed_ever
                .entry(advertised)
                .or_default()
                .push(five_tuple);
        }
        ensure!(
            relays.iter().any(Option::is_some),
            GrantWithinRules,
            "nothing is allocated"
        );
        self.allocations.insert(
            five_tuple,
            Allocation {
                transaction_id: request.transaction_id,
                identity: author.identity.clone(),
                relays,
                permissions: Default::default(),
                channels: Default::default(),
            },
        );
        self.reserve(request, response, author, &relays);
        for relay in relays.into_iter().flatten() {
            self.check_promise(
                five_tuple,
                Held::Relay(five_tuple, relay.address),
                ends_at,
                lane,
            );
        }
        self.check_quotas(request.at, &author.identity)
    }

    /// A new relayed address is nobody else's, and not reserved for anybody else.
    fn check_free(&self, request: &Request, author: &Author, address: SocketAddr) -> Checked {
        let at = request.at;
        ensure!(
            self.rules.ports.contains(&address.port()),
            GrantWithinRules,
            "{address}"
        );
        for (five_tuple, other) in &self.allocations {
            let has_it = other
                .relays
                .iter()
                .flatten()
                .any(|relay| relay.address == address && relay.ends_at > at);
            ensure!(
                !has_it,
                PortInOneAllocation,
                "{address} belongs to {five_tuple}"
            );
        }
        let own = Self::token_of(&request.message());
        for (token, reserved) in &self.reserved {
            let is_held =
                reserved.is_certain && reserved.address == address && reserved.ends_at > at;
            let is_own = own == Some(*token) && reserved.identity == author.identity;
            ensure!(
                !is_held || is_own,
                PortInOneAllocation,
                "{address} is reserved"
            );
        }
        Ok(())
    }

    fn reserve(
        &mut self,
        request: &Request,
        response: &Message<'_>,
        author: &Author,
        relays: &[Option<Relay>; 2],
    ) {
        if let Some(used) = Self::token_of(&request.message()) {
            self.reserved.remove(&used);
        }
        let relay = relays.iter().flatten().next();
        if let (Some(token), Some(relay)) = (Self::token_of(response), relay) {
            let address = SocketAddr::new(relay.address.ip(), relay.address.port() + 1);
            let ends_at = request.at + self.rules.lifetimes.reservation;
            let identity = author.identity.clone();
            self.reserved.insert(
                token,
                Reserved {
                    address,
                    ends_at,
                    identity,
                    is_certain: true,
                },
            );
        }
    }

    fn relayed_of(&self, response: &Message<'_>) -> Checked<Vec<SocketAddr>> {
        let id = response.transaction_id();
        let attributes = response.attributes();
        let relayed = attributes.filter(|it| it.kind == AttributeType::XOR_RELAYED_ADDRESS);
        let mut addresses = Vec::new();
        for attribute in relayed {
            let Ok(XorRelayedAddress(address)) = XorRelayedAddress::decode(attribute.value, &id)
            else {
                violated!(GrantWithinRules, "a relayed address that is none");
            };
            let own = self
                .rules
                .relay
                .iter()
                .find(|it| it.advertised() == address.ip());
            let Some(own) = own else {
                violated!(GrantWithinRules, "{address} is not a relay address");
            };
            addresses.push(SocketAddr::new(own.ip, address.port()));
        }
        Ok(addresses)
    }

    /// The lifetime granted, which is no more than the rules allow.
    pub(super) fn lifetime_of(&self, response: &Message<'_>) -> Checked<Duration> {
        let Ok(Some(Lifetime(seconds))) = response.get::<Lifetime>() else {
            violated!(GrantWithinRules, "a grant without a lifetime");
        };
        let lifetime = Duration::from_secs(seconds.into());
        let most = self.rules.lifetimes.allocation_max;
        ensure!(
            lifetime <= most,
            GrantWithinRules,
            "{lifetime:?} is more than {most:?}"
        );
        Ok(lifetime)
    }

    fn advertised(&self, address: SocketAddr) -> SocketAddr {
        let own = self.rules.relay.iter().find(|it| it.ip == address.ip());
        SocketAddr::new(
            own.map_or_else(|| address.ip(), RelayAddress::advertised),
            address.port(),
        )
    }
}

/// A retransmission is told the same again, and nobody else anything.
fn allocated_again(
    known: &Allocation,
    request: &Request,
    author: &Author,
    relayed: &[SocketAddr],
) -> Checked {
    let same_request = known.transaction_id == request.transaction_id;
    let same_user = known.identity == author.identity;
    ensure!(
        same_request && same_user,
        OwnAllocationOnly,
        "{} allocates twice",
        request.five_tuple
    );
    let known: Vec<_> = known.relays.iter().flatten().map(|it| it.address).collect();
    let is_same = relayed.iter().all(|address| known.contains(address));
    ensure!(
        is_same,
        PortInOneAllocation,
        "{known:?}, and now {relayed:?}: {}",
        request.five_tuple
    );
    Ok(())
}
