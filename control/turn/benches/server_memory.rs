//! One million allocations, each of another user with one permission and one channel, in server
//! and reference lane together: memory an allocation, and what `poll_timeout` takes beside ten.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a benchmark's way to report"
)]

#[path = "../tests/server/crowd.rs"]
mod crowd;
#[expect(dead_code, reason = "shared with the tests of the server")]
#[path = "../tests/server/support.rs"]
mod support;

fn main() {
    let few = crowd::gather(10).poll_timeout_cost();
    let mut crowd = crowd::gather(1_000_000);
    println!("allocations         {}", crowd.server.allocations());
    assert!(
        (0..1_000_000)
            .step_by(999)
            .all(|number| crowd.relays_for(number))
    );
    println!("bytes an allocation {}", crowd.bytes_an_allocation);
    println!(
        "poll_timeout        {few:?} with 10, {:?} with all",
        crowd.poll_timeout_cost()
    );
}
