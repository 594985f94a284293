//! Engine to engine on one core: bulk transfer over windows of several sizes, and small messages.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a benchmark's way to report"
)]

mod pipe;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use turnpike_sctp::Config;

use pipe::Pipe;

const WINDOWS: [u32; 4] = [256 << 10, 1 << 20, 4 << 20, 32 << 20];

fn bulk(c: &mut Criterion) {
    for (name, has_zero_checksum) in [("zero_checksum", true), ("crc32c", false)] {
        let mut group = c.benchmark_group(format!("bulk_64k_{name}"));
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2));
        for window in WINDOWS {
            let config = config(window, has_zero_checksum);
            let mut pipe = Pipe::new(&config, 64 << 10, 1);
            pipe.transfer(64 << 20);
            group.throughput(Throughput::Bytes(16 << 20));
            group.bench_function(BenchmarkId::from_parameter(window), |b| {
                b.iter(|| pipe.transfer(16 << 20));
            });
        }
    }
}

fn small(c: &mut Criterion) {
    let mut group = c.benchmark_group("messages_64_bytes");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    for streams in [1, 100] {
        let mut pipe = Pipe::new(&config(1 << 20, true), 64, streams);
        pipe.transfer(64 << 14);
        group.throughput(Throughput::Elements(1 << 16));
        group.bench_function(BenchmarkId::new("streams", streams), |b| {
            b.iter(|| pipe.transfer(64 << 16));
        });
    }
}

fn config(window: u32, has_zero_checksum: bool) -> Config {
    Config {
        receive_buffer_bytes: window,
        send_buffer_bytes: 2 * window as usize,
        has_zero_checksum,
        ..Config::default()
    }
}

criterion_group!(benches, bulk, small);
criterion_main!(benches);
