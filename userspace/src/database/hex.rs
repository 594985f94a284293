//! Keys as hex digits, as coturn keeps them.

/// Bytes of exactly so many hex digits, of either case.
pub(super) fn decode<const LEN: usize>(digits: &[u8]) -> Option<[u8; LEN]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != LEN || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; LEN];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Two digits a byte, lower case.
pub(super) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_digits_of_either_case() {
        let bytes = [0x00, 0x9F, 0xA0, 0xFF];
        assert_eq!(encode(&bytes), "009fa0ff");
        assert_eq!(decode(b"009fa0ff"), Some(bytes));
        assert_eq!(decode(b"009FA0FF"), Some(bytes));
    }

    #[test]
    fn other_lengths_and_other_characters_are_nothing() {
        for digits in [
            "",
            "009fa0f",
            "009fa0ff0",
            "009fa0ff00",
            "009fa0fg",
            "+09fa0ff",
        ] {
            assert_eq!(decode::<4>(digits.as_bytes()), None, "{digits}");
        }
    }
}
