//! How large the program is for the verifier and in machine code. Printed, and kept within a tolerance:
//! what the verifier walks through decides whether an older kernel takes the program at all.

use crate::kernel::Kernel;
use crate::world::world;

/// Verified instructions of the program; kernels give up at a million.
const VERIFIED: u32 = 60_000;
/// Bytes of machine code.
const JITED: u32 = 64_000;

#[test]
fn program_stays_within_its_size() {
    let kernel = Kernel::with(&world());
    let info = kernel.program().info().unwrap();
    let verified = info.verified_instruction_count().unwrap();
    let jited = info.size_jitted();
    println!("relay: {verified} verified instructions, {jited} bytes of machine code");
    assert!(jited > 0, "the programs are compiled on this machine");
    for (what, is, limit) in [
        ("verified instructions", verified, VERIFIED),
        ("bytes", jited, JITED),
    ] {
        assert!(
            is <= limit + limit / 10,
            "{is} {what}: more than {limit} by a tenth"
        );
        assert!(is >= limit / 2, "{is} {what}: lower the limit");
    }
}
