//! One TURN client on the client host, by the project's own engine: enough to see that a relay lets
//! it in and relays.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turnpike_bench_rig::netns::PEER_V4;
use turnpike_bench_rig::netns::bench::BenchHosts;
use turnpike_bench_rig::subject::Running;
use turnpike_turn::client::{Client, Config, Event, Output, Received, TRANSMIT_MAX};
use turnpike_types::{Entropy, PeerAddr, ServerAddr, Timestamp, Transport};

/// What came of it.
pub(super) struct Relayed {
    pub(super) address: SocketAddr,
    pub(super) answer: Vec<u8>,
}

/// Allocates, binds a channel to an echoing peer on the peer host, sends `words` through it and
/// returns what comes back.
pub(super) fn relay_words(hosts: &BenchHosts, running: &Running, words: &[u8]) -> Relayed {
    let bind = || UdpSocket::bind("0.0.0.0:0").unwrap();
    let echo = hosts.hosts.peer.enter(bind).unwrap();
    let socket = hosts.hosts.client.enter(bind).unwrap();
    let peer = SocketAddr::new(PEER_V4, echo.local_addr().unwrap().port());
    for socket in [&echo, &socket] {
        socket.set_read_timeout(Some(TICK)).unwrap();
    }
    socket.connect(running.server()).unwrap();
    let mut config = Config::new(ServerAddr(running.server()), Transport::Udp);
    config.credential = Some(running.credential());
    let began = Instant::now();
    let client = Client::new(config, Counter(1), Timestamp::ZERO).unwrap();
    let mut session = Session {
        client,
        socket,
        peer: PeerAddr(peer),
        began,
    };
    session.run_until(|event| matches!(event, Event::Allocated));
    session
        .client
        .bind_channel(session.now(), session.peer)
        .unwrap();
    session.run_until(|event| matches!(event, Event::ChannelBound { .. }));
    let address = session.client.allocation().unwrap().ipv4.unwrap().0;
    let answer = session.echo(&echo, words);
    Relayed { address, answer }
}

struct Session {
    client: Client<Counter>,
    socket: UdpSocket,
    peer: PeerAddr,
    began: Instant,
}

impl Session {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    fn run_until(&mut self, wanted: impl Fn(&Event) -> bool) {
        let mut buffer = [0; TRANSMIT_MAX];
        while self.began.elapsed() < PATIENCE {
            while let Some(output) = self.client.poll_output(&mut buffer) {
                match output {
                    Output::Transmit(len) => drop(self.socket.send(buffer.get(..len).unwrap())),
                    Output::Event(event) if wanted(&event) => return,
                    Output::Event(_) | Output::Data { .. } => {}
                }
            }
            if let Ok(len) = self.socket.recv(&mut buffer) {
                let now = self.now();
                self.client.handle_input(now, buffer.get(..len).unwrap());
            }
            let now = self.now();
            self.client.handle_timeout(now);
        }
        panic!("the relay did not do in time what was asked of it");
    }

    fn echo(&mut self, echo: &UdpSocket, words: &[u8]) -> Vec<u8> {
        let mut buffer = [0; TRANSMIT_MAX];
        while self.began.elapsed() < PATIENCE {
            let len = self.client.send(self.peer, words, &mut buffer).unwrap();
            self.socket.send(buffer.get(..len).unwrap()).unwrap();
            if let Ok((len, from)) = echo.recv_from(&mut buffer) {
                echo.send_to(buffer.get(..len).unwrap(), from).unwrap();
            }
            if let Ok(len) = self.socket.recv(&mut buffer) {
                let received = buffer.get(..len).unwrap();
                if let Received::Data { payload, .. } = self.client.receive(received) {
                    return received.get(payload).unwrap().to_vec();
                }
            }
        }
        panic!("nothing came back from the peer");
    }
}

/// Transaction ids need not be secret here.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

const TICK: Duration = Duration::from_millis(50);
