//! The binary before a platform: stopped, killed and started again, with and without a snapshot.

use std::net::SocketAddr;

use prompt_edge::clock::Stopwatch;

use crate::harness::client::{Answer, Client};
use crate::harness::exchange::compiled;
use crate::harness::process::{Folder, PATIENCE, Server};
use crate::harness::promptot::{LIVE, PromptOt};

/// 32 bytes, as `openssl rand -base64 32` prints them.
const SNAPSHOT_KEY: &str = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";

/// A folder whose project `shop` comes from the platform, and a key of it. What was said is old at
/// once, and the platform is never left alone for long.
fn before(platform: &PromptOt, snapshot: &str) -> (Folder, String) {
    let folder = Folder::new();
    folder.write(
        "config.toml",
        format!(
            "[snapshot]\npath = \"edge.snapshot\"\n{snapshot}\n\
             [[origins]]\nname = \"promptot\"\nkind = \"promptot\"\nbase_url = \"{}\"\n\
             key = {{ file = \"promptot.key\" }}\nfresh = \"0s\"\nstale = \"0s\"\n\
             breaker_open = \"1s\"\nretries = 0\n",
            platform.base_url(),
        ),
    );
    folder.write("promptot.key", LIVE);
    folder.write("snapshot.key", SNAPSHOT_KEY);
    folder.run("projects create shop --plan enterprise --origin promptot").done();
    let key = folder.run("keys create --project shop --environment live").done();
    (folder, key.trim().to_owned())
}

async fn greeting(server: &Server, key: &str) -> Answer {
    Client::to(server.address).await.get_as(key, &compiled("greeting")).await
}

async fn page(admin: SocketAddr, path: &str) -> u16 {
    Client::to(admin).await.get(path, &[]).await.status
}

/// Runs a server until it has this prompt in memory, stops it, and returns what it answered last.
async fn warmed(folder: &Folder, key: &str) -> Answer {
    let server = folder.serve("");
    let answer = greeting(&server, key).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.signal("TERM");
    server.ended().done();
    answer
}

/// Asks until the text is this one. Each turn waits for an answer; a text that never comes ends the
/// test.
async fn until(server: &Server, key: &str, text: &str) {
    let watch = Stopwatch::start();
    let mut client = Client::to(server.address).await;
    loop {
        let answer = client.get_as(key, &compiled("greeting")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.text().contains(text) {
            return;
        }
        assert!(watch.elapsed() < PATIENCE, "still {answer:?}");
    }
}

#[tokio::test]
async fn a_restart_with_the_origin_dead_answers_from_the_snapshot() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    let last = warmed(&folder, &key).await;
    platform.vendor.kill().await;

    let server = folder.serve("");

    assert_eq!(page(server.admin, "/readyz").await, 200, "as soon as it listens");
    let first = greeting(&server, &key).await;
    assert_eq!((first.status, first.text()), (200, last.text()));
    assert_eq!(first.header("etag"), last.header("etag"));
    assert!(first.header("cache-status").ends_with("detail=rescue"), "{first:?}");

    platform.publish("greeting", "Good day");
    let asked = platform.vendor.asked_count();
    platform.vendor.revive().await;
    platform.vendor.has_been_asked(asked + 1).await;
    until(&server, &key, "Good day").await;
    assert_eq!(page(server.admin, "/readyz").await, 200);
}

#[tokio::test]
async fn a_killed_edge_leaves_the_snapshot_before() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    let last = warmed(&folder, &key).await;
    let server = folder.serve("");
    greeting(&server, &key).await;
    server.kill();
    platform.vendor.kill().await;

    let server = folder.serve("");

    let first = greeting(&server, &key).await;
    assert_eq!((first.status, first.text()), (200, last.text()));
}

#[tokio::test]
async fn offline_the_origin_is_never_asked() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    let last = warmed(&folder, &key).await;
    let asked = platform.vendor.asked_count();

    let server = folder.serve("--offline");
    let first = greeting(&server, &key).await;
    let unknown = Client::to(server.address).await.get_as(&key, &compiled("unknown")).await;
    let ready = page(server.admin, "/readyz").await;
    server.signal("TERM");
    server.ended().done();

    assert_eq!((first.status, first.text()), (200, last.text()));
    assert!((502..=504).contains(&unknown.status), "{unknown:?}");
    assert_eq!(ready, 200);
    assert_eq!(platform.vendor.asked_count(), asked);
}

#[tokio::test]
async fn without_a_snapshot_an_edge_is_alive_and_becomes_ready_with_its_origin() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    platform.vendor.kill().await;
    let server = folder.serve("");

    assert_eq!(page(server.admin, "/livez").await, 200);
    assert_eq!(page(server.admin, "/readyz").await, 503);
    let refused = greeting(&server, &key).await;
    assert!((502..=504).contains(&refused.status), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");

    platform.vendor.revive().await;
    let watch = Stopwatch::start();
    while page(server.admin, "/readyz").await != 200 {
        assert!(watch.elapsed() < PATIENCE, "still not ready");
    }
    until(&server, &key, "Hello").await;

    platform.vendor.kill().await;
    assert_eq!(greeting(&server, &key).await.status, 200);
    assert_eq!(page(server.admin, "/readyz").await, 200, "it has data");
}

/// Each of them is a line in the log and an empty memory.
#[tokio::test]
async fn a_snapshot_that_cannot_be_used_is_a_cold_start() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    warmed(&folder, &key).await;
    let good = std::fs::read(folder.path("edge.snapshot")).expect("there is a snapshot");
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0xff;
        bytes
    };

    for (bytes, why) in [
        (Vec::new(), "not a snapshot"),
        (b"[server]\nlisten = \"127.0.0.1:7080\"\n".to_vec(), "not a snapshot"),
        (good[..good.len() - 1].to_vec(), "not as long as it says"),
        (changed(good.len() / 2), "damaged"),
        (changed(8), "has format"),
    ] {
        folder.write("edge.snapshot", &bytes);
        let mut server = folder.serve("");
        server.says("the snapshot is not used");
        let answer = greeting(&server, &key).await;
        assert_eq!(answer.status, 200, "{why}");
        assert!(answer.header("cache-status").contains("fwd=uri-miss"), "{why}: {answer:?}");
        let ended = server.kill();
        assert!(ended.stderr.contains(why), "{why}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn an_encrypted_snapshot_is_read_with_its_key_alone() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "key = { file = \"snapshot.key\" }");
    let last = warmed(&folder, &key).await;
    platform.vendor.kill().await;

    let server = folder.serve("");
    assert_eq!(greeting(&server, &key).await.text(), last.text());
    drop(server);
    let written = std::fs::read(folder.path("edge.snapshot")).expect("there is a snapshot");
    assert!(!holds(&written, "greeting") && !holds(&written, "Hello"), "it is in clear");

    folder.write("snapshot.key", SNAPSHOT_KEY.replace('q', "r"));
    folder.serve("").says("the key does not open the snapshot");
}

#[tokio::test]
async fn with_a_key_a_snapshot_in_clear_is_not_believed_and_the_other_way_round() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (plain, key) = before(&platform, "");
    let (sealed, _) = before(&platform, "key = { file = \"snapshot.key\" }");
    warmed(&plain, &key).await;
    let in_clear = std::fs::read(plain.path("edge.snapshot")).expect("there is a snapshot");

    sealed.write("edge.snapshot", in_clear);
    let mut server = sealed.serve("");
    server.says("not encrypted, but a key is set");
    server.signal("TERM");
    server.ended().done();
    let encrypted = std::fs::read(sealed.path("edge.snapshot")).expect("there is a snapshot");

    plain.write("edge.snapshot", encrypted);
    plain.serve("").says("set `snapshot.key`");
}

#[tokio::test]
async fn a_snapshot_in_clear_holds_no_key() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    warmed(&folder, &key).await;

    let written = std::fs::read(folder.path("edge.snapshot")).expect("there is a snapshot");

    assert!(holds(&written, "Hello") || holds(&written, "greeting"), "it is in clear");
    for secret in [key.as_str(), LIVE] {
        assert!(!holds(&written, secret), "a key is in it");
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn operators_purge_and_ask_why_of_a_running_edge() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let (folder, key) = before(&platform, "");
    let server = folder.serve("");
    greeting(&server, &key).await;
    platform.vendor.kill().await;
    let run = |line: &str| folder.run(&format!("{line} --admin-listen {}", server.admin)).done();
    let scope = "--project shop --prompt greeting";

    let why: serde_json::Value =
        serde_json::from_str(&run(&format!("why {scope} --environment live"))).expect("JSON");
    let record = &why["records"][0];
    assert_eq!(record["version"], 1);
    assert_eq!(record["window"], "rescue");
    assert_eq!(record["origin"], "promptot");
    assert!(record["age_ms"].is_u64() && record["filled_by"].is_string(), "{why}");

    assert_eq!(run(&format!("purge {scope}")), "purged 1\n");
    let rescued = greeting(&server, &key).await;
    assert!(rescued.header("cache-status").ends_with("detail=rescue"), "{rescued:?}");

    assert_eq!(run(&format!("purge {scope} --hard")), "purged 1\n");
    let gone = greeting(&server, &key).await;
    assert!((502..=504).contains(&gone.status), "{gone:?}");
}
