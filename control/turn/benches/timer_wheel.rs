//! What a timer costs: arming, moving an armed one, and taking one out, among very many.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use turnpike_turn::server::TimerWheel;
use turnpike_types::Timestamp;

const SIZES: [u32; 2] = [1_000, 1_000_000];

fn timers(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer_wheel");
    for size in SIZES {
        let armed = armed(size);
        group.bench_function(BenchmarkId::new("arm_again", size), |b| {
            let mut wheel = armed.clone();
            let mut step = 0_u32;
            b.iter(|| {
                step = step.wrapping_add(1);
                let slot = step.wrapping_mul(2_654_435_761) % size;
                wheel.arm(black_box(slot), at(step));
            });
        });
        group.bench_function(BenchmarkId::new("next", size), |b| {
            b.iter(|| black_box(&armed).next());
        });
    }
    group.sample_size(10);
    for size in SIZES {
        let armed = armed(size);
        group.throughput(criterion::Throughput::Elements(size.into()));
        group.bench_function(BenchmarkId::new("pop_all", size), |b| {
            b.iter_batched_ref(|| armed.clone(), drain, BatchSize::LargeInput);
        });
    }
}

/// Timers spread over ten minutes, as allocations and permissions are.
fn armed(size: u32) -> TimerWheel {
    let mut wheel = TimerWheel::new(Timestamp::ZERO);
    for slot in 0..size {
        wheel.arm(slot, at(slot));
    }
    wheel
}

const fn at(step: u32) -> Timestamp {
    Timestamp::from_millis((step.wrapping_mul(2_246_822_519) % 600_000) as u64)
}

/// Tick by tick, as the engine's time passes.
fn drain(wheel: &mut TimerWheel) {
    while let Some(next) = wheel.next() {
        while wheel.pop_due(next).is_some() {}
    }
}

criterion_group!(benches, timers);
criterion_main!(benches);
