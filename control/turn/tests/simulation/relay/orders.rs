//! What happens to the relay beside packets: the operator's orders, ICMP errors, clock jumps.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnpike_sim::World;
use turnpike_turn::server::{IcmpError, PeerPolicy, Redirect};
use turnpike_turn::wire_ip;
use turnpike_types::{FiveTuple, PeerAddr, RelayedAddr, Timestamp};

use super::Relay;
use crate::plan::UDP_PORT;
use crate::violation::Checked;

impl Relay {
    /// What was sent to a peer came back as an ICMP error.
    pub(crate) fn icmp(
        &mut self,
        world: &mut World,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) -> Checked {
        if self.is_stalled() {
            return Ok(());
        }
        let now = self.now(world);
        let relayed = SocketAddr::new(wire_ip(&self.own, relayed.ip()), relayed.port());
        let (kind, code) = if peer.is_ipv4() { (3, 3) } else { (1, 4) };
        self.model.icmp(now);
        let (relayed, peer) = (RelayedAddr(relayed), PeerAddr(peer));
        let error = IcmpError {
            relayed,
            peer,
            kind,
            code,
            data: [0; 4],
        };
        self.server.handle_icmp(now, error);
        self.drain(world)
    }

    pub(crate) fn set_policy(&mut self, world: &mut World, denied: BTreeSet<IpAddr>) -> Checked {
        let now = self.now(world);
        let deny = denied.iter().map(|ip| (*ip).into()).collect();
        self.server.set_peer_policy(
            now,
            PeerPolicy {
                deny,
                ..PeerPolicy::default()
            },
        );
        self.model.policy_changed(denied);
        self.drain(world)
    }

    pub(crate) fn set_redirect(&mut self, redirecting: bool) {
        let redirect = redirecting.then(|| Redirect {
            ipv4: Some(([93, 184, 216, 99], UDP_PORT).into()),
            ipv6: Some((std::net::Ipv6Addr::LOCALHOST, UDP_PORT).into()),
            domain: None,
        });
        self.server.set_redirect(redirect).unwrap();
        self.model.redirect(redirecting);
    }

    /// A stream client goes away, or the operator ends its allocation.
    pub(crate) fn end(&mut self, world: &mut World, five_tuple: FiveTuple) -> Checked {
        let now = self.now(world);
        self.model.end_by_order(five_tuple);
        match self.server.allocation(&five_tuple) {
            Some(id) if !five_tuple.transport.is_stream() => self.server.end_allocation(now, id),
            _ => self.server.handle_disconnect(now, &five_tuple),
        }
        self.drain(world)
    }

    /// The server's clock jumps, as after a suspend.
    pub(crate) fn step_clock(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// The clock that the server is told goes back; that counts as standing still.
    pub(crate) fn look_back(&mut self, world: &mut World) -> Checked {
        self.server.handle_timeout(Timestamp::ZERO);
        self.drain(world)
    }
}
