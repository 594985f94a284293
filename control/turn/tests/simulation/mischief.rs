//! Somebody who means harm: garbage, captures changed and sent again, sources that lie.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use turnpike_sim::{Delivery, HostId};
use turnpike_types::{Entropy, Timestamp, Transport};

use crate::plan;
use crate::stage::Stage;

/// A host that sends what it should not.
#[derive(Debug)]
pub(crate) struct Mischief {
    pub(crate) host: HostId,
    pub(crate) next_at: Timestamp,
    captures: VecDeque<Capture>,
}

#[derive(Clone, Debug)]
struct Capture {
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

impl Mischief {
    pub(crate) fn new(host: HostId, stage: &mut Stage) -> Self {
        Self {
            host,
            next_at: stage.soon(),
            captures: VecDeque::new(),
        }
    }

    /// Listens at the relay's door.
    pub(crate) fn overhear(&mut self, delivery: &Delivery) {
        if delivery.destination.port() == plan::TCP_PORT {
            return;
        }
        if self.captures.len() >= CAPTURES_MAX {
            self.captures.pop_front();
        }
        self.captures.push_back(Capture {
            source: delivery.source,
            destination: delivery.destination,
            bytes: delivery.payload.clone(),
        });
    }

    pub(crate) fn act(&mut self, stage: &mut Stage) {
        self.next_at = stage.soon();
        for _ in 0..1 + stage.below(4) {
            let (source, destination, bytes) = match stage.below(3) {
                0 => self.garbage(stage),
                _ => self.capture(stage),
            };
            stage.world.send(self.host, source, destination, &bytes);
        }
    }

    /// Random bytes, some with a header that looks right.
    fn garbage(&self, stage: &mut Stage) -> (SocketAddr, SocketAddr, Vec<u8>) {
        let mut bytes = vec![0; stage.below(120) as usize];
        stage.dice.fill(&mut bytes);
        if stage.below(2) == 0 && bytes.len() >= 20 {
            let kinds = [0x0001_u16, 0x0003, 0x0004, 0x0008, 0x0009, 0x0016, 0x0011];
            let kind = stage.one_of(&kinds).unwrap();
            bytes.truncate(bytes.len() & !3);
            let body = (bytes.len() - 20) as u16;
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
            bytes[2..4].copy_from_slice(&body.to_be_bytes());
            bytes[4..8].copy_from_slice(&turnpike_stun::MAGIC_COOKIE.to_be_bytes());
        }
        let listener = plan::listener(MISCHIEF_IP, Transport::Udp);
        (OWN, listener, bytes)
    }

    /// A datagram seen before: from its own source or another, changed or not. In calm weather it
    /// is always changed and never in anybody's name.
    fn capture(&self, stage: &mut Stage) -> (SocketAddr, SocketAddr, Vec<u8>) {
        if self.captures.is_empty() {
            return self.garbage(stage);
        }
        let at = stage.below(self.captures.len() as u32) as usize;
        let Capture {
            source,
            destination,
            mut bytes,
        } = self.captures[at].clone();
        let is_calm = stage.plan.is_calm;
        let pretends = !is_calm && stage.below(3) > 0;
        let source = if pretends { source } else { OWN };
        if is_calm || stage.below(3) > 0 {
            mutate(stage, &mut bytes);
        }
        (source, destination, bytes)
    }
}

/// Flips a few bits, or cuts or grows the end.
fn mutate(stage: &mut Stage, bytes: &mut Vec<u8>) {
    for _ in 0..1 + stage.below(3) {
        let len = bytes.len() as u32;
        match stage.below(6) {
            0 => bytes.truncate(stage.below(len + 1) as usize),
            1 => bytes.push(stage.below(256) as u8),
            _ if len > 0 => {
                // Headers are where it hurts.
                let reach = if stage.below(2) == 0 {
                    len.min(24)
                } else {
                    len
                };
                let at = stage.below(reach) as usize;
                bytes[at] ^= 1 << stage.below(8);
            }
            _ => {}
        }
    }
}

/// Where it sends from when it does not lie.
pub(crate) const MISCHIEF_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(45, 33, 32, 156));

const OWN: SocketAddr = SocketAddr::new(MISCHIEF_IP, 6_666);

const CAPTURES_MAX: usize = 32;
