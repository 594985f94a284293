//! `turnpike run`

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turnpike_types::Entropy;

use super::Failure;
use super::banner::{self, Guest};
use super::log::Log;
use super::signals::StopSignals;
use super::status::{self, StatusLine};
use crate::config::{Config, Secret};
use crate::entropy::SystemEntropy;
use crate::host::Host;
use crate::metrics::{self, Health, MetricsServer, ServeError};
use crate::probe;
use crate::relay::{Options, Plan, Relay, raise_descriptor_limit};
use crate::shard::Snapshot;

/// The name of the generated user.
const GUEST: &str = "turnpike";

/// The name that the relay proves itself under; no more than the proof needs.
const PROBE: &str = "turnpike-probe";

/// Letters of a generated password: some 119 bits.
const PASSWORD_CHARS: usize = 20;

/// How often the numbers are looked at.
const GLANCE_EVERY: Duration = Duration::from_secs(1);

/// Descriptors that are not relayed addresses, roughly.
const OTHER_DESCRIPTORS: u64 = 64;

pub(super) fn run(file: Option<&Path>, port: u16) -> Result<(), Failure> {
    // A core would hold every key and password.
    nix::sys::prctl::set_dumpable(false)?;
    let signals = StopSignals::hold()?;
    let mut entropy = SystemEntropy::new()?;
    let (config, guest) = match file {
        Some(file) => (Config::read(file)?, None),
        None => {
            let guest = Guest {
                name: GUEST.to_owned(),
                password: password(&mut entropy),
            };
            (Config::embedded(&guest.name, &guest.password), Some(guest))
        }
    };
    let log = Log::start(&config.log)?;
    let plan = Plan::new(config, &Host::look()?, port)?;
    // A name that no configured user has.
    let prober = (
        format!("{PROBE}-{}", password(&mut entropy)),
        Secret::new(password(&mut entropy)),
    );
    let options = Options {
        guest: Some(prober.clone()),
        ..Options::default()
    };
    note_descriptors()?;
    let started = Instant::now();
    let relay = Relay::start(&plan, &options)?;
    let health = Arc::new(Health::new(log.lost()));
    let _metrics = serve_metrics(&plan, &relay, &health)?;
    let mut out = io::stdout();
    banner::print(&mut out, &plan, relay.listeners(), guest.as_ref())?;
    let proofs = probe::run(
        relay.listeners(),
        &plan.relay,
        Some((&prober.0, prober.1.reveal())),
    );
    relay.remove_user(&prober.0);
    // The proof's own traffic is not what the relay served.
    let baseline = relay.fresh_snapshot();
    banner::print_proof(&mut out, &proofs)?;
    out.flush()?;
    let why = watch(&relay, &signals, baseline)?;
    let last = relay.stop()?;
    writeln!(out, "stopped    by {why}")?;
    status::print_summary(&mut out, started.elapsed(), &last.since(&baseline))?;
    Ok(out.flush()?)
}

/// Shows the numbers until a signal comes, and says which.
fn watch(relay: &Relay, signals: &StopSignals, first: Snapshot) -> io::Result<&'static str> {
    let mut line = StatusLine::new(first);
    let why = loop {
        if let Some(signal) = signals.wait(GLANCE_EVERY)? {
            break signal;
        }
        if !relay.is_running() {
            break "a fault";
        }
        // Nobody may look any more, or the disk be full: that ends no call.
        let _unseen = line.update(relay.snapshot());
    };
    let _unseen = line.end();
    Ok(why)
}

fn serve_metrics(
    plan: &Plan,
    relay: &Relay,
    health: &Arc<Health>,
) -> Result<Option<MetricsServer>, ServeError> {
    let Some(config) = plan.config.metrics else {
        return Ok(None);
    };
    let tally = relay.tally();
    let source = move || vec![tally.snapshot()];
    let server = metrics::serve(config.address, Arc::clone(health), source)?;
    tracing::info!("metrics at http://{}/metrics", server.address());
    Ok(Some(server))
}

fn note_descriptors() -> io::Result<()> {
    let descriptors = raise_descriptor_limit()?;
    tracing::info!(
        "room for about {} relayed addresses, one descriptor each; `ulimit -n` sets that",
        descriptors.saturating_sub(OTHER_DESCRIPTORS)
    );
    Ok(())
}

/// Letters and digits that cannot be mistaken for each other.
pub(super) fn password(entropy: &mut impl Entropy) -> String {
    const LETTERS: &[u8; 57] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    (0..PASSWORD_CHARS)
        .filter_map(|_| LETTERS.get(entropy.below(LETTERS.len() as u32) as usize))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_password_is_long_plain_and_new_each_time() {
        let mut entropy = SystemEntropy::new().unwrap();
        let one = password(&mut entropy);
        assert_eq!(one.len(), PASSWORD_CHARS);
        assert!(one.chars().all(|it| it.is_ascii_alphanumeric()));
        assert_ne!(one, password(&mut entropy));
    }
}
