//! How far a run is: a line that moves on a terminal, a line per second elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output;
use crate::load::Progress;

/// Says how far a run is, on standard error.
pub(super) struct Shown {
    servers: Vec<String>,
    rounds: u32,
    bar: Option<ProgressBar>,
    /// What was told last, where there is no terminal: the go, and its second.
    told: (usize, u32, u64),
}

impl Shown {
    /// Of a run with these targets and so many rounds.
    pub(super) fn new(servers: Vec<String>, rounds: u32) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            match ProgressStyle::with_template("{spinner} {msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { servers, rounds, bar, told: (0, 0, 0) }
    }

    /// Says it, if it is time to.
    pub(super) fn say(&mut self, progress: Progress) {
        let Progress { target, round, elapsed, .. } = progress;
        if let Some(bar) = &self.bar {
            bar.set_message(self.line(progress));
            return bar.tick();
        }
        let now = (target, round, elapsed.as_secs());
        if now.2 > 0 && now != self.told {
            self.told = now;
            output::note(&self.line(progress));
        }
    }

    /// Nothing more is to be said.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, progress: Progress) -> String {
        let Progress { target, round, elapsed, of, answered, failed } = progress;
        let server = self.servers.get(target).map_or("", String::as_str);
        let go = match (round, self.rounds) {
            (0, _) => "warm-up".to_owned(),
            (_, 1) => "measuring".to_owned(),
            (round, rounds) => format!("round {round} of {rounds}"),
        };
        let of = of.map_or(String::new(), |of| format!(" of {}", seconds(of)));
        let rate = answered as f64 / elapsed.as_secs_f64().max(0.001);
        let elapsed = seconds(elapsed);
        format!("{server}: {go}, {elapsed}{of}, {answered} answers, {rate:.0}/s, {failed} errors")
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.0}s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_is_asked_and_how_far_it_is() {
        let shown = Shown::new(vec!["http://a".into(), "http://b".into()], 5);
        let progress = Progress {
            target: 1,
            round: 2,
            elapsed: Duration::from_secs(2),
            of: Some(Duration::from_secs(4)),
            answered: 500,
            failed: 3,
        };

        let line = shown.line(progress);
        let warm_up = shown.line(Progress { target: 0, round: 0, of: None, ..progress });

        let expected = "http://b: round 2 of 5, 2s of 4s, 500 answers, 250/s, 3 errors";
        assert_eq!(line, expected);
        assert_eq!(warm_up, "http://a: warm-up, 2s, 500 answers, 250/s, 3 errors");
    }
}
