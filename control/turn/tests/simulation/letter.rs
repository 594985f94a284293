//! Payloads that say which they are, so that whoever gets one can ask who sent it to whom.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Who writes letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// A client, by its number.
    Caller(usize),
    /// A peer, by the address it sends from.
    Peer(SocketAddr),
}

/// What is known of a letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    pub(crate) author: Author,
    /// Where it should go: a peer, or a relayed address.
    pub(crate) to: SocketAddr,
    /// Whether a live permission stands behind it by the client's own account.
    pub(crate) is_permitted: bool,
}

/// All letters written so far.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    letters: BTreeMap<u64, Letter>,
}

impl Letters {
    /// Writes a letter of at least [`LEN_MIN`] bytes.
    pub(crate) fn write(&mut self, letter: Letter, len: usize) -> Vec<u8> {
        let number = self.letters.len() as u64;
        self.letters.insert(number, letter);
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(len.max(LEN_MIN) - SUM_LEN, number as u8);
        let sum = sum(&bytes);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    /// Notes that the client believes to have a permission for it.
    pub(crate) fn vouch(&mut self, bytes: &[u8]) {
        let number = number_of(bytes);
        if let Some(letter) = number.and_then(|number| self.letters.get_mut(&number)) {
            letter.is_permitted = true;
        }
    }

    /// The letter in these bytes, if they are one and whole.
    pub(crate) fn read(&self, bytes: &[u8]) -> Option<Letter> {
        self.letters.get(&number_of(bytes)?).copied()
    }
}

/// The shortest letter.
pub(crate) const LEN_MIN: usize = 12;

const SUM_LEN: usize = 4;

fn number_of(bytes: &[u8]) -> Option<u64> {
    let (text, said) = bytes.split_last_chunk::<SUM_LEN>()?;
    let number = u64::from_be_bytes(*text.first_chunk()?);
    (sum(text) == u32::from_be_bytes(*said)).then_some(number)
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
