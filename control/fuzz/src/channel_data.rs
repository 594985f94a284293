//! ChannelData as a datagram (RFC 8656 section 12.4) against the field-by-field reading of it.

use turnpike_turn::channel_data::{ChannelData, ChannelDataError, HEADER_LEN};
use turnpike_types::ChannelNumber;

/// Parses the input, and builds a message that carries it.
pub fn channel_data(data: &[u8]) {
    let parsed = ChannelData::parse(data);
    assert_eq!(parsed, naive(data));
    if let Ok(ChannelData { number, payload }) = parsed {
        let payload = data
            .get(payload)
            .expect("the payload lies within what was parsed");
        round_trip(number, payload);
    }
    let number = ChannelNumber::MIN + u16::from(data.first().copied().unwrap_or(0));
    round_trip(ChannelNumber::new(number).expect("within the range"), data);
}

fn naive(data: &[u8]) -> Result<ChannelData, ChannelDataError> {
    if data.len() < 4 {
        return Err(ChannelDataError::TooShort);
    }
    let number = u16::from_be_bytes([data[0], data[1]]);
    let number = ChannelNumber::new(number).ok_or(ChannelDataError::NotAChannel)?;
    let end = 4 + usize::from(u16::from_be_bytes([data[2], data[3]]));
    if end > data.len() {
        return Err(ChannelDataError::PayloadPastEnd);
    }
    Ok(ChannelData {
        number,
        payload: 4..end,
    })
}

fn round_trip(number: ChannelNumber, payload: &[u8]) {
    let Some(header) = ChannelData::header(number, payload.len()) else {
        assert!(payload.len() > usize::from(u16::MAX));
        return;
    };
    let padding = ChannelData::padding(payload.len());
    assert!(padding < 4 && (payload.len() + padding).is_multiple_of(4));
    let mut message = [&header, payload].concat();
    let expected = Ok(ChannelData {
        number,
        payload: HEADER_LEN..message.len(),
    });
    assert_eq!(ChannelData::parse(&message), expected);
    message.resize(message.len() + padding, 0);
    assert_eq!(
        ChannelData::parse(&message),
        expected,
        "padding is not payload"
    );
}
