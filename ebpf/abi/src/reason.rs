//! Why a packet ended where it did. Each packet that the XDP program sees is counted under one reason:
//! received = forwarded + passed + dropped.

/// What became of packets with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They left this host, or went back to who sent them.
    Forwarded,
    /// They went on to the host, untouched.
    Passed,
    /// They ended here.
    Dropped,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $label:literal, $fate:ident;)*) => {
        /// Why a packet ended where it did; an index of the map `REASONS`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason, each at its own index.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// What became of the packets.
            #[inline(always)]
            #[must_use]
            pub const fn fate(self) -> Fate {
                match self {
                    $(Self::$name => Fate::$fate,)*
                }
            }
        }
    };
}

reasons! {
    /// ChannelData, gone to the peer.
    ChannelToPeer = 0, "channel_to_peer", Forwarded;
    /// A peer's datagram, gone to the client as ChannelData.
    PeerToChannel = 1, "peer_to_channel", Forwarded;
    /// A Send indication's data, gone to the peer.
    SendToPeer = 2, "send_to_peer", Forwarded;
    /// A peer's datagram, gone to the client as a Data indication.
    PeerToData = 3, "peer_to_data", Forwarded;
    /// From one allocation to another of this relay, gone to its client.
    AllocationToAllocation = 4, "allocation_to_allocation", Forwarded;
    /// A Binding request, answered to where it came from.
    BindingAnswered = 5, "binding_answered", Forwarded;
    /// Neither IPv4 nor IPv6, or more than one VLAN tag.
    NotIp = 6, "not_ip", Passed;
    /// Not UDP.
    NotUdp = 7, "not_udp", Passed;
    /// ICMP or ICMPv6: errors for relayed packets are among them.
    Icmp = 8, "icmp", Passed;
    /// A fragment; the kernel puts them together.
    Fragment = 9, "fragment", Passed;
    /// IPv4 options or IPv6 extension headers.
    Options = 10, "options", Passed;
    /// Lengths that contradict each other, or addresses that no packet may have.
    BadHeader = 11, "bad_header", Passed;
    /// UDP to somebody else.
    NotOurs = 12, "not_ours", Passed;
    /// STUN for the server.
    Control = 13, "control", Passed;
    /// To an entry that a lane serves.
    Lane = 14, "lane", Passed;
    /// The way to the next hop is not known at the moment.
    NoNextHop = 15, "no_next_hop", Passed;
    /// Longer than the next hop's MTU: a lane sends it in fragments.
    TooBig = 16, "too_big", Passed;
    /// An indication with attributes, or ChannelData with bytes behind it, that the program does not
    /// read.
    Unusual = 17, "unusual", Passed;
    /// No UDP checksum, where the packet needs one to go on.
    NoChecksum = 18, "no_checksum", Passed;
    /// The driver leaves no room before the packet.
    NoHeadroom = 19, "no_headroom", Passed;
    /// The device that the packet should leave by is not among those it may leave by.
    NoDevice = 20, "no_device", Passed;
    /// An entry that was being changed, twice.
    Torn = 21, "torn", Passed;
    /// Neither STUN nor ChannelData, or bytes that lie about their length.
    Malformed = 22, "malformed", Dropped;
    /// ChannelData or an indication without a live allocation, or to a relayed port that nobody owns.
    NoAllocation = 23, "no_allocation", Dropped;
    /// ChannelData on a number that is not bound, or whose binding has lapsed.
    NoChannel = 24, "no_channel", Dropped;
    /// No live permission for the peer's IP address.
    NoPermission = 25, "no_permission", Dropped;
    /// The peer's port is refused by the port rule or belongs to one of our own services.
    ForbiddenPort = 26, "forbidden_port", Dropped;
    /// The allocation's packets or bytes a second are used up.
    AllocationRate = 27, "allocation_rate", Dropped;
    /// The user's packets or bytes a second are used up.
    UserRate = 28, "user_rate", Dropped;
    /// The source prefix of a stranger sent too much.
    StrangerRate = 29, "stranger_rate", Dropped;
    /// The TTL or hop limit is used up.
    TimeToLive = 30, "time_to_live", Dropped;
    /// The driver leaves no room behind the packet.
    NoTailroom = 31, "no_tailroom", Dropped;
}

impl Reason {
    /// How many there are.
    pub const COUNT: u32 = Self::ALL.len() as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_reason_at_its_own_index() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn labels_differ() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let earlier = &Reason::ALL[..index];
            assert!(earlier.iter().all(|other| other.name() != reason.name()));
        }
    }
}
