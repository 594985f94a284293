//! What this process may do, and what each of it is good for (capabilities(7)).
//!
//! Nothing is needed: a right that is missing costs one thing, which is said.

use std::fs;

/// A capability by its number and name, and what it is for.
struct Right {
    bit: u32,
    name: &'static str,
    with: &'static str,
    without: &'static str,
}

const RIGHTS: [Right; 2] = [
    Right {
        bit: 10,
        name: "CAP_NET_BIND_SERVICE",
        with: "any port",
        without: "ports from 1024 only",
    },
    Right {
        bit: 13,
        name: "CAP_NET_RAW",
        with: "clients hear of ICMP errors",
        without: "clients do not hear of ICMP errors",
    },
];

/// One line on the rights that make a difference, and how many descriptors there are.
pub(super) fn line(descriptors: u64) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    told(effective(&status), descriptors)
}

/// The effective set in `/proc/self/status`; none where it does not say.
fn effective(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

fn told(effective: u64, descriptors: u64) -> String {
    let tell = |right: &Right| match effective >> right.bit & 1 {
        1 => format!("{} ({})", right.name, right.with),
        _ => format!("no {} ({})", right.name, right.without),
    };
    let rights: Vec<String> = RIGHTS.iter().map(tell).collect();
    format!("{}; {descriptors} descriptors", rights.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_told_with_what_it_is_for() {
        assert_eq!(
            told(1 << 13, 1_024),
            "no CAP_NET_BIND_SERVICE (ports from 1024 only), CAP_NET_RAW (clients hear of ICMP \
             errors); 1024 descriptors"
        );
        let none = told(0, 64);
        assert!(
            none.contains("no CAP_NET_RAW (clients do not hear"),
            "{none}"
        );
    }

    #[test]
    fn effective_set_is_read_from_the_status_file() {
        let status = "Name:\tturnpike\nCapPrm:\t0000000000000000\nCapEff:\t0000000000002400\n";
        assert_eq!(effective(status), 1 << 10 | 1 << 13);
        assert_eq!(effective("CapEff:\tnonsense"), 0);
    }
}
