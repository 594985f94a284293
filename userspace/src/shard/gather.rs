//! Datagrams that leave one after the other for the same place leave together.
//!
//! What is to be sent waits, until the turn's end at most, for a neighbour: the next datagram, by
//! the same socket to the same address and no longer than the first, joins it, and both leave as one
//! [`Run`] with `UDP_SEGMENT`. Only neighbours join, so that no datagram overtakes another. One that
//! stays alone leaves as if nothing had been waited for.
//!
//! The kernel refuses a run whose datagrams exceed the path's MTU, and any run of a socket whose
//! route cannot take one. Its datagrams are then sent one by one, and the socket's later ones not
//! gathered for a while (see [`Sockets::refused_run`](super::sockets::Sockets::refused_run)).

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use nix::errno::Errno;
use socket2::Socket;
use turnpike_types::DropReason;

use super::socket_lane::{SocketLane, reason_of};
use crate::uring::{PADDING_MAX, Part, Ring, Run, Via};

/// The way a datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The socket's slot.
    pub(super) slot: u32,
    pub(super) via: Via,
    pub(super) to: SocketAddr,
}

/// The run that neighbours may join.
#[derive(Debug)]
pub(super) struct Gathering {
    route: Route,
    run: Run,
}

impl SocketLane {
    /// Queues a datagram behind those before it. It is counted when it is sent, or here as dropped.
    pub(super) fn send(&mut self, route: Route, part: Part) {
        let part = match &mut self.gathering {
            Some(open) if open.route == route => {
                if self.sockets.takes_run(route.slot, open.run.segment()) {
                    match open.run.push(part) {
                        Ok(()) => return,
                        Err(part) => part,
                    }
                } else {
                    part
                }
            }
            _ => part,
        };
        self.send_gathered();
        let Some(mut run) = self.ring.take_run() else {
            return self.send_alone(&route, part);
        };
        match run.push(part) {
            Ok(()) => self.gathering = Some(Gathering { route, run }),
            // Longer than a datagram can be.
            Err(part) => {
                self.ring.give_back_run(run);
                self.drop_packet(part.buffer, DropReason::Oversize);
            }
        }
    }

    /// Queues what was gathered; at the latest before the loop waits.
    pub(super) fn send_gathered(&mut self) {
        let Some(Gathering { route, mut run }) = self.gathering.take() else {
            return;
        };
        if let [part] = run.parts()
            && self.ring.is_sole(&part.buffer)
            && let Some(part) = run.pop()
        {
            self.ring.give_back_run(run);
            return self.send_alone(&route, part);
        }
        let sender = self.sockets.name(route.slot);
        if let Err(run) = self.ring.send_run(route.via, run, &route.to, sender) {
            self.drop_run(run, DropReason::QueueFull);
        }
    }

    /// Takes note of what became of a run; a failure harms no other packet.
    pub(super) fn run_sent(&mut self, run: Run, result: Result<(), Errno>) {
        match result {
            Ok(()) => {
                for part in run.parts() {
                    self.counters.count_relayed(part.tag);
                }
                self.ring.give_back_run(run);
            }
            Err(error) if run.parts().len() > 1 && is_refusal(error) => {
                let is_size = error != Errno::EIO;
                self.sockets
                    .refused_run(run.owner(), run.segment(), is_size);
                self.send_singly(run);
            }
            Err(error) => self.drop_run(run, reason_of(error)),
        }
    }

    /// A buffer that is not shared goes by the ring, with nothing to keep beside it.
    fn send_alone(&mut self, route: &Route, part: Part) {
        if part.head.as_slice().is_empty() && self.ring.is_sole(&part.buffer) {
            let Part {
                buffer,
                range,
                padding,
                tag,
                ..
            } = part;
            let range = range.start..range.end + padding;
            if let Err(buffer) = self.ring.send(route.via, buffer, range, &route.to, tag) {
                self.drop_packet(buffer, DropReason::QueueFull);
            }
            return;
        }
        // No run is free to hold it. What is queued goes first.
        let sent = if self.ring.flush() {
            let socket = self.sockets.socket(route.slot);
            send_past_ring(&self.ring, socket, &part, &route.to)
        } else {
            Err(DropReason::QueueFull)
        };
        self.note_sent(&part, sent);
        self.ring.give_back(part.buffer);
    }

    fn send_singly(&mut self, run: Run) {
        let to = run.to();
        for part in run.parts() {
            let socket = self.sockets.named(run.owner());
            let sent = match &to {
                Some(to) => send_past_ring(&self.ring, socket, part, to),
                None => Err(DropReason::SendFailed),
            };
            self.note_sent(part, sent);
        }
        self.ring.give_back_run(run);
    }

    fn note_sent(&mut self, part: &Part, sent: Result<(), DropReason>) {
        match sent {
            Ok(()) => self.counters.count_relayed(part.tag),
            Err(reason) => self.count(reason),
        }
    }

    fn drop_run(&mut self, run: Run, reason: DropReason) {
        for _ in run.parts() {
            self.count(reason);
        }
        self.ring.give_back_run(run);
    }
}

/// What the kernel says of a run whose datagrams it may well take one by one: one is longer than the
/// path's MTU, the route cannot cut runs, or the protocol cannot.
const fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::EMSGSIZE | Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP
    )
}

/// Sends a datagram past the ring.
fn send_past_ring(
    ring: &Ring,
    socket: Option<&Socket>,
    part: &Part,
    to: &SocketAddr,
) -> Result<(), DropReason> {
    let socket = socket.ok_or(DropReason::NoAllocation)?;
    let bytes = ring.bytes(&part.buffer);
    let payload = bytes
        .get(part.range.clone())
        .ok_or(DropReason::SendFailed)?;
    let pieces = [
        IoSlice::new(part.head.as_slice()),
        IoSlice::new(payload),
        IoSlice::new([0; PADDING_MAX].get(..part.padding).unwrap_or(&[])),
    ];
    match socket.send_to_vectored(&pieces, &(*to).into()) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason_of(errno_of(&error))),
    }
}

pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use turnpike_turn::forward::{Forwarder, ForwarderConfig};
    use turnpike_types::ServerAddr;

    use super::super::open;
    use super::super::socket_lane::Towards;
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::uring::{Completion, Head, RingConfig, no_checksums};

    #[test]
    fn refused_run_is_sent_datagram_by_datagram_and_later_ones_are_not_gathered() {
        let config = ForwarderConfig {
            entries_max: 1,
            services: Vec::new(),
            relay_map: Vec::new(),
            user_buckets: None,
        };
        let forwarder = Forwarder::new(config, &mut SystemEntropy::new().unwrap());
        let ring = Ring::new(&RingConfig::default()).unwrap();
        let mut lane = SocketLane::new(ring, forwarder, None);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let socket = open::listeners(address, 1, false).unwrap().remove(0);
        // The kernel makes no runs without checksums.
        no_checksums(&socket).unwrap();
        let via = Via::of(&socket);
        let server = ServerAddr(socket.local_addr().unwrap().as_socket().unwrap());
        lane.add_listener(server, via, socket);
        let to = peer.local_addr().unwrap();
        let route = Route { slot: 0, via, to };
        for _ in 0..2 {
            for number in 1..=3_u8 {
                let mut buffer = lane.ring.take_reply().unwrap();
                lane.ring.bytes_mut(&mut buffer)[..4].fill(number);
                let part = Part {
                    buffer,
                    range: 0..4,
                    head: Head::EMPTY,
                    padding: 0,
                    tag: Towards::Peer.tag(4),
                };
                lane.send(route, part);
            }
            lane.send_gathered();
            lane.ring.submit_and_wait(Duration::ZERO).unwrap();
            while let Some(completion) = lane.ring.next_completion() {
                match completion {
                    Completion::RunSent { run, result } => lane.run_sent(run, result),
                    Completion::Sent {
                        buffer,
                        tag,
                        result,
                    } => lane.sent(buffer, tag, result),
                    other => panic!("{other:?}"),
                }
            }
            for number in 1..=3_u8 {
                let mut got = [0; 8];
                assert_eq!(peer.recv(&mut got).unwrap(), 4);
                assert_eq!(got[..4], [number; 4]);
            }
            assert!(!lane.sockets.takes_run(0, 4));
        }
        assert_eq!(lane.counters.to_peer_packets, 6);
        assert_eq!(lane.counters.to_peer_bytes, 24);
    }
}
