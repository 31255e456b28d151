//! Callers with keys of the platform itself: what they are served, and until when.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::access::limits::Headers;
use prompt_edge::app::OpenedOrigin;
use prompt_edge::config::Config;
use prompt_edge::delivery::Purge;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::delivery::purge::{Mode, Scope};
use prompt_edge::model::{Plan, PlanName, Rate};
use prompt_edge::origins::guard;
use prompt_edge::origins::upstream::promptot;
use prompt_edge::snapshot::image;

use crate::harness::client::Client;
use crate::harness::edge::Edge;
use crate::harness::exchange::{Answer, HIT, compiled, request};
use crate::harness::process::Folder;
use crate::harness::promptot::{DEV, LIVE, LIVE_OF_ANOTHER, PromptOt, upstream};
use crate::harness::vendor::Fault;
use crate::harness::watched;

const LIST: &str = "/api/v1/prompts";

/// Long enough that the origin is asked again about a key in use, far shorter than a word's time.
const STEP: Duration = Duration::from_secs(40);

/// How long the origin's word is good for.
const WORD: Duration = Duration::from_secs(5 * 60);

/// A platform and an edge that lets its keys through.
struct Place {
    platform: PromptOt,
    edge: Edge,
    /// A key of the edge's own, of the project whose prompts come from the platform.
    own: String,
}

impl Place {
    async fn open() -> Self {
        Self::configured(&Config::default(), guard::Config::default().deadline).await
    }

    async fn configured(config: &Config, deadline: Duration) -> Self {
        let platform = PromptOt::start().await;
        platform.publish("greeting", "Hello from acme");
        platform.publish_in_another("greeting", "Hello from zeta");
        let upstream = upstream(&platform.base_url());
        let origin = OpenedOrigin {
            origin: Arc::new(promptot::PromptOt::new(upstream, promptot::Config::default())),
            guard: Some(guard::Config { retries: 0, deadline, ..guard::Config::default() }),
            freshness: Freshness::default(),
            lets_keys_through: true,
        };
        let edge = Edge::in_front_of(config, vec![origin], []).await;
        let own = edge.project_of("promptot", "passed").await;
        edge.follow().await;
        Self { platform, edge, own }
    }

    async fn greeting(&self, key: &str) -> Answer {
        self.edge.get(compiled("greeting"), key).await
    }

    /// Lets a step of time pass and has each key used once, with all that goes on behind.
    async fn step(&self, by: Duration, keys: &[&str]) -> Vec<u16> {
        self.edge.clock.advance(by);
        let mut statuses = Vec::new();
        for key in keys {
            statuses.push(self.greeting(key).await.status);
            self.edge.all_is_quiet().await;
        }
        statuses
    }

    /// Each question to the platform that showed this key.
    fn shown(&self, key: &str) -> usize {
        let asked = self.platform.vendor.asked();
        let shows =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).contains(key);
        asked.iter().filter(|asked| asked.headers.values().any(shows)).count()
    }
}

/// Whose prompts each key reads.
const BOTH: [(&str, &str); 2] = [(LIVE, "Hello from acme"), (LIVE_OF_ANOTHER, "Hello from zeta")];

#[tokio::test]
async fn callers_with_different_keys_never_see_each_others_prompts() {
    let [acme, zeta] = BOTH;
    for order in [[acme, zeta], [zeta, acme]] {
        let Place { platform, edge, .. } = &Place::open().await;
        platform.publish("of-acme", "Ours");
        for _ in ["cold", "warm"] {
            for (key, text) in order {
                edge.get(compiled("greeting"), key).await.expect_text(text);
                let delivered = edge.get("/api/v1/prompts/greeting", key).await;
                assert_eq!(delivered.json()["data"]["compiled_prompt"], format!("{text}\n"));
                let listed = edge.get(LIST, key).await.json()["data"].to_string();
                assert_eq!(listed.contains("of-acme"), key == LIVE, "{listed}");
                let status = if key == LIVE { 200 } else { 404 };
                edge.get(compiled("of-acme"), key).await.expect_status(status);
            }
        }
    }
}

#[tokio::test]
async fn an_id_opens_nothing_to_a_key_of_another_project() {
    let Place { edge, .. } = &Place::open().await;
    let mut ids = Vec::new();
    for (key, _) in BOTH {
        let id = edge.get(LIST, key).await.json()["data"][0]["id"].clone();
        ids.push(id.as_str().expect("an id is text").to_owned());
    }

    for _ in ["cold", "warm"] {
        for ((key, text), own) in BOTH.iter().zip(&ids) {
            edge.get(compiled(own), key).await.expect_text(text);
            let other = ids.iter().find(|id| *id != own).expect("there are two");
            edge.get(compiled(other), key).await.expect_status(404);
        }
    }
}

#[tokio::test]
async fn a_purge_mixes_nobody_up() {
    let place = Place::open().await;
    for mode in [Mode::Soft, Mode::Hard] {
        for (key, text) in BOTH {
            place.greeting(key).await.expect_text(text);
        }

        place.edge.assembly.delivery.purge(&Purge { scope: Scope::All, mode });

        for (key, text) in BOTH {
            place.greeting(key).await.expect_text(text);
        }
        place.edge.all_is_quiet().await;
    }
}

/// None of them knows a key or a prompt yet, and all wait at once.
#[tokio::test]
async fn a_crowd_of_both_is_not_mixed_up() {
    let place = Place::open().await;
    place.platform.vendor.hold();

    let crowd = (0..100).map(|n| BOTH[n % 2]);
    let crowd: Vec<_> = crowd
        .map(|(key, text)| (place.edge.begin(request("GET", &compiled("greeting"), key)), text))
        .collect();
    place.platform.vendor.has_been_asked(2).await;
    place.platform.vendor.release();

    for (begun, text) in crowd {
        begun.answer().await.expect_text(text);
    }
    assert_eq!(place.platform.vendor.asked_count(), 4, "for each key its word and its prompt");
}

#[tokio::test]
async fn the_second_use_of_a_key_asks_nobody() {
    let place = Place::open().await;
    place.greeting(LIVE).await.expect_status(200);
    let asked = place.platform.vendor.asked_count();

    let again = place.greeting(LIVE).await;
    assert!(again.source().starts_with(HIT), "{}", again.source());
    assert_eq!(place.platform.vendor.asked_count(), asked);

    place.edge.get(compiled("nowhere"), LIVE).await.expect_status(404);
    assert_eq!(place.platform.vendor.asked_count(), asked + 1, "the prompt alone");
}

#[tokio::test]
async fn an_unknown_key_costs_one_question_and_guesses_are_slowed_down() {
    let place = Place::open().await;

    for _ in ["asked", "from memory"] {
        place.greeting("guess-0").await.expect_refusal(401, "UNAUTHORIZED");
    }
    assert_eq!(place.platform.vendor.asked_count(), 1);
    for n in 2..20 {
        place.greeting(&format!("guess-{n}")).await.expect_status(401);
    }
    let asked = place.platform.vendor.asked_count();

    place.greeting("guess-20").await.expect_status(429);
    assert_eq!(place.platform.vendor.asked_count(), asked);
}

#[tokio::test]
async fn a_platform_that_is_away_says_nothing_of_a_new_key() {
    let deadline = Duration::from_millis(100);
    let place = Place::configured(&Config::default(), deadline).await;

    for (fault, status) in [
        (Fault::BlackHole, 504),
        (Fault::Reset, 503),
        (Fault::Status(500), 502),
        (Fault::Busy(429, "7"), 503),
    ] {
        place.platform.vendor.fail_with(fault);
        let refused = place.greeting(LIVE).await;
        refused.expect_status(status);
        assert_ne!(refused.header("retry-after"), "");
    }
    place.platform.vendor.recover();
    place.platform.vendor.kill().await;
    place.greeting(LIVE).await.expect_status(503);

    place.platform.vendor.revive().await;
    place.edge.clock.advance(Duration::from_secs(60));
    place.greeting(LIVE).await.expect_status(200);
}

#[tokio::test]
async fn a_dev_key_reads_drafts() {
    let place = Place::open().await;
    place.platform.draft("greeting", "Hello, draft");

    place.greeting(DEV).await.expect_text("Hello, draft");
    place.greeting(LIVE).await.expect_text("Hello from acme");
}

#[tokio::test]
async fn a_key_of_ours_opens_no_project_whose_callers_bring_their_own() {
    let place = Place::open().await;

    place.greeting(&place.own).await.expect_refusal(401, "UNAUTHORIZED");

    assert_eq!(place.platform.vendor.asked_count(), 0);
    assert_eq!(
        place.edge.metric("prompt_edge_origin_rejections_total{origin=\"promptot\"}").await,
        0
    );
}

#[tokio::test]
async fn a_key_of_ours_is_never_shown_to_the_platform() {
    let place = Place::open().await;
    let edge = &place.edge;
    let (revoked, id) = edge.key("passed", "live").await;
    edge.revoke(id).await;
    edge.record_key("expired-of-ours", |new| new.expires_at = Some(new.at)).await;
    edge.follow().await;
    let keys = [&*edge.live, &edge.dev, &place.own, &revoked, "expired-of-ours"];

    for _ in ["cold", "warm"] {
        for key in keys {
            for target in [LIST, "/api/v1/prompts/greeting", &compiled("greeting")] {
                edge.get(target, key).await;
            }
        }
        edge.store.fail_with(watched::Fault::Unreachable);
        place.greeting(LIVE).await.expect_status(503);
        edge.store.recover();
    }

    assert_eq!(place.platform.vendor.asked_count(), 0, "nobody else's key is lent to them either");
    place.greeting(LIVE).await.expect_status(200);
    assert!(place.shown(LIVE) > 0, "and a log that shows keys would show them");
}

#[tokio::test]
async fn a_revoked_key_ends_within_the_time_of_a_word_and_on_repeated_evidence() {
    for keys in [&[LIVE][..], &[LIVE, LIVE_OF_ANOTHER]] {
        let place = Place::open().await;
        place.step(Duration::ZERO, keys).await;
        place.platform.revoke(LIVE);
        let shown = place.shown(LIVE);

        let mut passed = Duration::ZERO;
        while place.step(STEP, keys).await[0] == 200 {
            passed += STEP;
            assert!(passed < WORD, "it should have ended, with {} keys", keys.len());
        }

        assert!(place.shown(LIVE) >= shown + 2, "one refusal is no evidence");
        place.greeting(LIVE).await.expect_refusal(401, "UNAUTHORIZED");
        if keys.len() == 2 {
            place.greeting(LIVE_OF_ANOTHER).await.expect_text("Hello from zeta");
        }
    }
}

#[tokio::test]
async fn a_shorter_time_of_a_word_holds_for_those_of_before() {
    let place = Place::open().await;
    place.step(Duration::ZERO, &[LIVE]).await;
    place.platform.revoke(LIVE);
    let mut config = Config::default();
    config.keys.foreign_for = Duration::from_secs(10);

    place.edge.assembly.reconfigure(&config);

    assert_eq!(place.step(Duration::from_secs(9), &[LIVE]).await, [200]);
    assert_eq!(place.step(Duration::from_secs(2), &[LIVE]).await, [401], "refused twice");
}

#[tokio::test]
async fn other_limits_are_no_word_of_the_origin() {
    let place = Place::open().await;
    place.step(Duration::ZERO, &[LIVE]).await;
    place.platform.revoke(LIVE);
    place.edge.clock.advance(WORD * 300);
    let mut config = Config::default();
    config.limits.headers = Headers::Always;

    place.edge.assembly.reconfigure(&config);

    place.greeting(LIVE).await.expect_refusal(401, "UNAUTHORIZED");
}

/// The first refusal may be a moment's: the key passes until there is another.
#[tokio::test]
async fn one_refusal_ends_no_key() {
    let place = Place::open().await;
    place.step(Duration::ZERO, &[LIVE]).await;

    place.platform.vendor.fail_with(Fault::Status(401));
    place.step(WORD / 2, &[LIVE]).await;
    place.platform.vendor.recover();

    for _ in 0..20 {
        assert_eq!(place.step(STEP, &[LIVE]).await, [200]);
    }
}

/// Whoever comes back after a day is not served on yesterday's word.
#[tokio::test]
async fn a_key_that_was_revoked_while_nobody_used_it_opens_nothing() {
    for keys in [&[LIVE][..], &[LIVE, LIVE_OF_ANOTHER]] {
        let place = Place::open().await;
        place.step(Duration::ZERO, keys).await;
        place.platform.revoke(LIVE);
        place.edge.clock.advance(WORD * 300);

        place.greeting(LIVE).await.expect_refusal(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_platform_that_refuses_everybody_ends_no_key() {
    let place = Place::open().await;
    let keys = [LIVE, LIVE_OF_ANOTHER];
    place.step(Duration::ZERO, &keys).await;
    place.platform.vendor.fail_with(Fault::Status(401));

    for _ in 0..20 {
        assert_eq!(place.step(STEP, &keys).await, [200, 200]);
    }

    place.platform.vendor.recover();
    for _ in 0..20 {
        assert_eq!(place.step(STEP, &keys).await, [200, 200]);
    }
}

/// After an hour it is no moment any more.
#[tokio::test]
async fn a_platform_that_goes_on_refusing_everybody_is_believed() {
    let place = Place::open().await;
    let keys = [LIVE, LIVE_OF_ANOTHER];
    place.step(Duration::ZERO, &keys).await;
    place.platform.vendor.fail_with(Fault::Status(401));

    for _ in 0..12 {
        place.step(WORD, &keys).await;
    }

    assert_eq!(place.step(WORD, &keys).await, [401, 401]);
}

/// The other one is asked about, since nobody uses it.
#[tokio::test]
async fn a_revoked_key_ends_in_time_beside_one_that_rests() {
    let place = Place::open().await;
    place.step(Duration::ZERO, &[LIVE, LIVE_OF_ANOTHER]).await;
    place.platform.revoke(LIVE);

    let mut passed = Duration::ZERO;
    while place.step(STEP, &[LIVE]).await == [200] {
        passed += STEP;
        assert!(passed < WORD, "it should have ended");
    }

    place.greeting(LIVE_OF_ANOTHER).await.expect_text("Hello from zeta");
}

#[tokio::test]
async fn a_platform_that_fails_or_is_gone_ends_no_key() {
    let place = Place::open().await;
    let keys = [LIVE, LIVE_OF_ANOTHER];
    place.step(Duration::ZERO, &keys).await;

    place.platform.vendor.fail_with(Fault::Status(500));
    for _ in 0..20 {
        assert_eq!(place.step(STEP, &keys).await, [200, 200]);
    }
    place.platform.vendor.recover();
    place.platform.vendor.kill().await;
    for _ in 0..20 {
        assert_eq!(place.step(STEP, &keys).await, [200, 200]);
    }

    place.platform.vendor.revive().await;
    for _ in 0..20 {
        assert_eq!(place.step(STEP, &keys).await, [200, 200]);
    }
}

#[tokio::test]
async fn the_plan_of_the_project_holds_for_all_of_its_callers() {
    let mut config = Config::default();
    let unlimited = config.limits.plans[&PlanName::new("enterprise")].clone();
    let two = NonZeroU32::MIN.saturating_add(1);
    let month = Some(NonZeroU64::from(two));
    let rate = Some(Rate { per_second: NonZeroU32::MIN, burst: two });
    for plan in [
        Plan { name: PlanName::new("month"), requests_per_month: month, ..unlimited.clone() },
        Plan { name: PlanName::new("rate"), rate, ..unlimited },
    ] {
        config.limits.plans.insert(plan.name.clone(), plan);
    }

    for plan in ["month", "rate"] {
        let place = Place::configured(&config, guard::Config::default().deadline).await;
        place.edge.set_plan("passed", plan).await;
        place.edge.follow().await;
        for (key, text) in BOTH {
            place.greeting(key).await.expect_text(text);
        }

        for (key, _) in BOTH {
            place.greeting(key).await.expect_status(429);
        }
    }
}

/// It is known by its digest, and written down as that.
#[tokio::test]
async fn a_snapshot_holds_no_key_of_a_caller() {
    let place = Place::open().await;
    for (key, _) in BOTH {
        place.greeting(key).await.expect_status(200);
        place.edge.get(LIST, key).await.expect_status(200);
    }

    let image = image::encode(&place.edge.assembly.image());
    let image = String::from_utf8(image).expect("an image is JSON");

    assert!(image.contains("Hello from acme") && image.contains("Hello from zeta"));
    for key in [LIVE, LIVE_OF_ANOTHER, "pk_live"] {
        assert!(!image.contains(key), "{key} is in {image}");
    }
}

/// A restart with the platform gone: the key is known by its digest once it is presented.
#[tokio::test]
async fn after_a_restart_keys_pass_on_the_word_of_before() {
    let place = Place::open().await;
    for (key, text) in BOTH {
        place.greeting(key).await.expect_text(text);
    }
    let image = place.edge.assembly.image();
    place.edge.assembly.delivery.purge(&Purge { scope: Scope::All, mode: Mode::Hard });
    place.platform.vendor.kill().await;
    place.edge.clock.advance(WORD * 2);

    place.edge.assembly.restore(image).await;

    for (key, text) in BOTH {
        place.greeting(key).await.expect_text(text);
    }
    place.greeting("pk_live_guess").await.expect_status(503);
}

/// What is remembered has no key to ask with: the caller's own is taken, once it is presented.
#[tokio::test]
async fn after_a_restart_a_callers_own_key_asks_again() {
    let place = Place::open().await;
    place.greeting(LIVE).await.expect_text("Hello from acme");
    let image = image::decode(&image::encode(&place.edge.assembly.image()));
    place.edge.assembly.delivery.purge(&Purge { scope: Scope::All, mode: Mode::Hard });
    place.edge.assembly.restore(image.expect("it is an image")).await;
    place.platform.publish("greeting", "Hello again");

    for _ in 0..61 {
        place.edge.clock.advance(Duration::from_secs(1));
        place.edge.assembly.delivery.tend();
        place.greeting(LIVE).await.expect_status(200);
        place.edge.all_is_quiet().await;
    }

    place.greeting(LIVE).await.expect_text("Hello again");
    let alarms = r#"prompt_edge_origin_rejections_total{origin="promptot"}"#;
    assert_eq!(place.edge.metric(alarms).await, 0, "there is no key of the operator's to mend");
}

#[tokio::test]
async fn no_log_and_no_metric_holds_a_callers_key() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "planted-in-text");
    let folder = Folder::new();
    let base_url = platform.base_url();
    folder.write(
        "config.toml",
        format!(
            "[[origins]]\nname = \"promptot\"\nkind = \"promptot\"\n\
             base_url = \"{base_url}\"\nkeys = \"pass-through\"\n"
        ),
    );
    folder.run("projects create passed --plan enterprise --origin promptot").done();
    let talkative = [("PROMPT_EDGE__LOG__LEVEL", "trace"), ("PROMPT_EDGE__LOG__FORMAT", "json")];
    let mut server = folder.serve_with("", &talkative);
    let mut client = Client::to(server.address).await;

    let mut statuses = Vec::new();
    for key in [LIVE, LIVE_OF_ANOTHER, "planted-as-key"] {
        for target in [LIST, &compiled("greeting"), &compiled("greeting"), "/api/v1/prompts/none"] {
            statuses.push(client.get_as(key, target).await.status);
        }
    }
    platform.vendor.kill().await;
    statuses.push(client.get_as("planted-as-new-key", LIST).await.status);
    let metrics = Client::to(server.admin).await.get("/metrics", &[]).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).expect("metrics are text");
    server.signal("TERM");
    server.says("stopping");
    let logged = server.ended().stderr;

    for status in [200, 401, 404, 503] {
        assert!(statuses.contains(&status), "{status} should be among {statuses:?}");
    }
    for secret in [LIVE, LIVE_OF_ANOTHER, "planted"] {
        assert!(!logged.contains(secret), "the server says {secret}:\n{logged}");
        assert!(!metrics.contains(secret), "a metric says {secret}:\n{metrics}");
    }
}

/// It costs no question to any but the caller's own key.
#[tokio::test]
async fn a_request_without_a_key_asks_nobody() {
    let place = Place::open().await;

    let mut anonymous = request("GET", LIST, "");
    anonymous.headers_mut().remove("authorization");
    place.edge.ask(anonymous).await.expect_refusal(401, "UNAUTHORIZED");

    assert_eq!(place.platform.vendor.asked_count(), 0);
}

#[tokio::test]
async fn a_certificate_opens_no_project_whose_callers_bring_keys_of_the_platform() {
    let place = Place::open().await;
    let asked = place.platform.vendor.asked().len();
    let anonymous = || {
        let request =
            http::Request::get(compiled("greeting")).body(http_body_util::Full::default());
        request.expect("the parts make a request")
    };

    for project in ["passed", "nobody"] {
        let refused = place.edge.ask_as(project, "live", anonymous()).await;
        refused.expect_refusal(401, "UNAUTHORIZED");
    }

    place.edge.ask_as("acme", "live", anonymous()).await.expect_refusal(404, "NOT_FOUND");
    assert_eq!(place.platform.vendor.asked().len(), asked, "there was nothing to ask with");
}
