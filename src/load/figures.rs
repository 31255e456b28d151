//! The numbers that a run comes down to.

use crate::load::connection::Kind;
use crate::load::recorder::Record;
use crate::load::table;

/// A figure by which rounds and targets are compared; latencies are in nanoseconds.
pub type Figure = fn(&Record) -> f64;

/// Every compared figure with its name, in the order in which they are shown.
pub const COMPARED: [(&str, Figure); 7] = [
    ("rate", Record::rate),
    ("p50", |record| record.latency.value_at_quantile(0.5) as f64),
    ("p90", |record| record.latency.value_at_quantile(0.9) as f64),
    ("p99", |record| record.latency.value_at_quantile(0.99) as f64),
    ("p99.9", |record| record.latency.value_at_quantile(0.999) as f64),
    ("max", |record| record.latency.max() as f64),
    ("mean", |record| record.latency.mean()),
];

/// What was measured of one target.
#[derive(Clone, Debug)]
pub struct Measured {
    /// `scheme://host:port`.
    pub server: String,
    /// The whole URL.
    pub url: String,
    /// All rounds together.
    pub total: Record,
    /// Each round.
    pub rounds: Vec<Record>,
}

impl Measured {
    /// Of these rounds.
    pub fn new(server: String, url: String, rounds: Vec<Record>) -> Self {
        let mut total = Record::new();
        rounds.iter().for_each(|round| total.append(round));
        Self { server, url, total, rounds }
    }
}

/// How a figure of the first target relates to that of the second, round by round: what disturbs
/// both in a round cancels out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The figure's name in [`COMPARED`].
    pub name: &'static str,
    /// The median of the rounds' ratios.
    pub median: f64,
    /// The smallest of them.
    pub min: f64,
    /// The largest of them.
    pub max: f64,
}

/// The first target's figures over the second's. A figure that a round has not, because nothing was
/// answered in it, is left out of the comparison.
pub fn ratios(first: &[Record], second: &[Record]) -> Vec<Ratio> {
    let ratio = |(name, figure): (&'static str, Figure)| {
        let pairs = first.iter().zip(second).map(|(a, b)| figure(a) / figure(b));
        let mut ratios: Vec<_> = pairs.filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.get((ratios.len().max(1) - 1) / 2..=ratios.len() / 2)?;
        Some(Ratio {
            name,
            median: middle.iter().sum::<f64>() / middle.len() as f64,
            min: *ratios.first()?,
            max: *ratios.last()?,
        })
    };
    COMPARED.into_iter().filter_map(ratio).collect()
}

/// What a reader has to know before believing the figures. `is_open` says whether due times were
/// fixed.
pub fn warnings(measured: &[Measured], is_open: bool) -> Vec<String> {
    let names = match measured {
        [only] => vec![only.server.as_str()],
        _ => vec!["1st", "2nd"],
    };
    let named = names.into_iter().zip(measured);
    named.flat_map(|(name, target)| of_target(name, &target.total, is_open)).collect()
}

fn of_target(name: &str, total: &Record, is_open: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let lag = total.lag.value_at_quantile(0.99);
    if is_open && lag >= NOTICEABLE_LAG && lag >= total.latency.value_at_quantile(0.99) / 2 {
        warnings.push(format!(
            "{name}: the generator was late itself, by {} at p99: these latencies are more its own \
             than the target's; lower --rate, raise --threads, or give it a machine of its own",
            table::time(lag as f64),
        ));
    }
    let unsent = total.errors.get(&Kind::Unsent).copied();
    if let Some(unsent) = unsent {
        warnings.push(format!(
            "{name}: {unsent} requests were due and could not be sent before the end, because no \
             connection was free: the rate is more than the target answers on them; they count \
             with the time they had waited",
        ));
    }
    let strange = total.answered() - total.good();
    if strange > 0 {
        let answered = total.answered();
        warnings.push(format!("{name}: {strange} of {answered} answers are neither 2xx nor 304"));
    }
    warnings
}

/// Less than this is within what any machine does now and then, in nanoseconds.
const NOTICEABLE_LAG: u64 = 100_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::load::connection::Answer;
    use crate::load::recorder::Moments;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A round of one request that was due at once, sent after `lag` and answered after `latency`.
    fn round(status: StatusCode, lag: Duration, latency: Duration) -> Record {
        let mut record = Record::new();
        let moments = Moments { free: ms(0), due: ms(0), sent: lag, done: latency };
        record.add(moments, Ok(&Answer { status, body_bytes: 0, tag: None }));
        record.elapsed = ms(100);
        record
    }

    fn rounds(latencies: &[u64]) -> Vec<Record> {
        latencies.iter().map(|millis| round(StatusCode::OK, ms(0), ms(*millis))).collect()
    }

    #[test]
    fn ratios_are_those_of_rounds_and_not_of_sums() {
        // The second round was disturbed, for both alike.
        let ratios = ratios(&rounds(&[1, 30, 3, 4]), &rounds(&[2, 60, 3, 16]));

        let p50 = ratios.iter().find(|ratio| ratio.name == "p50").expect("it is compared");
        assert!((p50.median - 0.5).abs() < 0.01, "{p50:?}");
        assert!((p50.min - 0.25).abs() < 0.01 && (p50.max - 1.0).abs() < 0.01, "{p50:?}");
        let rate = ratios.first().expect("it is compared");
        assert_eq!((rate.name, rate.median), ("rate", 1.0));
    }

    #[test]
    fn rounds_without_an_answer_are_not_compared() {
        let empty = vec![Record::new(), Record::new()];

        assert_eq!(ratios(&empty, &rounds(&[1, 1])), []);
        assert_eq!(ratios(&[], &[]), []);
    }

    #[test]
    fn a_generator_that_is_late_itself_says_so() {
        let said = |lag, latency| {
            let rounds = vec![round(StatusCode::OK, lag, latency)];
            let measured = Measured::new("http://edge".into(), String::new(), rounds);
            warnings(&[measured], true).concat().contains("the generator was late itself, by")
        };

        assert!(said(ms(3), ms(4)));
        assert!(!said(ms(1), ms(4)), "most of it is the target's");
        assert!(!said(Duration::from_micros(30), Duration::from_micros(40)));
    }

    #[test]
    fn answers_of_other_statuses_are_pointed_out() {
        let rounds = vec![
            round(StatusCode::NOT_MODIFIED, ms(0), ms(1)),
            round(StatusCode::UNAUTHORIZED, ms(0), ms(1)),
        ];
        let measured = Measured::new("http://edge".into(), String::new(), rounds);

        let said = warnings(&[measured], false);

        assert_eq!(said, ["http://edge: 1 of 2 answers are neither 2xx nor 304"]);
    }
}
