//! Packets that reach the relay: shown to the lane, and to the server what the lane passes on.

use std::net::{IpAddr, SocketAddr};

use turnpike_sim::{Delivery, World};
use turnpike_stun::{AttributeType, HEADER_LEN, Message};
use turnpike_turn::forward::Verdict;
use turnpike_turn::server::Disposition;
use turnpike_turn::{advertised_ip, wire_ip};
use turnpike_types::{
    ClientAddr, FiveTuple, PeerAddr, RelayedAddr, ServerAddr, Timestamp, Transport,
};

use super::Relay;
use crate::account::UNIX_START;
use crate::plan::{self, TCP_PORT, UDP_PORT};
use crate::violation::{Checked, ensure, violated};

impl Relay {
    /// Takes a datagram that arrived: from a client, or at a relayed address.
    pub(crate) fn receive(
        &mut self,
        world: &mut World,
        delivery: &Delivery,
    ) -> Checked<Option<Vec<u8>>> {
        let Delivery {
            source,
            destination,
            payload,
            ..
        } = delivery;
        let is_listener = [UDP_PORT, TCP_PORT].contains(&destination.port())
            && plan::services().contains(destination);
        if is_listener {
            let transport = match destination.port() {
                TCP_PORT => Transport::Tcp,
                _ => Transport::Udp,
            };
            let (client, server) = (ClientAddr(*source), ServerAddr(*destination));
            self.take_from_client(
                world,
                FiveTuple {
                    client,
                    server,
                    transport,
                },
                payload,
            )
        } else {
            let relayed = SocketAddr::new(wire_ip(&self.own, destination.ip()), destination.port());
            self.take_from_peer(world, relayed, *source, payload)
                .map(|()| None)
        }
    }

    /// The payload of a packet that was not forwarded, where a client believed it would be.
    fn take_from_client(
        &mut self,
        world: &mut World,
        five_tuple: FiveTuple,
        bytes: &[u8],
    ) -> Checked<Option<Vec<u8>>> {
        let now = self.now(world);
        let (verdict, expected) = self
            .lane
            .show_from_client(now, &five_tuple, bytes, &self.own)?;
        match verdict {
            Verdict::ToPeer(to) => {
                self.counts.forwarded += 1;
                self.check_permitted(now, &five_tuple, to.peer.ip())?;
                let payload = bytes[to.payload].to_vec();
                self.send_to_peer(world, to.relayed, to.peer, &payload)?;
                return Ok(None);
            }
            Verdict::Pass => {
                self.counts.passed += 1;
                self.backlog.push_back((five_tuple, bytes.to_vec()));
                self.work_off(world)?;
            }
            Verdict::Drop(_) => self.counts.dropped += 1,
            Verdict::ToClient(_) => violated!(LaneAgrees, "{five_tuple} sent to itself"),
        }
        Ok(expected
            .map(|passage| passage.payload)
            .or_else(|| payload_of(bytes)))
    }

    /// Hands requests to the server, one after the other, while no command stalls.
    pub(super) fn work_off(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        while !self.is_stalled() {
            let Some((five_tuple, bytes)) = self.backlog.pop_front() else {
                return Ok(());
            };
            let unix_seconds = UNIX_START + now.as_secs();
            if self.server.handle_input(now, five_tuple, &bytes) == Disposition::Consumed {
                self.model.taken_up(now, unix_seconds, five_tuple, &bytes);
            }
            self.drain(world)?;
        }
        let waiting = self.backlog.len();
        ensure!(
            waiting <= BACKLOG_MAX,
            MemoryBounded,
            "{waiting} requests wait"
        );
        Ok(())
    }

    /// To a peer; one that is a relayed address of ours is reached without leaving the host.
    fn send_to_peer(
        &mut self,
        world: &mut World,
        from: RelayedAddr,
        to: PeerAddr,
        payload: &[u8],
    ) -> Checked {
        if self.own.iter().any(|relay| relay.ip == to.ip()) {
            return self.take_from_peer(world, to.0, from.0, payload);
        }
        let source = SocketAddr::new(advertised_ip(&self.own, from.ip()), from.port());
        world.send(self.host, source, to.0, payload);
        Ok(())
    }

    fn take_from_peer(
        &mut self,
        world: &mut World,
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
    ) -> Checked {
        let now = self.now(world);
        match self
            .lane
            .show_from_peer(now, relayed, peer, payload, &self.own)?
        {
            Some((five_tuple, message)) => {
                self.counts.forwarded += 1;
                self.check_permitted(now, &five_tuple, peer.ip())?;
                world.send(
                    self.host,
                    five_tuple.server.0,
                    five_tuple.client.0,
                    &message,
                );
            }
            None => self.counts.dropped += 1,
        }
        Ok(())
    }

    /// While a command stalls, what has ended may still be open; its entry bounds it.
    fn check_permitted(&self, now: Timestamp, five_tuple: &FiveTuple, wire_ip: IpAddr) -> Checked {
        let is_permitted = self.is_stalled() || self.model.permits(now, five_tuple, wire_ip);
        ensure!(
            is_permitted,
            PermissionBeforeForwarding,
            "{five_tuple} and {wire_ip}"
        );
        Ok(())
    }
}

/// What a client wanted to send, whatever became of it.
fn payload_of(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [0x40..=0x4F, _, l0, l1, rest @ ..] => rest
            .get(..usize::from(u16::from_be_bytes([*l0, *l1])))
            .map(<[u8]>::to_vec),
        [0x00, 0x16, ..] if bytes.len() > HEADER_LEN => Message::parse(bytes)
            .ok()?
            .raw(AttributeType::DATA)
            .map(<[u8]>::to_vec),
        _ => None,
    }
}

/// The most requests that may wait for a stalled command.
const BACKLOG_MAX: usize = 1_000;
