//! Builds the load generator's eBPF programs, or leaves a message in their place.

fn main() -> Result<(), String> {
    turnpike_ebpf_builder::build("../ebpf/generator", "generator")
}
