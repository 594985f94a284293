//! A crooked proxy: it stands before a relay on the relay host, passes on whatever comes, and does one
//! thing to some of the clients' ChannelData, which it counts. Control messages it leaves alone. It has the
//! relay's core: the generator leaves nothing of its own.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size};
use turnpike_bench_rig::netns::RELAY_V4;
use turnpike_bench_rig::netns::bench::{BenchHosts, RELAY_CORE, pin_this_thread};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing: the control.
    None,
    /// Each so-manieth packet goes no further.
    Drop(u64),
    /// Each so-manieth packet is sent on twice.
    Double(u64),
    /// Each so-manieth packet waits until the next one of its client has gone.
    Reorder(u64),
    /// One byte of each so-manieth packet is changed.
    Corrupt(u64),
    /// Every packet waits so long.
    Delay(Duration),
}

/// The clients by their places.
type Names = Arc<Mutex<HashMap<usize, SocketAddr>>>;

/// The running proxy; it ends with its guard.
pub(super) struct Crooked {
    pub(super) address: SocketAddr,
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crooked {
    /// Starts it before the relay at `relay`, for at most so many clients.
    pub(super) fn start(
        hosts: &BenchHosts,
        relay: SocketAddr,
        clients: usize,
        fault: Fault,
    ) -> Self {
        let socket = |port: u16| {
            let bound = hosts
                .hosts
                .relay
                .enter(|| UdpSocket::bind((RELAY_V4, port)));
            let socket = bound.unwrap().unwrap();
            // No load of these tests fills that, however long a thread of ours waits for a core.
            set_socket_recv_buffer_size_force(&socket, BUFFER).unwrap();
            set_socket_send_buffer_size(&socket, BUFFER).unwrap();
            socket.set_read_timeout(Some(LOOK_UP)).unwrap();
            socket
        };
        let front = Arc::new(socket(PORT));
        let backs: Vec<Arc<UdpSocket>> = (0..clients).map(|_| Arc::new(socket(0))).collect();
        for back in &backs {
            back.connect(relay).unwrap();
        }
        let (done, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let clients = Names::default();
        let mut threads = Vec::new();
        let forward = Forward {
            front: Arc::clone(&front),
            backs: backs.clone(),
            fault,
            seen: 0,
            held: None,
            done: Arc::clone(&done),
        };
        let (ends, names) = (Arc::clone(&over), Arc::clone(&clients));
        threads.push(thread::spawn(move || {
            pin_this_thread(RELAY_CORE).unwrap();
            forward.run(&ends, &names);
        }));
        for (place, back) in backs.into_iter().enumerate() {
            let (front, over, clients) =
                (Arc::clone(&front), Arc::clone(&over), Arc::clone(&clients));
            threads.push(thread::spawn(move || {
                pin_this_thread(RELAY_CORE).unwrap();
                let mut buf = [0; 2_048];
                while !over.load(Ordering::Relaxed) {
                    let Ok(len) = back.recv(&mut buf) else {
                        continue;
                    };
                    let client = clients.lock().unwrap().get(&place).copied();
                    front.send_to(&buf[..len], client.unwrap()).unwrap();
                }
            }));
        }
        Self {
            address: SocketAddr::new(RELAY_V4, PORT),
            done,
            over,
            threads,
        }
    }

    /// How many packets it has done it to.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }
}

impl Drop for Crooked {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// The way from clients to the relay.
struct Forward {
    front: Arc<UdpSocket>,
    backs: Vec<Arc<UdpSocket>>,
    fault: Fault,
    /// ChannelData so far.
    seen: u64,
    /// The packet that waits, and its client's place.
    held: Option<(usize, Vec<u8>)>,
    done: Arc<AtomicU64>,
}

impl Forward {
    fn run(mut self, over: &AtomicBool, names: &Names) {
        let mut places: HashMap<SocketAddr, usize> = HashMap::new();
        let mut buf = [0; 2_048];
        while !over.load(Ordering::Relaxed) {
            let Ok((len, client)) = self.front.recv_from(&mut buf) else {
                continue;
            };
            let next = places.len();
            let place = *places.entry(client).or_insert_with(|| {
                // Before its first packet goes on: the relay may answer at once.
                names.lock().unwrap().insert(next, client);
                next
            });
            let packet = &mut buf[..len];
            if matches!(packet, [0x40..=0x4F, ..]) {
                self.pass(place, packet);
            } else {
                self.send(place, packet);
            }
        }
    }

    /// Passes ChannelData on, or what the fault makes of it.
    fn pass(&mut self, place: usize, packet: &mut [u8]) {
        self.seen += 1;
        let seen = self.seen;
        let has_turn = |every: u64| seen.is_multiple_of(every);
        match self.fault {
            Fault::Drop(every) if has_turn(every) => return self.count(),
            Fault::Double(every) if has_turn(every) => {
                self.count();
                self.send(place, packet);
            }
            Fault::Reorder(every) if has_turn(every) => {
                self.held = Some((place, packet.to_vec()));
                return;
            }
            Fault::Corrupt(every) if has_turn(every) => {
                self.count();
                packet[packet.len() / 2] ^= 0x10;
            }
            Fault::Delay(delay) => {
                self.count();
                let until = Instant::now() + delay;
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            _ => {}
        }
        self.send(place, packet);
        if let Some((place, held)) = self.held.take_if(|(held, _)| *held == place) {
            self.count();
            self.send(place, &held);
        }
    }

    fn send(&self, place: usize, packet: &[u8]) {
        // A relay that is gone refuses; that is for the load to see.
        self.backs[place].send(packet).ok();
    }

    fn count(&self) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where clients find it.
const PORT: u16 = 3_479;

/// Bytes of a socket's buffers.
const BUFFER: usize = 8 << 20;

/// How often a thread looks whether it is over.
const LOOK_UP: Duration = Duration::from_millis(20);
