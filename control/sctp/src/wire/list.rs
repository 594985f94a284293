//! Lists of small fixed-size entries, read where they lie.

use core::slice;

use crate::StreamId;

/// The bytes of a list as its entries; `None` when there is a part of an entry at the end.
pub(super) const fn entries<const N: usize>(bytes: &[u8]) -> Option<&[[u8; N]]> {
    match bytes.as_chunks::<N>() {
        (entries, []) => Some(entries),
        _ => None,
    }
}

/// Stream identifiers: as they lie in a packet, or of our own to be written.
#[derive(Clone, Debug)]
pub struct StreamList<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Packet(slice::Iter<'a, [u8; 2]>),
    Own(slice::Iter<'a, StreamId>),
}

impl<'a> StreamList<'a> {
    /// Reads a list; `None` when half of an identifier is left over.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        Some(Self(Source::Packet(entries::<2>(bytes)?.iter())))
    }
}

impl<'a> From<&'a [StreamId]> for StreamList<'a> {
    fn from(streams: &'a [StreamId]) -> Self {
        Self(Source::Own(streams.iter()))
    }
}

impl Iterator for StreamList<'_> {
    type Item = StreamId;

    fn next(&mut self) -> Option<StreamId> {
        match &mut self.0 {
            Source::Packet(entries) => entries.next().map(|id| StreamId(u16::from_be_bytes(*id))),
            Source::Own(streams) => streams.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match &self.0 {
            Source::Packet(entries) => entries.len(),
            Source::Own(streams) => streams.len(),
        };
        (len, Some(len))
    }
}

impl ExactSizeIterator for StreamList<'_> {}

impl PartialEq for StreamList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl Eq for StreamList<'_> {}
