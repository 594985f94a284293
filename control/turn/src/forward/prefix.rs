//! The bytes that go before a peer's payload on its way to the client.
//!
//! The payload stays where the lane has it; the lane sends prefix, payload and padding as one.

use core::net::{IpAddr, SocketAddr};

use turnpike_stun::{AttributeType, MAGIC_COOKIE};
use turnpike_types::{ChannelNumber, Entropy};

use crate::channel_data::ChannelData;

/// What a lane puts before the payload: a ChannelData header (RFC 8656 section 12.4) or a Data
/// indication up to the value of its DATA attribute (section 11.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Prefix {
    /// The longest prefix: a Data indication of an IPv6 peer.
    pub const MAX: usize = 48;

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// `None` where the length field cannot say how long the payload is.
    pub(super) fn channel_data(number: ChannelNumber, payload_len: usize) -> Option<Self> {
        let header = ChannelData::header(number, payload_len)?;
        let mut prefix = Self {
            bytes: [0; Self::MAX],
            len: 0,
        };
        prefix.push(&header);
        Some(prefix)
    }

    /// `None` where the length fields cannot say how long the payload is.
    pub(super) fn data_indication(
        transaction_id: [u8; 12],
        peer: SocketAddr,
        payload_len: usize,
    ) -> Option<Self> {
        let address_len: u16 = if peer.is_ipv4() { 8 } else { 20 };
        let data_len = u16::try_from(payload_len).ok()?;
        // An attribute's length leaves its padding out, the message's does not.
        let padded_len = u16::try_from(payload_len + ChannelData::padding(payload_len)).ok()?;
        let attributes_len = (4 + address_len + 4).checked_add(padded_len)?;
        let mut prefix = Self {
            bytes: [0; Self::MAX],
            len: 0,
        };
        prefix.push(&DATA_INDICATION.to_be_bytes());
        prefix.push(&attributes_len.to_be_bytes());
        prefix.push(&MAGIC_COOKIE.to_be_bytes());
        prefix.push(&transaction_id);
        prefix.push(&AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes());
        prefix.push(&address_len.to_be_bytes());
        prefix.push_xor_address(transaction_id, peer);
        prefix.push(&AttributeType::DATA.0.to_be_bytes());
        prefix.push(&data_len.to_be_bytes());
        Some(prefix)
    }

    /// RFC 8489 section 14.2.
    fn push_xor_address(&mut self, transaction_id: [u8; 12], addr: SocketAddr) {
        let [cookie_high, cookie_low, ..] = MAGIC_COOKIE.to_be_bytes();
        let port = addr.port() ^ u16::from_be_bytes([cookie_high, cookie_low]);
        match addr.ip() {
            IpAddr::V4(ip) => {
                self.push(&[0, 1]);
                self.push(&port.to_be_bytes());
                self.push(&(ip.to_bits() ^ MAGIC_COOKIE).to_be_bytes());
            }
            IpAddr::V6(ip) => {
                let id = transaction_id
                    .iter()
                    .fold(0, |id, byte| id << 8 | u128::from(*byte));
                self.push(&[0, 2]);
                self.push(&port.to_be_bytes());
                self.push(&(ip.to_bits() ^ (u128::from(MAGIC_COOKIE) << 96 | id)).to_be_bytes());
            }
        }
    }

    fn push<const N: usize>(&mut self, bytes: &[u8; N]) {
        let (_, rest) = self
            .bytes
            .split_at_mut(usize::from(self.len).min(Self::MAX));
        if let Some(place) = rest.first_chunk_mut() {
            *place = *bytes;
            self.len += N as u8;
        }
    }
}

impl core::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Prefix({:02x?})", self.as_slice())
    }
}

/// Transaction IDs of Data indications: a counter under a seeded mix. Nobody answers an indication,
/// so they need only differ.
#[derive(Debug)]
pub(super) struct TransactionIds {
    seeds: [u64; 2],
    counter: u64,
}

impl TransactionIds {
    pub(super) fn new(entropy: &mut impl Entropy) -> Self {
        Self {
            seeds: [entropy.next_u64(), entropy.next_u64()],
            counter: 0,
        }
    }

    pub(super) fn draw(&mut self) -> [u8; 12] {
        self.counter = self.counter.wrapping_add(1);
        let [first, second] = self.seeds.map(|seed| mix(seed, self.counter));
        let mut id = [0; 12];
        let (high, low) = id.split_at_mut(8);
        high.copy_from_slice(&first.to_be_bytes());
        low.copy_from_slice(&((second >> 32) as u32).to_be_bytes());
        id
    }
}

/// The output function of SplitMix64.
const fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The DATA method and the indication class, interleaved (RFC 8489 section 5).
const DATA_INDICATION: u16 = 0x0017;
