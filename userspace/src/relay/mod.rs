//! The relay as a whole: sockets bound, a shard a core started, watched and stopped.
//!
//! The shards share nothing that a packet needs but the token buckets of users who are limited. What
//! else they have in common is the ledger of what users hold, the places for connections, mailboxes,
//! and the addresses they listen on; the limit on all allocations is divided evenly.

mod error;
mod fast_path;
mod ledger;
mod listen;
mod numbers;
mod orders;
mod plan;
mod threads;
mod user_numbers;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use turnpike_dataplane::DataPlane;
use turnpike_turn::forward::UserBuckets;
use turnpike_turn::server::{self, ShardSlice};
use turnpike_types::ServerAddr;

use crate::config::Secret;
use crate::credentials::CredentialChange;
use crate::shard::{self, Listener, ShardConfig, Snapshot, StreamLimits, Tally};
use crate::uring::RingConfig;
use ledger::Ledger;
use threads::{Start, Thread};

pub use error::StartError;
pub use fast_path::FastPath;
pub use numbers::Numbers;
pub use orders::Orders;
pub use plan::{Plan, PlanError};

/// What a start may be told beside the plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether each shard's thread stays on one core.
    pub pin: bool,
    /// The sizes of each shard's ring.
    pub ring: RingConfig,
    /// One more user: name and password.
    pub guest: Option<(String, Secret)>,
    /// How many shards, whatever the plan says.
    pub shards: Option<u16>,
    /// Whether the kernel is asked to hand a datagram to the shard that owns its client. Without
    /// that, shards pass on what they are handed.
    pub steer: bool,
    /// What clients of TLS are shown.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long a client on a stream may leave what it is sent unread. `None`: as by default.
    pub stream_stall: Option<Duration>,
    /// Whether programs may be put on the host's network devices, where the plan wants a fast path.
    pub fast_path: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pin: true,
            ring: RingConfig::default(),
            guest: None,
            shards: None,
            steer: true,
            tls: None,
            stream_stall: None,
            fast_path: false,
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

/// A running relay. Dropping it stops it.
#[derive(Debug)]
pub struct Relay {
    listeners: Vec<ServerAddr>,
    hears_icmp: bool,
    numbers: Numbers,
    orders: Orders,
    threads: Vec<Thread>,
    // Behind the threads: what they have written to goes after them.
    fast_path: FastPath,
}

impl Relay {
    /// Binds, starts the shards and waits until all of them serve.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub fn start(plan: &Plan, options: &Options) -> Result<Self, StartError> {
        let shards = plan.shards(options.shards);
        let listeners = listen::bind(&plan.listen, shards, options.steer)?;
        let addresses: Vec<ServerAddr> = listeners
            .iter()
            .take(1)
            .flatten()
            .map(|listener| listener.server)
            .collect();
        let guest = options.guest.as_ref();
        let guest = guest.map(|(name, password)| (name.as_str(), password.reveal()));
        let mut engine = plan.engine(&addresses, guest)?;
        let users = engine.limits.allocations;
        engine.ledger = (shards > 1).then(|| Arc::new(Ledger::new(users)) as _);
        let icmp = listen::icmp_sockets(plan, shards);
        let hears_icmp = icmp.iter().any(|sockets| !sockets.is_empty());
        let (fast_path, relay_sockets) = if options.fast_path {
            FastPath::start(plan, &engine, &addresses, shards)?
        } else {
            (FastPath::Off, Vec::new())
        };
        let mut configs = configs(plan, options, &engine, listeners.into_iter().zip(icmp));
        for (shard, config) in (0..).zip(&mut configs) {
            config.fast_path = fast_path.tables(shard);
        }
        for (config, sockets) in configs.iter_mut().zip(relay_sockets) {
            config.relay_sockets = Some(sockets);
        }
        let (starts, tallies) = with_mailboxes(configs, options.ring)?;
        let mailboxes = starts.iter().map(|start| start.mailbox.clone()).collect();
        let threads = threads::start(starts, options.pin)?;
        Ok(Self {
            listeners: addresses,
            hears_icmp,
            numbers: Numbers::new(tallies, fast_path.plane().map(DataPlane::counters)),
            orders: Orders::new(mailboxes),
            threads,
            fast_path,
        })
    }

    /// Whether packets are relayed in the kernel.
    #[must_use]
    pub const fn fast_path(&self) -> &FastPath {
        &self.fast_path
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

    /// Has the shards publish their numbers now, and reads them.
    #[must_use]
    pub fn fresh_snapshot(&self) -> Snapshot {
        self.orders.publish();
        self.snapshot()
    }

    /// The numbers that the shards published last, a fraction of a second old, all together.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.numbers.sum()
    }

    /// The numbers of the shards, to keep and to read at any time.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.numbers.clone()
    }

    /// Orders to all shards, to keep and to give at any time.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Makes it forget a user. `false` when it does not run any more.
    pub fn remove_user(&self, name: &str) -> bool {
        self.orders
            .apply(&CredentialChange::RemoveUser(name.to_owned()))
    }

    /// Whether all its threads run. One that does not is a fault that [`stop`](Self::stop) names.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.threads.is_empty() && self.threads.iter().all(Thread::is_running)
    }

    /// Stops it and returns the last numbers.
    ///
    /// # Errors
    /// Which shard had stopped before, and why, if one had, or does not stop within seconds.
    pub fn stop(mut self) -> Result<Snapshot, StartError> {
        threads::stop(&mut self.threads, threads::STOPPED_WITHIN)?;
        Ok(self.snapshot())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Err(error) = threads::stop(&mut self.threads, threads::STOPPED_WITHIN) {
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

/// What each shard is made of, but for the mailboxes.
fn configs(
    plan: &Plan,
    options: &Options,
    engine: &server::Config,
    sockets: impl ExactSizeIterator<Item = (Vec<Listener>, shard::IcmpSockets)>,
) -> Vec<ShardConfig> {
    let count = u16::try_from(sockets.len()).unwrap_or(u16::MAX);
    let places = Arc::new(plan.places());
    let are_limited = count > 1 && !engine.limits.user_rate.is_unlimited();
    let user_buckets = are_limited.then(|| Arc::new(UserBuckets::new(engine.limits.allocations)));
    let of_shard = |(index, (listeners, icmp))| ShardConfig {
        listeners,
        icmp,
        relay_sockets: None,
        engine: plan::share(engine, ShardSlice { index, count }),
        entries_max: plan.entries_max(count),
        user_buckets: user_buckets.clone(),
        ring: options.ring,
        tls: options.tls.clone(),
        streams: options.limit_streams(plan.streams()),
        places: Arc::clone(&places),
        mailboxes: Vec::new(),
        fast_path: None,
    };
    (0..).zip(sockets).map(of_shard).collect()
}

/// Gives every shard its mailbox, and the addresses of all of them.
fn with_mailboxes(
    configs: Vec<ShardConfig>,
    ring: RingConfig,
) -> Result<(Vec<Start>, Vec<Arc<Tally>>), StartError> {
    let parcel_bytes = if configs.len() > 1 {
        ring.payload_max()
    } else {
        0
    };
    let made: nix::Result<Vec<_>> = configs
        .iter()
        .map(|_| shard::mailbox(parcel_bytes))
        .collect();
    let made = made.map_err(|errno| StartError::Wake(errno.into()))?;
    let mailboxes: Vec<_> = made.iter().map(|(mailbox, _)| mailbox.clone()).collect();
    let tallies: Vec<Arc<Tally>> = configs.iter().map(|_| Arc::default()).collect();
    let starts = configs.into_iter().zip(made).zip(&tallies);
    let starts = starts.map(|((config, (mailbox, inbox)), tally)| Start {
        config: ShardConfig {
            mailboxes: mailboxes.clone(),
            ..config
        },
        mailbox,
        inbox,
        tally: Arc::clone(tally),
    });
    Ok((starts.collect(), tallies))
}
