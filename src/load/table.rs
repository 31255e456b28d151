//! What was measured, for people.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, Table};

use crate::load::connection::Kind;
use crate::load::figures::{COMPARED, Measured, Ratio};
use crate::load::recorder::Record;

/// A table with a row for each figure and a column for each target; of two targets, also how they
/// relate. Lag and queueing are told where due times were fixed by a rate.
pub fn table(measured: &[Measured], ratios: &[Ratio], rate: Option<f64>) -> String {
    let mut rows = Rows { table: Table::new(), measured, ratios };
    rows.table.load_style(comfy_table::presets::NOTHING);
    rows.table.set_header(match measured {
        [only] => vec!["", only.server.as_str()],
        _ => vec!["", "1st", "2nd", "1st ÷ 2nd", "of rounds"],
    });

    let asked = rate.map_or("as fast as answers come".to_owned(), per_second);
    rows.add("asked rate", None, |_| asked.clone());
    rows.add("achieved rate", Some("rate"), |record| per_second(record.rate()));
    rows.add("requests", None, |record| count(record.answered() + record.failed()));
    for status in rows.all(|record| record.statuses.keys().copied().collect()) {
        let of = |record: &Record| record.statuses.get(&status).copied().unwrap_or_default();
        rows.add(&format!("status {status}"), None, |record| count(of(record)));
    }
    let kinds: BTreeSet<Kind> = rows.all(|record| record.errors.keys().copied().collect());
    if kinds.is_empty() {
        rows.add("errors", None, |_| count(0));
    }
    for kind in kinds {
        let of = |record: &Record| record.errors.get(&kind).copied().unwrap_or_default();
        rows.add(&format!("error: {}", kind.as_str()), None, |record| count(of(record)));
    }
    for (name, figure) in COMPARED.into_iter().skip(1) {
        rows.add(name, Some(name), |record| time(figure(record)));
    }
    rows.add("bodies", None, |record| bytes(record.body_bytes as f64));
    rows.add("bodies per second", None, |record| {
        bytes(record.body_bytes as f64 / record.elapsed.as_secs_f64().max(f64::MIN_POSITIVE))
    });
    if rate.is_some() {
        rows.add("generator's lag p99", None, |record| {
            time(record.lag.value_at_quantile(0.99) as f64)
        });
        rows.add("generator's lag max", None, |record| time(record.lag.max() as f64));
        rows.add("found no connection free", None, |record| count(record.queued));
    }
    rows.finish()
}

struct Rows<'a> {
    table: Table,
    measured: &'a [Measured],
    ratios: &'a [Ratio],
}

impl Rows<'_> {
    fn add(&mut self, title: &str, compared: Option<&str>, cell: impl Fn(&Record) -> String) {
        let mut row = vec![title.to_owned()];
        row.extend(self.measured.iter().map(|target| cell(&target.total)));
        let named = |ratio: &&Ratio| compared == Some(ratio.name);
        if let Some(ratio) = self.ratios.iter().find(named) {
            row.push(format!("{:.2}", ratio.median));
            row.push(format!("{:.2} – {:.2}", ratio.min, ratio.max));
        }
        self.table.add_row(row);
    }

    /// What any target has.
    fn all<T: Ord>(&self, of: impl Fn(&Record) -> BTreeSet<T>) -> BTreeSet<T> {
        self.measured.iter().flat_map(|target| of(&target.total)).collect()
    }

    fn finish(mut self) -> String {
        for column in self.table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let lines = self.table.lines();
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Nanoseconds with three digits, in the unit that fits.
pub(crate) fn time(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    scaled(nanos, &units, "ns")
}

fn bytes(bytes: f64) -> String {
    let units = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB")];
    scaled(bytes, &units, "B")
}

/// The number in the largest unit that it reaches.
fn scaled(number: f64, units: &[(f64, &str)], smallest: &str) -> String {
    let reached = units.iter().find(|(factor, _)| number >= *factor);
    let (factor, unit) = reached.copied().unwrap_or((1.0, smallest));
    let scaled = number / factor;
    let digits = match scaled {
        _ if factor == 1.0 => 0,
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {unit}")
}

pub(crate) fn per_second(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.2}/s") } else { format!("{}/s", count(rate.round() as u64)) }
}

/// With a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let times = [0.0, 999.0, 1_234.0, 34_500.0, 834_000.0, 12_300_000.0, 2_500_000_000.0];
        let written = times.map(time);

        let expected = ["0 ns", "999 ns", "1.23 µs", "34.5 µs", "834 µs", "12.3 ms", "2.50 s"];
        assert_eq!(written, expected);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(bytes(1_536.0), "1.50 KiB");
        assert_eq!([0.5, 9_999.7].map(per_second), ["0.50/s", "10,000/s"]);
    }
}
