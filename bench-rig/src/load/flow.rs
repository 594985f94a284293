//! One relayed conversation.

use std::net::SocketAddr;

/// An allocation with one permission, one channel and one peer.
///
/// On a hairpin path `peer` is the relayed transport address of another flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its place among the flows of a run, from 0 without gaps; the stamp carries it.
    pub number: u32,
    /// Where the client sends from.
    pub client: SocketAddr,
    /// Where the relay listens.
    pub server: SocketAddr,
    /// The relayed transport address.
    pub relayed: SocketAddr,
    /// Where the peer is.
    pub peer: SocketAddr,
    /// The channel bound to the peer.
    pub channel: u16,
}
