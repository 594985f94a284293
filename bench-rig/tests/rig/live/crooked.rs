//! A relay that relays one flow and plants faults, each at its sequence number.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use turnpike_bench_rig::load::{Carrier, Flow};
use turnpike_bench_rig::netns::bench::{BenchHosts, RELAY_CORE, pin_this_thread};

/// Packets that are not relayed.
pub(super) const DROPPED: u64 = 2;
/// Packets relayed with other bytes, or fewer, or with a wrong UDP checksum.
pub(super) const CORRUPTED: u64 = 4;
/// Packets sent to another port.
pub(super) const MISDIRECTED: u64 = 1;
/// Packets relayed twice.
pub(super) const DUPLICATED: u64 = 2;
/// Packets relayed behind a later one.
pub(super) const REORDERED: u64 = 1;
/// How long one packet and those behind it are held back.
pub(super) const DELAY: Duration = Duration::from_millis(20);

/// Milliseconds.
const LOOKS_WHETHER_IT_ENDS: u8 = 10;

/// A running relay; it ends with its guard.
pub(super) struct Crooked {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crooked {
    pub(super) fn start(hosts: &BenchHosts, flow: Flow, carrier: Carrier) -> Self {
        let open = || {
            let [to_clients, to_peers] =
                [flow.server, flow.relayed].map(|at| UdpSocket::bind(at).unwrap());
            (to_clients, to_peers, raw_socket())
        };
        let (to_clients, to_peers, raw) = hosts.hosts.relay.enter(open).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let relay = Relay {
            flow,
            carrier,
            to_clients,
            to_peers,
            raw,
            held: None,
        };
        let until = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            // The generator leaves nothing of its own core.
            pin_this_thread(RELAY_CORE).unwrap();
            relay.run(&until);
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Crooked {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the relay panicked");
        }
    }
}

struct Relay {
    flow: Flow,
    carrier: Carrier,
    to_clients: UdpSocket,
    to_peers: UdpSocket,
    /// Takes whole IP packets.
    raw: UdpSocket,
    held: Option<Vec<u8>>,
}

/// Where a payload goes.
#[derive(Clone, Copy)]
enum To {
    Peer,
    Client,
}

impl Relay {
    fn run(mut self, ends: &AtomicBool) {
        for socket in [&self.to_clients, &self.to_peers] {
            socket.set_nonblocking(true).unwrap();
        }
        let mut buffer = [0; 2_000];
        while !ends.load(Ordering::Relaxed) {
            let mut both = [&self.to_clients, &self.to_peers]
                .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            poll(&mut both, LOOKS_WHETHER_IT_ENDS).unwrap();
            if let Some(length) = received(self.to_clients.recv(&mut buffer)) {
                let payload = self.unwrap(&buffer[..length]).to_vec();
                self.fault(payload, To::Peer);
            }
            if let Some(length) = received(self.to_peers.recv(&mut buffer)) {
                self.fault(buffer[..length].to_vec(), To::Client);
            }
        }
    }

    /// Relays a payload, or does to it what is planted at its sequence number.
    fn fault(&mut self, mut payload: Vec<u8>, to: To) {
        let sequence = u32::from_le_bytes(payload[16..20].try_into().unwrap());
        match sequence {
            // The last one is lost too: nothing that came later tells of it.
            10 | 199 => return,
            20 => self.send(&payload, to, 0),
            // Once more, but not at once.
            21 => self.held = Some(payload.clone()),
            30 => {
                self.held = Some(payload);
                return;
            }
            40 => payload[100] ^= 1,
            41 => payload[8] ^= 1,
            42 => payload.truncate(170),
            50 => return self.send(&payload, to, 1),
            60 => thread::sleep(DELAY),
            70 => return self.send_with_wrong_checksum(&payload, to),
            _ => {}
        }
        self.send(&payload, to, 0);
        if matches!(sequence, 26 | 31)
            && let Some(held) = self.held.take()
        {
            self.send(&held, to, 0);
        }
    }

    fn send(&self, payload: &[u8], to: To, ports_on: u16) {
        let (socket, mut at, message) = self.leaves(payload, to);
        at.set_port(at.port() + ports_on);
        socket.send_to(&message, at).unwrap();
    }

    /// Past the kernel's UDP, which would make a right one.
    fn send_with_wrong_checksum(&self, payload: &[u8], to: To) {
        let (socket, at, message) = self.leaves(payload, to);
        let from = socket.local_addr().unwrap();
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), at.ip()) else {
            panic!("the crooked relay speaks IPv4");
        };
        let length = u16::try_from(8 + message.len()).unwrap();
        // The kernel fills in length and checksum of the IP header.
        let packet = [
            &[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0][..],
            &source.octets(),
            &destination.octets(),
            &from.port().to_be_bytes(),
            &at.port().to_be_bytes(),
            &length.to_be_bytes(),
            b"\x12\x34",
            &message,
        ]
        .concat();
        self.raw.send_to(&packet, (destination, 0)).unwrap();
    }

    /// Which socket a payload leaves through, for where, and as what.
    fn leaves(&self, payload: &[u8], to: To) -> (&UdpSocket, SocketAddr, Vec<u8>) {
        match to {
            To::Peer => (&self.to_peers, self.flow.peer, payload.to_vec()),
            To::Client => (&self.to_clients, self.flow.client, self.wrap(payload)),
        }
    }

    /// The payload of what a client sent.
    fn unwrap<'p>(&self, message: &'p [u8]) -> &'p [u8] {
        match self.carrier {
            Carrier::Channel => &message[4..],
            Carrier::Indication => &message[20 + 12 + 4..],
        }
    }

    fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        if self.carrier == Carrier::Channel {
            return [&self.flow.channel.to_be_bytes(), &length, payload].concat();
        }
        // A Data indication whose last attribute, SOFTWARE, comes behind the data; what stands in
        // XOR-PEER-ADDRESS is not looked at.
        let padding = vec![0; payload.len().next_multiple_of(4) - payload.len()];
        let data = [&[0x00, 0x13][..], &length, payload, &padding].concat();
        let attributes = [
            &[0x00, 0x12, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0][..],
            &data,
            &[0x80, 0x22, 0, 4, b'b', b'e', b'n', b't'],
        ]
        .concat();
        let body = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [
            &[0x00, 0x17][..],
            &body,
            b"\x21\x12\xA4\x42crooked-----",
            &attributes,
        ]
        .concat()
    }
}

fn raw_socket() -> UdpSocket {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw)
        .unwrap()
        .into()
}

/// What a socket has, if it has anything.
fn received(result: std::io::Result<usize>) -> Option<usize> {
    match result {
        Ok(length) => Some(length),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("the crooked relay cannot receive: {error}"),
    }
}
