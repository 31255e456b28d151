//! What plans allow, seen from outside: rates and months that hold, and neighbours that are left
//! alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use prompt_edge::access::limits::{self, Headers};
use prompt_edge::access::quota::{self, OnLedgerLoss};
use prompt_edge::clock::Clock;
use prompt_edge::config::Config;
use prompt_edge::delivery;
use prompt_edge::ledger::Month;
use prompt_edge::model::{Plan, PlanName, Project, Rate};
use prompt_edge::origins::Store;
use prompt_edge::server::{self, Router};
use serde_json::{Value, json};
use sfv::{BareItem, Item, List, ListEntry, Parser};
use tokio::task::JoinSet;

use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{Answer, HIT, compiled, query, request, with};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::watched::Fault;

fn greeting() -> Draft {
    prompt("greeting").text("Hello")
}

/// A plan that limits nothing yet.
fn plan(name: &str) -> Plan {
    Plan {
        name: PlanName::new(name),
        requests_per_month: None,
        rate: None,
        key_rate: None,
        weight: NonZeroU32::MIN,
    }
}

/// A plan of so many requests a month and any rate.
fn monthly(name: &str, requests: u64) -> Plan {
    Plan { requests_per_month: NonZeroU64::new(requests), ..plan(name) }
}

/// A plan of any month and this rate.
fn paced(name: &str, per_second: u32, burst: u32) -> Plan {
    Plan { rate: Some(rate(per_second, burst)), ..plan(name) }
}

fn rate(per_second: u32, burst: u32) -> Rate {
    let of = |n| NonZeroU32::new(n).expect("a rate is not 0");
    Rate { per_second: of(per_second), burst: of(burst) }
}

/// The defaults with these plans instead, or in addition.
fn selling(plans: impl IntoIterator<Item = Plan>) -> Config {
    let mut config = Config::default();
    config.limits.plans.extend(plans.into_iter().map(|plan| (plan.name.clone(), plan)));
    config
}

/// The same, with limits set up otherwise.
fn limited(plan: Plan, change: impl FnOnce(&mut limits::Config)) -> Config {
    let mut config = selling([plan]);
    change(&mut config.limits);
    config
}

/// An edge with a project on that plan, beside `acme`; and a key for it.
async fn on_plan(config: &Config, plan: &str) -> (Edge, String) {
    let edge = Edge::configured(config, [greeting()]).await;
    let key = edge.project_on(plan, "limited", greeting()).await;
    edge.follow().await;
    (edge, key)
}

/// Asks for the greeting until something else than an answer comes. Returns how many there were,
/// and what came.
async fn ask_all(edge: &Edge, key: &str) -> (u64, Answer) {
    let mut answered = 0;
    loop {
        let answer = edge.get(compiled("greeting"), key).await;
        if answer.status != 200 {
            return (answered, answer);
        }
        answered += 1;
    }
}

/// Asks so often from 32 tasks, every other time for what is held already. Returns how often each
/// status came.
async fn crowd(router: &Router, key: &str, requests: usize) -> BTreeMap<u16, usize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (router, key, asked) = (router.clone(), key.to_owned(), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut statuses = Vec::new();
            loop {
                let n = asked.fetch_add(1, Ordering::SeqCst);
                if n >= requests {
                    return statuses;
                }
                let mut request = request("GET", &compiled("greeting"), &key);
                if n % 2 == 0 {
                    request = with(request, "if-none-match", "*");
                }
                let response = router.handle(request, PEER).await;
                statuses.push(response.expect("a router never fails").status().as_u16());
            }
        });
    }
    let mut counts = BTreeMap::new();
    for status in tasks.join_all().await.into_iter().flatten() {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

/// How many answers a crowd got; asserts that the rest was told that the limit is reached.
fn answers(counts: &BTreeMap<u16, usize>) -> usize {
    let other = counts.keys().find(|status| ![200, 304, 429].contains(*status));
    assert_eq!(other, None, "in {counts:?}");
    [200, 304].iter().filter_map(|status| counts.get(status)).sum()
}

/// Moves the clock to the first moment of the next month.
fn turn_the_month(edge: &Edge) {
    let now = edge.clock.now();
    let left = Month::of(now).end().as_millis() - now.as_millis();
    edge.clock.advance(Duration::from_millis(left.unsigned_abs()));
}

/// The rows of a usage page.
async fn usage(edge: &Edge, query: &str) -> Vec<Value> {
    let page = edge.page(&format!("/admin/usage{query}")).await;
    page.expect_status(200).json().as_array().expect("the page is a list").clone()
}

/// What the project has used of the present month, with everything given back that is not.
async fn used(edge: &Edge, project: &str) -> Value {
    edge.all_is_quiet().await;
    edge.assembly.gate.book().settle().await;
    usage(edge, &format!("?project={project}")).await[0]["used"].clone()
}

/// Sample of `prompt_edge_limit_decisions_total`.
fn decisions(plan: &str, decision: &str) -> String {
    format!("prompt_edge_limit_decisions_total{{plan=\"{plan}\",decision=\"{decision}\"}}")
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().expect("Retry-After is a number of seconds")
}

/// The policies of a header, by name, each with its parameters, read as a structured field.
fn policies(answer: &Answer, header: &str) -> BTreeMap<String, BTreeMap<String, i64>> {
    let list: List = Parser::new(answer.header(header)).parse().expect("it is a structured field");
    let items = list.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => item,
        ListEntry::InnerList(_) => panic!("a policy is an item"),
    });
    let parameters = |item: &Item| {
        let integer = |value: &BareItem| value.as_integer().expect("an integer").into();
        item.params.iter().map(|(name, value)| (name.to_string(), integer(value))).collect()
    };
    let named = |item: &Item| item.bare_item.as_string().expect("a string").to_string();
    items.map(|item| (named(&item), parameters(&item))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_admits_exactly_its_plan_across_a_crash_and_begins_anew() {
    let config = selling([monthly("free", 1_000)]);
    let (edge, key) = on_plan(&config, "free").await;

    let counts = crowd(&edge.assembly.router, &key, 1_500).await;
    assert_eq!(answers(&counts), 1_000, "of {counts:?}");
    assert_eq!(counts[&429], 500);

    // Nothing was settled: this is what a killed process leaves.
    let restarted = edge.beside(&config);
    let counts = crowd(&restarted.router, &key, 100).await;
    assert_eq!(answers(&counts), 0, "of {counts:?}");

    turn_the_month(&edge);
    let counts = crowd(&restarted.router, &key, 1_500).await;
    assert_eq!(answers(&counts), 1_000, "of the next month: {counts:?}");
    assert_eq!(used(&edge, "limited").await, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edges_on_one_store_share_a_month_exactly() {
    let config = selling([monthly("shared", 600)]);
    let (edge, key) = on_plan(&config, "shared").await;
    let other = edge.beside(&config);

    let (one, two) =
        tokio::join!(crowd(&edge.assembly.router, &key, 700), crowd(&other.router, &key, 700));

    assert_eq!(answers(&one) + answers(&two), 600, "of {one:?} and {two:?}");
}

#[tokio::test]
async fn a_rate_admits_what_its_burst_and_its_pace_allow_and_not_one_more() {
    let (edge, key) = on_plan(&selling([paced("paced", 10, 20)]), "paced").await;

    let mut admitted = ask_all(&edge, &key).await.0;
    for _ in 0..3_000 {
        edge.clock.advance(Duration::from_millis(10));
        admitted += u64::from(edge.get(compiled("greeting"), &key).await.status == 200);
    }

    assert_eq!(admitted, 320);
    assert_eq!(edge.metric(&decisions("paced", "admitted")).await, 320);
}

#[tokio::test]
async fn a_plan_changes_while_running_and_keeps_what_was_given() {
    let (edge, key) =
        on_plan(&selling([paced("slow", 10, 20), paced("quick", 100, 200)]), "slow").await;
    assert_eq!(ask_all(&edge, &key).await.0, 20);

    edge.set_plan("limited", "quick").await;
    edge.follow().await;

    assert_eq!(ask_all(&edge, &key).await.0, 180, "of a burst of 200 less what was given");
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(ask_all(&edge, &key).await.0, 100);
}

#[tokio::test]
async fn a_change_of_plan_keeps_what_was_used_of_the_month() {
    let (edge, key) =
        on_plan(&selling([monthly("small", 50), monthly("large", 80)]), "small").await;
    assert_eq!(ask_all(&edge, &key).await.0, 50);

    edge.set_plan("limited", "large").await;
    edge.follow().await;
    edge.get(compiled("greeting"), &key).await.expect_status(200);
    // What the old plan's lease had left goes back in the background.
    edge.all_is_quiet().await;

    assert_eq!(1 + ask_all(&edge, &key).await.0, 30);
    edge.set_plan("limited", "small").await;
    edge.follow().await;
    edge.get(compiled("greeting"), &key).await.expect_refusal(429, "RATE_LIMITED");
    assert_eq!(used(&edge, "limited").await, 80);
}

#[tokio::test]
async fn a_plan_that_is_not_configured_is_the_fallback() {
    let (edge, key) = on_plan(&selling([monthly("free", 3)]), "free").await;
    let projects = edge.store.projects().await.expect("the store answers");
    let project = projects.iter().find(|project| project.name == "limited").expect("it exists");

    edge.store.set_plan(project.id, "retired".to_owned()).await.expect("the store takes it");
    edge.follow().await;

    assert_eq!(ask_all(&edge, &key).await.0, 3);
    let row = &usage(&edge, "?project=limited").await[0];
    assert_eq!(row["plan"], "retired");
    assert_eq!(row["quota"], 3, "the quota that holds is the fallback's");
}

/// Memory stays flat because guesses are counted in a table of fixed size, whatever addresses they
/// come from, because a source over its limit is refused before its key is looked for or
/// remembered, and because unknown keys are kept in a map of at most `keys.unknown_keys` entries.
/// The first cannot grow; of the others it can be seen that the store is not asked.
#[tokio::test]
async fn guessing_keys_is_slow_and_bothers_nobody_else() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    let before = edge.store.asked();
    let guess = async |key: &str| edge.get(compiled("greeting"), key).await;

    for n in 0..20 {
        guess(&format!("guess-{n}")).await.expect_refusal(401, "UNAUTHORIZED");
    }
    for n in 20..20_000 {
        let refused = guess(&format!("guess-{n}")).await;
        refused.expect_refusal(429, "RATE_LIMITED").expect_header("retry-after", "1");
    }

    assert_eq!(edge.store.asked().grants - before.grants, 20, "the burst of a source");
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    // Two sources may share a slot by chance; of eight hardly two do so with the guesser.
    let elsewhere = |n| IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
    let mut let_in = 0;
    for n in 0..8 {
        let other = request("GET", &compiled("greeting"), &format!("elsewhere-{n}"));
        let_in += usize::from(edge.ask_from(elsewhere(n), other).await.status == 401);
    }
    assert!(let_in >= 7, "{let_in} of 8 other sources were let in");

    let before = edge.store.asked();
    for second in 0..10 {
        edge.clock.advance(Duration::from_secs(1));
        guess(&format!("patient-{second}")).await.expect_status(401);
        for n in 0..20 {
            guess(&format!("impatient-{second}-{n}")).await.expect_status(429);
        }
    }
    assert_eq!(edge.store.asked().grants - before.grants, 10, "one a second");
}

#[tokio::test]
async fn answers_count_against_the_month() {
    let (edge, key) = on_plan(&selling([monthly("counted", 100)]), "counted").await;
    let text = compiled("greeting");

    for _ in ["cold", "warm"] {
        edge.get(&text, &key).await.expect_status(200);
        let held = with(request("GET", &text, &key), "if-none-match", "*");
        edge.ask(held).await.expect_status(304);
        edge.ask(request("HEAD", &text, &key)).await.expect_status(200);
        edge.ask(query(&text, &key, "{}")).await.expect_status(200);
        edge.get("/api/v1/prompts", &key).await.expect_status(200);
        edge.get("/api/v1/prompts/greeting", &key).await.expect_status(200);
    }

    assert_eq!(used(&edge, "limited").await, 12);
}

#[tokio::test]
async fn an_answer_that_is_not_modified_need_not_count() {
    let config = limited(monthly("counted", 100), |limits| limits.count_not_modified = false);
    let (edge, key) = on_plan(&config, "counted").await;

    for _ in 0..5 {
        edge.get(compiled("greeting"), &key).await.expect_status(200);
        let held = with(request("GET", &compiled("greeting"), &key), "if-none-match", "*");
        edge.ask(held).await.expect_status(304);
    }

    assert_eq!(used(&edge, "limited").await, 5);
}

#[tokio::test]
async fn refused_and_failed_requests_do_not_count() {
    let (edge, key) = on_plan(&selling([monthly("counted", 10)]), "counted").await;

    for _ in 0..10 {
        let oops = format!("{}?variables=oops", compiled("greeting"));
        edge.get(oops, &key).await.expect_status(400);
        edge.get(compiled("nowhere"), &key).await.expect_status(404);
        edge.get("/api/v1/nowhere", &key).await.expect_status(404);
        edge.ask(request("POST", &compiled("greeting"), &key)).await.expect_status(405);
        edge.get(compiled("greeting"), "unknown").await.expect_status(401);
        edge.store.fail_with(Fault::Unreachable);
        edge.get("/api/v1/prompts/greeting", &key).await.expect_status(503);
        edge.store.recover();
    }

    assert_eq!(used(&edge, "limited").await, 0);
    assert_eq!(ask_all(&edge, &key).await.0, 10, "the whole month is left");
}

#[tokio::test]
async fn headers_say_what_is_left_always_if_they_are_meant_to() {
    let plan = Plan { rate: Some(rate(10, 50)), ..monthly("said", 1_000) };
    let config = limited(plan, |limits| limits.headers = Headers::Always);
    let (edge, key) = on_plan(&config, "said").await;

    let answer = edge.get(compiled("greeting"), &key).await;

    let stated = policies(answer.expect_status(200), "ratelimit-policy");
    assert_eq!(stated["burst"], BTreeMap::from([("q".into(), 50), ("w".into(), 5)]));
    let march = 31 * 86_400;
    assert_eq!(stated["month"], BTreeMap::from([("q".into(), 1_000), ("w".into(), march)]));
    let left = policies(&answer, "ratelimit");
    assert_eq!(
        left,
        BTreeMap::from([("burst".into(), [("r".into(), 49), ("t".into(), 1)].into())])
    );
    assert_eq!(answer.header("x-ratelimit-limit"), "", "the old names are not sent unasked");
    let unlimited = edge.get(compiled("greeting"), &edge.live).await;
    for name in ["ratelimit-policy", "ratelimit", "retry-after"] {
        assert_eq!(unlimited.expect_status(200).header(name), "", "nothing is limited");
    }
}

#[tokio::test]
async fn headers_say_what_is_left_from_four_fifths_on() {
    let (edge, key) = on_plan(&selling([monthly("said", 10)]), "said").await;

    for spent in 1..=10 {
        let answer = edge.get(compiled("greeting"), &key).await;

        match spent {
            1..8 => assert_eq!(answer.expect_status(200).header("ratelimit"), ""),
            _ => {
                let left = &policies(answer.expect_status(200), "ratelimit")["month"];
                assert_eq!(left["r"], 10 - spent, "after {spent}");
            }
        }
    }
}

#[tokio::test]
async fn headers_may_be_left_to_refusals() {
    let config = limited(monthly("said", 5), |limits| limits.headers = Headers::Refused);
    let (edge, key) = on_plan(&config, "said").await;

    for _ in 0..5 {
        let answer = edge.get(compiled("greeting"), &key).await;
        assert_eq!(answer.expect_status(200).header("ratelimit"), "");
    }
    let refused = edge.get(compiled("greeting"), &key).await;

    assert_eq!(policies(refused.expect_status(429), "ratelimit")["month"]["r"], 0);
}

#[tokio::test]
async fn the_old_headers_are_sent_on_demand() {
    let config = limited(monthly("said", 3), |limits| {
        limits.legacy_headers = true;
        limits.headers = Headers::Always;
    });
    let (edge, key) = on_plan(&config, "said").await;

    let answer = edge.get(compiled("greeting"), &key).await;

    answer.expect_header("x-ratelimit-limit", "3").expect_header("x-ratelimit-remaining", "2");
    let t = policies(&answer, "ratelimit")["month"]["t"].to_string();
    answer.expect_header("x-ratelimit-reset", &t);
}

#[tokio::test]
async fn whoever_waits_as_long_as_told_after_a_burst_is_admitted() {
    for (per_second, burst) in [(1, 1), (3, 2), (7, 20), (100, 3)] {
        let (edge, key) = on_plan(&selling([paced("paced", per_second, burst)]), "paced").await;
        let (admitted, refused) = ask_all(&edge, &key).await;
        assert_eq!(admitted, u64::from(burst));

        refused.expect_refusal(429, "RATE_LIMITED");
        let left = &policies(&refused, "ratelimit")["burst"];
        assert_eq!(left["r"], 0);
        assert!(retry_after(&refused) >= left["t"].unsigned_abs(), "of {refused:?}");
        edge.clock.advance(Duration::from_secs(retry_after(&refused)));

        edge.get(compiled("greeting"), &key).await.expect_status(200);
    }
}

#[tokio::test]
async fn whoever_waits_as_long_as_told_after_a_month_is_admitted() {
    let (edge, key) = on_plan(&selling([monthly("small", 3)]), "small").await;
    edge.clock.advance(Duration::from_millis(1_234));
    let (_, refused) = ask_all(&edge, &key).await;

    refused.expect_refusal(429, "RATE_LIMITED");
    let left = &policies(&refused, "ratelimit")["month"];
    assert_eq!(left["r"], 0);
    assert!(retry_after(&refused) >= left["t"].unsigned_abs());
    edge.clock.advance(Duration::from_secs(retry_after(&refused) - 1));
    edge.get(compiled("greeting"), &key).await.expect_status(429);
    edge.clock.advance(Duration::from_secs(1));

    assert_eq!(ask_all(&edge, &key).await.0, 3);
}

#[tokio::test]
async fn a_key_over_its_own_rate_does_not_stop_another() {
    let plan = Plan { key_rate: Some(rate(1, 2)), ..paced("keyed", 100, 5) };
    let (edge, key) = on_plan(&selling([plan]), "keyed").await;
    let (other, _) = edge.key("limited", "live").await;
    edge.follow().await;

    let (admitted, refused) = ask_all(&edge, &key).await;
    assert_eq!(admitted, 2);
    assert_eq!(policies(refused.expect_status(429), "ratelimit-policy")["burst"]["q"], 2);
    assert_eq!(ask_all(&edge, &other).await.0, 2);

    edge.clock.advance(Duration::from_secs(retry_after(&refused)));
    edge.get(compiled("greeting"), &key).await.expect_status(200);
}

#[tokio::test]
async fn without_its_ledger_an_edge_goes_on_within_the_allowance() {
    let config = limited(monthly("small", 100), |limits| limits.quota.ledger_loss_allowance = 5);
    let (edge, key) = on_plan(&config, "small").await;

    edge.ledger.goes_away();
    let (admitted, refused) = ask_all(&edge, &key).await;

    assert_eq!(admitted, 5);
    refused.expect_refusal(503, "QUOTA_UNKNOWN").expect_header("retry-after", "1");
    assert_eq!(edge.metric("prompt_edge_ledger_overdrafts_total").await, 5);
    assert_eq!(edge.metric(&decisions("small", "quota_unknown")).await, 1);
    for _ in 0..50 {
        edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    }

    edge.ledger.comes_back();
    edge.clock.advance(Duration::from_secs(retry_after(&refused)));
    assert_eq!(ask_all(&edge, &key).await.0, 95, "what was overdrawn is of the month");
}

#[tokio::test]
async fn without_its_ledger_an_exact_edge_refuses() {
    let config = limited(monthly("small", 100), |limits| {
        limits.quota =
            quota::Config { on_ledger_loss: OnLedgerLoss::Refuse, ..quota::Config::default() };
    });
    let (edge, key) = on_plan(&config, "small").await;

    edge.ledger.goes_away();
    let refused = edge.get(compiled("greeting"), &key).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.ledger.comes_back();
    edge.clock.advance(Duration::from_secs(1));

    refused.expect_refusal(503, "QUOTA_UNKNOWN");
    assert_eq!(ask_all(&edge, &key).await.0, 100);
}

#[tokio::test]
async fn a_hit_asks_neither_the_store_nor_the_ledger() {
    let (edge, key) = on_plan(&selling([monthly("large", 100_000)]), "large").await;
    for _ in 0..50 {
        edge.get(compiled("greeting"), &key).await.expect_status(200);
        edge.all_is_quiet().await;
    }
    let before = (edge.store.asked(), edge.ledger.asked());

    for _ in 0..100 {
        edge.get(compiled("greeting"), &key).await.expect_header("cache-status", HIT);
    }

    edge.all_is_quiet().await;
    assert_eq!((edge.store.asked(), edge.ledger.asked()), before);
}

#[tokio::test]
async fn decisions_are_counted_by_plan() {
    let plan = Plan { rate: Some(rate(1, 3)), ..monthly("small", 4) };
    let (edge, key) = on_plan(&selling([plan]), "small").await;
    assert_eq!(ask_all(&edge, &key).await.0, 3);
    edge.clock.advance(Duration::from_secs(2));

    ask_all(&edge, &key).await.1.expect_status(429);

    for (decision, count) in
        [("admitted", 4), ("rate_limited", 1), ("quota_spent", 1), ("quota_unknown", 0)]
    {
        assert_eq!(edge.metric(&decisions("small", decision)).await, count, "{decision}");
    }
}

#[tokio::test]
async fn operators_see_what_was_used_in_this_month_and_before() {
    let (edge, key) = on_plan(&selling([monthly("small", 100)]), "small").await;
    for _ in 0..3 {
        edge.get(compiled("greeting"), &key).await.expect_status(200);
    }
    edge.all_is_quiet().await;
    let open = usage(&edge, "?project=limited").await;
    let of = |row: &Value, name: &str| row[name].as_u64().expect("it is a count");
    let [row] = &open[..] else { panic!("one month in {open:?}") };
    assert!(of(row, "leased") > 0 && of(row, "used") + of(row, "leased") >= 3, "{row}");
    assert_eq!(of(row, "remaining"), 100 - of(row, "used") - of(row, "leased"));

    edge.assembly.gate.book().settle().await;
    turn_the_month(&edge);
    edge.get(compiled("greeting"), &key).await.expect_status(200);
    edge.assembly.gate.book().settle().await;

    let row = |month: &str, used: u64, remaining: u64, resets_at: &str| {
        json!({
            "project": "limited", "plan": "small", "month": month, "quota": 100, "used": used,
            "leased": 0, "remaining": remaining, "resets_at": resets_at,
        })
    };
    assert_eq!(
        usage(&edge, "?project=limited").await,
        [
            row("2026-04", 1, 99, "2026-05-01T00:00:00.000Z"),
            row("2026-03", 3, 0, "2026-04-01T00:00:00.000Z"),
        ]
    );
    let all = usage(&edge, "").await;
    let names: Vec<_> = all.iter().map(|row| row["project"].as_str()).collect();
    assert_eq!(names, [Some("acme"), Some("limited"), Some("limited")]);
    assert_eq!(all[0]["quota"], Value::Null);
    edge.page("/admin/usage?project=nobody").await.expect_status(404);
}

/// Two keys of a project are read at the same time, one before a change of plan and one after it;
/// the one from before is done last.
#[tokio::test]
async fn a_project_read_before_a_change_does_not_bring_its_old_plan_back() {
    let edge = Edge::configured(&selling([plan("old"), plan("new")]), []).await;
    let book = edge.assembly.gate.book();
    let on = |plan: &str| Project { plan: plan.to_owned(), ..edge.project.clone() };
    book.limits_of(&on("old"), || true);
    book.limits_of(&on("new"), || true);

    let late = book.limits_of(&on("old"), || false);

    assert_eq!(late.plan().name.as_str(), "new");
    assert_eq!(book.limits_of(&on("new"), || true).plan().name.as_str(), "new");
}

#[tokio::test]
async fn a_flood_of_cold_prompts_does_not_hold_up_a_neighbour() {
    const COLD: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let turns = NonZeroUsize::MIN;
    let delivery = delivery::Config { turns, ..delivery::Config::default() };
    let config = Config { delivery, ..Config::default() };
    let cold = COLD.map(|slug| prompt(slug).text("cold"));
    let edge =
        Edge::configured(&config, cold.into_iter().chain([prompt("warm").text("warm")])).await;
    let neighbour = edge.project_on("enterprise", "neighbour", greeting()).await;
    edge.follow().await;
    // Both keys, and the tokenizer, whose first use takes a turn too.
    edge.get(compiled("warm"), &edge.live).await.expect_status(200);
    edge.get("/api/v1/prompts", &neighbour).await.expect_status(200);

    edge.store.hold();
    let begin = |slug, key| edge.begin(request("GET", &compiled(slug), key));
    let mut begun: Vec<_> = COLD.iter().map(|slug| ("flood", begin(slug, &edge.live))).collect();
    edge.store.has_answered(5).await;
    begun.push(("neighbour", begin("greeting", &neighbour)));
    let mut asking = JoinSet::new();
    let (told, heard) = mpsc::channel();
    for (who, begun) in begun {
        let told = told.clone();
        asking.spawn(async move {
            begun.answer().await.expect_status(200);
            told.send(who).expect("the test listens");
        });
    }
    edge.store.release();
    asking.join_all().await;
    let order: Vec<_> = heard.try_iter().collect();

    assert!(order[..2].contains(&"neighbour"), "its turn is the next to come: {order:?}");
}

#[tokio::test]
async fn an_edge_that_has_enough_to_do_refuses_more_and_still_answers_from_memory() {
    let server = server::Config { max_in_flight: 2, ..server::Config::default() };
    let config = Config { server, ..Config::default() };
    let prompts = ["one", "two", "three"].map(|slug| prompt(slug).text("cold"));
    let edge = Edge::configured(&config, prompts.into_iter().chain([greeting()])).await;
    for _ in 0..2 {
        edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    }

    edge.store.hold();
    let begun = ["one", "two"].map(|slug| edge.begin(request("GET", &compiled(slug), &edge.live)));
    let shed = edge.get(compiled("three"), &edge.live).await;

    shed.expect_refusal(503, "OVERLOADED").expect_header("retry-after", "1");
    edge.get(compiled("greeting"), &edge.live).await.expect_header("cache-status", HIT);
    assert_eq!(edge.metric("prompt_edge_shed_total{reason=\"in_flight\"}").await, 1);
    edge.store.release();
    for begun in begun {
        begun.answer().await.expect_status(200);
    }
    edge.get(compiled("three"), &edge.live).await.expect_status(200);
}
