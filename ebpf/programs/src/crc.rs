//! The CRC-32 of FINGERPRINT (RFC 8489 section 14.7), for the few words of a Binding request and of its
//! answer.

/// The value of a FINGERPRINT attribute behind these words of a message, as it lies in a packet.
#[inline(always)]
pub fn fingerprint<const N: usize>(message: &[u32; N]) -> u32 {
    let mut crc = u32::MAX;
    for word in message {
        for byte in word.to_ne_bytes() {
            let place = (crc as u8 ^ byte) as usize;
            crc = TABLE[place] ^ crc >> 8;
        }
    }
    (!crc ^ 0x5354_554e).to_be()
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}
