//! Plan limits of real servers: months that outlive a `kill -9` and are shared by processes, plans
//! that change under way, connections over the limit, and what is said of a plan that is wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use prompt_edge::clock::Stopwatch;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::client::{Client, Raw};
use crate::harness::process::{Folder, PATIENCE, Server};

/// Costs no rendering, so a server is quick to answer it after its start.
const LIST: &str = "/api/v1/prompts";

/// A folder with the project `acme` on the plan `free`, this configuration, one prompt and a key.
fn folder(config: &str) -> (Folder, String) {
    let folder = Folder::new();
    folder.write("config.toml", config);
    folder.run("projects create acme --plan free").done();
    folder.publish("greeting", "Hello {{name}}");
    let key = folder.key("live");
    (folder, key)
}

/// How requests ended, as the client sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// 200 and 304.
    answered: usize,
    /// 429.
    refused: usize,
    /// The connection ended before the answer was whole.
    lost: usize,
}

impl Tally {
    fn add(&mut self, status: Option<u16>) {
        match status {
            Some(200 | 304) => self.answered += 1,
            Some(429) => self.refused += 1,
            Some(status) => panic!("neither an answer nor 429: {status}"),
            None => self.lost += 1,
        }
    }
}

/// Requests that are still to be sent, shared by connections.
#[derive(Clone)]
struct Tickets(Arc<AtomicUsize>);

impl Tickets {
    fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Asks on one connection until the tickets are gone or the server is; tells how each ask ended.
/// Every other ask brings the tag of the answer before.
async fn ask_on(
    address: SocketAddr,
    key: String,
    tickets: Tickets,
    ended: UnboundedSender<Option<u16>>,
) {
    let bearer = format!("Bearer {key}");
    let mut tag = String::new();
    let Some(mut client) = Client::try_to(address).await else { return };
    while tickets.take() {
        let headers = [("authorization", &*bearer), ("if-none-match", &*tag)];
        let answer = client.try_get(LIST, &headers[..1 + usize::from(!tag.is_empty())]).await;
        let status = answer.as_ref().ok().map(|answer| answer.status);
        tag = match answer {
            Ok(answer) if tag.is_empty() => answer.header("etag").to_owned(),
            Ok(_) | Err(_) => String::new(),
        };
        // Nobody listens once the test has failed.
        let _ = ended.send(status);
        if status.is_none() {
            return;
        }
    }
}

/// Sends all tickets over so many connections to each address.
async fn ask_all(addresses: &[SocketAddr], key: &str, each: usize, tickets: usize) -> Tally {
    let (ended, mut news) = unbounded_channel();
    let mut callers = JoinSet::new();
    for address in addresses {
        let tickets = Tickets::new(tickets);
        for _ in 0..each {
            callers.spawn(ask_on(*address, key.to_owned(), tickets.clone(), ended.clone()));
        }
    }
    drop(ended);
    timeout(PATIENCE, callers.join_all()).await.expect("every request ends in time");
    let mut tally = Tally::default();
    while let Ok(status) = news.try_recv() {
        tally.add(status);
    }
    tally
}

/// What `usage --json` says.
fn usage(folder: &Folder, more: &str) -> Value {
    let text = folder.run(&format!("usage --json {more}")).done();
    serde_json::from_str(&text).expect("JSON")
}

fn count(row: &Value, name: &str) -> usize {
    let count = row[name].as_u64().expect("a count");
    usize::try_from(count).expect("it fits")
}

fn stop(server: Server) {
    server.signal("TERM");
    server.ended().done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_of_a_thousand_admits_a_thousand_at_full_speed_and_after_a_crash() {
    let (folder, key) = folder("[plans.free]\nrequests_per_month = 1_000\n");
    let server = folder.serve("");

    let tally = ask_all(&[server.address], &key, 32, 1_500).await;
    assert_eq!(tally, Tally { answered: 1_000, refused: 500, lost: 0 });

    assert_eq!(server.kill().signal, Some(9));
    let server = folder.serve("");
    let tally = ask_all(&[server.address], &key, 32, 100).await;
    assert_eq!(tally, Tally { answered: 0, refused: 100, lost: 0 });
    assert_eq!(count(&usage(&folder, "")[0], "used"), 1_000);
}

const KILLS: usize = 20;
const MAX_LEASE: usize = 5;
const MONTH: usize = 3_000;

/// What is leased in the end is what the kills stranded: no lease expires while the test runs. An
/// answer that a kill took on its way was admitted, and the client cannot know: so what was
/// admitted lies between what it received and that plus what it lost.
#[expect(clippy::print_stdout, reason = "a failure is repeated with the seed it printed")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_never_admit_one_more_and_strand_a_lease_each() {
    let seed = seed();
    println!("SEED={seed}");
    let config =
        format!("[limits]\nmax_lease = {MAX_LEASE}\n[plans.free]\nrequests_per_month = {MONTH}\n");
    let (folder, key) = folder(&config);
    let tickets = Tickets::new(5_000);
    let mut tally = Tally::default();

    // All of them while there is enough of the month left to strand.
    let mut kills: Vec<_> = (0..KILLS).map(|nth| random(seed, nth) % 2_700).collect();
    kills.sort_unstable();
    for kill_at in kills.into_iter().map(Some).chain([None]) {
        let server = folder.serve("");
        let (ended, mut news) = unbounded_channel();
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            callers.spawn(ask_on(server.address, key.clone(), tickets.clone(), ended.clone()));
        }
        drop(ended);
        let mut server = Some(server);
        loop {
            if kill_at.is_some_and(|at| tally.answered >= at)
                && let Some(server) = server.take()
            {
                assert_eq!(server.kill().signal, Some(9));
            }
            let heard = timeout(PATIENCE, news.recv()).await.expect("each request ends in time");
            let Some(status) = heard else { break };
            tally.add(status);
        }
        callers.join_all().await;
        server.into_iter().for_each(stop);
    }

    let row = usage(&folder, "")[0].clone();
    let (used, stranded) = (count(&row, "used"), count(&row, "leased"));
    assert!(tally.answered <= MONTH, "{tally:?}");
    assert!(tally.answered + tally.lost >= MONTH - KILLS * MAX_LEASE, "{tally:?} {row}");
    assert!(tally.refused > 0, "the month was spent: {tally:?}");
    assert_eq!(used + stranded, MONTH, "{row}");
    assert!(stranded <= KILLS * MAX_LEASE, "a kill strands one lease: {row}");
}

/// What `SEED` says, to repeat a failure.
#[expect(clippy::disallowed_methods, reason = "it is no setting of the product")]
fn seed() -> u64 {
    std::env::var("SEED").map_or(0x5eed, |seed| seed.parse().expect("a number"))
}

/// The `nth` number of a sequence that the seed decides.
fn random(seed: u64, nth: usize) -> usize {
    use std::hash::BuildHasher;

    let number = FixedState::with_seed(seed).hash_one(nth) >> 33;
    usize::try_from(number).expect("31 bits fit")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_share_one_month() {
    let (folder, key) = folder("[plans.free]\nrequests_per_month = 1_000\n");
    let (one, two) = (folder.serve(""), folder.serve(""));

    let tally = ask_all(&[one.address, two.address], &key, 8, 1_200).await;

    assert_eq!(tally, Tally { answered: 1_000, refused: 1_400, lost: 0 });
    stop(one);
    stop(two);
    let row = usage(&folder, "")[0].clone();
    assert_eq!((count(&row, "used"), count(&row, "leased")), (1_000, 0), "{row}");
}

/// Asks until the status is as expected, and says how long that took.
async fn until(client: &mut Client, key: &str, status: u16) -> Duration {
    let watch = Stopwatch::start();
    while client.get_as(key, LIST).await.status != status {
        assert!(watch.elapsed() < Duration::from_secs(10), "still not {status}");
    }
    watch.elapsed()
}

#[tokio::test]
async fn a_change_of_plan_is_in_force_within_a_second_and_keeps_what_was_used() {
    let (folder, key) = folder(
        "[plans.free]\nrequests_per_month = 10\n\
         [plans.team]\nrequests_per_month = 25\n",
    );
    let server = folder.serve("");
    let addresses = [server.address];
    let ask = |count| ask_all(&addresses, &key, 1, count);
    let mut client = Client::to(server.address).await;
    assert_eq!(ask(12).await, Tally { answered: 10, refused: 2, lost: 0 });

    let said = folder.run("projects set-plan acme team").done();
    assert_eq!(said, "project \"acme\" (plan team)\n");
    let raised = until(&mut client, &key, 200).await;
    // One of the fifteen more was the first to be answered.
    assert_eq!(ask(20).await, Tally { answered: 14, refused: 6, lost: 0 });

    folder.run("projects set-plan acme enterprise").done();
    let lifted = until(&mut client, &key, 200).await;
    assert_eq!(ask(100).await, Tally { answered: 100, refused: 0, lost: 0 });

    folder.run("projects set-plan acme team").done();
    let lowered = until(&mut client, &key, 429).await;

    let taken = [raised, lifted, lowered];
    assert!(taken.iter().all(|time| *time <= Duration::from_secs(1)), "{taken:?}");
}

#[test]
fn a_plan_that_is_not_configured_or_a_project_that_is_not_there_is_refused() {
    let (folder, _) = folder("[plans.team]\nrequests_per_month = 25\n");

    let plan = folder.run("projects set-plan acme gold").failed(1);
    assert!(plan.contains("gold") && plan.contains("enterprise, free, pro, team"), "{plan}");
    let project = folder.run("projects set-plan nobody team").failed(1);
    assert!(project.contains("nobody"), "{project}");
    let listed = folder.run("projects list").done();
    assert!(listed.contains("free") && !listed.contains("team"), "{listed}");
}

#[tokio::test]
async fn a_clean_stop_gives_leases_back() {
    let (folder, key) = folder("[plans.free]\nrequests_per_month = 1_000\n");
    let server = folder.serve("");
    let tally = ask_all(&[server.address], &key, 4, 333).await;
    assert_eq!(tally, Tally { answered: 333, refused: 0, lost: 0 });

    stop(server);

    let row = usage(&folder, "")[0].clone();
    let counts = ["quota", "used", "leased", "remaining"].map(|name| count(&row, name));
    assert_eq!(counts, [1_000, 333, 0, 667], "{row}");
}

#[tokio::test]
async fn what_is_refused_or_fails_does_not_count() {
    let (folder, key) =
        folder("[limits]\ncount_not_modified = false\n[plans.free]\nrequests_per_month = 1_000\n");
    let server = folder.serve("");
    let mut client = Client::to(server.address).await;

    let answer = client.get_as(&key, LIST).await;
    let tag = ("if-none-match", answer.header("etag"));
    let bearer = ("authorization", &*format!("Bearer {key}"));
    for (path, headers, status) in [
        (LIST, &[bearer, tag][..], 304),
        ("/api/v1/prompts/nobody", &[bearer], 404),
        ("/nowhere", &[bearer], 404),
        ("/api/v1/prompts/greeting/compiled?variables=1", &[bearer], 400),
        (LIST, &[("authorization", "Bearer pk_live_wrong")], 401),
        (LIST, &[bearer], 200),
    ] {
        assert_eq!(client.get(path, headers).await.status, status, "{path}");
    }
    drop(client);
    stop(server);

    let row = usage(&folder, "")[0].clone();
    assert_eq!((count(&row, "used"), count(&row, "leased")), (2, 0), "{row}");
}

#[tokio::test]
async fn operators_see_the_same_usage_everywhere() {
    let (folder, key) = folder("[plans.free]\nrequests_per_month = 1_000\n");
    folder.run("projects create other --plan enterprise").done();
    let connection = Connection::open(folder.store()).expect("the file opens");
    let past = "INSERT INTO months (project, month, used) VALUES (1, '2020-02', 7)";
    connection.execute(past, []).expect("a row can be written");
    drop(connection);
    let server = folder.serve("");
    let mut operator = Client::to(server.admin).await;

    // Fewer than make a server renew its first lease: nothing moves behind the comparison.
    let tally = ask_all(&[server.address], &key, 1, 3).await;
    assert_eq!(tally.answered, 3);

    let all = usage(&folder, "");
    let shown: Vec<_> = all.as_array().expect("a list").iter().map(|row| &row["project"]).collect();
    assert_eq!(shown, ["acme", "acme", "other"], "{all}");
    let present = &all[0];
    assert_eq!((count(present, "used"), count(present, "leased")), (0, 8), "{present}");
    assert_eq!(count(present, "remaining"), 992);
    let expected = json!({
        "project": "acme", "plan": "free", "month": "2020-02", "quota": 1_000, "used": 7,
        "leased": 0, "remaining": 0, "resets_at": "2020-03-01T00:00:00.000Z",
    });
    assert_eq!(all[1], expected);
    assert_eq!((&all[2]["quota"], &all[2]["remaining"]), (&Value::Null, &Value::Null));

    assert_eq!(operator.get("/admin/usage", &[]).await.json(), all);
    let one = usage(&folder, "--project acme");
    assert_eq!(one, json!([all[0], all[1]]));
    assert_eq!(operator.get("/admin/usage?project=acme", &[]).await.json(), one);
    let table = folder.run("usage --project acme").done();
    let first = table.lines().nth(1).expect("a row under the heading");
    let cells: Vec<_> = first.split_whitespace().collect();
    assert_eq!(cells[3..7], ["1000", "0", "8", "992"], "{table}");

    let missing = folder.run("usage --project nobody").failed(1);
    assert!(missing.contains("nobody"), "{missing}");
    let missing = operator.get("/admin/usage?project=nobody", &[]).await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].as_str().is_some_and(|error| error.contains("nobody")));
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_to_come_back() {
    let (folder, key) = folder("[server]\nmax_connections = 4\n");
    let server = folder.serve("");
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::to(server.address).await;
        // Who is answered has a place; who has connected may be let in after those who come later.
        assert_eq!(client.get_as(&key, LIST).await.status, 200);
        clients.push(client);
    }

    // It says nothing: what it is told does not depend on what it asks.
    let told = Raw::to(server.address).rest();

    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nretry-after: 1\r\n"), "{told}");
    for client in &mut clients {
        assert_eq!(client.get_as(&key, LIST).await.status, 200, "the others go on");
    }
    let mut operator = Client::to(server.admin).await;
    let metrics = operator.get("/metrics", &[]).await;
    let shed = "prompt_edge_shed_total{reason=\"connections\"} 1\n";
    assert!(metrics.text().contains(shed), "{}", metrics.text());

    clients.pop();
    // Each turn waits for an answer; room that is never made runs into the test's time.
    let bearer = format!("Bearer {key}");
    loop {
        let mut client = Client::to(server.address).await;
        match client.try_get(LIST, &[("authorization", &bearer)]).await {
            Ok(answer) if answer.status == 200 => break,
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            // It was closed with the request unread.
            Err(_) => {}
        }
    }
}

#[test]
fn a_plan_that_is_wrong_is_named_with_its_line_and_what_would_be_right() {
    let folder = Folder::new();

    for (table, found, remedy) in [
        (
            "[plans.team]\nburst = 5\n",
            "config.toml:2  plans.team.burst = 5",
            "plans.team.requests_per_second beside it",
        ),
        (
            "[plans.team]\nkey_burst = 5\n",
            "config.toml:2  plans.team.key_burst = 5",
            "plans.team.key_requests_per_second beside it",
        ),
        (
            "[plans.team]\nrequest_per_month = 5\n",
            "config.toml:2  plans.team.request_per_month is unknown",
            "did you mean plans.team.requests_per_month?",
        ),
        (
            "[plans.team]\nrequests_per_month = 0\n",
            "config.toml:2  plans.team.requests_per_month = 0",
            "a whole number from 1 to 999999999999999",
        ),
        (
            "[plans.free]\nrequests_per_second = \"10\"\n",
            "config.toml:2  plans.free.requests_per_second = \"10\"",
            "a whole number from 1 to 1000000, without quotes",
        ),
        (
            "[plans.Team-A]\nrequests_per_month = 5\n",
            "config.toml:1  plans.Team-A is unknown",
            "lower-case letters, digits and underscores",
        ),
        (
            "[limits]\nfallback_plan = \"gold\"\n",
            "config.toml:2  limits.fallback_plan = gold",
            "a plan of [plans]",
        ),
    ] {
        folder.write("config.toml", table);
        let said = folder.run("check").failed(78);
        assert!(said.starts_with("config.toml: 1 problem\n"), "{said}");
        assert!(said.contains(found) && said.contains(remedy), "{table}:\n{said}");
    }
}
