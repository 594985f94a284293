//! The relay proves itself: two allocations relay to each other, over real sockets of this host.
//!
//! For each transport and family it listens on, both clients send through indications and then
//! through channels, both ways, and compare what comes out. Nothing but the network stands between
//! this and a call.

mod caller;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use turnpike_turn::RelayAddress;
use turnpike_types::{AddressFamily, PeerAddr, ServerAddr, Transport};

use crate::config::ListenConfig;

pub use caller::{CallError, Caller};
pub use wire::{TlsStream, Wire, tcp, tls, udp};

/// How long each answer may take.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What one round proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The listener that was used.
    pub listener: ListenConfig,
    /// The family of the relayed addresses.
    pub relayed: AddressFamily,
    /// From the first connection to the last datagram compared.
    pub took: Duration,
}

/// Where a round failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} at {} {}: {cause}", .listener.transport, .listener.address)]
pub struct ProbeError {
    /// The listener that was used.
    pub listener: ListenConfig,
    /// What was being done.
    pub step: &'static str,
    /// What came instead.
    pub cause: CallError,
}

/// Proves the first listener of each transport and family. `trust` is what TLS listeners are told
/// by; without it they are passed over.
pub fn run(
    listeners: &[ListenConfig],
    relay: &[RelayAddress],
    credential: Option<(&str, &str)>,
    trust: Option<&Arc<ClientConfig>>,
) -> Vec<Result<Proof, ProbeError>> {
    let mut results = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
            let is_meant = |it: &&ListenConfig| {
                it.transport == transport && AddressFamily::of(&it.address.ip()) == family
            };
            let Some(listener) = listeners.iter().copied().find(|it| is_meant(&it)) else {
                continue;
            };
            let has = |family| relay.iter().any(|own| AddressFamily::of(&own.ip) == family);
            let round = Round {
                listener,
                relayed: if has(family) { family } else { family.other() },
                credential,
            };
            results.extend(round.prove(trust));
        }
    }
    results
}

/// One listener, and how it is proved.
#[derive(Clone, Copy)]
struct Round<'a> {
    listener: ListenConfig,
    relayed: AddressFamily,
    credential: Option<(&'a str, &'a str)>,
}

impl Round<'_> {
    /// `None` for a transport that no client is here for.
    fn prove(&self, trust: Option<&Arc<ClientConfig>>) -> Option<Result<Proof, ProbeError>> {
        let server = ServerAddr(self.listener.address);
        match (self.listener.transport, trust) {
            (Transport::Udp, _) => Some(self.prove_over(|| udp(server))),
            (Transport::Tcp, _) => Some(self.prove_over(|| tcp(server, PATIENCE))),
            (Transport::Tls, Some(trust)) => Some(self.prove_over(|| tls(server, trust, PATIENCE))),
            (Transport::Tls, None) | (Transport::Dtls, _) => None,
        }
    }

    fn prove_over<W: Wire>(&self, open: impl Fn() -> io::Result<W>) -> Result<Proof, ProbeError> {
        let started = Instant::now();
        let mut one = self
            .allocate(&open)
            .map_err(self.failed("the first allocation"))?;
        let mut other = match self.allocate(&open) {
            Ok(other) => other,
            Err(error) => {
                one.abandon();
                return Err(self.failed("the second allocation")(error));
            }
        };
        // What a failed proof leaves behind would hold up the end of the relay.
        if let Err(error) = self.relay(&mut one, &mut other) {
            one.abandon();
            other.abandon();
            return Err(error);
        }
        let took = started.elapsed();
        let at = |step| self.failed(step);
        one.close().map_err(at("the end of the first allocation"))?;
        other
            .close()
            .map_err(at("the end of the second allocation"))?;
        Ok(Proof {
            listener: self.listener,
            relayed: self.relayed,
            took,
        })
    }

    /// Has both send to each other, through indications and then through channels.
    fn relay<W: Wire>(&self, one: &mut Caller<W>, other: &mut Caller<W>) -> Result<(), ProbeError> {
        let at = |step| self.failed(step);
        let addresses = (one.relayed(self.relayed), other.relayed(self.relayed));
        let (Some(one_at), Some(other_at)) = addresses else {
            return Err(at("the relayed addresses")(CallError::Silence(PATIENCE)));
        };
        let (one_at, other_at) = (PeerAddr(one_at.0), PeerAddr(other_at.0));
        one.permit(other_at.ip()).map_err(at("a permission"))?;
        other.permit(one_at.ip()).map_err(at("a permission"))?;
        exchange(one, other, one_at, other_at).map_err(at("relaying by indications"))?;
        one.bind_channel(other_at).map_err(at("a channel"))?;
        other.bind_channel(one_at).map_err(at("a channel"))?;
        exchange(one, other, one_at, other_at).map_err(at("relaying through channels"))
    }

    fn allocate<W: Wire>(&self, open: &impl Fn() -> io::Result<W>) -> Result<Caller<W>, CallError> {
        let ListenConfig { transport, address } = self.listener;
        let server = ServerAddr(address);
        let wish = caller::wish(server, transport, self.credential, self.relayed);
        let mut caller = Caller::over(open()?, wish, PATIENCE)?;
        caller.wait_for_allocation()?;
        Ok(caller)
    }

    fn failed(&self, step: &'static str) -> impl FnOnce(CallError) -> ProbeError + use<> {
        let listener = self.listener;
        move |cause| ProbeError {
            listener,
            step,
            cause,
        }
    }
}

/// Sends a datagram each way and waits for it on the other side.
fn exchange<W: Wire>(
    one: &mut Caller<W>,
    other: &mut Caller<W>,
    one_at: PeerAddr,
    other_at: PeerAddr,
) -> Result<(), CallError> {
    one.send(other_at, b"turnpike probe, there")?;
    expect(other, one_at, b"turnpike probe, there")?;
    other.send(one_at, b"turnpike probe, and back")?;
    expect(one, other_at, b"turnpike probe, and back")
}

/// Waits for a datagram of this peer with these bytes; others are passed over.
fn expect<W: Wire>(caller: &mut Caller<W>, from: PeerAddr, bytes: &[u8]) -> Result<(), CallError> {
    loop {
        let (peer, payload) = caller.receive()?;
        if peer == from && payload == bytes {
            return Ok(());
        }
    }
}
