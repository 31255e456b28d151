//! An edge that is given another configuration while it runs: what changes, and what that costs.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prompt_edge::access::limits::Headers;
use prompt_edge::clock::Clock;
use prompt_edge::config::{Config, Origin};
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::hooks::{self, Scheme};
use prompt_edge::model::{Credential, PlanName, Rate};
use prompt_edge::server::Router;
use tokio::task::JoinSet;

use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{Answer, HIT, RENDERED, compiled, query, request, with};
use crate::harness::fronted::{Fronted, Settings, is_rescue, ttl};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::restart::entry;
use crate::harness::watched::Fault;

fn greeting() -> Draft {
    prompt("greeting").text("Hello")
}

/// The defaults with another rate for the plan `free`.
fn paced(per_second: u32, burst: u32) -> Config {
    let mut config = Config::default();
    let of = |n| NonZeroU32::new(n).expect("a rate is not 0");
    let plan = config.limits.plans.get_mut(&PlanName::new("free")).expect("there is one");
    plan.rate = Some(Rate { per_second: of(per_second), burst: of(burst) });
    plan.requests_per_month = None;
    config
}

/// An edge with a project on the plan `free`, and a key for it that was used.
async fn limited(config: &Config) -> (Edge, String) {
    let edge = Edge::configured(config, [greeting()]).await;
    let key = edge.project_on("free", "limited", greeting()).await;
    edge.follow().await;
    edge.get(compiled("greeting"), &key).await.expect_status(200);
    (edge, key)
}

/// How many requests in a row are answered, of at most so many.
async fn answered(edge: &Edge, key: &str, most: usize) -> usize {
    for count in 0..most {
        if edge.get(compiled("greeting"), key).await.status != 200 {
            return count;
        }
    }
    most
}

#[tokio::test]
async fn a_tighter_rate_bites_the_next_request_and_a_looser_one_lets_it_in() {
    let (edge, key) = limited(&paced(10, 20)).await;
    assert_eq!(answered(&edge, &key, 4).await, 4);

    edge.assembly.reconfigure(&paced(1, 2));
    assert_eq!(answered(&edge, &key, 4).await, 0, "five were taken of a burst of two");

    edge.assembly.reconfigure(&paced(10, 20));
    assert_eq!(answered(&edge, &key, 30).await, 18, "two of twenty are taken, and no time passed");
}

#[tokio::test]
async fn a_new_month_counts_what_was_used_of_the_one_before() {
    let monthly = |requests| {
        let mut config = paced(1_000, 1_000);
        let plan = config.limits.plans.get_mut(&PlanName::new("free")).expect("there is one");
        plan.requests_per_month = NonZeroU64::new(requests);
        config
    };
    let (edge, key) = limited(&monthly(5)).await;

    edge.assembly.reconfigure(&monthly(10));
    let (more, refused) =
        (answered(&edge, &key, 20).await, edge.get(compiled("greeting"), &key).await);

    assert_eq!(more, 9, "one of ten was used before");
    refused.expect_refusal(429, "RATE_LIMITED");
}

#[tokio::test]
async fn a_plan_that_goes_leaves_its_projects_on_the_fallback() {
    let mut config = paced(1, 1);
    let (edge, key) = limited(&paced(10, 20)).await;
    config.limits.plans.remove(&PlanName::new("enterprise"));
    assert_eq!(answered(&edge, &edge.live, 50).await, 50);

    edge.assembly.reconfigure(&config);

    assert_eq!(answered(&edge, &edge.live, 5).await, 1, "the burst of the fallback");
    assert_eq!(answered(&edge, &key, 5).await, 0);
    let page = edge.page("/admin/usage?project=acme").await.json();
    assert_eq!(page[0]["plan"], "enterprise", "{page}");
}

#[tokio::test]
async fn new_limits_ask_the_store_nothing() {
    let (edge, key) = limited(&paced(10, 20)).await;
    let grants = edge.store.asked().grants;
    edge.store.fail_with(Fault::Unreachable);

    edge.assembly.reconfigure(&paced(10, 30));
    edge.assembly.reconfigure(&paced(10, 40));

    assert_eq!(answered(&edge, &key, 50).await, 39, "one was taken before");
    assert_eq!(edge.store.asked().grants, grants);
}

#[tokio::test]
async fn new_limits_hide_no_change_of_a_key() {
    for is_before in [true, false] {
        let edge = Edge::configured(&paced(10, 20), [greeting()]).await;
        let (key, id) = edge.key("acme", "live").await;
        edge.get(compiled("greeting"), &key).await.expect_status(200);

        if !is_before {
            edge.assembly.reconfigure(&paced(10, 30));
        }
        edge.revoke(id).await;
        edge.set_plan("acme", "free").await;
        edge.follow().await;
        if is_before {
            edge.assembly.reconfigure(&paced(10, 30));
        }

        edge.get(compiled("greeting"), &key).await.expect_status(401);
        assert_eq!(answered(&edge, &edge.live, 50).await, 30, "its project is on another plan");
    }
}

#[tokio::test]
async fn answers_say_what_is_left_when_they_are_told_to() {
    let (edge, key) = limited(&paced(10, 20)).await;
    assert_eq!(edge.get(compiled("greeting"), &key).await.header("ratelimit"), "");
    let mut config = paced(10, 20);
    config.limits.headers = Headers::Always;
    config.limits.legacy_headers = true;

    edge.assembly.reconfigure(&config);

    let answer = edge.get(compiled("greeting"), &key).await;
    assert!(answer.header("ratelimit").contains("burst"), "{answer:?}");
    assert_eq!(answer.header("x-ratelimit-limit"), "20");
}

#[tokio::test]
async fn whether_a_304_counts_can_change() {
    let monthly = |count_not_modified| {
        let mut config = paced(1_000, 1_000);
        let plan = config.limits.plans.get_mut(&PlanName::new("free")).expect("there is one");
        plan.requests_per_month = NonZeroU64::new(8);
        config.limits.count_not_modified = count_not_modified;
        config
    };
    let (edge, key) = limited(&monthly(false)).await;
    let ask =
        async || edge.ask(with(request("GET", &compiled("greeting"), &key), "if-none-match", "*"));
    for _ in 0..10 {
        ask().await.await.expect_status(304);
    }

    edge.assembly.reconfigure(&monthly(true));

    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(ask().await.await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 304).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn failed_keys_and_trusted_proxies_can_change() {
    let edge = Edge::configured(&Config::default(), []).await;
    let guess = async |key: &str| {
        let request = request("GET", &compiled("greeting"), key);
        edge.ask(with(request, "x-forwarded-for", "198.51.100.1")).await.status
    };
    assert_eq!(guess("pk_live_a").await, 401);
    let mut config = Config::default();
    config.guesses.rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };

    edge.assembly.reconfigure(&config);
    assert_eq!(guess("pk_live_b").await, 429, "one was presented of a burst of one");

    config.guesses.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a network")];
    edge.assembly.reconfigure(&config);
    assert_eq!(guess("pk_live_c").await, 401, "it comes from somewhere else");
}

#[tokio::test]
async fn kept_answers_say_the_new_lifetimes_and_no_origin_is_asked() {
    let edge = Edge::serving([greeting()]).await;
    let ask = async || edge.get(compiled("greeting"), &edge.live).await;
    let before = ask().await;
    ask().await.expect_header("cache-status", HIT);
    let asked = edge.store.asked();
    let mut config = Config::default();
    config.delivery.lifetimes.max_age = Duration::from_secs(7);

    edge.assembly.reconfigure(&config);
    // Not even one that could not be.
    edge.store.fail_with(Fault::Unreachable);
    let after = ask().await;

    after.expect_status(200).expect_header("cache-status", RENDERED);
    assert!(after.header("cache-control").contains("max-age=7,"), "{after:?}");
    assert_eq!(after.header("etag"), before.header("etag"), "its text is the same");
    ask().await.expect_header("cache-status", HIT);
    assert_eq!(edge.store.asked(), asked);
}

#[tokio::test]
async fn a_kept_answer_that_is_longer_than_now_allowed_is_refused() {
    let edge = Edge::serving([prompt("greeting").text("x".repeat(2_000))]).await;
    let ask = async || edge.get(compiled("greeting"), &edge.live).await;
    ask().await.expect_status(200);
    let mut config = Config::default();
    config.delivery.max_output_bytes = 1 << 10;

    edge.assembly.reconfigure(&config);

    ask().await.expect_refusal(400, "VALIDATION_ERROR");
    edge.assembly.reconfigure(&Config::default());
    ask().await.expect_status(200);
}

#[tokio::test]
async fn an_absence_ends_when_it_has_become_too_long() {
    let edge = Edge::serving([greeting()]).await;
    let ask = async || edge.get(compiled("nobody"), &edge.live).await;
    ask().await.expect_status(404);
    edge.clock.advance(Duration::from_secs(2));
    let asked = edge.store.asked().editions;
    ask().await.expect_status(404);
    assert_eq!(edge.store.asked().editions, asked);
    let mut config = Config::default();
    config.delivery.absent_for = Duration::from_secs(1);

    edge.assembly.reconfigure(&config);

    ask().await.expect_status(404);
    assert_eq!(edge.store.asked().editions, asked + 1);
}

#[tokio::test]
async fn how_many_requests_are_worked_on_can_change() {
    let edge = Edge::serving(["one", "two"].map(|slug| prompt(slug).text("cold"))).await;
    edge.get("/api/v1/prompts", &edge.live).await.expect_status(200);
    let mut config = Config::default();
    config.server.max_in_flight = 1;
    edge.store.hold();
    let begun = edge.begin(request("GET", &compiled("one"), &edge.live));

    edge.assembly.reconfigure(&config);
    edge.get(compiled("two"), &edge.live).await.expect_refusal(503, "OVERLOADED");

    edge.assembly.reconfigure(&Config::default());
    let more = edge.begin(request("GET", &compiled("two"), &edge.live));
    edge.store.release();
    for begun in [begun, more] {
        begun.answer().await.expect_status(200);
    }
}

#[tokio::test]
async fn how_long_a_body_may_be_can_change() {
    let edge = Edge::serving([greeting()]).await;
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(2_000));
    let ask = async || edge.ask(query(&compiled("greeting"), &edge.live, &body)).await;
    ask().await.expect_status(200);
    let mut config = Config::default();
    config.server.body_limit_bytes = 1 << 10;

    edge.assembly.reconfigure(&config);

    assert_eq!(ask().await.status, 413);
}

/// An edge's configuration with an origin whose hooks are signed with this.
fn hooked(secret: &str, hooks: bool) -> Config {
    let hook = hooks::Config::new(Scheme::Standard, &Credential::new(secret));
    let hook = Some(hook.expect("the secret can be one"));
    let origins = vec![Origin { hook, ..entry("promptot") }];
    let mut config = Config { origins, ..Config::default() };
    config.server.hooks = hooks;
    config
}

/// A hook that says nothing, signed with a secret at the edge's present time.
async fn tell(edge: &Edge, secret: &str, id: &str) -> u16 {
    edge.operate(hook(edge, secret, id)).await.status
}

fn hook(edge: &Edge, secret: &str, id: &str) -> Request<Full<Bytes>> {
    let (body, at) = ("{}", edge.clock.now().as_millis() / 1_000);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    Request::post("/hooks/promptot")
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(tag)))
        .body(body.to_owned().into())
        .expect("a request")
}

#[tokio::test]
async fn a_hooks_secret_can_change_and_callers_may_have_hooks() {
    let edge = Edge::configured(&hooked("old", false), []).await;
    assert_eq!(tell(&edge, "old", "a").await, 200);
    assert_eq!(tell(&edge, "new", "b").await, 401);
    edge.ask(hook(&edge, "old", "c")).await.expect_status(404);

    edge.assembly.reconfigure(&hooked("new", true));

    assert_eq!(tell(&edge, "old", "d").await, 401);
    assert_eq!(tell(&edge, "new", "e").await, 200);
    edge.ask(hook(&edge, "new", "f")).await.expect_status(200);
}

/// An edge's configuration with the platform `promptot` and these windows.
fn fresh_for(freshness: &Freshness) -> Config {
    let mut config = Settings::default().config;
    config.origins = vec![Origin { freshness: freshness.clone(), ..entry("promptot") }];
    config
}

#[tokio::test]
async fn a_shorter_window_holds_at_once_and_a_longer_one_from_the_next_word() {
    let fronted = Fronted::with(&[("greeting", "Hello")]).await;
    fronted.ask("greeting").await.expect_text("Hello");
    assert_eq!(ttl(&fronted.ask("greeting").await), 30);
    let asked = fronted.vendor().asked_count();
    let windows = |fresh| {
        let mut freshness = Freshness::default();
        freshness.windows.fresh = Duration::from_secs(fresh);
        freshness
    };

    fronted.edge.assembly.reconfigure(&fresh_for(&windows(10)));
    fronted.ask("greeting").await.expect_header("cache-status", RENDERED);
    assert_eq!(ttl(&fronted.ask("greeting").await), 10);

    fronted.edge.assembly.reconfigure(&fresh_for(&windows(50)));
    fronted.ask("greeting").await.expect_header("cache-status", RENDERED);
    assert_eq!(ttl(&fronted.ask("greeting").await), 10);
    assert_eq!(fronted.vendor().asked_count(), asked, "the platform was not asked");

    fronted.pass(10);
    fronted.ask("greeting").await;
    fronted.edge.all_is_quiet().await;
    assert_eq!(ttl(&fronted.ask("greeting").await), 50);
}

#[tokio::test]
async fn what_is_to_fail_closed_does_so_at_once() {
    let fronted = Fronted::with(&[("greeting", "Hello")]).await;
    fronted.ask("greeting").await.expect_text("Hello");
    fronted.vendor().kill().await;
    fronted.pass(3_600);
    assert!(is_rescue(&fronted.ask("greeting").await));
    let closed = Freshness { fail_closed: true, ..Freshness::default() };

    fronted.edge.assembly.reconfigure(&fresh_for(&closed));

    assert!(fronted.ask("greeting").await.status >= 500);
}

/// Asks so often, from 16 tasks at once.
async fn crowd(router: &Router, key: &str, requests: usize) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (router, key) = (router.clone(), key.to_owned());
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..requests / 16 {
                let reply = router.handle(request("GET", &compiled("greeting"), &key), PEER);
                answers.push(Answer::of(reply.await.expect("a router never fails")).await);
            }
            answers
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// The store cannot be asked, so that a record which is missing for a moment would show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_kept_is_missing_while_answers_are_made_anew() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.store.fail_with(Fault::Unreachable);
    let (router, key) = (edge.assembly.router.clone(), edge.live.clone());
    let mut asking = JoinSet::new();
    let asked = asking.spawn(async move { crowd(&router, &key, 8_000).await });

    let mut config = Config::default();
    let mut round = 0;
    while !asked.is_finished() {
        round += 1;
        config.delivery.lifetimes.max_age = Duration::from_secs(round);
        edge.assembly.reconfigure(&config);
        tokio::task::yield_now().await;
    }

    let answers: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(failed.is_empty() && answers.len() == 8_000, "{:?}", failed.first());
}
