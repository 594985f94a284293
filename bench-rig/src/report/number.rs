//! Numbers as people read them.

/// Few digits below 1,000, thousands marks above.
pub(super) fn rounded(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "unbounded".to_owned()
    } else if size >= 1_000.0 {
        thousands(&format!("{:.0}", four_digits(value)))
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Rounded to four significant digits: more would claim what was not measured.
fn four_digits(value: f64) -> f64 {
    let place = 10f64.powf(value.abs().log10().floor() - 3.0);
    (value / place).round() * place
}

fn thousands(digits: &str) -> String {
    let mut marked = String::new();
    let mut left = digits.trim_start_matches('-').len();
    for digit in digits.chars() {
        marked.push(digit);
        if digit.is_ascii_digit() {
            left -= 1;
            if left > 0 && left.is_multiple_of(3) {
                marked.push(',');
            }
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits_and_thousands_marks() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234.4, "1,234"),
            (-4_000.0, "-4,000"),
            (123_456.0, "123,500"),
            (2_871_234.0, "2,871,000"),
            (f64::INFINITY, "unbounded"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }
}
