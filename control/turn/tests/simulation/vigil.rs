//! Somebody who waits for the end of things: a datagram from each side arrives in the last
//! nanosecond of a permission's or a channel's life, and another at its end.

use std::net::SocketAddr;
use std::time::Duration;

use turnpike_stun::{Class, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{Data, XorPeerAddress};
use turnpike_types::{Entry, FiveTuple, Timestamp};

use crate::letter::{Author, LEN_MIN, Letter};
use crate::mirror::Mirror;
use crate::stage::Stage;

/// Who may talk through the relay, by which channel, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) at: Timestamp,
    five_tuple: FiveTuple,
    /// As the world knows it.
    pub(crate) relayed: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// Whether the peer is a host of the world, and not an allocation of the same relay.
    pub(crate) is_outside: bool,
    channel: Option<u16>,
}

/// The next ending to wait for.
#[derive(Debug)]
pub(crate) struct Vigil {
    pub(crate) at: Timestamp,
    ending: Option<Ending>,
}

impl Mirror {
    /// What ends first after `now`, besides relayed addresses.
    pub(crate) fn next_ending(&self, now: Timestamp) -> Option<Ending> {
        let endings = self.entries().filter_map(|entry| match entry {
            Entry::Allocation(_) => None,
            Entry::Permission(it) => Some(Ending {
                at: it.expires_at,
                five_tuple: self.five_tuple(it.allocation)?,
                relayed: it.relayed.0,
                peer: SocketAddr::new(it.peer_ip, it.ports.min.max(40_000)),
                is_outside: true,
                channel: None,
            }),
            Entry::Channel(it) => Some(Ending {
                at: it.expires_at,
                five_tuple: it.five_tuple,
                relayed: it.relayed.0,
                peer: it.wire_peer.0,
                is_outside: true,
                channel: Some(it.number.get()),
            }),
        });
        endings
            .filter(|ending| ending.at > now)
            .min_by_key(|ending| ending.at)
    }
}

impl Vigil {
    pub(crate) const fn new() -> Self {
        Self {
            at: Timestamp::ZERO,
            ending: None,
        }
    }

    /// Sends what is due, and chooses what to wait for; `next` is what ends first after a while,
    /// in the world's time. Datagrams take [`UNDER_WAY`] from here to the relay.
    pub(crate) fn keep(
        &mut self,
        stage: &mut Stage,
        host: turnpike_sim::HostId,
        next: Option<Ending>,
    ) {
        let now = stage.world.now();
        if let Some(ending) = self.ending {
            ending.send(stage, host);
            if now + UNDER_WAY < ending.at {
                self.at = now + NANOSECOND;
                return;
            }
        }
        self.ending = next.filter(|next| next.at > now + UNDER_WAY + NANOSECOND);
        let ahead = UNDER_WAY + NANOSECOND;
        self.at = match &self.ending {
            Some(ending) => now + ending.at.since(now + ahead),
            None => now + PAUSE,
        };
        if self.at > now + PAUSE {
            // By then something else may end sooner.
            (self.at, self.ending) = (now + PAUSE, None);
        }
    }
}

impl Ending {
    fn send(&self, stage: &mut Stage, host: turnpike_sim::HostId) {
        let Self {
            five_tuple,
            relayed,
            peer,
            channel,
            ..
        } = *self;
        if self.is_outside {
            let letter = Letter {
                author: Author::Peer(peer),
                to: relayed,
                is_permitted: false,
            };
            let letter = stage.letters.write(letter, LEN_MIN);
            stage.world.send(host, peer, relayed, &letter);
        }
        let bytes = match channel {
            Some(number) => [&number.to_be_bytes()[..], &[0, 3], b"end"].concat(),
            None => {
                let mut buf = [0; 128];
                let id = TransactionId::random(&mut stage.dice);
                let len = MessageBuilder::new(&mut buf, Class::Indication, Method::SEND, id)
                    .attribute(&XorPeerAddress(peer))
                    .attribute(&Data(b"end"))
                    .finish()
                    .unwrap();
                buf[..len].to_vec()
            }
        };
        stage
            .world
            .send(host, five_tuple.client.0, five_tuple.server.0, &bytes);
    }
}

/// The links of whoever waits here and of the relay, together.
const UNDER_WAY: Duration = Duration::from_millis(2);

const NANOSECOND: Duration = Duration::from_nanos(1);

/// How long to look away.
const PAUSE: Duration = Duration::from_secs(10);
