//! A real server that reads its configuration anew: by signal, by request, and because its file has
//! changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};

use crate::harness::client::{Client, Raw};
use crate::harness::process::{Folder, PATIENCE, Server};

const GREETING: &str = "/api/v1/prompts/greeting/compiled";

const APPLIED: &str = "the configuration was read anew applied=";
const UNCHANGED: &str = "the configuration was read anew: nothing to apply";
const REFUSED: &str = "the configuration is not used: the one before still holds";

/// A folder with a prompt and this configuration, a server that runs by it, and a key.
fn serving(config: &str) -> (Folder, Server, String) {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    folder.write("config.toml", config);
    let server = folder.serve("");
    (folder, server, key)
}

/// Puts another configuration where the one was, and says so by SIGHUP.
fn replace(folder: &Folder, server: &Server, config: &str) {
    folder.write("config.toml", config);
    server.signal("HUP");
}

fn lifetime(seconds: usize) -> String {
    format!("[delivery]\nmax_age = \"{seconds}s\"\n")
}

/// For how long an answer may be kept.
async fn max_age(server: &Server, key: &str) -> String {
    let answer = Client::to(server.address).await.get_as(key, GREETING).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let first = answer.header("cache-control").split(", ").nth(1);
    first.expect("a prompt that is published may be kept").to_owned()
}

/// A sample of the metrics; `None` if there is none yet.
async fn metric(server: &Server, sample: &str) -> Option<u64> {
    let page = Client::to(server.admin).await.get("/metrics", &[]).await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(sample));
    line.map(|value| value.trim().parse().expect("a whole number"))
}

async fn reloads(server: &Server, result: &str) -> Option<u64> {
    metric(server, &format!("prompt_edge_config_reloads_total{{result=\"{result}\"}}")).await
}

#[tokio::test]
async fn a_signal_applies_what_the_file_says_now() {
    let (folder, mut server, key) = serving(&lifetime(1));
    assert_eq!(max_age(&server, &key).await, "max-age=1");
    let last = "prompt_edge_config_last_reload_success_timestamp_seconds";
    assert!(metric(&server, last).await > Some(1_700_000_000), "the start was a success");
    assert_eq!(reloads(&server, "applied").await, None);

    for seconds in [2, 3] {
        replace(&folder, &server, &lifetime(seconds));
        server.says(&format!("{APPLIED}\"delivery.max_age\""));
        assert_eq!(max_age(&server, &key).await, format!("max-age={seconds}"));
    }
    server.signal("HUP");
    server.says(UNCHANGED);

    assert_eq!(reloads(&server, "applied").await, Some(2));
    assert_eq!(reloads(&server, "unchanged").await, Some(1));
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_a_signal() {
    let (folder, mut server, key) = serving(&lifetime(1));

    folder.write("config.toml", lifetime(2));

    server.says(APPLIED);
    assert_eq!(max_age(&server, &key).await, "max-age=2");
}

/// As Kubernetes mounts a config map: the file is a link through a link that is exchanged whole.
#[tokio::test]
async fn a_link_that_is_pointed_elsewhere_is_a_change() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    folder.write("mounted/..one/config.toml", lifetime(1));
    folder.write("mounted/..two/config.toml", lifetime(2));
    let mounted = folder.path("mounted");
    symlink("..one", mounted.join("..data")).expect("a link can be made");
    symlink("..data/config.toml", mounted.join("config.toml")).expect("a link can be made");
    let mut server = folder.serve("--config mounted/config.toml");
    assert_eq!(max_age(&server, &key).await, "max-age=1");

    symlink("..two", mounted.join("..next")).expect("a link can be made");
    fs::rename(mounted.join("..next"), mounted.join("..data")).expect("a link can be exchanged");

    server.says(APPLIED);
    assert_eq!(max_age(&server, &key).await, "max-age=2");
}

#[tokio::test]
async fn a_file_that_comes_later_is_read() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    let mut server = folder.serve("");

    folder.write("config.toml", lifetime(7));

    server.says(APPLIED);
    assert_eq!(max_age(&server, &key).await, "max-age=7");
}

#[tokio::test]
async fn a_wrong_file_is_named_and_changes_nothing() {
    let (folder, mut server, key) = serving(&lifetime(1));
    let last = "prompt_edge_config_last_reload_success_timestamp_seconds";
    let before = metric(&server, last).await;

    let wrong = "[delivery]\nmax_age = \"2s\"\nturns = 0\n[cache]\nanswr = \"1 GiB\"\n";
    replace(&folder, &server, wrong);

    let found = folder.run("check").failed(78);
    for line in found.lines().skip(1) {
        // `check` aligns its columns; a line of the log has one problem.
        let words: Vec<_> = line.split_whitespace().collect();
        server.says_words(&words);
    }
    server.says(REFUSED);
    assert_eq!(max_age(&server, &key).await, "max-age=1");
    assert_eq!(reloads(&server, "refused").await, Some(1));
    assert_eq!(metric(&server, last).await, before);

    replace(&folder, &server, &lifetime(3));
    server.says(APPLIED);
    assert_eq!(max_age(&server, &key).await, "max-age=3");
}

#[tokio::test]
async fn a_file_that_is_gone_is_no_return_to_the_defaults() {
    let (folder, mut server, key) = serving(&lifetime(1));

    fs::remove_file(folder.path("config.toml")).expect("the file is there");

    server.says("config.toml  cannot be read");
    server.says(REFUSED);
    assert_eq!(max_age(&server, &key).await, "max-age=1");
    folder.write("config.toml", lifetime(2));
    server.says(APPLIED);
    assert_eq!(max_age(&server, &key).await, "max-age=2");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let (folder, mut server, key) = serving(&lifetime(1));
    let wanted = format!("{}[store]\nreaders = 7\n[log]\nformat = \"json\"\n", lifetime(2));

    for applied in [APPLIED, UNCHANGED] {
        replace(&folder, &server, &wanted);
        server.says(applied);
        let waits = "this setting needs a restart key=";
        server.says(&format!("{waits}\"store.readers\" running=\"2\" wanted=\"7\""));
        server.says(&format!("{waits}\"log.format\" running=\"text\" wanted=\"json\""));
        assert_eq!(max_age(&server, &key).await, "max-age=2");
    }
}

/// The environment and the flags of the start win over the file, as they did then.
#[tokio::test]
async fn what_the_start_was_told_still_wins() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    folder.write("config.toml", lifetime(1));
    let variables = [("PROMPT_EDGE__DELIVERY__MAX_AGE", "5s")];
    let mut server = folder.serve_with("", &variables);

    let listen = format!("{}[server]\nlisten = \"127.0.0.1:1\"\n", lifetime(2));
    replace(&folder, &server, &listen);

    server.says(UNCHANGED);
    assert_eq!(max_age(&server, &key).await, "max-age=5");
}

#[tokio::test]
async fn the_level_of_the_log_can_change() {
    let (folder, mut server, key) = serving("");
    let mut client = Client::to(server.address).await;
    client.get_as("pk_live_first", GREETING).await;

    replace(&folder, &server, "[log]\nlevel = \"debug\"\n");
    server.says(APPLIED);
    client.get_as("pk_live_second", GREETING).await;
    server.says("refused request_id=");
    replace(&folder, &server, "[log]\nlevel = \"error\"\n");
    // Nothing is said of it: that would be at a lower level.
    while reloads(&server, "applied").await != Some(2) {}
    client.get_as("pk_live_third", GREETING).await;
    client.get_as(&key, GREETING).await;
    server.signal("TERM");

    let logged = server.ended().stderr;
    assert_eq!(logged.matches("refused request_id=").count(), 1, "{logged}");
}

/// What is done now and then is done by the new interval, however long the old one still was.
#[tokio::test]
async fn an_interval_that_is_shortened_does_not_wait_for_the_old_one() {
    let (folder, mut server, key) = serving("[keys]\ntouch_interval = \"1h\"\n");
    assert_eq!(Client::to(server.address).await.get_as(&key, GREETING).await.status, 200);

    replace(&folder, &server, "[keys]\ntouch_interval = \"1s\"\n");
    server.says(APPLIED);

    let is_written = || {
        let keys = folder.run("keys list --json").done();
        let keys: Value = serde_json::from_str(&keys).expect("JSON");
        keys[0]["last_used_at"].is_string()
    };
    while !is_written() {}
}

#[tokio::test]
async fn a_new_connection_has_the_new_deadlines() {
    let (folder, mut server, key) = serving("[server]\nheader_timeout = \"5m\"\n");
    let mut old = Raw::to(server.address);
    let request = format!("GET {GREETING} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}");
    old.send(&format!("{request}\r\n\r\n"));
    old.until("Hello");

    replace(&folder, &server, "[server]\nheader_timeout = \"1s\"\n");
    server.says(APPLIED);

    let mut slow = Raw::to(server.address);
    slow.send(&request);
    assert!(!slow.rest().contains("200 OK"), "half a request has no answer");
    old.send(&format!("{request}\r\nConnection: close\r\n\r\n"));
    assert_eq!(old.rest().matches("Hello").count(), 2, "the old connection has the old ones");
}

#[tokio::test]
async fn how_many_connections_may_be_open_can_change() {
    let (folder, mut server, key) = serving("");
    let mut open = Client::to(server.address).await;
    assert_eq!(open.get_as(&key, GREETING).await.status, 200);

    replace(&folder, &server, "[server]\nmax_connections = 1\n");
    server.says(APPLIED);
    let shed = Raw::to(server.address).rest();

    assert!(shed.starts_with("HTTP/1.1 503 "), "{shed}");
    assert_eq!(open.get_as(&key, GREETING).await.status, 200, "who is there stays");
}

#[tokio::test]
async fn an_operator_reloads_and_is_told_what_came_of_it() {
    let (folder, server, key) = serving(&lifetime(1));
    let admin = server.admin;
    let mut operator = Client::to(admin).await;
    let json = [("content-type", "application/json")];

    folder.write("config.toml", format!("{}[cache]\nanswers = \"1 MiB\"\n", lifetime(2)));
    let answer = operator.ask(Method::POST, "/admin/reload", &json, "{}").await;
    let said = folder.run(&format!("reload --admin-listen {admin}")).done();
    folder.write("config.toml", "[delivery]\nmax_age = \"2\"\n");
    let wrong = operator.ask(Method::POST, "/admin/reload", &json, "{}").await;
    let plain = operator.ask(Method::POST, "/admin/reload", &[], "").await;
    let get = operator.get("/admin/reload", &[]).await;

    let waiting = json!({"key": "cache.answers", "running": "256 MiB", "configured": "1 MiB"});
    let expected =
        json!({"result": "applied", "applied": ["delivery.max_age"], "needs_restart": [waiting]});
    assert_eq!((answer.status, answer.json()), (200, expected));
    let lines = "unchanged\n  cache.answers needs a restart: 256 MiB holds, not 1 MiB\n";
    assert_eq!(said, lines);
    let problem: Value = wrong.json()["error"].clone();
    assert_eq!(wrong.status, 422);
    assert!(problem.as_str().is_some_and(|text| text.contains("delivery.max_age = \"2\"")));
    assert_eq!((plain.status, get.status), (415, 405));
    assert_eq!(max_age(&server, &key).await, "max-age=2");
}

/// Secrets are read anew: the hook's from its file. Neither the old nor the new is said.
#[tokio::test]
async fn a_secret_is_read_anew_and_never_said() {
    let folder = Folder::with_project();
    let origin = "[[origins]]\nname = \"far\"\nkind = \"promptot\"\nkey = { file = \"key\" }\n\
                  base_url = \"http://127.0.0.1:1\"\nhook = { secret = { file = \"secret\" } }\n";
    folder.write("config.toml", format!("{origin}[log]\nlevel = \"trace\"\n"));
    folder.write("secret", "planted-first");
    folder.write("key", "planted-key");
    let mut server = folder.serve("");

    folder.write("secret", "planted-second");
    folder.write("key", "planted-other");
    server.signal("HUP");
    server.says(&format!("{APPLIED}\"origins.far.hook\""));
    server.says("this setting needs a restart key=\"origins.far.key\" running=\"…\" wanted=\"…\"");
    folder.write("secret", "");
    server.signal("HUP");
    server.says("a file that is not empty");
    server.says(REFUSED);

    let mut operator = Client::to(server.admin).await;
    let json = [("content-type", "application/json")];
    let answer = operator.ask(Method::POST, "/admin/reload", &json, "{}").await;
    server.signal("TERM");
    let ended = server.ended();
    for text in [answer.text(), &ended.stderr, &ended.stdout] {
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn systemd_is_told_when_a_reload_begins_and_ends() {
    let folder = Folder::with_project();
    folder.write("config.toml", lifetime(1));
    let socket = UnixDatagram::bind(folder.path("notify")).expect("a socket can be bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    let path = folder.path("notify");
    let server = folder.serve_with("", &[("NOTIFY_SOCKET", path.to_str().expect("ASCII"))]);
    // What is said of the start is not of this test.
    let next = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).expect("there is another word in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };

    server.signal("HUP");

    let begun = loop {
        let said = next();
        if said.starts_with("RELOADING=1\n") {
            break said;
        }
    };
    let time = begun.trim_end().strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(time.and_then(|time| time.parse::<u64>().ok()) > Some(0), "{begun}");
    assert_eq!(next(), "READY=1\n");
}

/// What each caller asks: as often as it takes to see every configuration.
async fn ask_continuously(mut client: Client, key: String, seen: Arc<AtomicUsize>) -> usize {
    let (mut asked, mut newest) = (0, 0);
    while newest < LAST {
        let answer = client.get_as(&key, GREETING).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        asked += 1;
        let kept = answer.header("cache-control").split(", ").nth(1);
        let seconds = kept.and_then(|kept| kept.strip_prefix("max-age="));
        let seconds = seconds.and_then(|seconds| seconds.parse().ok()).expect("a lifetime");
        assert!(seconds >= newest, "{seconds} after {newest}");
        newest = seconds;
        seen.fetch_max(seconds, Ordering::SeqCst);
    }
    asked
}

const LAST: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request() {
    let (folder, mut server, key) = serving(&lifetime(1));
    let seen = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let client = Client::to(server.address).await;
        callers.spawn(ask_continuously(client, key.clone(), Arc::clone(&seen)));
    }

    let reloading = spawn_blocking(move || {
        for seconds in 2..=LAST {
            // Rates and the level of the log change beside it.
            let rest = format!("[plans.other]\nrequests_per_second = {seconds}\n");
            replace(&folder, &server, &format!("{}{rest}", lifetime(seconds)));
            server.says(APPLIED);
        }
        (folder, server)
    });
    let (_folder, server) = reloading.await.expect("every configuration is applied");
    let asked: usize = callers.join_all().await.into_iter().sum();

    assert!(asked >= 8 * 2, "each saw more than one");
    assert_eq!(reloads(&server, "refused").await, None);
}
