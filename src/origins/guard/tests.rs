//! A guarded origin whose answers are scripted, in a time that passes only while everybody waits.

use std::collections::VecDeque;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::{EnvironmentId, ProjectId, PromptName, Reads, Tenant, Timestamp};
use crate::origins::Found;

use super::*;

/// What the scripted origin does when it is asked. After the last line it is well.
#[derive(Clone, Copy)]
enum Line {
    Fails(u16, Option<u64>),
    Hangs,
    Limits(Option<u64>),
    Lies,
    Panics,
    Refuses,
    Rejects,
    Resets,
    Well,
}

use Line::{Fails, Hangs, Lies, Limits, Panics, Refuses, Rejects, Resets, Well};

struct Scripted {
    name: OriginName,
    script: Mutex<VecDeque<Line>>,
    /// What it was asked, and when in milliseconds.
    asked: Mutex<Vec<(String, u64)>>,
    clock: Arc<Paused>,
    /// While this is false, an answer is held back.
    is_open: watch::Sender<bool>,
}

impl Scripted {
    async fn hear<T>(&self, question: String, well: T) -> Result<T, Error> {
        let at = u64::try_from(self.clock.elapsed().as_millis()).unwrap();
        self.asked.lock().unwrap().push((question, at));
        self.is_open.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        let line = self.script.lock().unwrap().pop_front();
        let origin = self.name.clone();
        let seconds = |retry_after: Option<u64>| retry_after.map(Duration::from_secs);
        Err(match line.unwrap_or(Well) {
            Fails(status, after) => Error::Failed { origin, status, retry_after: seconds(after) },
            Hangs => std::future::pending().await,
            Limits(after) => Error::Limited { origin, retry_after: seconds(after) },
            Lies => Error::Malformed { origin, expected: "JSON", source: "HTML".into() },
            Panics => panic!("on purpose"),
            Refuses => Error::Refused { origin, problem: "a variable".to_owned() },
            Rejects => Error::Rejected { origin, status: 401 },
            Resets => Error::Unreachable { origin, source: "reset".into() },
            Well => return Ok(well),
        })
    }
}

impl Origin for Scripted {
    fn name(&self) -> &OriginName {
        &self.name
    }

    fn compiles(&self) -> Compiles {
        Compiles::Here
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        let known = question.known.map(|known| format!(" unless {}", known.0)).unwrap_or_default();
        let told = match question.known {
            Some(_) => Told { found: Found::Unchanged, ..Told::plainly(None) },
            None => {
                let validator = Some(Validator(question.prompt.to_string().into()));
                Told { validator, ..Told::plainly(None) }
            }
        };
        Box::pin(self.hear(format!("{}{known}", question.prompt), told))
    }

    fn listing<'a>(
        &'a self,
        _: &'a Reader,
        _: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(self.hear("listing".to_owned(), Told::plainly(None)))
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(self.hear("changes".to_owned(), Changes { changes: Vec::new(), cursor }))
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(self.hear("probe".to_owned(), ()))
    }

    fn admits<'a>(&'a self, _: &'a Credential) -> Pending<'a, bool> {
        Box::pin(self.hear("admits".to_owned(), true))
    }
}

/// The time of a paused runtime.
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_772_366_400_000).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A guarded origin, and what to hold it to.
struct Bench {
    guarded: Guarded,
    origin: Arc<Scripted>,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new(script: &[Line], config: Config) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let metrics = Arc::new(Metrics::new("0", "0"));
        let origin = Arc::new(Scripted {
            name: OriginName::new("far"),
            script: Mutex::new(script.iter().copied().collect()),
            asked: Mutex::default(),
            clock: Arc::clone(&clock),
            is_open: watch::Sender::new(true),
        });
        let inner = Arc::clone(&origin) as Arc<dyn Origin>;
        let guarded = Guarded::new(inner, config, clock, Arc::clone(&metrics), 7);
        Self { guarded, origin, metrics }
    }

    /// One whose breaker has just opened for a second, after the script's first lines.
    async fn open(before: &[Line], after: &[Line]) -> Self {
        let script: Vec<Line> = [before, &[Lies; 5], after].concat();
        let bench = Self::new(&script, Config::default());
        for _ in 0..before.len() + 5 {
            let _ = bench.ask("greeting").await;
        }
        bench.origin.asked.lock().unwrap().clear();
        bench
    }

    async fn ask(&self, prompt: &str) -> Result<Told<Text>, Error> {
        self.ask_as(&reader(None), prompt, None).await
    }

    async fn ask_as(
        &self,
        reader: &Reader,
        prompt: &str,
        known: Option<&str>,
    ) -> Result<Told<Text>, Error> {
        let prompt: PromptName = prompt.parse().unwrap();
        let known = known.map(|known| Validator(known.into()));
        let question = Question { reader, prompt: &prompt, compile: None, known: known.as_ref() };
        self.guarded.prompt(question).await
    }

    /// What the origin was asked.
    fn asked(&self) -> Vec<String> {
        self.origin.asked.lock().unwrap().iter().map(|(question, _)| question.clone()).collect()
    }

    /// When it was asked, in milliseconds.
    fn moments(&self) -> Vec<u64> {
        self.origin.asked.lock().unwrap().iter().map(|(_, at)| *at).collect()
    }

    #[track_caller]
    fn counts(&self, line: &str) {
        let text = self.metrics.encode().unwrap();
        assert!(text.contains(line), "{line} should be in\n{text}");
    }
}

fn reader(credential: Option<&str>) -> Reader {
    Reader {
        tenant: Tenant::new(ProjectId(1), EnvironmentId(1)),
        project: "acme".into(),
        environment: "live".into(),
        reads: Reads::Published,
        origin: Some(OriginName::new("far")),
        credential: credential.map(Credential::new),
    }
}

/// Lets a second pass.
async fn second() {
    tokio::time::advance(Duration::from_secs(1)).await;
}

fn kind<T>(answer: &Result<T, Error>) -> &'static str {
    answer.as_ref().map_or_else(Error::as_str, |_| "ok")
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_and_what_stays_is_not() {
    for (script, tries, outcome) in [
        (vec![Well], 1, "ok"),
        (vec![Resets, Fails(503, None)], 3, "ok"),
        (vec![Resets, Resets, Resets], 3, "unreachable"),
        (vec![Fails(502, None), Fails(504, None)], 3, "ok"),
        (vec![Fails(500, None)], 1, "failed"),
        (vec![Limits(Some(1))], 2, "ok"),
        (vec![Limits(Some(60))], 1, "limited"),
        (vec![Limits(None)], 1, "limited"),
        (vec![Lies], 1, "malformed"),
        (vec![Refuses], 1, "refused"),
        (vec![Rejects], 1, "rejected"),
        (vec![Hangs], 1, "timed_out"),
    ] {
        let bench = Bench::new(&script, Config::default());

        let answer = bench.ask("greeting").await;

        assert_eq!((kind(&answer), bench.asked().len()), (outcome, tries));
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_with_its_deadline() {
    let config = Config { deadline: Duration::from_secs(2), ..Config::default() };
    let bench = Bench::new(&[Resets, Hangs], config);
    let started = Instant::now();

    let answer = bench.ask("greeting").await;

    assert_eq!(kind(&answer), "timed_out");
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_origin_is_never_asked_earlier_than_it_says() {
    for line in [Limits(Some(3)), Fails(503, Some(3))] {
        let bench = Bench::new(&[line], Config::default());

        bench.ask("greeting").await.unwrap();

        let moments = bench.moments();
        assert!((3_000..3_100).contains(moments.last().unwrap()), "asked at {moments:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_is_handed_on() {
    let bench = Bench::new(&[Limits(Some(60))], Config::default());

    let first = bench.ask("greeting").await.unwrap_err();
    let second = bench.ask("greeting").await.unwrap_err();

    let minute = Duration::from_secs(60);
    assert!(matches!(first, Error::Limited { retry_after: Some(at), .. } if at == minute));
    assert!(matches!(second, Error::Resting { retry_after, .. } if retry_after == minute));
    assert_eq!(bench.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_caller_who_is_limited_does_not_stop_the_others() {
    let bench = Bench::new(&[Limits(Some(60))], Config::default());

    let limited = bench.ask_as(&reader(Some("theirs")), "greeting", None).await;

    assert_eq!(kind(&limited), "limited");
    bench.ask("greeting").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retries_stay_within_a_tenth_of_a_thousand_failing_questions() {
    let never = NonZeroU32::MAX;
    let config = Config { breaker_failures: never, ..Config::default() };
    let bench = Bench::new(&[Resets; 2_000], config);

    for _ in 0..1_000 {
        bench.ask("greeting").await.unwrap_err();
    }

    let retries = bench.asked().len() - 1_000;
    assert!((100..=103).contains(&retries), "{retries} retries");
    let line = r#"prompt_edge_origin_retries_total{origin="far",reason="unreachable"}"#;
    bench.counts(&format!("{line} {retries}"));
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_in_a_row_nothing_is_asked_for_a_second() {
    let bench = Bench::open(&[], &[]).await;

    let answer = bench.ask("greeting").await.unwrap_err();

    let second = Duration::from_secs(1);
    assert!(matches!(answer, Error::Resting { retry_after, .. } if retry_after == second));
    assert!(bench.asked().is_empty());
    bench.counts(r#"prompt_edge_origin_breaker{origin="far"} 2"#);
}

#[tokio::test(start_paused = true)]
async fn the_probe_is_the_cheapest_question_at_hand() {
    for (well_before, known, asked) in [
        (&[][..], None, &["probe", "other"][..]),
        (&[Well][..], None, &["greeting unless greeting", "other"][..]),
        (&[Well][..], Some("v1"), &["other unless v1"][..]),
    ] {
        let bench = Bench::open(well_before, &[]).await;
        second().await;

        bench.ask_as(&reader(None), "other", known).await.unwrap();

        assert_eq!(bench.asked(), asked);
        bench.counts(r#"prompt_edge_origin_breaker{origin="far"} 0"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_key_is_never_used_to_probe() {
    let bench = Bench::new(&[Well, Lies, Lies, Lies, Lies, Lies], Config::default());
    let theirs = reader(Some("theirs"));
    for _ in 0..6 {
        let _ = bench.ask_as(&theirs, "greeting", None).await;
    }
    second().await;

    bench.ask("other").await.unwrap();

    assert_eq!(bench.asked()[6..], ["probe", "other"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_crowd_one_asks_whether_the_origin_is_well() {
    let bench = Arc::new(Bench::open(&[Well], &[]).await);
    second().await;
    bench.origin.is_open.send_replace(false);
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let bench = Arc::clone(&bench);
        crowd.spawn(async move { bench.ask("other").await });
    }

    // Everybody but the one who probes is answered at once.
    for _ in 0..99 {
        let answer = crowd.join_next().await.unwrap().unwrap();
        assert_eq!(kind(&answer), "resting");
    }
    assert_eq!(bench.asked(), ["greeting unless greeting"]);
    bench.counts(r#"prompt_edge_origin_breaker{origin="far"} 1"#);
    bench.origin.is_open.send_replace(true);

    assert_eq!(kind(&crowd.join_next().await.unwrap().unwrap()), "ok");
    assert_eq!(bench.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_is_not_tried_again_and_opens_for_longer() {
    let bench = Bench::open(&[], &[Resets]).await;
    second().await;

    let answer = bench.ask("other").await;
    assert_eq!(kind(&answer), "unreachable");
    assert_eq!(bench.asked(), ["probe"]);
    second().await;
    assert_eq!(kind(&bench.ask("other").await), "resting");
    second().await;
    assert_eq!(kind(&bench.ask("other").await), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_leaves_or_panics_frees_its_place() {
    let bench = Arc::new(Bench::open(&[], &[Panics]).await);
    second().await;
    bench.origin.is_open.send_replace(false);

    let leaving = tokio::time::timeout(Duration::from_millis(1), bench.ask("other")).await;
    assert!(leaving.is_err(), "it waits for the origin");
    bench.origin.is_open.send_replace(true);
    let mut panicking = JoinSet::new();
    let same = Arc::clone(&bench);
    panicking.spawn(async move { same.ask("other").await });
    assert!(panicking.join_next().await.unwrap().unwrap_err().is_panic());

    bench.ask("other").await.unwrap();
    assert_eq!(bench.asked(), ["probe", "probe", "probe", "other"]);
}

#[tokio::test(start_paused = true)]
async fn what_one_prompt_fails_at_does_not_hold_up_the_others() {
    let bench = Bench::open(&[Well], &[Lies]).await;
    second().await;

    let first = bench.ask("other").await;
    tokio::time::advance(Duration::from_secs(2)).await;
    bench.ask("other").await.unwrap();

    assert_eq!(kind(&first), "malformed");
    assert_eq!(bench.asked(), ["greeting unless greeting", "probe", "other"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_probe_is_refused_is_no_answer_to_the_question_behind_it() {
    for line in [Refuses, Rejects] {
        let bench = Bench::open(&[Well], &[line]).await;
        second().await;

        bench.ask("other").await.unwrap();

        assert_eq!(bench.asked(), ["greeting unless greeting", "other"]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_our_own_key_raises_an_alarm_once_a_minute() {
    let bench = Bench::new(&[Rejects, Rejects, Rejects], Config::default());
    let alarmed = || *bench.guarded.alarmed.lock().unwrap();

    bench.ask_as(&reader(Some("theirs")), "greeting", None).await.unwrap_err();
    assert_eq!(alarmed(), None);
    bench.ask("greeting").await.unwrap_err();
    let first = alarmed();
    second().await;
    bench.ask("greeting").await.unwrap_err();

    assert!(first.is_some());
    assert_eq!(alarmed(), first);
    bench.counts(r#"prompt_edge_origin_rejections_total{origin="far"} 2"#);
}

#[tokio::test(start_paused = true)]
async fn the_last_success_is_told_in_unix_seconds() {
    let bench = Bench::new(&[], Config::default());

    second().await;
    bench.guarded.probe().await.unwrap();

    let line = r#"prompt_edge_origin_last_success_timestamp_seconds{origin="far"} 1772366401"#;
    bench.counts(line);
}

#[tokio::test(start_paused = true)]
async fn offline_nothing_is_asked() {
    let bench = Bench::new(&[], Config { is_offline: true, ..Config::default() });
    let (reader, credential) = (reader(None), Credential::new("theirs"));

    let answers = [
        kind(&bench.ask("greeting").await),
        kind(&bench.guarded.listing(&reader, None).await),
        kind(&bench.guarded.probe().await),
        kind(&bench.guarded.admits(&credential).await),
    ];
    let changes = bench.guarded.changes(Cursor::START);
    let heard = tokio::time::timeout(Duration::from_secs(3_600), changes).await;

    assert_eq!(answers, ["resting"; 4]);
    assert!(heard.is_err(), "there is nobody to tell of changes");
    assert!(bench.asked().is_empty());
}
