//! What can be said on the command line.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::units;

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// What to ask: a whole URL, one with {slug} in its path, or a server
    ///
    /// Of a server without a path, /api/v1/prompts/{slug}/compiled is asked. Slugs come from --slug
    /// or --slugs-file; variables are added to the query.
    #[arg(value_name = "URL")]
    pub(super) url: String,

    #[command(flatten, next_help_heading = "What to ask for")]
    pub(super) what: What,
    #[command(flatten, next_help_heading = "How to ask")]
    pub(super) how: How,
    #[command(flatten, next_help_heading = "As whom")]
    pub(super) caller: Caller,
    #[command(flatten, next_help_heading = "Comparison")]
    pub(super) other: Other,
    #[command(flatten, next_help_heading = "Results")]
    pub(super) results: Results,
}

#[derive(Args, Debug)]
pub(super) struct What {
    /// A prompt's slug; several with commas or by giving it again, the most popular first
    #[arg(long, visible_alias = "slugs", value_name = "SLUG", value_delimiter = ',')]
    pub(super) slug: Vec<String>,
    /// A file with a slug on each line
    #[arg(long, value_name = "FILE", conflicts_with = "slug")]
    pub(super) slugs_file: Option<PathBuf>,
    /// Variables: a JSON object, or a file with one on each line; can be given again
    #[arg(long, value_name = "JSON|FILE")]
    pub(super) variables: Vec<String>,
    /// N sets of variables that differ in one, NAME, which counts; the rest is as --variables says
    #[arg(long, value_name = "NAME=N", value_parser = distinct)]
    pub(super) distinct: Option<(String, usize)>,
    /// Popularity of slugs and of variables: the k-th is asked for in proportion to 1/k^EXPONENT,
    /// so that 0 makes all alike
    #[arg(long, value_name = "EXPONENT", default_value = "0", value_parser = exponent)]
    pub(super) zipf: f64,
    /// The share of requests, from 0 to 1, that say by If-None-Match which answer they know
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub(super) not_modified: f64,
    /// What is drawn follows from this number: the same asks the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

#[derive(Args, Debug)]
pub(super) struct How {
    /// Requests per second, each at its time whether others are answered or not, latency counting
    /// from that time [default: as fast as answers come; latencies then leave stalls out]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Connections to each target
    #[arg(long, value_name = "N", default_value = "16", value_parser = one_or_more)]
    pub(super) connections: usize,
    /// How long to ask each target, in all rounds together [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = span, conflicts_with = "requests")]
    pub(super) duration: Option<Duration>,
    /// How many requests to send to each target, instead of a duration
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub(super) requests: Option<u64>,
    /// How long to ask each target before anything counts
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = units::parse_duration)]
    pub(super) warm_up: Duration,
    /// Speak HTTP/2: agreed on over https, assumed over http
    #[arg(long)]
    pub(super) http2: bool,
    /// Requests at once on each connection of HTTP/2
    #[arg(long, value_name = "N", default_value = "1", requires = "http2", value_parser = one_or_more)]
    pub(super) streams: usize,
    /// Threads that ask, each with its share of the connections; with --rate each takes a core
    #[arg(long, value_name = "N", default_value = "1", value_parser = one_or_more)]
    pub(super) threads: usize,
    /// When to give up an answer, counted from when its request was sent
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = span)]
    pub(super) timeout: Duration,
    /// A PEM file with the authorities to trust over https [default: Mozilla's]
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Caller {
    /// The key; others on this machine can see it here, so better set the variable or give a file
    #[arg(long, env = "PROMPT_EDGE_KEY", hide_env_values = true, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// A file with the key, which comes before --key and the variable
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// A header, such as 'Accept-Encoding: br'; can be given again
    #[arg(long, value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Other {
    /// A second target, asked for the same in turns with the first; without a path, at the first's.
    /// It is not sent the first's key or headers
    #[arg(long, value_name = "URL")]
    pub(super) vs: Option<String>,
    /// The key for the second target
    // The variable may be set without being meant: it does not ask for `--vs`.
    #[arg(long, env = "PROMPT_EDGE_VS_KEY", hide_env_values = true, value_name = "KEY")]
    pub(super) vs_key: Option<String>,
    /// A file with the key for the second target
    #[arg(long, value_name = "FILE", requires = "vs")]
    pub(super) vs_key_file: Option<PathBuf>,
    /// A header for the second target; can be given again
    #[arg(long, value_name = "NAME: VALUE", requires = "vs")]
    pub(super) vs_header: Vec<String>,
    /// Into how many rounds to divide it, first and second in turns
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        requires = "vs",
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub(super) rounds: u32,
}

#[derive(Args, Debug)]
pub(super) struct Results {
    /// Write everything as JSON to a file; - is standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write a plot of latency by percentile, as SVG
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.01..=10_000_000.0, "requests per second, from 0.01 to 10000000")
}

fn exponent(text: &str) -> Result<f64, String> {
    number(text, 0.0..=10.0, "a number from 0 to 10; 1 is usual")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0, "a share from 0 to 1, such as 0.5")
}

fn number(text: &str, range: RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

fn one_or_more(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| "expected a whole number from 1 to 100000".to_owned())
}

/// A time that is not nothing, and whose nanoseconds fit.
fn span(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let span = units::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() || span > DAY {
        return Err("expected more than nothing and at most 1d".to_owned());
    }
    Ok(span)
}

fn distinct(text: &str) -> Result<(String, usize), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let parsed = parts.and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
    let in_range = parsed.filter(|(_, count)| (1..=1_000_000).contains(count));
    in_range.ok_or_else(|| {
        "expected a variable's name and a number from 1 to 1000000, such as name=1000".to_owned()
    })
}
