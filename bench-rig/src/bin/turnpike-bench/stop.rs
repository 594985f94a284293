//! Ctrl-C and SIGTERM: print what there is, and go.
//!
//! Nothing is wound up in order, since a trial, an XDP program or a relay that hangs could keep it from
//! ending. The process ends, and what it leaves falls with it: relays die with the thread that started
//! them, namespaces are taken away by their janitor, which waits for this process's end.
//!
//! The signals are handled, not held back: the relays would inherit that, and hear no SIGTERM.

use std::io;
use std::path::PathBuf;
use std::process::exit;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use turnpike_bench_rig::plan::Ledger;

/// Waits for the signals on a thread of its own.
pub(crate) fn heed(ledger: Ledger, json: PathBuf) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let Some(signal) = signals.forever().next() else {
                return;
            };
            let report = ledger.so_far(false);
            eprintln!();
            // The reader of either may be gone; the run has to end all the same.
            super::print(&report).ok();
            report.keep(&json).ok();
            exit(128 + signal);
        })?;
    Ok(())
}
