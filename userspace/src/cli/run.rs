//! `turnpike run`

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::console::Console;
use super::life_cycle::{DRAIN, LifeCycle};
use super::log::Log;
use super::setup::{Setup, password};
use super::signals::Signals;
use super::status::{self, StatusLine};
use super::watch::Watch;
use super::{Failure, banner, rights};
use crate::config::{FastPathMode, ListenConfig, Secret, TURN_PORT, TURNS_PORT};
use crate::database::{self, Source};
use crate::entropy::SystemEntropy;
use crate::host::Host;
use crate::metrics::{self, Health, MetricsServer, Readings, ServeError};
use crate::probe::{self, ProbeError, Proof};
use crate::relay::{FastPath, Options, Plan, Relay, raise_descriptor_limit};
use crate::tls::{self, Certificates, TlsError};

/// The name that the relay proves itself under; no more than the proof needs.
const PROBE: &str = "turnpike-probe";

/// Descriptors that are not relayed addresses, roughly.
const OTHER_DESCRIPTORS: u64 = 64;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration file (TOML); without it, embedded defaults are used
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The UDP and TCP port of listeners that no configuration names
    #[arg(long, value_name = "PORT", default_value_t = TURN_PORT)]
    pub(super) port: u16,
    /// The TLS port of listeners that no configuration names
    #[arg(long, value_name = "PORT", default_value_t = TURNS_PORT)]
    pub(super) tls_port: u16,
    /// Where the generated user and certificate are kept; by default the folder that
    /// `TURNPIKE_STATE` names, or ~/.local/state/turnpike
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Whether packets are relayed in the kernel, whatever the configuration says
    #[arg(long, value_name = "MODE")]
    pub(super) fast_path: Option<FastPathMode>,
    /// Print nothing but the log: no banner, no numbers, no summary
    #[arg(long)]
    pub(super) quiet: bool,
}

impl RunArgs {
    const fn console(&self) -> Console {
        if self.quiet {
            Console::Quiet
        } else {
            Console::Shown
        }
    }
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    // A core would hold every key and password.
    nix::sys::prctl::set_dumpable(false)?;
    // Before any thread, which inherits what is held back.
    let signals = Signals::hold()?;
    let mut entropy = SystemEntropy::new()?;
    let host = Host::look()?;
    let mut setup = match &args.config {
        Some(file) => Setup::of_file(file, args, &host)?,
        None => Setup::embedded(args, &host, &mut entropy)?,
    };
    let log = Log::start(&setup.config.log)?;
    setup.config.fast_path.mode = args.fast_path.unwrap_or(setup.config.fast_path.mode);
    let mut plan = Plan::new(setup.config.clone(), &host, args.port)?;
    let source = stored_credentials(&mut plan)?;
    let prober = prober(&mut entropy);
    let options = Options {
        guest: Some(prober.clone()),
        tls: setup.certificates.as_ref().map(Certificates::server_config),
        fast_path: true,
        ..Options::default()
    };
    let descriptors = descriptors(&mut plan)?;
    let started = Instant::now();
    let relay = Relay::start(&plan, &options)?;
    // The shards have theirs; millions of users are not kept once more.
    plan.stored = database::StoredCredentials::default();
    let health = Arc::new(Health::new(log.lost()));
    let _metrics = serve_metrics(&plan, &relay, &health)?;
    let listeners = bound(&plan, &relay);
    let mut out = args.console();
    let facts = [
        ("rights", rights(descriptors)),
        ("fast path", told(relay.fast_path(), out)),
    ];
    banner::print(&mut out, &plan, &listeners, &setup, &facts)?;
    warn_of_few_descriptors(&plan, descriptors);
    let proofs = prove(&plan, &listeners, &prober, setup.certificates.as_ref())?;
    relay.remove_user(&prober.0);
    // The proof's own traffic is not what the relay served.
    let baseline = relay.fresh_snapshot();
    banner::print_proof(&mut out, &proofs)?;
    out.flush()?;
    // Behind the last `?` that ends a start: the watch waits for shards, which a relay that goes
    // first would leave it to do for ever.
    let database = source.map(|source| follow(source, &relay)).transpose()?;
    let patience = setup.config.runtime.drain.unwrap_or(DRAIN);
    let watch = Watch {
        relay: &relay,
        signals: &signals,
        life: LifeCycle::new(patience),
        line: StatusLine::new(out, baseline),
        certificates: setup.certificates.take(),
        database: database.as_ref(),
        health: &health,
        out,
    };
    let why = watch.until_the_end(patience);
    let kernel = relay.numbers();
    // First: the database's thread waits for shards that are not told to stop.
    let last = relay.stop();
    drop(database);
    let (why, last) = (why?, last?);
    writeln!(out, "stopped    by {why}")?;
    status::print_summary(&mut out, started.elapsed(), &last.since(&baseline))?;
    if let Some(reasons) = kernel.kernel() {
        status::print_kernel(&mut out, &reasons)?;
    }
    Ok(out.flush()?)
}

/// How many descriptors there may be, as many as can be had; half of them are not for connections.
fn descriptors(plan: &mut Plan) -> io::Result<u64> {
    let descriptors = raise_descriptor_limit()?;
    if let Some(connections) = plan.leave_descriptors(descriptors) {
        tracing::info!(
            "at most {connections} connections of clients: the other half of the descriptors is for \
             relayed addresses (`ulimit -n`, systemd: LimitNOFILE=)"
        );
    }
    Ok(descriptors)
}

/// Name and password that the relay proves itself under; no configured user has the name.
fn prober(entropy: &mut SystemEntropy) -> (String, Secret) {
    let name = format!("{PROBE}-{}", password(entropy));
    (name, Secret::new(password(entropy)))
}

/// A database with what was read of it at the start.
struct Stored {
    source: Source,
    told: Option<database::StoredCredentials>,
}

/// Reads the database, where one is configured, into the plan.
fn stored_credentials(plan: &mut Plan) -> Result<Option<Stored>, Failure> {
    let Some(path) = &plan.config.auth.database else {
        return Ok(None);
    };
    let source = Source::new(path, &plan.config);
    let told = source.load_at_start()?;
    plan.stored = told.clone().unwrap_or_default();
    Ok(Some(Stored { source, told }))
}

/// Has the relay follow its database.
fn follow(stored: Stored, relay: &Relay) -> io::Result<database::Watch> {
    let orders = relay.orders();
    database::Watch::start(stored.source, stored.told, move |change| {
        // A relay that has stopped needs no users.
        let _all_run = orders.apply(&change);
    })
}

fn serve_metrics(
    plan: &Plan,
    relay: &Relay,
    health: &Arc<Health>,
) -> Result<Option<MetricsServer>, ServeError> {
    let Some(config) = plan.config.metrics else {
        return Ok(None);
    };
    let numbers = relay.numbers();
    let source = move || Readings {
        shards: numbers.per_shard(),
        kernel: numbers.kernel(),
    };
    let server = metrics::serve(config.address, Arc::clone(health), source)?;
    tracing::info!("metrics at http://{}/metrics", server.address());
    Ok(Some(server))
}

/// The listeners with the ports as bound.
fn bound(plan: &Plan, relay: &Relay) -> Vec<ListenConfig> {
    let pairs = plan.listen.iter().zip(relay.listeners());
    pairs
        .map(|(listen, server)| ListenConfig {
            transport: listen.transport,
            address: server.0,
        })
        .collect()
}

/// Where packets are relayed, and what is missing for the kernel to do it; logged where nobody sees the
/// banner.
fn told(fast_path: &FastPath, out: Console) -> String {
    let told = match fast_path {
        FastPath::Off => "off: packets go through sockets".to_owned(),
        FastPath::Missing(error) => format!("none, packets go through sockets: {error}"),
        FastPath::On(plane) => {
            let devices = plane.devices().iter();
            let devices: Vec<String> = devices
                .map(|device| format!("{} ({})", device.name, device.mode.name()))
                .collect();
            format!("XDP on {}", devices.join(", "))
        }
    };
    if matches!(out, Console::Quiet) {
        tracing::info!("fast path: {told}");
    }
    told
}

fn rights(descriptors: u64) -> String {
    rights::line(descriptors.saturating_sub(OTHER_DESCRIPTORS))
}

/// Says so where descriptors end before the allocations that are allowed do.
fn warn_of_few_descriptors(plan: &Plan, descriptors: u64) {
    let room = descriptors.saturating_sub(OTHER_DESCRIPTORS);
    let wanted = plan.config.limits.allocations.map_or(0, u64::from);
    if room < wanted {
        tracing::warn!(
            "limits.allocations is {wanted}, and descriptors are enough for {room} of them at most: \
             raise `ulimit -n` (systemd: LimitNOFILE=)"
        );
    }
}

fn prove(
    plan: &Plan,
    listeners: &[ListenConfig],
    prober: &(String, Secret),
    certificates: Option<&Certificates>,
) -> Result<Vec<Result<Proof, ProbeError>>, TlsError> {
    let trust = certificates
        .map(|it| tls::trust_only(it.certificate()))
        .transpose()?;
    let credential = Some((prober.0.as_str(), prober.1.reveal()));
    Ok(probe::run(
        &banner::by_use(plan, listeners),
        &plan.relay,
        credential,
        trust.as_ref(),
    ))
}
