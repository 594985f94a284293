//! The relay proves itself: two allocations relay to each other, over real sockets of this host.
//!
//! For each family it listens on, both clients send through indications and then through channels,
//! both ways, and compare what comes out. Nothing but the network stands between this and a call.

mod caller;

use std::time::{Duration, Instant};

use turnpike_turn::RelayAddress;
use turnpike_types::{AddressFamily, PeerAddr, ServerAddr};

pub use caller::{CallError, Caller};

/// How long each answer may take.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What one round proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The listener that was used.
    pub server: ServerAddr,
    /// The family of the relayed addresses.
    pub relayed: AddressFamily,
    /// From the first request to the last datagram compared.
    pub took: Duration,
}

/// Where a round failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} at {server}: {cause}")]
pub struct ProbeError {
    /// The listener that was used.
    pub server: ServerAddr,
    /// What was being done.
    pub step: &'static str,
    /// What came instead.
    pub cause: CallError,
}

/// Proves the first listener of each family.
pub fn run(
    listeners: &[ServerAddr],
    relay: &[RelayAddress],
    credential: Option<(&str, &str)>,
) -> Vec<Result<Proof, ProbeError>> {
    let families = [AddressFamily::Ipv4, AddressFamily::Ipv6];
    families
        .into_iter()
        .filter_map(|family| {
            let server = *listeners.iter().find(|server| server.family() == family)?;
            let has = |family| relay.iter().any(|own| AddressFamily::of(&own.ip) == family);
            let relayed = if has(family) { family } else { family.other() };
            Some(prove(server, relayed, credential))
        })
        .collect()
}

fn prove(
    server: ServerAddr,
    relayed: AddressFamily,
    credential: Option<(&str, &str)>,
) -> Result<Proof, ProbeError> {
    let at = |step| {
        move |cause| ProbeError {
            server,
            step,
            cause,
        }
    };
    let started = Instant::now();
    let allocate = || Caller::allocate(server, credential, relayed, PATIENCE);
    let mut one = allocate().map_err(at("the first allocation"))?;
    let mut other = allocate().map_err(at("the second allocation"))?;
    let (Some(one_at), Some(other_at)) = (one.relayed(relayed), other.relayed(relayed)) else {
        return Err(at("the relayed addresses")(CallError::Silence(PATIENCE)));
    };
    let (one_at, other_at) = (PeerAddr(one_at.0), PeerAddr(other_at.0));
    one.permit(other_at.ip()).map_err(at("a permission"))?;
    other.permit(one_at.ip()).map_err(at("a permission"))?;
    exchange(&mut one, &mut other, one_at, other_at).map_err(at("relaying by indications"))?;
    one.bind_channel(other_at).map_err(at("a channel"))?;
    other.bind_channel(one_at).map_err(at("a channel"))?;
    exchange(&mut one, &mut other, one_at, other_at).map_err(at("relaying through channels"))?;
    let took = started.elapsed();
    one.close().map_err(at("the end of the first allocation"))?;
    other
        .close()
        .map_err(at("the end of the second allocation"))?;
    Ok(Proof {
        server,
        relayed,
        took,
    })
}

/// Sends a datagram each way and waits for it on the other side.
fn exchange(
    one: &mut Caller,
    other: &mut Caller,
    one_at: PeerAddr,
    other_at: PeerAddr,
) -> Result<(), CallError> {
    one.send(other_at, b"turnpike probe, there")?;
    expect(other, one_at, b"turnpike probe, there")?;
    other.send(one_at, b"turnpike probe, and back")?;
    expect(one, other_at, b"turnpike probe, and back")
}

/// Waits for a datagram of this peer with these bytes; others are passed over.
fn expect(caller: &mut Caller, from: PeerAddr, bytes: &[u8]) -> Result<(), CallError> {
    loop {
        let (peer, payload) = caller.receive()?;
        if peer == from && payload == bytes {
            return Ok(());
        }
    }
}
