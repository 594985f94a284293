//! The relay as a whole: sockets bound, the shard's thread started, watched and stopped.

mod error;
mod plan;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::Socket;
use turnpike_types::{AddressFamily, ServerAddr};

use crate::config::{ListenConfig, Secret};
use crate::shard::{
    self, Inbox, Listener, Mailbox, Order, Shard, ShardConfig, ShardError, Snapshot, StreamLimits,
    Tally,
};
use crate::uring::RingConfig;

pub use error::StartError;
pub use plan::{Plan, PlanError};

/// What a start may be told beside the plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the shard's thread stays on one core.
    pub pin: bool,
    /// The sizes of its ring.
    pub ring: RingConfig,
    /// One more user: name and password.
    pub guest: Option<(String, Secret)>,
    /// What clients of TLS are shown.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long a client on a stream may leave what it is sent unread. `None`: as by default.
    pub stream_stall: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pin: true,
            ring: RingConfig::default(),
            guest: None,
            tls: None,
            stream_stall: None,
        }
    }
}

impl Options {
    fn limit_streams(&self, limits: StreamLimits) -> StreamLimits {
        StreamLimits {
            stall_timeout: self.stream_stall.unwrap_or(limits.stall_timeout),
            ..limits
        }
    }
}

/// How often a port that is in use is tried again.
const BIND_TRIES: u32 = 10;

const BIND_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A running relay. Dropping it stops it.
#[derive(Debug)]
pub struct Relay {
    listeners: Vec<ServerAddr>,
    hears_icmp: bool,
    tally: Arc<Tally>,
    mailbox: Mailbox,
    thread: Option<JoinHandle<Result<(), ShardError>>>,
}

impl Relay {
    /// Binds, starts the shard and waits until it serves.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub fn start(plan: &Plan, options: &Options) -> Result<Self, StartError> {
        let listeners = bind(&plan.listen)?;
        let addresses: Vec<ServerAddr> = listeners.iter().map(|listener| listener.server).collect();
        let guest = options.guest.as_ref();
        let guest = guest.map(|(name, password)| (name.as_str(), password.reveal()));
        let icmp = icmp_sockets(plan);
        let hears_icmp = !icmp.is_empty();
        let config = ShardConfig {
            engine: plan.engine(&addresses, guest)?,
            entries_max: plan.entries_max(),
            ring: options.ring,
            tls: options.tls.clone(),
            streams: options.limit_streams(plan.streams()),
            listeners,
            icmp,
        };
        let (mailbox, inbox) = shard::mailbox().map_err(|errno| StartError::Wake(errno.into()))?;
        let tally = Arc::new(Tally::default());
        let thread = spawn(config, inbox, Arc::clone(&tally), options.pin)?;
        Ok(Self {
            listeners: addresses,
            hears_icmp,
            tally,
            mailbox,
            thread: Some(thread),
        })
    }

    /// Where clients reach it, with the ports as bound.
    #[must_use]
    pub fn listeners(&self) -> &[ServerAddr] {
        &self.listeners
    }

    /// Whether clients are told of ICMP errors; that needs `CAP_NET_RAW`.
    #[must_use]
    pub const fn hears_icmp(&self) -> bool {
        self.hears_icmp
    }

    /// Has it publish its numbers now, and reads them.
    #[must_use]
    pub fn fresh_snapshot(&self) -> Snapshot {
        let (answer, answered) = sync_channel(1);
        if self.mailbox.send(Order::Publish(answer)) {
            // A shard that hangs is seen by its numbers standing still.
            let _late = answered.recv_timeout(Duration::from_secs(1));
        }
        self.snapshot()
    }

    /// The numbers it published last, a fraction of a second old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.tally.snapshot()
    }

    /// Makes it forget a user. `false` when it does not run any more.
    pub fn remove_user(&self, name: &str) -> bool {
        self.mailbox.send(Order::RemoveUser(name.to_owned()))
    }

    /// Whether its thread runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Stops it and returns the last numbers.
    ///
    /// # Errors
    /// Why it had stopped before, if it had.
    pub fn stop(mut self) -> Result<Snapshot, StartError> {
        self.halt()?;
        Ok(self.snapshot())
    }

    fn halt(&mut self) -> Result<(), StartError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.mailbox.send(Order::Stop);
        match thread.join() {
            Ok(result) => result.map_err(StartError::Shard),
            Err(_) => Err(StartError::Panicked),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Err(error) = self.halt() {
            tracing::error!("{error}");
        }
    }
}

/// Lets the process open as many descriptors as it may, and says how many.
///
/// # Errors
/// The kernel's.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

fn bind(listen: &[ListenConfig]) -> Result<Vec<Listener>, StartError> {
    listen
        .iter()
        .map(|listen| {
            let address = listen.address;
            let failed = |source| StartError::Listen { address, source };
            let socket = open_patiently(listen).map_err(failed)?;
            let bound = socket
                .local_addr()
                .map_err(failed)?
                .as_socket()
                .unwrap_or(address);
            Ok(Listener {
                transport: listen.transport,
                server: ServerAddr(bound),
                socket,
            })
        })
        .collect()
}

/// Opens a listener. The kernel takes the ring of a process that was killed apart, and with it the
/// listeners, some time after the process is gone: a port in use may be free in a moment.
fn open_patiently(listen: &ListenConfig) -> io::Result<Socket> {
    let open = if listen.transport.is_stream() {
        shard::stream_listener
    } else {
        shard::open_listener
    };
    for _ in 0..BIND_TRIES {
        match open(listen.address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(BIND_AGAIN_AFTER);
            }
            result => return result,
        }
    }
    open(listen.address)
}

/// Raw ICMP sockets for the families relayed from; none without the right, which is said once.
fn icmp_sockets(plan: &Plan) -> Vec<(AddressFamily, Socket)> {
    let mut sockets = Vec::new();
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        if !plan
            .relay
            .iter()
            .any(|own| AddressFamily::of(&own.ip) == family)
        {
            continue;
        }
        match shard::open_icmp(family == AddressFamily::Ipv6) {
            Ok(socket) => sockets.push((family, socket)),
            Err(error) => {
                tracing::warn!(
                    "clients will not hear of ICMP errors ({error}); the process needs CAP_NET_RAW \
                     for that"
                );
                break;
            }
        }
    }
    sockets
}

fn spawn(
    config: ShardConfig,
    inbox: Inbox,
    tally: Arc<Tally>,
    pin: bool,
) -> Result<JoinHandle<Result<(), ShardError>>, StartError> {
    let (ready, started) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("shard-0".to_owned())
        .spawn(move || {
            if pin {
                pin_to_first_core();
            }
            // A ring belongs to the thread that makes it.
            let mut shard = match Shard::new(config, inbox, tally) {
                Ok(shard) => shard,
                Err(error) => {
                    // The starter waits on the other end.
                    let _unheard = ready.send(Err(error));
                    return Ok(());
                }
            };
            let _unheard = ready.send(Ok(()));
            shard.run()
        })
        .map_err(StartError::Thread)?;
    match started.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(StartError::Shard(error)),
        Err(_) => Err(StartError::Panicked),
    }
}

fn pin_to_first_core() {
    let first = core_affinity::get_core_ids().and_then(|cores| cores.first().copied());
    let pinned = first.is_some_and(core_affinity::set_for_current);
    if !pinned {
        tracing::warn!("the shard's thread could not be pinned to a core");
    }
}
