//! From when until when a certificate is good (RFC 5280 section 4.1.2.5), read from its DER.
//!
//! It reads these two dates and judges nothing else: what the certificate claims is for clients to
//! check. Bounded by the certificate; any bytes have an answer.

use super::date;

/// Tags of DER.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xA0;

/// When a certificate is good, in seconds since 1970; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: u64,
    /// Not after.
    pub until: u64,
}

impl Validity {
    /// Reads a certificate's; `None` where these bytes hold none.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(certificate, SEQUENCE)?;
        let (mut fields, _) = expect(certificate, SEQUENCE)?;
        if let Some((_, rest)) = expect(fields, EXPLICIT_VERSION) {
            fields = rest;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            // Serial number, signature algorithm, issuer.
            (_, fields) = expect(fields, tag)?;
        }
        let (validity, _) = expect(fields, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// The content of the first element, which must have this tag, and what follows it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(input)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and rest.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0F))?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A time, as seconds since 1970, and what follows. What lies before 1970 is 1970.
fn time(input: &[u8]) -> Option<(u64, &[u8])> {
    let (tag, content, rest) = element(input)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, rest_of_text) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (
                if year < 50 {
                    2_000 + year
                } else {
                    1_900 + year
                },
                rest,
            )
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut numbers = [0_u64; 5];
    let mut left = rest_of_text;
    for number in &mut numbers {
        let (digits, after) = left.split_at_checked(2)?;
        *number = digits.parse().ok()?;
        left = after;
    }
    let [month, day, hour, minute, second] = numbers;
    let midnight = date::unix_seconds_of(year, month, day).unwrap_or(0);
    let within = hour * 3_600 + minute * 60 + second;
    (left.is_empty() && within < 86_400 + 1).then_some((midnight + within, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn dates_are_those_that_the_certificate_was_made_with() {
        // The second pair is beyond 2049, where the other form of time begins.
        for (from, until, expected) in [
            ((1999, 12, 31), (2025, 1, 1), (946_598_400, 1_735_689_600)),
            ((2049, 6, 1), (2100, 3, 1), (2_506_118_400, 4_107_542_400)),
        ] {
            let validity = Validity::of(&made(from, until)).unwrap();
            assert_eq!((validity.from, validity.until), expected);
        }
    }

    #[test]
    fn a_cut_certificate_has_no_dates_and_harms_nothing() {
        let whole = made((2024, 1, 1), (2025, 1, 1));
        for cut in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..cut]), None, "{cut}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xFF;
            let _any_answer = Validity::of(&bent);
        }
    }
}
