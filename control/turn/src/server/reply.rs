//! Responses and indications as bytes (RFC 8489 section 6.3.1, RFC 8656 sections 7.2 and 11.5).
//!
//! A response to a stranger is not larger than it must be: reason phrases, and SOFTWARE where it is
//! configured, go to clients that have authenticated.

use turnpike_stun::long_term::SecurityFeatures;
use turnpike_stun::{
    AlternateDomain, AlternateServer, Class, EncodeError, ErrorCode, MessageBuilder, Method, Realm,
    Software, XorMappedAddress,
};
use turnpike_types::Entropy;

use super::authenticate::OFFERED_ALGORITHMS;
use super::output::{Body, IcmpIndication, Reply};
use super::procedure::{Procedure, Refused};
use super::{Refusal, Server};
use crate::attribute::{AddressErrorCode, Lifetime, XorPeerAddress, XorRelayedAddress};

impl<E: Entropy> Server<E> {
    /// Writes a response to the start of `buf`.
    ///
    /// # Errors
    ///
    /// When `buf` is too small.
    pub(super) fn write_reply(&self, reply: &Reply, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let class = if reply.result.is_ok() {
            Class::Success
        } else {
            Class::Error
        };
        let method = reply.procedure.method();
        let mut message = MessageBuilder::new(buf, class, method, reply.transaction_id);
        match &reply.result {
            Ok(granted) => self.write_granted(&mut message, reply, granted.body),
            Err(refused) => self.write_refused(&mut message, reply, refused),
        }
        let names_software = matches!(reply.procedure, Procedure::Allocate | Procedure::Refresh);
        if let (true, Some(_), Some(software)) = (names_software, reply.seal, &self.config.software)
        {
            message.attribute(&Software(software));
        }
        if let Some(seal) = &reply.seal {
            for algorithm in seal.algorithms {
                message.integrity(*algorithm, &seal.key);
            }
        }
        if reply.fingerprint {
            message.fingerprint();
        }
        message.finish()
    }

    fn write_granted(&self, message: &mut MessageBuilder<'_>, reply: &Reply, body: Body) {
        let client = reply.five_tuple.client.0;
        match body {
            Body::Binding => {
                message.attribute(&XorMappedAddress(client));
            }
            Body::Refreshed { lifetime, .. } => {
                message.attribute(&Lifetime(lifetime));
            }
            Body::Permitted { .. } => {}
            Body::Allocated { id, .. } => {
                let Some(allocation) = self.allocations.get(id) else {
                    return;
                };
                for relay in allocation.relays.into_iter().flatten() {
                    if let Some(own) = self.relays.address(relay.address) {
                        message.attribute(&XorRelayedAddress(relay.at(own.advertised())));
                    }
                }
                message.attribute(&Lifetime(allocation.lifetime));
                message.attribute(&XorMappedAddress(client));
                let Some(extras) = &allocation.extras else {
                    return;
                };
                if let Some(token) = extras.reservation_token {
                    message.attribute(&token);
                }
                if let Some(error) = extras.address_error {
                    let (family, code) = (error.family, error.code);
                    message.attribute(&AddressErrorCode {
                        family,
                        code,
                        reason: "",
                    });
                }
            }
        }
    }

    fn write_refused(
        &self,
        message: &mut MessageBuilder<'_>,
        reply: &Reply,
        Refused { refusal, unknown }: &Refused,
    ) {
        let reason = match reply.seal {
            Some(_) => refusal.reason(),
            None => "",
        };
        message.attribute(&ErrorCode {
            code: refusal.code(),
            reason,
        });
        match refusal {
            Refusal::Unauthenticated | Refusal::StaleNonce => self.write_challenge(message, reply),
            Refusal::UnknownAttribute => {
                message.attribute(unknown);
            }
            Refusal::TryAlternate => self.write_redirect(message, reply),
            _ => {}
        }
    }

    fn write_challenge(&self, message: &mut MessageBuilder<'_>, reply: &Reply) {
        let features = self.features();
        let nonce = self
            .nonces
            .mint(self.now, &reply.five_tuple.client, features);
        message.attribute(&Realm(self.config.realm.as_bytes()));
        message.attribute(&nonce.as_attribute());
        // DEVIATION(rfc8489-9.2.4-list): not sent where MD5 is all there is to choose.
        if features.contains(SecurityFeatures::PASSWORD_ALGORITHMS) {
            message.attribute(&OFFERED_ALGORITHMS);
        }
    }

    fn write_redirect(&self, message: &mut MessageBuilder<'_>, reply: &Reply) {
        let Some(redirect) = &self.config.redirect else {
            return;
        };
        let client = reply.five_tuple.client.ip();
        let Some((same_family, other_family)) = redirect.servers_for(client) else {
            return;
        };
        message.attribute(&AlternateServer(same_family));
        if let Some(server) = other_family {
            message.attribute(&AlternateServer(server));
        }
        if let Some(domain) = &redirect.domain {
            message.attribute(&AlternateDomain(domain));
        }
    }
}

/// Writes a Data indication to the start of `buf`.
///
/// # Errors
///
/// When `buf` is too small.
pub(super) fn write_icmp(it: &IcmpIndication, buf: &mut [u8]) -> Result<usize, EncodeError> {
    MessageBuilder::new(buf, Class::Indication, Method::DATA, it.transaction_id)
        .attribute(&XorPeerAddress(it.peer.0))
        .attribute(&it.icmp)
        .finish()
}
