//! What can be measured, by name.

use std::fmt;
use std::str::FromStr;

/// One thing to measure; gives one row or a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Experiment {
    /// What the same thing measured twice differs by.
    Noise,
    /// The generator alone, the kernel's routing, a bare XDP redirect.
    Ceilings,
    /// CPU a relayed packet, 20 flows, bursts of 8.
    CpuBursty,
    /// CPU a relayed packet, 1,000 flows, single packets.
    CpuSingle,
    /// Rates without loss and with 0.5 %.
    Rate,
    /// Added delay at shares of coturn's rate.
    Latency,
    /// Allocation cycles a second.
    Cycles,
    /// Memory an allocation.
    Memory,
    /// How many allocations there can be.
    Allocations,
    /// CPU a relayed packet of video: 1,200 bytes in bursts.
    CpuVideo,
    /// CPU a relayed packet of 100 bytes.
    CpuSmall,
    /// CPU a relayed packet in Send and Data indications.
    CpuIndications,
    /// CPU a packet from one allocation to another.
    CpuHairpin,
    /// CPU a relayed packet over IPv6.
    CpuIpv6,
    /// CPU a relayed packet between an IPv4 client and an IPv6 peer.
    CpuCross,
    /// Rates of the fast path without loss and with 0.5 %.
    XdpRate,
    /// CPU a packet that the fast path relays.
    XdpCpu,
    /// The fast path beside a bare redirect.
    XdpShare,
    /// Calls while strangers ask from few addresses.
    Flood,
    /// Calls while strangers ask from random addresses.
    FloodSpoofed,
    /// Binding requests answered.
    Binding,
}

impl Experiment {
    /// All, in the order of a run.
    pub const ALL: [Self; 21] = [
        Self::Ceilings,
        Self::Rate,
        Self::CpuBursty,
        Self::CpuSingle,
        Self::Latency,
        Self::Cycles,
        Self::Memory,
        Self::XdpRate,
        Self::XdpCpu,
        Self::XdpShare,
        Self::Flood,
        Self::FloodSpoofed,
        Self::Binding,
        Self::Noise,
        Self::Allocations,
        Self::CpuVideo,
        Self::CpuSmall,
        Self::CpuIndications,
        Self::CpuHairpin,
        Self::CpuIpv6,
        Self::CpuCross,
    ];

    /// The marks of relaying through sockets, what bounds them, and the rates of the fast path.
    pub const QUICK: [Self; 8] = [
        Self::Ceilings,
        Self::Rate,
        Self::CpuBursty,
        Self::CpuSingle,
        Self::Latency,
        Self::Cycles,
        Self::Memory,
        Self::XdpRate,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Ceilings => "ceilings",
            Self::CpuBursty => "cpu-bursty",
            Self::CpuSingle => "cpu-single",
            Self::Rate => "rate",
            Self::Latency => "latency",
            Self::Cycles => "cycles",
            Self::Memory => "memory",
            Self::Allocations => "allocations",
            Self::CpuVideo => "cpu-video",
            Self::CpuSmall => "cpu-small",
            Self::CpuIndications => "cpu-indications",
            Self::CpuHairpin => "cpu-hairpin",
            Self::CpuIpv6 => "cpu-ipv6",
            Self::CpuCross => "cpu-cross",
            Self::XdpRate => "xdp-rate",
            Self::XdpCpu => "xdp-cpu",
            Self::XdpShare => "xdp-share",
            Self::Flood => "flood",
            Self::FloodSpoofed => "flood-spoofed",
            Self::Binding => "binding",
        }
    }

    /// A line about it.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Noise => "what Turnpike measured twice differs by (A/A)",
            Self::Ceilings => {
                "the generator without a relay, the kernel's routing, a bare redirect"
            }
            Self::CpuBursty => "CPU a relayed packet: 20 flows, bursts of 8, 172 bytes",
            Self::CpuSingle => "CPU a relayed packet: 1,000 flows, single packets, 172 bytes",
            Self::Rate => "rate without loss and with 0.5 %: 1,000 allocations, both directions",
            Self::Latency => "added delay at 10, 50 and 90 % of the best rival's rate",
            Self::Cycles => "Allocate, CreatePermission, ChannelBind, Refresh 0: cycles a second",
            Self::Memory => "resident memory an allocation with a permission and a channel",
            Self::Allocations => "how many allocations one relay holds, up to 100,000",
            Self::CpuVideo => "CPU a relayed packet: 20 flows, bursts of 8, 1,200 bytes",
            Self::CpuSmall => "CPU a relayed packet: 1,000 flows, single packets, 100 bytes",
            Self::CpuIndications => "CPU a relayed packet: Send and Data indications, 172 bytes",
            Self::CpuHairpin => "CPU a packet from one allocation to another, 172 bytes",
            Self::CpuIpv6 => "CPU a relayed packet: IPv6, 172 bytes",
            Self::CpuCross => "CPU a relayed packet: IPv4 client, IPv6 peer, 172 bytes",
            Self::XdpRate => "rates of the fast path: 1,000 allocations, both directions",
            Self::XdpCpu => "CPU a packet that the fast path relays: 1,000 flows, 172 bytes",
            Self::Flood => "500,000 requests a second of strangers at 16 addresses",
            Self::FloodSpoofed => "500,000 requests a second of strangers at random addresses",
            Self::Binding => "Binding requests answered: at most 1 in 10,000 not",
            Self::XdpShare => "which share of a bare redirect's rate a core does as the fast path",
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Experiment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|experiment| experiment.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("there is {names}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_is_found_by_its_name() {
        for experiment in Experiment::ALL {
            assert_eq!(experiment.name().parse(), Ok(experiment));
        }
        let complaint = "cpu".parse::<Experiment>().unwrap_err();
        assert!(complaint.contains("cpu-bursty"));
    }

    #[test]
    fn what_is_measured_quickly_is_measured_fully_too() {
        for experiment in Experiment::QUICK {
            assert!(Experiment::ALL.contains(&experiment));
        }
    }
}
