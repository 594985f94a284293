//! `turnpike-bench`: measures Turnpike beside other relays and prints how sure it is.
//!
//! The main thread measures. Another waits for Ctrl-C and SIGTERM, prints what was measured so far and ends
//! the process; the janitor of the hosts then takes hosts and programs away.

#![forbid(unsafe_code)]

mod args;
mod stop;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use turnpike_bench_rig::plan::{Experiment, Ledger, run};
use turnpike_bench_rig::report::{Report, markdown, terminal};

use self::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    match measure(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("turnpike-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let plan = args.plan();
    let ledger = Ledger::new(&plan);
    stop::heed(ledger.clone(), args.json.clone())?;
    let ended = run(&plan, &ledger);
    let report = ledger.so_far(ended.is_ok());
    publish(&report, args)?;
    Ok(ended?)
}

fn publish(report: &Report, args: &Args) -> io::Result<()> {
    print(report)?;
    report.keep(&args.json)?;
    eprintln!("all figures: {}", args.json.display());
    if let Some(file) = &args.markdown {
        std::fs::write(file, markdown(report))?;
        eprintln!("as Markdown: {}", file.display());
    }
    Ok(())
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(terminal(report).as_bytes())?;
    out.flush()
}

fn list() {
    for experiment in Experiment::ALL {
        println!("{:<18} {}", experiment.name(), experiment.what());
    }
}
