//! Peers: they speak no TURN, answer letters, send some of their own, or are not at home.

use std::net::{IpAddr, SocketAddr};

use turnpike_sim::{Delivery, HostId};
use turnpike_types::Timestamp;

use crate::letter::{Author, LEN_MIN, Letter};
use crate::stage::{PEER_PORTS, Stage};
use crate::violation::{Checked, ensure};

/// How a peer takes letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Echo,
    Talkative,
    Silent,
    /// Its port is closed: an ICMP error goes back.
    Closed,
}

/// One peer's host.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) host: HostId,
    ips: [IpAddr; 2],
    manner: Manner,
    pub(crate) next_at: Timestamp,
}

impl Peer {
    pub(crate) fn new(host: HostId, ips: [IpAddr; 2], stage: &mut Stage) -> Self {
        let manners = [
            Manner::Echo,
            Manner::Talkative,
            Manner::Silent,
            Manner::Closed,
        ];
        let manner = stage.one_of(&manners).unwrap();
        Self {
            host,
            ips,
            manner,
            next_at: stage.soon(),
        }
    }

    /// Takes a datagram; says whether an ICMP error goes back.
    pub(crate) fn receive(&mut self, stage: &mut Stage, delivery: &Delivery) -> Checked<bool> {
        let Delivery {
            source,
            destination,
            payload,
            ..
        } = delivery;
        let letter = stage.letters.read(payload);
        // In rough weather a capture may have been given another address and sent again.
        if let Some(Letter {
            author: Author::Caller(_),
            to,
            ..
        }) = letter
            && stage.plan.is_calm
        {
            ensure!(
                to == *destination,
                PayloadIntact,
                "a letter to {to} came to {destination}"
            );
        }
        let is_relay = stage
            .plan
            .relay
            .iter()
            .any(|relay| relay.advertised() == source.ip());
        ensure!(is_relay, PayloadIntact, "{source} is no relayed address");
        match self.manner {
            Manner::Closed => return Ok(true),
            Manner::Echo => self.write(stage, *destination, *source, payload.len()),
            Manner::Talkative | Manner::Silent => {}
        }
        Ok(false)
    }

    /// Writes to a relayed address, whether welcome or not.
    pub(crate) fn act(&mut self, stage: &mut Stage) {
        self.next_at = stage.soon();
        let count = if self.manner == Manner::Talkative {
            4
        } else {
            1
        };
        for _ in 0..count {
            let relayed = stage.relayed.clone();
            let Some(to) = stage.one_of(&relayed) else {
                return;
            };
            let from = self.ips[usize::from(to.is_ipv6())];
            let port = stage.one_of(&PEER_PORTS).unwrap();
            let len = stage.below(1_200) as usize;
            self.write(stage, SocketAddr::new(from, port), to, len);
        }
    }

    fn write(&self, stage: &mut Stage, from: SocketAddr, to: SocketAddr, len: usize) {
        let letter = Letter {
            author: Author::Peer(from),
            to,
            is_permitted: false,
        };
        let bytes = stage.letters.write(letter, len.max(LEN_MIN));
        stage.world.send(self.host, from, to, &bytes);
    }
}
