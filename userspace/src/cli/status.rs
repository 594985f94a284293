//! The live status line, and the summary at the end.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::console::Console;
use turnpike_abi::{Fate, Reason};
use turnpike_dataplane::counters::Reasons;

use crate::shard::Snapshot;

/// Between two lines that are not on a terminal.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Back to the start of the line and clear it; then have the terminal cut what is too long for it
/// instead of going on below, where it could not be rewritten (DECAWM).
const REWRITE: &str = "\r\x1b[K\x1b[?7l";

/// Lines may be longer than the terminal again.
const REWRITTEN: &str = "\x1b[?7h";

/// One line that is rewritten on a terminal, and a line a minute elsewhere.
pub(super) struct StatusLine {
    out: Console,
    live: bool,
    shown_at: Instant,
    shown: Snapshot,
}

impl StatusLine {
    pub(super) fn new(out: Console, first: Snapshot) -> Self {
        Self {
            out,
            live: out.is_live(),
            shown_at: Instant::now(),
            shown: first,
        }
    }

    /// Shows the numbers, if it is time to.
    pub(super) fn update(&mut self, now: Snapshot) -> io::Result<()> {
        let passed = self.shown_at.elapsed();
        if !self.live && passed < LINE_EVERY {
            return Ok(());
        }
        let line = rates(&now, &now.since(&self.shown), passed);
        show(&mut self.out, self.live, &line)?;
        self.shown_at = Instant::now();
        self.shown = now;
        self.out.flush()
    }

    /// Leaves the line, so that what follows begins on its own.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if self.live {
            writeln!(self.out)
        } else {
            Ok(())
        }
    }
}

fn show(out: &mut impl Write, live: bool, line: &str) -> io::Result<()> {
    if live {
        write!(out, "{REWRITE}{line}{REWRITTEN}")
    } else {
        writeln!(out, "{line}")
    }
}

fn rates(now: &Snapshot, change: &Snapshot, passed: Duration) -> String {
    let seconds = passed.as_secs_f64().max(0.001);
    let packets = change.packets() as f64 / seconds;
    let megabits = change.bytes() as f64 * 8.0 / seconds / 1e6;
    format!(
        "{} · {} packets/s · {megabits:.1} Mbit/s · {} dropped",
        counted(now.allocations, "allocation"),
        grouped(packets.round() as u64),
        grouped(now.dropped())
    )
}

pub(super) fn print_summary(
    out: &mut impl Write,
    uptime: Duration,
    served: &Snapshot,
) -> io::Result<()> {
    writeln!(out, "up         {}", spoken(uptime))?;
    writeln!(
        out,
        "served     {}",
        counted(served.allocations_total, "allocation")
    )?;
    writeln!(
        out,
        "relayed    {}, {} to peers ({}) and {} to clients ({})",
        counted(served.packets(), "packet"),
        grouped(served.to_peer().0),
        bytes(served.to_peer().1),
        grouped(served.to_client().0),
        bytes(served.to_client().1)
    )?;
    write!(out, "dropped    {}", counted(served.dropped(), "packet"))?;
    for (index, (reason, count)) in served.drops_by_reason().enumerate() {
        let before = if index == 0 { ": " } else { ", " };
        write!(out, "{before}{reason} {}", grouped(count))?;
    }
    writeln!(out)
}

/// What the programs in the kernel did with the packets that they saw.
pub(super) fn print_kernel(out: &mut impl Write, reasons: &Reasons) -> io::Result<()> {
    for (name, fate) in [
        ("in kernel", Fate::Forwarded),
        ("passed up", Fate::Passed),
        ("  dropped", Fate::Dropped),
    ] {
        let count = reasons.with_fate(fate);
        write!(out, "{name:<10} {}", counted(count, "packet"))?;
        let of_it = Reason::ALL.iter().filter(|reason| reason.fate() == fate);
        let counted = of_it.map(|reason| (reason.name(), reasons.of(*reason)));
        let mut before = ": ";
        for (reason, count) in counted.filter(|(_, count)| *count > 0) {
            write!(out, "{before}{reason} {}", grouped(count))?;
            before = ", ";
        }
        writeln!(out)?;
    }
    Ok(())
}

fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// So many things, whose name takes an s.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {thing}{end}", grouped(number))
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use turnpike_types::DropReason;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot {
            allocations: 12,
            allocations_total: 1_500,
            to_peer_packets: 1_000,
            to_peer_bytes: 172_000,
            to_client_packets: 500,
            to_client_bytes: 86_000,
            ..Snapshot::default()
        };
        snapshot.drops[DropReason::NoChannel as usize] = 2;
        snapshot.drops[DropReason::QueueFull as usize] = 1_000;
        snapshot
    }

    #[test]
    fn rates_are_of_the_time_that_passed() {
        let line = rates(&snapshot(), &snapshot(), Duration::from_millis(500));
        assert_eq!(
            line,
            "12 allocations · 3,000 packets/s · 4.1 Mbit/s · 1,002 dropped"
        );
    }

    #[test]
    fn live_line_is_cut_by_the_terminal_and_not_carried_below() {
        let shown = |live| {
            let mut out = Vec::new();
            show(&mut out, live, "12 allocations").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(true), "\r\x1b[K\x1b[?7l12 allocations\x1b[?7h");
        assert_eq!(shown(false), "12 allocations\n");
    }

    #[test]
    fn one_is_not_several() {
        assert_eq!(counted(1, "allocation"), "1 allocation");
        assert_eq!(counted(0, "packet"), "0 packets");
    }

    #[test]
    fn summary_names_each_reason_with_drops() {
        let mut out = Vec::new();
        print_summary(&mut out, Duration::from_secs(3_725), &snapshot()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "up         1 h 2 min\n\
             served     1,500 allocations\n\
             relayed    1,500 packets, 1,000 to peers (172.0 kB) and 500 to clients (86.0 kB)\n\
             dropped    1,002 packets: no_channel 2, queue_full 1,000\n"
        );
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
