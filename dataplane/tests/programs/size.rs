//! How large the program is for the verifier and in machine code. Printed, and kept within a tolerance:
//! what the verifier walks through decides whether an older kernel takes the program at all.

use crate::kernel::Kernel;
use crate::world::world;

/// Each program with its verified instructions (kernels give up at a million) and its bytes of machine
/// code.
const SIZES: [(&str, u32, u32); 3] = [
    ("relay", 230_000, 23_000),
    ("send", 230_000, 23_000),
    ("bind", 13_500, 12_800),
];

#[test]
fn programs_stay_within_their_sizes() {
    let kernel = Kernel::with(&world());
    let mut strange = Vec::new();
    for (name, verified_then, jited_then) in SIZES {
        let info = kernel.program(name).info().unwrap();
        let verified = info.verified_instruction_count().unwrap();
        let jited = info.size_jitted();
        println!("{name}: {verified} verified instructions, {jited} bytes of machine code");
        for (what, is, then) in [
            ("verified", verified, verified_then),
            ("bytes", jited, jited_then),
        ] {
            if is > then + then / 4 || is < then / 2 {
                strange.push(format!("{name}: {is} {what}, where {then} were known"));
            }
        }
    }
    assert!(strange.is_empty(), "{strange:#?}");
}
