//! What `turnpike run` looks at while the relay serves: signals, numbers, certificate, database.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::console::Console;
use super::life_cycle::{LifeCycle, Step};
use super::signals::Signals;
use super::status::{StatusLine, counted};
use crate::database;
use crate::metrics::Health;
use crate::relay::Relay;
use crate::shard::Snapshot;
use crate::tls::{self, Certificates};

/// What is looked at while the relay serves.
pub(super) struct Watch<'a> {
    pub(super) relay: &'a Relay,
    pub(super) signals: &'a Signals,
    pub(super) life: LifeCycle,
    pub(super) line: StatusLine,
    pub(super) certificates: Option<Certificates>,
    pub(super) database: Option<&'a database::Watch>,
    pub(super) health: &'a Health,
    pub(super) out: Console,
}

impl Watch<'_> {
    /// Shows the numbers until it is time to end, and says why.
    pub(super) fn until_the_end(mut self, patience: Duration) -> io::Result<String> {
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
    fn drain(&mut self, patience: Duration) {
        self.health.set_draining();
        self.relay.orders().drain();
        let Snapshot { allocations, .. } = self.relay.fresh_snapshot();
        tracing::info!(allocations, "draining: new allocations are refused");
        if allocations > 0 {
            let _unseen = self.line.end();
            let _unseen = writeln!(
                self.out,
                "draining   {} live; waiting at most {} s. Ctrl-C again ends them now",
                counted(allocations, "allocation"),
                patience.as_secs()
            );
        }
    }

    /// Looks at everything that may have changed; says how many allocations live.
    fn glance(&mut self) -> u64 {
        refresh(self.certificates.as_mut());
        self.tell_health();
        let now = self.relay.fresh_snapshot();
        // Nobody may look any more, or the disk be full: that ends no call.
        let _unseen = self.line.update(now);
        now.allocations
    }

    /// What a scrape is told beside the numbers.
    fn tell_health(&self) {
        if let Some(certificates) = &self.certificates {
            self.health
                .set_certificate_expiry(certificates.expires_at());
        }
        if let Some(database) = self.database {
            self.health.set_database_up(database.is_up());
        }
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
