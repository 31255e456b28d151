//! A real server from its first line to its last, and what other processes change meanwhile.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::clock::Stopwatch;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::harness::client::{Answer, Client, Raw};
use crate::harness::process::{Folder, PATIENCE, Server, names_in};

const GREETING: &str = "/api/v1/prompts/greeting/compiled";

/// A request whose body is on its way, known to have reached the server.
fn in_flight(server: &Server, key: &str) -> Raw {
    let mut open = Raw::to(server.address);
    open.send(&format!(
        "QUERY {GREETING} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n"
    ));
    open.until("HTTP/1.1 100 Continue\r\n\r\n");
    open
}

/// What is wrong with a request does not keep its answer from being found again.
#[tokio::test]
async fn what_is_refused_before_its_path_is_looked_at_is_named_and_counted() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    for (request, status, id) in [
        ("GET / HTTP/1.1\r\nX-Request-Id: job-7\r\n\r\n", 400, "job-7\r\n"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\nX-Request-Id: no id\r\n\r\n", 400, ""),
        ("CONNECT edge:443 HTTP/1.1\r\nHost: edge\r\n\r\n", 405, ""),
        ("NONSENSE / HTTP/1.1\r\nHost: edge\r\n\r\n", 501, ""),
    ] {
        let mut connection = Raw::to(server.address);
        connection.send(request);
        let answer = connection.rest();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(&format!("x-request-id: {id}")), "{request}: {answer}");
        assert!(!answer.contains("no id"), "{request}: {answer}");
    }

    let metrics = Client::to(server.admin).await.get("/metrics", &[]).await;
    for labels in [
        r#"method="GET",status="400"} 2"#,
        r#"method="OTHER",status="405"} 1"#,
        r#"method="OTHER",status="501"} 1"#,
    ] {
        let sample = format!("prompt_edge_http_requests_total{{route=\"none\",{labels}\n");
        assert!(metrics.text().contains(&sample), "{sample}{}", metrics.text());
    }
}

#[tokio::test]
async fn a_demo_prints_a_request_that_works() {
    let folder = Folder::new();
    let mut server = folder.serve("--demo");

    let lines: Vec<_> = (0..4).map(|_| server.next_line()).collect();

    assert_eq!(lines[0], "demo project \"demo\" (plan free), 6 prompts, temporary store");
    let keys = lines[1].strip_prefix("  live key  ").expect("the keys");
    let (live, dev) = keys.split_once("        development key  ").expect("two keys");
    assert!(live.starts_with("pk_live_") && dev.starts_with("pk_dev_"), "{keys}");
    assert_eq!(lines[2], "try:");
    let quoted: Vec<_> = lines[3].split('\'').collect();
    let ["  curl -i -H ", header, " ", url, ""] = quoted[..] else {
        panic!("a curl command with a header and a URL: {}", lines[3]);
    };
    assert_eq!(header, format!("Authorization: Bearer {live}"));
    let path = url.strip_prefix(&format!("http://{}", server.address)).expect("our address");

    let (name, value) = header.split_once(": ").expect("a header");
    let mut client = Client::to(server.address).await;
    let answer = client.get(path, &[(name, value)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = &answer.json()["data"];
    assert!(data["prompt"].as_str().is_some_and(|text| text.contains("Alex")), "{data}");
    let etag = answer.header("etag");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let current = client.get(path, &[(name, value), ("if-none-match", etag)]).await;
    assert_eq!((current.status, current.body.len()), (304, 0));
    assert_eq!(current.header("etag"), etag);

    let drafts = client.get_as(dev, "/api/v1/prompts").await;
    assert_eq!(drafts.json()["data"].as_array().map(Vec::len), Some(6));
}

#[test]
fn a_demo_leaves_nothing_behind() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let mut server = folder.serve("--demo");
        (0..4).for_each(|_| drop(server.next_line()));
        assert_eq!(names_in(&folder.temporary()).len(), 1, "the store is a temporary one");

        server.signal(signal);

        server.ended().done();
        assert_eq!(names_in(&folder.temporary()), [""; 0], "after SIG{signal}");
        assert!(!folder.store().exists(), "the configured store was not touched");
    }
}

#[test]
fn an_address_in_use_is_named_with_the_key_it_is_set_by() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");

    for (flag, other, key) in [
        ("--listen", "--admin-listen", "server.listen"),
        ("--admin-listen", "--listen", "admin.listen"),
    ] {
        let line = format!("serve --demo {flag} {address} {other} 127.0.0.1:0");
        let ended = folder.run(&line);
        assert_eq!(ended.stdout, "", "nothing listens");
        let said = ended.failed(1);
        let expected = format!("error: cannot listen on {address} ({key}): Address already in use");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(names_in(&folder.temporary()), [""; 0], "the temporary store is gone");
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_the_edge_says_that_it_drains() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello {{name}}");
    let key = folder.key("live");
    let server = folder.serve("");
    let idle = Client::to(server.address).await;
    let mut open = in_flight(&server, &key);

    server.signal("TERM");

    idle.closed().await;
    let mut operator = Client::to(server.admin).await;
    let ready = operator.get("/readyz", &[]).await;
    assert_eq!((ready.status, ready.text()), (503, "draining\n"));
    assert_eq!(operator.get("/livez", &[]).await.status, 200);
    let ready = folder.run(&format!("ready --admin-listen {}", server.admin)).failed(1);
    assert!(ready.ends_with("/readyz answered 503\n"), "{ready}");

    open.send("{\"name\":\"Ada\"}");
    let answer = open.rest();
    assert!(answer.contains("HTTP/1.1 200 OK\r\n") && answer.contains("Hello Ada"), "{answer}");
    server.ended().done();
}

#[test]
fn a_request_that_takes_too_long_is_cut_off() {
    let folder = Folder::with_project();
    let key = folder.key("live");
    let server = folder.serve_with("", &[("PROMPT_EDGE__SERVER__DRAIN_TIMEOUT", "0s")]);
    let open = in_flight(&server, &key);

    server.signal("TERM");

    assert!(open.rest().ends_with("100 Continue\r\n\r\n"), "there is no answer");
    let ended = server.ended();
    assert!(ended.stderr.contains("requests were cut off at the end of the drain timeout"));
    ended.done();
}

#[test]
fn a_second_signal_does_not_wait() {
    let folder = Folder::with_project();
    let key = folder.key("live");
    let mut server = folder.serve_with("", &[("PROMPT_EDGE__SERVER__DRAIN_TIMEOUT", "10m")]);
    let open = in_flight(&server, &key);

    server.signal("TERM");
    server.says("stopping");
    server.signal("INT");

    server.says("stopping at once");
    assert!(open.rest().ends_with("100 Continue\r\n\r\n"), "there is no answer");
    server.ended().done();
}

/// Asks until the answer is as expected, and says how long that took. Each turn waits for an
/// answer; a change that never comes ends the test.
async fn until(client: &mut Client, key: &str, expected: impl Fn(&Answer) -> bool) -> Duration {
    let watch = Stopwatch::start();
    loop {
        let answer = client.get_as(key, GREETING).await;
        if expected(&answer) {
            return watch.elapsed();
        }
        assert!(watch.elapsed() < Duration::from_secs(10), "still {answer:?}");
    }
}

/// What is promised to whoever runs a command while a server runs.
const PROMISED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_a_command_changes_is_served_within_a_second() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    let server = folder.serve("");
    let mut client = Client::to(server.address).await;
    let is = |text: &'static str| move |answer: &Answer| answer.text().contains(text);
    until(&mut client, &key, is("Hello")).await;

    let mut taken = Vec::new();
    folder.publish("greeting", "Good day");
    taken.push(("publish", until(&mut client, &key, is("Good day")).await));
    folder.run("prompts rollback greeting --project acme").done();
    taken.push(("rollback", until(&mut client, &key, is("Hello")).await));
    folder.run("prompts delete greeting --project acme").done();
    taken.push(("delete", until(&mut client, &key, |answer| answer.status == 404).await));
    folder.publish("greeting", "Good evening");
    taken.push(("import", until(&mut client, &key, is("Good evening")).await));
    let new = folder.key("live");
    taken.push(("new key", until(&mut client, &new, is("Good evening")).await));
    folder.run("keys revoke 1").done();
    taken.push(("revoke", until(&mut client, &key, |answer| answer.status == 401).await));

    assert!(taken.iter().all(|(_, time)| *time <= PROMISED), "{taken:?}");
    assert_eq!(client.get_as(&new, GREETING).await.status, 200, "other keys still open");
}

#[tokio::test]
async fn changes_by_other_processes_are_counted() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let mut operator = Client::to(server.admin).await;
    let counted = async |operator: &mut Client| {
        let metrics = operator.get("/metrics", &[]).await;
        let line =
            metrics.text().lines().find_map(|l| l.strip_prefix("prompt_edge_changes_total "));
        line.expect("the counter is there").parse::<u64>().expect("a number")
    };
    let before = counted(&mut operator).await;

    folder.publish("greeting", "Hello");

    let watch = Stopwatch::start();
    while counted(&mut operator).await == before {
        assert!(watch.elapsed() < Duration::from_secs(10), "the change is not applied");
    }
}

#[tokio::test]
async fn a_server_writes_down_when_keys_were_used() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let (key, _unused) = (folder.key("live"), folder.key("live"));
    let server = folder.serve("");
    let mut client = Client::to(server.address).await;
    assert_eq!(client.get_as(&key, GREETING).await.status, 200);
    drop(client);

    server.signal("TERM");
    server.ended().done();

    let keys: Value = serde_json::from_str(&folder.run("keys list --json").done()).expect("JSON");
    assert!(keys[0]["last_used_at"].is_string(), "{keys}");
    assert!(keys[1]["last_used_at"].is_null(), "{keys}");
}

#[test]
fn a_project_whose_origin_is_not_configured_is_named_at_the_start() {
    let folder = Folder::new();
    folder.write("with.toml", "[[origins]]\nname = \"a\"\nkind = \"files\"\npath = \"prompts\"\n");
    folder.run("projects create acme --plan free --origin a --config with.toml").done();

    let mut server = folder.serve("--offline");

    server.says("the project's origin is not configured project=\"acme\" origin=a");
}

#[tokio::test]
async fn the_same_store_can_be_served_twice() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    let (one, two) = (folder.serve(""), folder.serve(""));

    let mut answers = Vec::new();
    for address in [one.address, two.address] {
        answers.push(Client::to(address).await.get_as(&key, GREETING).await);
    }

    assert_eq!(answers[0].body, answers[1].body);
    assert_eq!(answers[0].header("etag"), answers[1].header("etag"), "any edge knows the tag");
}

/// Asks without a pause, with the newest tag and with the one before it, until the last version is
/// served. Tells each version it sees first.
async fn ask_continuously(mut client: Client, key: String, seen: UnboundedSender<u32>) {
    let bearer = format!("Bearer {key}");
    let mut newest = 0;
    let (mut tag, mut former) = (String::new(), String::new());
    while newest < LAST {
        for condition in [tag.clone(), former.clone()] {
            let headers = [("authorization", &*bearer), ("if-none-match", &*condition)];
            let answer = client.get(GREETING, &headers).await;
            if answer.status == 304 {
                assert_eq!(condition, tag, "the tag of an older version may not match again");
                continue;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            let data = &answer.json()["data"];
            let version = data["version"].as_str().expect("a text").parse().expect("a number");
            let text = format!("## Role\nedition {version}\n");
            assert_eq!(data["prompt"], *text, "text and version belong together");
            assert!(version >= newest, "{version} after {newest}");
            assert_eq!(version > newest, answer.header("etag") != tag, "each version has its tag");
            assert!(version > newest || condition != tag, "the tag of the newest should match");
            if version > newest {
                former = std::mem::replace(&mut tag, answer.header("etag").to_owned());
                newest = version;
                // Nobody waits for news after the last version.
                let _ = seen.send(version);
            }
        }
    }
}

const LAST: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_under_load() {
    let folder = Arc::new(Folder::with_project());
    folder.publish("greeting", "edition 1");
    let key = folder.key("live");
    let server = folder.serve("");
    let (seen, mut news) = unbounded_channel();
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let client = Client::to(server.address).await;
        callers.spawn(ask_continuously(client, key.clone(), seen.clone()));
    }
    drop(seen);

    for version in 1..=LAST {
        let folder = Arc::clone(&folder);
        let edition = move || folder.publish("greeting", &format!("edition {version}"));
        spawn_blocking(edition).await.expect("the version is published");
        // The first caller that sees it is enough: the others may be behind.
        let told = async { while news.recv().await.is_some_and(|seen| seen < version) {} };
        timeout(PATIENCE, told).await.expect("the version is served");
    }

    timeout(PATIENCE, callers.join_all()).await.expect("every caller sees the last version");
}
