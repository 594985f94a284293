//! Calendar days and seconds since 1970, as certificates tell time (RFC 5280 section 4.1.2.5).

const SECONDS_A_DAY: u64 = 86_400;

/// Year, month and day of a moment; UTC.
pub(super) fn civil(unix_seconds: u64) -> (i32, u8, u8) {
    // Days are counted from 1 March of year 0, so that a leap day ends its year; 146,097 of them
    // are 400 years.
    let days = unix_seconds / SECONDS_A_DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let small = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    (
        i32::try_from(year).unwrap_or(i32::MAX),
        small(month),
        small(day),
    )
}

/// Midnight at which a day begins, in seconds since 1970; `None` before, and for no day at all.
pub(super) fn unix_seconds_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)?.checked_mul(SECONDS_A_DAY)
}

/// `2027-11-21`
#[must_use]
pub fn date(unix_seconds: u64) -> String {
    let (year, month, day) = civil(unix_seconds);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar_are_those_that_date_prints() {
        // From `date -u -d DAY +%s`.
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn a_day_and_its_seconds_are_each_others_inverse() {
        for day in (0..80_000).step_by(13) {
            let midnight = day * SECONDS_A_DAY;
            let (year, month, of_month) = civil(midnight);
            let year = u64::try_from(year).unwrap();
            let back = unix_seconds_of(year, month.into(), of_month.into());
            assert_eq!(back, Some(midnight));
        }
        assert_eq!(unix_seconds_of(2_024, 13, 1), None);
        assert_eq!(unix_seconds_of(1_969, 12, 31), None);
    }
}
