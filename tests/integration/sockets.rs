//! What only a socket shows: connections that are kept and closed, bytes that are not HTTP, and
//! the operators' listener.

use http::Method;

use crate::harness::client::{Client, Raw};
use crate::harness::process::{Folder, Server};

const GREETING: &str = "/api/v1/prompts/greeting/compiled";

/// A server with one prompt, and a key for it.
fn serving(variables: &[(&str, &str)]) -> (Folder, Server, String) {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello {{name}}");
    let key = folder.key("live");
    let server = folder.serve_with("", variables);
    (folder, server, key)
}

fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n\r\n")
}

#[tokio::test]
async fn a_connection_is_kept_after_any_answer() {
    let (_folder, server, key) = serving(&[]);
    let mut client = Client::to(server.address).await;

    let statuses = [
        client.get_as(&key, GREETING).await.status,
        client.get_as("pk_live_wrong", GREETING).await.status,
        client.get_as(&key, "/api/v1/prompts/missing").await.status,
        client.get_as(&key, "/nowhere").await.status,
        client.ask(Method::POST, GREETING, &[], "{}").await.status,
        client.get_as(&key, GREETING).await.status,
    ];

    assert_eq!(statuses, [200, 401, 404, 404, 405, 200]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_folder, server, key) = serving(&[]);
    let mut connection = Raw::to(server.address);

    let target = |name: &str| format!("{GREETING}?variables=%7B%22name%22%3A%22{name}%22%7D");
    let requests: String = ["Ada", "Bob", "Cyd"].map(|name| get(&target(name), &key)).concat();
    connection.send(&requests);

    let received = connection.until("Hello Cyd");
    let positions = ["Hello Ada", "Hello Bob", "Hello Cyd"].map(|text| received.find(text));
    assert!(positions.is_sorted() && positions[0].is_some(), "{received}");
    assert_eq!(received.matches("HTTP/1.1 200 OK").count(), 3, "{received}");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (_folder, server, key) = serving(&[]);
    let mut client = Client::to(server.address).await;
    let bearer = format!("Bearer {key}");

    for path in [GREETING, "/api/v1/prompts", "/api/v1/prompts/greeting", "/api/v1/prompts/nobody"]
    {
        let get = client.get(path, &[("authorization", &bearer)]).await;
        // Twice: the second answer comes from the fast lane.
        for _ in 0..2 {
            let head = client.ask(Method::HEAD, path, &[("authorization", &bearer)], "").await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
            assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
            for name in ["content-type", "etag", "cache-control", "vary"] {
                assert_eq!(head.header(name), get.header(name), "{name} of {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let (_folder, server, key) = serving(&[("PROMPT_EDGE__SERVER__BODY_LIMIT", "1 KiB")]);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let of = |len: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(len - 11));

    let mut client = Client::to(server.address).await;
    let fits = client.ask(Method::QUERY, GREETING, &headers, of(1024)).await;
    let refused = client.ask(Method::QUERY, GREETING, &headers, of(1025)).await;

    assert_eq!(fits.status, 200, "{fits:?}");
    assert_eq!(refused.status, 413);
    let expected = r#"{"data":null,"error":{"code":"VALIDATION_ERROR","message":"body: longer than 1024 bytes: send less"}}"#;
    assert_eq!(refused.text(), expected);

    let mut endless = Raw::to(server.address);
    endless.send(&format!(
        "QUERY {GREETING} HTTP/1.1\r\nHost: edge\r\nAuthorization: {bearer}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}",
        "x".repeat(0x800)
    ));
    let answer = endless.until("send less");
    assert!(answer.starts_with("HTTP/1.1 413 "), "its length was not said before: {answer}");
}

#[test]
fn a_connection_that_is_slow_to_ask_is_closed() {
    let (_folder, server, key) = serving(&[
        ("PROMPT_EDGE__SERVER__FIRST_BYTE_TIMEOUT", "1s"),
        ("PROMPT_EDGE__SERVER__HEADER_TIMEOUT", "1s"),
        ("PROMPT_EDGE__SERVER__IDLE_TIMEOUT", "1s"),
    ]);

    let mut slow = Raw::to(server.address);
    slow.send("GET / HTTP/1.1\r\nHost: ");
    let silent = Raw::to(server.address);
    let mut idle = Raw::to(server.address);
    idle.send(&get("/api/v1/prompts", &key));
    let first = idle.until("\"error\":null}");

    assert_eq!(slow.rest(), "", "half a request has no answer");
    assert_eq!(silent.rest(), "");
    assert_eq!(idle.rest(), first, "nothing follows the answer");
}

#[test]
fn a_body_that_is_slow_to_arrive_is_refused() {
    let (_folder, server, key) = serving(&[("PROMPT_EDGE__SERVER__BODY_TIMEOUT", "1s")]);

    let mut slow = Raw::to(server.address);
    slow.send(&format!(
        "QUERY {GREETING} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{"
    ));

    let answer = slow.rest();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("REQUEST_TIMEOUT"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("body: it did not arrive in time"), "{answer}");
}

#[test]
fn what_is_not_http_is_400_and_the_connection_ends() {
    let (_folder, server, _) = serving(&[]);

    for bytes in [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: edge\r\nContent-Length: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
    ] {
        let mut connection = Raw::to(server.address);
        connection.send(bytes);
        let answer = connection.rest();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bytes:?}: {answer}");
    }
}

#[test]
fn a_request_head_has_its_limits() {
    let (_folder, server, _) = serving(&[]);

    let mut connection = Raw::to(server.address);
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    connection.send(&format!("GET / HTTP/1.1\r\nHost: edge\r\n{many}\r\n"));

    let answer = connection.rest();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn operators_have_pages_of_their_own() {
    let (_folder, server, _) = serving(&[]);
    let mut operator = Client::to(server.admin).await;

    let live = operator.get("/livez", &[]).await;
    assert_eq!((live.status, live.text()), (200, "alive\n"));
    assert_eq!(live.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(live.header("cache-control"), "no-store");

    let metrics = operator.get("/metrics", &[]).await;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((metrics.status, metrics.header("content-type")), (200, media_type));
    assert!(metrics.text().ends_with("# EOF\n"), "{}", metrics.text());

    let version = operator.get("/version", &[]).await;
    assert_eq!((version.status, version.header("content-type")), (200, "application/json"));
    assert_eq!(version.json()["name"], "prompt-edge");
    assert_eq!(version.json()["version"], env!("CARGO_PKG_VERSION"));

    let unknown = operator.get("/api/v1/prompts", &[]).await;
    assert_eq!(
        (unknown.status, unknown.text()),
        (
            404,
            "try /livez /readyz /metrics /version /admin/usage /admin/why /admin/purge /admin/reload\n"
        )
    );
    let wrong = operator.ask(Method::POST, "/metrics", &[], "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
    let head = operator.ask(Method::HEAD, "/livez", &[], "").await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "6"));
}

#[tokio::test]
async fn a_server_is_ready_once_it_has_read_its_store() {
    let (folder, server, _) = serving(&[]);
    let mut operator = Client::to(server.admin).await;

    // Each turn waits for an answer; a server that is never ready runs into the test's time.
    let ready = loop {
        let ready = operator.get("/readyz", &[]).await;
        match ready.status {
            503 => assert_eq!(ready.text(), "starting\n"),
            _ => break ready,
        }
    };

    assert_eq!((ready.status, ready.text()), (200, "ready\n"));
    let probe = folder.run(&format!("ready --admin-listen {}", server.admin));
    assert_eq!(probe.done(), "ok\n");
}

#[tokio::test]
async fn callers_do_not_reach_the_operators_pages() {
    let (_folder, server, key) = serving(&[]);
    let mut client = Client::to(server.address).await;

    for path in ["/livez", "/readyz", "/metrics", "/version"] {
        let answer = client.get_as(&key, path).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &"NOT_FOUND".into()));
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let (_folder, server, key) = serving(&[]);
    let mut client = Client::to(server.address).await;
    let bearer = format!("Bearer {key}");

    // The first comes from the store, the second from memory, the others are refused.
    for (path, bearer) in
        [(GREETING, &*bearer), (GREETING, &bearer), ("/nowhere", &bearer), (GREETING, "wrong")]
    {
        let headers = [("authorization", bearer), ("x-request-id", "job-7.A_b")];
        let echoed = client.get(path, &headers).await;
        assert_eq!(echoed.header("x-request-id"), "job-7.A_b", "{path}");
        let made = client.get(path, &headers[..1]).await;
        assert_eq!(made.header("x-request-id").len(), 36, "{path}");
        let replaced = client.get(path, &[headers[0], ("x-request-id", "a b")]).await;
        assert_eq!(replaced.header("x-request-id").len(), 36, "{path}");
        assert_eq!(replaced.headers.get_all("x-request-id").iter().count(), 1);
    }
    let mut operator = Client::to(server.admin).await;
    let echoed = operator.get("/livez", &[("x-request-id", "probe")]).await;
    assert_eq!(echoed.header("x-request-id"), "probe");
}
