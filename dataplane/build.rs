//! Builds the XDP programs, or leaves a message in their place.

fn main() -> Result<(), String> {
    turnpike_ebpf_builder::build("../ebpf/programs", "programs")
}
