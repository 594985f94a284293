//! What an allocation costs in memory. Alone in its process, so that this can be measured.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a test's way to report"
)]

#[path = "server/crowd.rs"]
mod crowd;
#[expect(dead_code, reason = "shared with the other tests of the server")]
#[path = "server/support.rs"]
mod support;

#[test]
fn allocation_with_a_permission_and_a_channel_takes_at_most_a_kibibyte() {
    let mut crowd = crowd::gather(50_000);
    let bytes = crowd.bytes_an_allocation;
    assert!(
        bytes <= 1_024,
        "{bytes} bytes an allocation, server and lane together"
    );
    assert!((0..50_000).all(|number| crowd.relays_for(number)));
    assert!(crowd.poll_timeout_cost().as_micros() < 100);
}
