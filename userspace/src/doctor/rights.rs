//! Capabilities of this process: those of `turnpike run` are the same when it is started alike.

use super::{Finding, Verdict, read};

/// A capability and what it is for.
struct Right {
    bit: u32,
    name: &'static str,
    without: &'static str,
}

/// All that the fast path needs (capabilities(7)).
const RIGHTS: [Right; 4] = [
    Right {
        bit: 39,
        name: "CAP_BPF",
        without: "programs and tables cannot be made",
    },
    Right {
        bit: 12,
        name: "CAP_NET_ADMIN",
        without: "programs cannot be attached to a device",
    },
    Right {
        bit: 38,
        name: "CAP_PERFMON",
        without: "the kernel's verifier holds the programs to rules that they do not meet",
    },
    Right {
        bit: 13,
        name: "CAP_NET_RAW",
        without: "packets that go through sockets could not leave by the ports of allocations, and \
                  clients do not hear of ICMP errors",
    },
];

/// What gives a binary the rights.
const CURE: &str = "setcap cap_bpf,cap_net_admin,cap_perfmon,cap_net_raw+ep $(command -v turnpike)";

pub(super) fn examine() -> Vec<Finding> {
    let status = read("/proc/self/status").unwrap_or_default();
    let set = effective(&status);
    RIGHTS.iter().map(|right| judge(right, set)).collect()
}

/// The effective set in `/proc/self/status`; none where it does not say.
fn effective(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

fn judge(right: &Right, effective: u64) -> Finding {
    if effective >> right.bit & 1 == 1 {
        return Finding::pass(right.name, "held");
    }
    Finding::pass(right.name, "missing")
        .but(Verdict::Fail, right.without)
        .cured_by(CURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_right_fails() {
        let verdicts = |set| RIGHTS.map(|right| judge(&right, set).verdict);
        assert_eq!(verdicts(u64::MAX), [Verdict::Pass; 4]);
        assert_eq!(verdicts(0), [Verdict::Fail; 4]);
    }

    #[test]
    fn effective_set_is_read_from_the_status_file() {
        let status = "Name:\tturnpike\nCapPrm:\t0000000000000000\nCapEff:\t000000c000003000\n";
        let verdicts = RIGHTS.map(|right| judge(&right, effective(status)).verdict);
        assert_eq!(verdicts, [Verdict::Pass; 4]);
        assert_eq!(effective("CapEff:\tnonsense"), 0);
    }
}
