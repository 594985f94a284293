//! Makes client, relay and peer hosts for trying things by hand, and keeps them until it is ended
//! (Ctrl-C). Needs root.
//!
//! With an argument they are hosts to measure on, and a relay is under test there: the first whose
//! name begins with the argument, such as `turnpike` or `coturn`.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::thread;

use turnpike_bench_rig::netns::Hosts;
use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_bench_rig::subject::{Running, Settings, all};

fn main() -> ExitCode {
    let kept = match env::args().nth(1) {
        None => hosts(),
        Some(name) => hosts_with_relay(&name),
    };
    match kept {
        Ok(_kept) => loop {
            thread::park();
        },
        Err(error) => {
            eprintln!("turnpike-hosts: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is there until this program ends: the relay goes before its hosts.
type Kept = (Option<Running>, Box<dyn Send>);

fn hosts() -> Result<Kept, Box<dyn Error>> {
    let hosts = Hosts::new()?;
    show(&hosts);
    Ok((None, Box::new(hosts)))
}

fn hosts_with_relay(name: &str) -> Result<Kept, Box<dyn Error>> {
    let mut why = format!("no relay is called {name}");
    for found in all() {
        match found {
            Ok(subject) if subject.name().starts_with(name) => {
                let hosts = BenchHosts::new(Wires::Two)?;
                let running = subject.start(&hosts, &Settings::default())?;
                println!(
                    "{} ({}) at {} and {}",
                    running.name(),
                    running.version(),
                    running.server(),
                    running.server_v6(),
                );
                for pid in running.pids() {
                    println!("process {pid}");
                }
                show(&hosts.hosts);
                return Ok((Some(running), Box::new(hosts)));
            }
            Ok(subject) => why += &format!("\n{} is there", subject.name()),
            Err(error) => why += &format!("\n{error}"),
        }
    }
    Err(why.into())
}

fn show(hosts: &Hosts) {
    for host in [&hosts.client, &hosts.relay, &hosts.peer] {
        println!("nsenter --net=/run/netns/{} -- sh", host.name());
    }
    println!(
        "janitor {}; Ctrl-C takes the hosts away",
        hosts.janitor_id()
    );
}
