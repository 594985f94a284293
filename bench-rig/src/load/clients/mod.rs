//! Many TURN clients on one packet socket: they get their allocations, keep them and give them back.
//!
//! Each client is the project's own engine with a virtual address. A bounded number of them has
//! requests out at a time; the engine sends again what gets no answer. A relay that gives fewer
//! allocations than were asked for is no error: how far it got, and its words, are a result.

mod address;
mod caller;
pub mod churn;
mod crew;

use std::net::SocketAddr;
use std::time::Duration;

use turnpike_turn::client::Credential;
use turnpike_types::AddressFamily;

use self::caller::Caller;
use self::crew::Crew;
use super::packet::Wire;
use super::{Flow, LoadError, packet};

/// Which clients are wanted.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Where the relay listens; clients take turns. All of one family, which is the clients'.
    pub servers: Vec<SocketAddr>,
    /// Users; clients take turns.
    pub credentials: Vec<Credential>,
    /// How many allocations.
    pub count: u32,
    /// The family of relayed addresses and peers.
    pub relayed: AddressFamily,
    /// Whom clients talk to.
    pub peers: Peers,
    /// Whether there is a channel to the peer, or a permission alone.
    pub channels: bool,
}

/// Whom clients talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Each to a virtual peer of its own.
    Virtual,
    /// By twos to each other's relayed addresses; the number of flows is even.
    Pairs,
}

/// Clients with allocations. Dropping it leaves the allocations to their end; see
/// [`Established::close`].
#[derive(Debug)]
pub struct Established {
    /// What was established, numbered from 0.
    pub flows: Vec<Flow>,
    /// How far the relay got and why it stopped, when it gave less than was asked for.
    pub ceiling: Option<String>,
    crew: Crew,
}

/// Gets the allocations, and a permission and channel for each.
///
/// # Errors
/// When the generator fails, or the relay gives nothing at all.
pub fn establish(wire: &Wire<'_>, crowd: &Crowd) -> Result<Established, LoadError> {
    if crowd.servers.is_empty() || crowd.credentials.is_empty() || crowd.count == 0 {
        let why = "clients need a server, a user and to be one at least".to_owned();
        return Err(LoadError::Unfit(why));
    }
    let mut crew = Crew::new(wire)?;
    for number in 0..crowd.count {
        crew.add(Caller::new(crowd, number));
    }
    let asked = usize::try_from(crowd.count).unwrap_or(usize::MAX);
    let stopped = crew.settle(&mut (0..asked), |caller, now| caller.allocate(now))?;
    let mut able = crew.able(Caller::is_allocated);
    let peers: Vec<SocketAddr> = match crowd.peers {
        Peers::Virtual => {
            let peer = |number| address::of(packet::PEERS, crowd.relayed, number);
            (0..crowd.count).map(peer).take(able.len()).collect()
        }
        Peers::Pairs => {
            able.truncate(able.len() / 2 * 2);
            crew.relayed_by_twos(&able)
        }
    };
    for (place, peer) in able.iter().zip(&peers) {
        crew.give_peer(*place, *peer);
    }
    let channels = crowd.channels;
    let stopped_later = crew.settle(&mut able.iter().copied(), |caller, now| {
        caller.reach_peer(channels, now);
    })?;
    let flows = crew.flows(&able);
    let stopped = stopped.or(stopped_later);
    if flows.is_empty() {
        let why = stopped.unwrap_or_else(|| "gave no allocation and no reason".to_owned());
        return Err(LoadError::Relay(why));
    }
    let ceiling = (flows.len() < asked).then(|| {
        let why = stopped.unwrap_or_else(|| "gave no reason".to_owned());
        format!("{} of {asked} allocations; the relay {why}", flows.len())
    });
    Ok(Established {
        flows,
        ceiling,
        crew,
    })
}

impl Established {
    /// Refreshes what is due. Between runs, at least once every [`KEEP_ALIVE_EVERY`].
    ///
    /// # Errors
    /// When the generator fails, or the relay does not refresh.
    pub fn keep_alive(&mut self) -> Result<(), LoadError> {
        let due = self.crew.due();
        match self
            .crew
            .settle(&mut due.into_iter(), |caller, now| caller.wake(now))?
        {
            Some(why) => Err(LoadError::Relay(why)),
            None => Ok(()),
        }
    }

    /// Ends all allocations (Refresh with lifetime 0).
    ///
    /// # Errors
    /// When the generator fails, or the relay does not answer.
    pub fn close(mut self) -> Result<(), LoadError> {
        let open = self.crew.able(Caller::is_allocated);
        match self
            .crew
            .settle(&mut open.into_iter(), |caller, now| caller.close(now))?
        {
            Some(why) => Err(LoadError::Relay(why)),
            None => Ok(()),
        }
    }
}

/// The one whose turn it is.
fn turn<T>(all: &[T], place: usize) -> Option<&T> {
    all.get(place.checked_rem(all.len())?)
}

/// A permission is refreshed a minute before its end.
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(50);
