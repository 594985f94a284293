//! An array map of the programs, seen as memory: words that both sides read and write without a system
//! call.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use aya::maps::MapData;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The memory of an array map that was made to be mapped (`BPF_F_MMAPABLE`) and whose values are
/// whole words.
#[derive(Debug)]
pub(crate) struct Lines {
    memory: NonNull<AtomicU64>,
    words: usize,
}

impl Lines {
    /// Maps `entries` values of `words_each` words.
    pub(crate) fn map(map: &MapData, entries: u32, words_each: usize) -> io::Result<Self> {
        let words = (entries as usize).checked_mul(words_each);
        let bytes = words.and_then(|words| NonZeroUsize::new(words.checked_mul(WORD)?));
        let (Some(words), Some(len)) = (words, bytes) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so nothing that is mapped already changes; the kernel
        // refuses a length beyond the map's own.
        let memory = unsafe { mmap(None, len, both, MapFlags::MAP_SHARED, map.fd().as_fd(), 0)? };
        Ok(Self {
            memory: memory.cast(),
            words,
        })
    }

    /// The word at an index; `None` beyond the end.
    pub(crate) fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.words {
            return None;
        }
        // SAFETY: the mapping is so many words long, begins at a page, and stays until `self` is
        // dropped, which the borrow outlasts not; whoever else writes it does so by whole words.
        Some(unsafe { self.memory.add(index).as_ref() })
    }

    /// The words of one value.
    pub(crate) fn line<const N: usize>(&self, entry: u32) -> Option<[&AtomicU64; N]> {
        let first = (entry as usize).checked_mul(N)?;
        // Whether the last is there says it of all.
        self.word(first.checked_add(N)?.checked_sub(1)?)?;
        let mut line = [self.word(first)?; N];
        for (index, word) in line.iter_mut().enumerate() {
            *word = self.word(first + index)?;
        }
        Some(line)
    }
}

// SAFETY: the memory is reached as atomic words alone, from any thread, and belongs to no thread.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

impl Drop for Lines {
    fn drop(&mut self) {
        let memory: NonNull<c_void> = self.memory.cast();
        // SAFETY: it was mapped so in `map`, and words that were lent out are not held any more.
        // Nothing can be done about a failure, and an exact range has none.
        let _unmapped = unsafe { munmap(memory, self.words * WORD) };
    }
}

const WORD: usize = size_of::<u64>();
