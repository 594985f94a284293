//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use turnpike_bench_rig::plan::{Effort, Experiment, Plan, Rivals};

/// Measures Turnpike beside other relays, on this machine, in one run.
///
/// Makes client, relay and peer hosts in network namespaces, starts one relay after the other on a core of
/// its own, sends it authenticated TURN traffic, and prints what it did with it: CPU a packet, the
/// highest rate without loss, added delay, allocation cycles a second, memory. Each figure has the
/// interval in which it is believed. Needs root and two cores. Ctrl-C stops at once, prints what was
/// measured so far and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(name = "turnpike-bench", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How much time to take
    #[arg(long, value_enum, default_value_t = Pace::Full)]
    pace: Pace,

    /// Measure only this; may be given more than once (--list names them)
    #[arg(long, value_name = "NAME")]
    only: Vec<Experiment>,

    /// Name everything that can be measured, and end
    #[arg(long)]
    pub(crate) list: bool,

    /// The turnpike program to measure
    #[arg(long, value_name = "PATH", default_value = "target/release/turnpike")]
    turnpike: PathBuf,

    /// Measure only rivals whose name contains this, such as 4.6.1; may be given more than once;
    /// "none" for none
    #[arg(long, value_name = "NAME")]
    rival: Vec<String>,

    /// Seconds that one trial lasts, instead of the pace's own
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,

    /// Rounds of turns (A B B A), instead of the pace's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: Option<u8>,

    /// Say on standard error what each trial showed
    #[arg(long)]
    trials: bool,

    /// Keep all figures in this file
    #[arg(long, value_name = "FILE", default_value = "target/bench/report.json")]
    pub(crate) json: PathBuf,

    /// Also write a table in Markdown to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

/// How much time to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// Under six minutes: the marks of the socket lane, the fast path's rate; short trials
    Quick,
    /// Under half an hour: every row, long trials, more rounds
    Full,
}

impl Args {
    pub(crate) fn plan(&self) -> Plan {
        let (name, mut effort) = match self.pace {
            Pace::Quick => ("quick", Effort::quick()),
            Pace::Full => ("full", Effort::full()),
        };
        if let Some(duration) = self.duration {
            effort.trial = duration;
        }
        if let Some(rounds) = self.rounds {
            effort.rounds = usize::from(rounds);
        }
        let experiments = if self.only.is_empty() {
            match self.pace {
                Pace::Quick => Experiment::QUICK.to_vec(),
                Pace::Full => Experiment::ALL.to_vec(),
            }
        } else {
            self.only.clone()
        };
        Plan {
            name: name.to_owned(),
            experiments,
            effort,
            turnpike: self.turnpike.clone(),
            rivals: self.rivals(),
            trials: self.trials,
        }
    }

    fn rivals(&self) -> Rivals {
        match self.rival.as_slice() {
            [] => Rivals::All,
            [none] if none == NONE => Rivals::Named(Vec::new()),
            named => Rivals::Named(named.to_vec()),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds, such as 2 or 0.5".to_owned())?;
    if !(0.2..=60.0).contains(&seconds) {
        return Err("from 0.2 to 60 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

const NONE: &str = "none";

const EXAMPLES: &str = "\
Examples:
  turnpike-bench --pace quick               what matters most, in under six minutes
  turnpike-bench --only cpu-bursty          one thing, of all relays
  turnpike-bench --only cpu-bursty --turnpike /tmp/mine --rival 4.6.1
  turnpike-bench --only rate --rival none   Turnpike alone, while you mend it
  turnpike-bench --list                     what can be measured";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Args {
        Args::parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn without_arguments_all_is_measured_of_everybody() {
        let plan = parse("turnpike-bench").plan();
        assert_eq!(plan.experiments, Experiment::ALL);
        assert_eq!(plan.rivals, Rivals::All);
    }

    #[test]
    fn single_rows_rivals_and_durations_can_be_asked_for() {
        let plan = parse(
            "turnpike-bench --pace quick --only cpu-bursty --rival none --duration 0.5 --rounds 1",
        )
        .plan();
        assert_eq!(plan.experiments, [Experiment::CpuBursty]);
        assert_eq!(plan.rivals, Rivals::Named(Vec::new()));
        assert_eq!(plan.effort.trial, Duration::from_millis(500));
        assert_eq!(plan.effort.rounds, 1);
    }

    #[test]
    fn durations_out_of_bounds_are_refused() {
        for words in ["0", "61", "soon", "nan"] {
            assert!(seconds(words).is_err(), "{words}");
        }
    }
}
