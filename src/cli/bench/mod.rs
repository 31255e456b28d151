//! `bench`: ask a server for prompts at a rate, and say how long its answers took.

mod arguments;
mod plan;
mod progress;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, Command};

use crate::cli::bench::plan::{Given, Wrong};
use crate::cli::bench::progress::Shown;
use crate::cli::{Failure, output};
use crate::clock::{Clock, SystemClock};
use crate::load::figures::{self, Measured};
use crate::load::{self, Plan, json, plot, table};

pub(super) use arguments::Arguments;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Given { plan, settings } = arguments.given().map_err(usage)?;
    let heading = heading(&plan);
    let servers: Vec<_> = plan.targets.iter().map(|target| target.server.clone()).collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut shown = Shown::new(servers, plan.rounds);
    let records = load::run(&plan, &clock, &mut |progress| shown.say(progress));
    shown.finish();

    let rounds = records.map_err(Failure::of)?;
    let measured =
        plan.targets.iter().zip(rounds).map(|(target, rounds)| {
            Measured::new(target.server.clone(), target.url.clone(), rounds)
        });
    let measured: Vec<_> = measured.collect();
    let ratios = match measured.as_slice() {
        [first, second] => figures::ratios(&first.rounds, &second.rounds),
        _ => Vec::new(),
    };
    let warnings = figures::warnings(&measured, plan.rate.is_some());

    if let Some(file) = &arguments.results.plot {
        let svg = plot::svg(&measured, &format!("Latency by percentile: {}", how(&plan)));
        write(file, svg.map_err(Failure::of)?.as_bytes())?;
    }
    let document = json::document(&settings, &measured, &ratios, &warnings);
    match &arguments.results.json {
        Some(file) if file == Path::new("-") => output::line(&format!("{document:#}"))?,
        file => {
            if let Some(file) = file {
                write(file, format!("{document:#}\n").as_bytes())?;
            }
            let table = table::table(&measured, &ratios, plan.rate);
            output::line(&format!("{heading}\n\n{table}"))?;
        }
    }
    warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}")));
    let useless = measured.iter().find(|target| target.total.good() == 0);
    useless.map_or(Ok(()), |target| {
        let server = &target.server;
        Err(Failure::of(format!("{server} gave no answer of status 2xx or 304")))
    })
}

/// What was done, above the table.
fn heading(plan: &Plan) -> String {
    let mut lines: Vec<_> = match plan.targets.as_slice() {
        [first, second] => {
            vec![format!("1st GET {}", first.url), format!("2nd GET {}", second.url)]
        }
        targets => targets.iter().map(|target| format!("GET {}", target.url)).collect(),
    };
    lines.push(how(plan));
    lines.push(
        match plan.rate {
            Some(_) => {
                "latency counts from when a request was due, whether it could be sent or not"
            }
            None => {
                "closed loop: latencies are service times, counted from when a request was sent; \
             give --rate to see what callers would wait"
            }
        }
        .to_owned(),
    );
    lines.join("\n")
}

/// How it was asked, in a line.
fn how(plan: &Plan) -> String {
    let rate = plan.rate.map_or("closed loop".to_owned(), |rate| format!("{rate} requests/s"));
    let streams = match plan.streams {
        1 => String::new(),
        streams => format!(" × {streams} streams"),
    };
    let protocol = plan.protocol.as_str();
    format!("{rate}, {protocol}, {} connections{streams}", plan.connections)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = fs::write(file, bytes);
    written.map_err(|error| Failure::of(format!("{} cannot be written: {error}", file.display())))
}

/// A mistake that shows only once all arguments and their files are read.
fn usage(Wrong(message): Wrong) -> Failure {
    let command = Arguments::augment_args(Command::new("prompt-edge bench"));
    Failure::Usage(command.bin_name("prompt-edge bench").error(ErrorKind::ValueValidation, message))
}
