//! The CRC-32 of FINGERPRINT (RFC 8489 section 14.7), a word at a time, for the few words of a Binding
//! request and of its answer.

/// The CRC of no words.
pub const START: u32 = u32::MAX;

/// The CRC of one word more, which is as it lies in the packet.
#[inline(always)]
pub fn with(crc: u32, word: u32) -> u32 {
    let all = crc ^ word;
    let [first, second, third, fourth] = &TABLES;
    let row = |byte: u32| (byte & 0xff) as usize;
    fourth[row(all)] ^ third[row(all >> 8)] ^ second[row(all >> 16)] ^ first[row(all >> 24)]
}

/// The value of a FINGERPRINT attribute behind the words of this CRC, as it lies in a packet.
#[inline(always)]
pub fn fingerprint(crc: u32) -> u32 {
    (!crc ^ 0x5354_554e).to_be()
}

/// What a byte does to the CRC once it and 0 to 3 more have been shifted out.
static TABLES: [[u32; 256]; 4] = tables();

const fn tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut table = 0;
        while table < 4 {
            let mut bit = 0;
            while bit < 8 {
                let low = crc & 1;
                crc = crc >> 1 ^ low * 0xedb8_8320;
                bit += 1;
            }
            tables[table][byte] = crc;
            table += 1;
        }
        byte += 1;
    }
    tables
}
