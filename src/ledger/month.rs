//! A calendar month in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// A calendar month in UTC. Printed and read as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that `moment` lies in.
    pub fn of(moment: Timestamp) -> Self {
        let date = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or_default();
        let date = date.to_zoned(TimeZone::UTC).date();
        Self { year: date.year(), month: date.month() }
    }

    /// The month's first moment.
    pub fn start(self) -> Timestamp {
        let first = Date::new(self.year, self.month, 1).unwrap_or_default();
        let midnight = first.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
        Timestamp::from_millis(midnight.unwrap_or_default().as_millisecond())
    }

    /// The next month's first moment.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The month after this one.
    pub fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year.saturating_add(1), month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    /// How long the month is.
    pub fn length(self) -> Duration {
        let millis = self.end().as_millis() - self.start().as_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A text that is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a month such as 2026-11")]
pub struct InvalidMonth;

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let date: Date = format!("{text}-01").parse().map_err(|_| InvalidMonth)?;
        Ok(Self { year: date.year(), month: date.month() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_month_begins_and_ends_at_midnight_utc() {
        let november = Month::of(at("2026-11-30T23:59:59.999Z"));

        assert_eq!(november.to_string(), "2026-11");
        assert_eq!(november.start(), at("2026-11-01T00:00:00Z"));
        assert_eq!(november.end(), at("2026-12-01T00:00:00Z"));
        assert_eq!(Month::of(november.end()).to_string(), "2026-12");
        assert_eq!(Month::of(at("2026-12-31T12:00:00Z")).next().to_string(), "2027-01");
        assert_eq!(Month::of(at("2028-02-01T00:00:00Z")).length().as_secs(), 29 * 86_400);
    }

    #[test]
    fn a_month_reads_back() {
        assert_eq!("2026-11".parse(), Ok(Month::of(at("2026-11-22T00:00:00Z"))));
        for bad in ["", "2026", "2026-13", "november"] {
            assert_eq!(bad.parse::<Month>(), Err(InvalidMonth), "{bad:?}");
        }
    }
}
