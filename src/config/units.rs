//! Durations such as `30s` and sizes such as `64 MiB`: read from text and written back.
//!
//! A number without a unit is refused everywhere. `30` has meant seconds in one program and
//! milliseconds in the next, and the mistake shows only under load.

use std::time::Duration;

/// Why a text is no duration or size. Its message says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidQuantity(&'static str);

/// Reads a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `250ms` or `90d`.
///
/// One unit only: `1h30m` is written `90m`.
///
/// # Errors
///
/// If the text has another form, or is longer than 2⁶⁴ milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidQuantity> {
    parse(text, &DURATIONS).map(Duration::from_millis).ok_or(InvalidQuantity(DURATION_FORM))
}

/// Reads a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`, such as `64 MiB`, in bytes.
///
/// `MB` is refused: half of those who write it mean 1000², the other half 1024².
///
/// # Errors
///
/// If the text has another form, or is 2⁶⁴ bytes or more.
pub fn parse_size(text: &str) -> Result<u64, InvalidQuantity> {
    parse(text, &SIZES).ok_or(InvalidQuantity(SIZE_FORM))
}

/// Writes a duration in the largest unit that divides it. Less than a millisecond is dropped.
pub fn print_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match print(millis, &DURATIONS) {
        Some((count, unit)) => format!("{count}{unit}"),
        None => "0s".to_owned(),
    }
}

/// Writes a size in the largest unit that divides it.
pub fn print_size(bytes: u64) -> String {
    match print(bytes, &SIZES) {
        Some((count, unit)) => format!("{count} {unit}"),
        None => "0 B".to_owned(),
    }
}

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const TIB: u64 = 1 << 40;

/// The form of a duration, as messages put it.
pub(crate) const DURATION_FORM: &str = "a whole number and one of ms, s, m, h, d";

/// The form of a size, as messages put it.
pub(crate) const SIZE_FORM: &str = "a whole number and one of B, KiB, MiB, GiB, TiB";

/// Units with their factor, the largest first: [`print()`] takes the first that divides.
type Units = [(&'static str, u64); 5];

const DURATIONS: Units =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZES: Units =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn parse(text: &str, units: &Units) -> Option<u64> {
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*factor)
}

/// How many of which unit; `None` for nothing, which has no unit of its own.
fn print(amount: u64, units: &Units) -> Option<(u64, &'static str)> {
    let (unit, factor) = units.iter().find(|(_, factor)| amount.is_multiple_of(*factor))?;
    (amount > 0).then_some((amount / factor, unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("30 s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("90d", 7_776_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in
            ["", "30", "s", "-1s", "+1s", "1.5h", "1h30m", "30S", "30  s", " 30s", "30s ", "٣s"]
        {
            assert!(parse_duration(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn a_size_is_a_number_and_its_binary_unit() {
        for (text, bytes) in
            [("100 B", 100), ("512 KiB", 512 << 10), ("64 MiB", 64 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "64", "64 MB", "64 mib", "0.5 GiB", "-1 B", "1 PiB", "18446744073709551616 B"]
        {
            assert!(parse_size(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_wrapped() {
        assert!(parse_duration("18446744073709551615d").is_err());
        assert!(parse_size("18446744073709551615 TiB").is_err());
    }

    #[test]
    fn printing_takes_the_largest_unit_that_divides() {
        assert_eq!(print_duration(Duration::from_secs(90)), "90s");
        assert_eq!(print_duration(Duration::from_secs(300)), "5m");
        assert_eq!(print_duration(Duration::ZERO), "0s");
        assert_eq!(print_size(64 << 20), "64 MiB");
        assert_eq!(print_size(1025), "1025 B");
        assert_eq!(print_size(0), "0 B");
    }

    #[test]
    fn the_message_says_what_would_be_right() {
        let problem = parse_duration("30").unwrap_err();

        assert_eq!(problem.to_string(), "expected a whole number and one of ms, s, m, h, d");
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(millis: u64) {
            let duration = Duration::from_millis(millis);

            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes: u64) {
            prop_assert_eq!(parse_size(&print_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*|[0-9]{0,25} ?[a-zA-Z]{0,4}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
