//! Makes client, relay and peer hosts for trying things by hand, and keeps them until it is ended
//! (Ctrl-C). Needs root.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::thread;

use turnpike_bench_rig::netns::Hosts;

fn main() -> ExitCode {
    let hosts = match Hosts::new() {
        Ok(hosts) => hosts,
        Err(error) => {
            eprintln!("turnpike-hosts: {error}");
            return ExitCode::FAILURE;
        }
    };
    for host in [&hosts.client, &hosts.relay, &hosts.peer] {
        println!("nsenter --net=/run/netns/{} -- sh", host.name());
    }
    println!(
        "janitor {}; Ctrl-C takes the hosts away",
        hosts.janitor_id()
    );
    loop {
        thread::park();
    }
}
