//! Hash tables whose memory is there from the start.
//!
//! A table that was only reserved gets its pages from the kernel one by one, as the first entries fall
//! on them: packets would wait for that, and memory would seem to be the entries'.

use hashbrown::HashTable;

/// An empty table with room for so many entries, all of it written once.
pub(crate) fn touched<T: Copy>(capacity: usize, filler: T) -> HashTable<T> {
    let mut table = HashTable::with_capacity(capacity);
    for number in 0..capacity as u64 {
        // The hash has no say after that: a table with room moves nobody.
        table.insert_unique(number.wrapping_mul(SPREAD), filler, |_| 0);
    }
    table.clear();
    table
}

/// 2^64 divided by the golden ratio: multiples of it fall everywhere.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_empty_and_has_the_room_that_was_asked_for() {
        for capacity in [0, 1, 1_000] {
            let mut table = touched(capacity, 0_u32);
            assert!(table.is_empty());
            let room = table.capacity();
            assert!(room >= capacity);
            for number in 0..room as u64 {
                table.insert_unique(number, 7, |_| panic!("moved"));
            }
            assert_eq!(table.capacity(), room);
        }
    }
}
