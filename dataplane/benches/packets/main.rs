//! What one packet costs the XDP program: nanoseconds, by path and by how many sessions there are.
//!
//! The real programs with the real tables, filled by the engine's commands. A wrapper in the kernel
//! (`ebpf/generator/src/visit.rs`) makes each packet anew for a session that it picks at random; what
//! it costs itself is measured with a program that does nothing, by turns, and taken off. Every packet must
//! have been forwarded. Needs root; makes a network namespace of its own.
//!
//! ```text
//! cargo bench -p turnpike-dataplane --features measure --bench packets -- 1000 1000000 Ipv4
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement: a panic says why there is none"
)]

mod course;
mod frame;
mod world;
mod wrapper;

use std::time::Instant;

use course::{COURSES, Course};
use world::{Kind, World};
use wrapper::Wrapper;

/// Numbers of sessions, without arguments.
const SESSIONS: [u32; 3] = [1_000, 100_000, 1_000_000];

/// Packets of a pass, and passes of which the median counts.
const PACKETS: u32 = 250_000;
const PASSES: usize = 21;

fn main() {
    let asked: Vec<u32> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let asked = if asked.is_empty() {
        SESSIONS.to_vec()
    } else {
        asked
    };
    world::namespace();
    let mut rows: Vec<(Course, Vec<Figure>)> = Vec::new();
    for sessions in &asked {
        for kind in kinds() {
            let started = Instant::now();
            let world = World::new(kind, *sessions);
            eprintln!(
                "{sessions} sessions, {kind:?}: made in {:.1?}",
                started.elapsed()
            );
            for course in COURSES.iter().filter(|course| course.kind == kind) {
                let figure = measure(&world, course, *sessions);
                eprintln!("  {:<24} {figure:?}", course.name);
                match rows.iter_mut().find(|(row, _)| row.name == course.name) {
                    Some((_, figures)) => figures.push(figure),
                    None => rows.push((*course, vec![figure])),
                }
            }
        }
    }
    print(&asked, &rows);
}

/// The kinds of sessions that an argument names; all without one.
fn kinds() -> Vec<Kind> {
    let all = [Kind::Ipv4, Kind::Pairs, Kind::Ipv6];
    let is_named = |kind: &Kind| std::env::args().any(|text| text == format!("{kind:?}"));
    let named: Vec<Kind> = all.into_iter().filter(is_named).collect();
    if named.is_empty() {
        all.to_vec()
    } else {
        named
    }
}

/// Nanoseconds a packet.
#[derive(Debug)]
struct Figure {
    /// The program's, the wrapper's cost taken off: median, lowest and highest pass.
    own: [f64; 3],
    /// The wrapper's own.
    wrapper: f64,
}

fn measure(world: &World, course: &Course, sessions: u32) -> Figure {
    let mut wrapper = Wrapper::load(course, sessions, world.device());
    let relay = world.program();
    let before = world.packets(course.reason);
    let mut passes: Vec<[f64; 2]> = Vec::new();
    wrapper.visit_nothing();
    wrapper.pass(PACKETS / 4);
    wrapper.visit(&relay);
    wrapper.pass(PACKETS / 4);
    for _ in 0..PASSES {
        wrapper.visit_nothing();
        let without = wrapper.pass(PACKETS);
        wrapper.visit(&relay);
        passes.push([wrapper.pass(PACKETS), without]);
    }
    let forwarded = world.packets(course.reason) - before;
    let all = u64::from(PACKETS / 4) + PASSES as u64 * u64::from(PACKETS);
    assert_eq!(forwarded, all, "{}: {:?}", course.name, world.reasons());
    let mut own: Vec<f64> = passes
        .iter()
        .map(|[with, without]| with - without)
        .collect();
    own.sort_by(f64::total_cmp);
    let mut wrappers: Vec<f64> = passes.iter().map(|[_, without]| *without).collect();
    wrappers.sort_by(f64::total_cmp);
    Figure {
        own: [own[PASSES / 2], own[0], own[PASSES - 1]],
        wrapper: wrappers[PASSES / 2],
    }
}

fn print(asked: &[u32], rows: &[(Course, Vec<Figure>)]) {
    let heads: Vec<String> = asked
        .iter()
        .map(|count| format!(" {count} sessions |"))
        .collect();
    println!("| ns a packet |{} wrapper |", heads.concat());
    println!("|---|{}---|", "---|".repeat(asked.len()));
    for (course, figures) in rows {
        let cells = figures.iter().map(|figure| {
            let [median, lowest, highest] = figure.own;
            format!(" {median:.0} ({lowest:.0} to {highest:.0}) |")
        });
        let wrapper = figures.iter().map(|it| it.wrapper).fold(0.0, f64::max);
        println!(
            "| {} |{} {wrapper:.0} |",
            course.name,
            cells.collect::<String>()
        );
    }
    let Some((course, figures)) = rows.first() else {
        return;
    };
    let [first, .., last] = &figures[..] else {
        return;
    };
    let share = first.own[0] / last.own[0];
    let verdict = |reached| if reached { "reached" } else { "MISSED" };
    let few = verdict(first.own[0] <= 100.0);
    println!(
        "mark: {}, fewest sessions, at most 100 ns: {few}",
        course.name
    );
    let many = verdict(share >= 0.5);
    println!("mark: rate at most sessions at least half of that at fewest: {share:.2}, {many}");
}
