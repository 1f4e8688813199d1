//! Durations as people write them.

use std::time::Duration;

/// Reads a whole number with a unit (`ms`, `s`, `min`, `h`), or without one in `unit`.
pub(crate) fn parse(text: &str, unit: Duration) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" => unit,
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "min" | "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return None,
    };
    unit.checked_mul(text[..digits].parse().ok()?)
}

pub(crate) const RULE: &str = "must be a whole number with a unit: ms, s, min or h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit_or_has_the_given_one() {
        let second = Duration::from_secs(1);
        assert_eq!(parse("3", second), Some(3 * second));
        assert_eq!(parse("250ms", second), Some(second / 4));
        assert_eq!(parse("2 min", second), Some(120 * second));
        assert_eq!(parse("1h", second), Some(3600 * second));
        for wrong in ["", "s", "-1s", "1.5s", "1d", "99999999999s"] {
            assert_eq!(parse(wrong, second), None, "{wrong}");
        }
    }
}
