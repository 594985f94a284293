//! Binding (RFC 8489 section 2): where the server sees the client.
//!
//! Stateless and open to all: the response is at most 1.6 times as large as the barest request, and
//! 2.2 times over IPv6.

use turnpike_types::Entropy;

use super::output::{Body, Granted};
use super::procedure::{Refused, Request};
use super::{Refusal, Server};

impl<E: Entropy> Server<E> {
    /// Answers a Binding request.
    ///
    /// # Errors
    ///
    /// 420.
    pub(super) fn binding(&self, request: &Request<'_>) -> Result<Granted, Refused> {
        let unknown = request.unknown(true);
        if unknown.is_empty() {
            Ok(Body::Binding.into())
        } else {
            Err(Refused {
                refusal: Refusal::UnknownAttribute,
                unknown,
            })
        }
    }
}
