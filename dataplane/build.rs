//! Builds the XDP programs, or leaves a message in their place.

fn main() -> Result<(), String> {
    if std::env::var_os("CARGO_FEATURE_MEASURE").is_some() {
        // What makes the packets for the bench.
        turnpike_ebpf_builder::build("../ebpf/generator", "generator")?;
    }
    turnpike_ebpf_builder::build("../ebpf/programs", "programs")
}
