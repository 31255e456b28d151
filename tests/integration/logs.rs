//! What a process says of itself, and what it must never say.

use http::Method;
use serde_json::Value;

use crate::harness::client::{Client, Raw};
use crate::harness::process::Folder;

const GREETING: &str = "/api/v1/prompts/greeting/compiled";

/// Everything at its most talkative.
const TALKATIVE: [(&str, &str); 2] =
    [("PROMPT_EDGE__LOG__LEVEL", "trace"), ("PROMPT_EDGE__LOG__FORMAT", "json")];

/// Every value a caller or an author may hold secret, put wherever it can be put.
#[tokio::test]
async fn logs_never_hold_a_secret() {
    let folder = Folder::with_project();
    let mut said = String::new();
    let mut run = |line: &str| said.push_str(&folder.run_with(line, &TALKATIVE).stderr);
    folder.write("greeting.md", "# Role\nplanted-in-text {{name}}\n");
    folder.write("bad.md", "---\nvisibility: planted-in-field\n---\nplanted-in-text\n");
    folder.write("bad.json", "{\"format\": \"planted-in-field\"}");
    run("import greeting.md bad.md bad.json --project acme --publish");
    run("prompts show greeting --project acme");
    run("export --project acme --out bundle.json");
    run("keys list");
    let keys = [folder.key("live"), folder.key("dev")];

    let mut server = folder.serve_with("", &TALKATIVE);
    let mut client = Client::to(server.address).await;
    let mut statuses = Vec::new();
    let value = "%7B%22name%22%3A%22planted-in-value%22%7D";
    for key in &keys {
        let bearer = format!("Bearer {key}");
        let by_bearer = [("authorization", &*bearer), ("content-type", "application/json")];
        let by_header = [("x-api-key", &**key), ("content-type", "application/json")];
        for headers in [by_bearer, by_header] {
            for path in [
                format!("{GREETING}?variables={value}"),
                format!("{GREETING}?variables={value}"),
                format!("{GREETING}?variables=planted-in-value"),
                format!("{GREETING}?planted-in-value={value}"),
                "/api/v1/prompts/planted-in-path".to_owned(),
                "/planted-in-path".to_owned(),
                "/api/v1/prompts".to_owned(),
            ] {
                statuses.push(client.get(&path, &headers).await.status);
            }
            for body in ["{\"name\":\"planted-in-value\"}", "{\"name\": planted-in-value}"] {
                statuses.push(client.ask(Method::QUERY, GREETING, &headers, body).await.status);
            }
        }
    }
    for headers in [
        [("authorization", "Bearer planted-as-key")],
        [("authorization", "Basic planted-as-key")],
        [("x-api-key", "planted as key")],
        [("x-request-id", "planted as id")],
    ] {
        statuses.push(client.get(GREETING, &headers).await.status);
    }
    let mut broken = Raw::to(server.address);
    broken.send("GET /planted-in-path HTTP/1.1\r\nAuthorization planted-as-key\r\n\r\n");
    drop(broken.rest());
    folder.run("keys revoke 1").done();
    client.get_as(&keys[0], GREETING).await;
    server.signal("TERM");
    server.says("stopping");
    let logged = server.ended().stderr;

    for status in [200, 400, 401, 404] {
        assert!(statuses.contains(&status), "{status} should be among {statuses:?}");
    }
    let lines: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    for message in ["listening", "answered", "refused", "stopping"] {
        assert!(lines.iter().any(|line| line["message"] == message), "`{message}` is not logged");
    }
    let secrets = keys.iter().map(|key| &key[key.len() - 39..]);
    for secret in secrets.chain(["planted"]) {
        assert!(!logged.contains(secret), "the server says {secret}:\n{logged}");
    }
    for secret in ["planted-in-text", "planted-in-value", &keys[0], &keys[1]] {
        assert!(!said.contains(secret), "a command says {secret}:\n{said}");
    }
}

/// `prompt-edge serve 2>&1 | head -3` leaves a server without a reader.
#[tokio::test]
async fn a_server_whose_log_nobody_reads_goes_on() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");

    let server = folder.serve_unheard(&TALKATIVE);

    let mut client = Client::to(server.address).await;
    for _ in 0..3 {
        assert_eq!(client.get_as(&key, GREETING).await.status, 200);
    }
    drop(client);
    server.signal("TERM");
    server.ended().done();
}

#[test]
fn nothing_is_logged_below_the_level() {
    let folder = Folder::new();
    let server = folder.serve_with("", &[("PROMPT_EDGE__LOG__LEVEL", "error")]);

    server.signal("TERM");

    assert_eq!(server.ended().stderr, "");
}

#[test]
fn text_lines_have_no_colours_in_a_pipe() {
    let server = Folder::new().serve("");

    server.signal("TERM");

    let logged = server.ended().stderr;
    assert!(logged.contains(" INFO listening address="), "{logged}");
    assert!(!logged.contains('\u{1b}'), "{logged:?}");
}
