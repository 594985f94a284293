//! `turnpike run`

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::life_cycle::{DRAIN, LifeCycle, Step};
use super::setup::{Setup, password};
use super::signals::Signals;
use super::status::{self, StatusLine};
use super::{Failure, banner, rights};
use crate::config::{ListenConfig, Secret, TURN_PORT, TURNS_PORT};
use crate::entropy::SystemEntropy;
use crate::host::Host;
use crate::probe::{self, ProbeError, Proof};
use crate::relay::{Options, Plan, Relay, raise_descriptor_limit};
use crate::shard::Snapshot;
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
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    // A core would hold every key and password.
    nix::sys::prctl::set_dumpable(false)?;
    let signals = Signals::hold()?;
    let mut entropy = SystemEntropy::new()?;
    let host = Host::look()?;
    let mut setup = match &args.config {
        Some(file) => Setup::of_file(file, args, &host)?,
        None => Setup::embedded(args, &host, &mut entropy)?,
    };
    let plan = Plan::new(setup.config.clone(), &host, args.port)?;
    // A name that no configured user has.
    let prober = (
        format!("{PROBE}-{}", password(&mut entropy)),
        Secret::new(password(&mut entropy)),
    );
    let options = Options {
        guest: Some(prober.clone()),
        ..Options::default()
    };
    let descriptors = raise_descriptor_limit()?;
    let started = Instant::now();
    let relay = Relay::start(&plan, &options)?;
    let listeners = bound(&plan, &relay);
    let mut out = io::stdout();
    banner::print(&mut out, &plan, &listeners, &setup, &rights(descriptors))?;
    let proofs = prove(&plan, &listeners, &prober, setup.certificates.as_ref())?;
    relay.remove_user(&prober.0);
    // The proof's own traffic is not what the relay served.
    let baseline = relay.fresh_snapshot();
    banner::print_proof(&mut out, &proofs)?;
    out.flush()?;
    let patience = setup.config.runtime.drain.unwrap_or(DRAIN);
    let watch = Watch {
        relay: &relay,
        signals: &signals,
        life: LifeCycle::new(patience),
        line: StatusLine::new(baseline),
        certificates: setup.certificates.take(),
    };
    let why = watch.until_the_end(patience)?;
    let last = relay.stop()?;
    writeln!(out, "stopped    by {why}")?;
    status::print_summary(&mut out, started.elapsed(), &last.since(&baseline))?;
    Ok(out.flush()?)
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

fn rights(descriptors: u64) -> String {
    rights::line(descriptors.saturating_sub(OTHER_DESCRIPTORS))
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
        listeners,
        &plan.relay,
        credential,
        trust.as_ref(),
    ))
}

/// What is looked at while the relay serves.
struct Watch<'a> {
    relay: &'a Relay,
    signals: &'a Signals,
    life: LifeCycle,
    line: StatusLine,
    certificates: Option<Certificates>,
}

impl Watch<'_> {
    /// Shows the numbers until it is time to end, and says why.
    fn until_the_end(mut self, patience: Duration) -> io::Result<String> {
        let mut why = String::new();
        loop {
            let signal = self.signals.wait(self.life.glance_every())?;
            if !self.relay.is_running() {
                "a fault".clone_into(&mut why);
                break;
            }
            let step = match signal {
                Some(signal) => self.life.signalled(signal, Instant::now()),
                None => Step::GoOn,
            };
            match (step, signal) {
                (Step::Reload, _) => reload(self.certificates.as_mut()),
                (Step::Drain, Some(signal)) => {
                    signal.as_str().clone_into(&mut why);
                    self.drain(patience);
                }
                (Step::End, _) => {
                    why.push_str(", at once");
                    break;
                }
                _ => {}
            }
            let live = self.glance();
            if self.life.glanced(live, Instant::now()) == Step::End {
                break;
            }
        }
        let _unseen = self.line.end();
        Ok(why)
    }

    /// Refuses new allocations from now on, and says what is waited for.
    fn drain(&self, patience: Duration) {
        let Snapshot { allocations, .. } = self.relay.fresh_snapshot();
        if allocations > 0 {
            let _unseen = self.line.end();
            let _unseen = writeln!(
                io::stdout(),
                "draining   {allocations} allocations live; waiting at most {} s for them to end. \
                 Ctrl-C again ends them now",
                patience.as_secs()
            );
        }
    }

    /// Looks at everything that may have changed; says how many allocations live.
    fn glance(&mut self) -> u64 {
        refresh(self.certificates.as_mut());
        let now = self.relay.fresh_snapshot();
        // Nobody may look any more, or the disk be full: that ends no call.
        let _unseen = self.line.update(now);
        now.allocations
    }
}

/// Glances at the certificate's files.
fn refresh(certificates: Option<&mut Certificates>) {
    let Some(certificates) = certificates else {
        return;
    };
    match certificates.refresh() {
        Ok(false) => {}
        Ok(true) => note_new(certificates),
        Err(error) => tracing::error!("the TLS certificate stays the old one: {error}"),
    }
}

/// Reads the certificate because somebody asked for it, who is owed an answer.
fn reload(certificates: Option<&mut Certificates>) {
    let Some(certificates) = certificates else {
        return tracing::info!("SIGHUP: there is no TLS certificate to read again");
    };
    match certificates.reload() {
        Ok(false) => tracing::info!("SIGHUP: the TLS certificate has not changed"),
        Ok(true) => note_new(certificates),
        Err(error) => tracing::error!("SIGHUP: the TLS certificate stays the old one: {error}"),
    }
}

fn note_new(certificates: &Certificates) {
    let until = tls::date(certificates.expires_at());
    tracing::info!("new TLS certificate, good until {until}; connections in place keep theirs");
}
