//! Rows of figures with their marks, for people and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// All rows of a run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// One thing measured of us and of peers.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) own: Figure,
    /// Each peer with its version, and its figure or why there is none.
    pub(crate) peers: Vec<(String, Result<Figure, String>)>,
    pub(crate) mark: Mark,
}

/// The median of some passes, with the lowest and the highest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// What our figure must reach.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    AtLeast(f64),
    AtMost(f64),
    /// So many times the best of the peers.
    AtLeastTimes(f64),
    None,
}

impl Figure {
    pub(crate) fn of(passes: &[f64]) -> Self {
        let mut sorted = passes.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: sorted[sorted.len() / 2],
            low: sorted[0],
            high: sorted[sorted.len() - 1],
        }
    }

    /// One that comes out the same each time.
    pub(crate) const fn exact(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }

    fn words(self) -> String {
        let number = |value: f64| {
            if value < 10.0 {
                format!("{value:.2}")
            } else if value < 1000.0 {
                format!("{value:.1}")
            } else {
                thousands(value)
            }
        };
        if self.low < self.high {
            let (low, high) = (number(self.low), number(self.high));
            format!("{} ({low} to {high})", number(self.median))
        } else {
            number(self.median)
        }
    }
}

impl Row {
    fn best_peer(&self) -> Option<f64> {
        let figures = self.peers.iter().filter_map(|(_, it)| it.as_ref().ok());
        figures
            .map(|figure| figure.median)
            .max_by(|a, b| a.total_cmp(b))
    }

    fn verdict(&self) -> String {
        let own = self.own.median;
        let is_reached = match self.mark {
            Mark::None => return "no mark".to_owned(),
            Mark::AtLeast(least) => own >= least,
            Mark::AtMost(most) => own <= most,
            Mark::AtLeastTimes(times) => match self.best_peer() {
                None => return "skipped: no peer".to_owned(),
                Some(best) => {
                    let ratio = own / best;
                    let word = if ratio >= times { "reached" } else { "short" };
                    return format!("{word}, {ratio:.1} times");
                }
            },
        };
        if is_reached { "reached" } else { "short" }.to_owned()
    }

    fn mark_words(&self) -> String {
        match self.mark {
            Mark::None => String::new(),
            Mark::AtLeast(least) => format!(">= {least}"),
            Mark::AtMost(most) => format!("<= {most}"),
            Mark::AtLeastTimes(times) => format!(">= {times} times the peer"),
        }
    }

    fn json(&self) -> Value {
        let figure = |it: &Figure| json!({"median": it.median, "low": it.low, "high": it.high});
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|(name, it)| match it {
                Ok(it) => json!({"peer": name, "figure": figure(it)}),
                Err(why) => json!({"peer": name, "skipped": why}),
            })
            .collect();
        json!({
            "what": self.what, "unit": self.unit, "turnpike": figure(&self.own), "peers": peers,
            "mark": self.mark_words(), "verdict": self.verdict(),
        })
    }
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {}: {} {}", row.what, row.own.words(), row.unit);
        self.rows.push(row);
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n\n", machine());
        text.push_str(
            "| what | unit | turnpike | peers | mark | verdict |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let peers: Vec<String> = row
                .peers
                .iter()
                .map(|(name, figure)| match figure {
                    Ok(figure) => format!("{name}: {}", figure.words()),
                    Err(why) => format!("{name}: skipped, {why}"),
                })
                .collect();
            let (what, unit, own) = (&row.what, row.unit, row.own.words());
            let (peers, mark, verdict) = (peers.join("; "), row.mark_words(), row.verdict());
            writeln!(
                text,
                "| {what} | {unit} | {own} | {peers} | {mark} | {verdict} |"
            )
            .unwrap();
        }
        let short = self
            .rows
            .iter()
            .filter(|row| row.verdict().starts_with("short"));
        writeln!(text, "\n{} rows, {} short", self.rows.len(), short.count()).unwrap();
        text
    }

    pub(crate) fn write_json(&self, path: &str) {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let report = json!({"machine": machine(), "rows": rows});
        let path = Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{report:#}\n")).unwrap();
    }
}

fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model);
    let count = cpus.matches("model name").count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{count} x {model}, Linux {}, load {load}", kernel.trim())
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
