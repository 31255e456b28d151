//! One process takes over from another while callers ask without a pause: none of them may notice.
//!
//! The callers of these tests retry nothing. They keep a connection until they are told that it ends.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use prompt_edge::access::Peer;
use prompt_edge::server::{Drain, Inherited, Listener, ListenerConfig, Reply, Service};
use prompt_edge::wire::Response;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::harness::client::Client;
use crate::harness::edge::door;
use crate::harness::process::{Folder, PATIENCE, Server};

const GREETING: &str = "/api/v1/prompts/greeting/compiled";

/// Long enough for a tenth of it to be long: a caller that is held up by a busy machine is not taken
/// for one that asks nothing.
const PATIENT: (&str, &str) = ("PROMPT_EDGE__SERVER__DRAIN_TIMEOUT", "10m");

fn folder() -> (Folder, String) {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    (folder, key)
}

/// Callers that ask until they are told to stop.
struct Load {
    callers: JoinSet<()>,
    answered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Callers of whoever `target` says at the time.
    fn of(target: impl Fn() -> SocketAddr + Clone + Send + 'static, key: &str) -> Self {
        let (answered, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (target, key) = (target.clone(), key.to_owned());
            let (answered, is_over) = (Arc::clone(&answered), Arc::clone(&is_over));
            callers.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let address = target();
                    let mut client = Client::to(address).await;
                    // Some come anew for each request.
                    let most = if number % 2 == 0 { u64::MAX } else { 1 };
                    for _ in 0..most {
                        let answer = client.get_as(&key, GREETING).await;
                        assert_eq!(answer.status, 200, "{answer:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                        let is_to_leave = answer.header("connection") == "close"
                            || target() != address
                            || is_over.load(Ordering::Relaxed);
                        if is_to_leave {
                            break;
                        }
                    }
                }
            });
        }
        Self { callers, answered, is_over }
    }

    /// Waits until so many more requests are answered, or a caller was not.
    async fn goes_on(&mut self) {
        let enough = self.answered.load(Ordering::Relaxed) + MORE;
        let answered = Arc::clone(&self.answered);
        let more = async move {
            while answered.load(Ordering::Relaxed) < enough {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            more = timeout(PATIENCE, more) => more.expect("callers go on to be answered"),
            ended = self.callers.join_next() => panic!("a caller noticed: {ended:?}"),
        }
    }

    async fn ends(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A caller that was not answered has panicked.
        timeout(PATIENCE, self.callers.join_all()).await.expect("callers stop");
    }
}

const CALLERS: u32 = 6;
const MORE: u64 = 300;

async fn ended(server: Server) {
    spawn_blocking(|| server.ended().done()).await.expect("it ended well");
}

/// Starts two servers one after the other under load, and stops the first.
async fn hand_over(
    folder: &Folder,
    key: &str,
    mut command: impl FnMut(Option<SocketAddr>) -> Command,
) {
    let first = folder.serve_as(command(None));
    let address = first.address;
    let mut load = Load::of(move || address, key);
    load.goes_on().await;

    let second = folder.serve_as(command(Some(address)));
    assert_eq!(second.address, address);
    load.goes_on().await;
    first.signal("TERM");
    load.goes_on().await;
    ended(first).await;
    load.goes_on().await;

    load.ends().await;
    second.signal("TERM");
    ended(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_takes_the_port_over_and_no_request_fails() {
    let (folder, key) = folder();

    hand_over(&folder, &key, |address| {
        let address = address.unwrap_or_else(|| "127.0.0.1:0".parse().expect("an address"));
        let line = format!("serve --listen {address} --admin-listen 127.0.0.1:0 --workers 2");
        let mut command = folder.command(&line);
        command.envs([PATIENT]);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_is_handed_the_socket_over_and_no_request_fails() {
    let (folder, key) = folder();
    folder.write("config.toml", "[[listeners]]\nname = \"a\"\nlisten = \"systemd:web\"\n");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");

    hand_over(&folder, &key, |_| {
        let mut command = folder.handed(&socket, "serve --admin-listen 127.0.0.1:0 --workers 2");
        command.envs([PATIENT]);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_balancer_that_looks_at_readiness_no_request_fails() {
    let (folder, key) = folder();
    let delay = ("PROMPT_EDGE__SERVER__DRAIN_DELAY", "3s");
    let [leaving, staying] = [0, 1].map(|_| folder.serve_with("--workers 2", &[delay, PATIENT]));
    let goes_there = Arc::new(AtomicBool::new(true));
    let (of_leaving, of_staying) = (leaving.address, staying.address);
    let target = {
        let goes_there = Arc::clone(&goes_there);
        move || if goes_there.load(Ordering::Relaxed) { of_leaving } else { of_staying }
    };
    let mut load = Load::of(target, &key);
    load.goes_on().await;

    leaving.signal("TERM");
    let mut operator = Client::to(leaving.admin).await;
    while operator.get("/readyz", &[]).await.status == 200 {}
    let still = Client::to(leaving.address).await.get_as(&key, GREETING).await;
    assert_eq!((still.status, still.header("connection")), (200, ""), "it goes on accepting");
    goes_there.store(false, Ordering::Relaxed);
    drop(operator);
    load.goes_on().await;
    ended(leaving).await;
    load.goes_on().await;

    load.ends().await;
}

#[tokio::test]
async fn while_it_is_announced_everything_goes_on_and_a_second_signal_ends_it() {
    let (folder, key) = folder();
    let server = folder.serve_with("", &[("PROMPT_EDGE__SERVER__DRAIN_DELAY", "10m")]);
    let mut kept = Client::to(server.address).await;
    assert_eq!(kept.get_as(&key, GREETING).await.status, 200);

    server.signal("TERM");

    let mut operator = Client::to(server.admin).await;
    while operator.get("/readyz", &[]).await.status == 200 {}
    assert_eq!(operator.get("/livez", &[]).await.status, 200);
    let answer = kept.get_as(&key, GREETING).await;
    assert_eq!((answer.status, answer.header("connection")), (200, ""));
    let answer = Client::to(server.address).await.get_as(&key, GREETING).await;
    assert_eq!(answer.status, 200, "new connections are accepted");

    server.signal("TERM");
    let ended = spawn_blocking(|| server.ended()).await.expect("it ends");
    assert!(ended.stderr.contains("stopping at once"), "{ended:?}");
}

#[tokio::test]
async fn who_interrupts_does_not_wait_for_balancers() {
    let (folder, _) = folder();
    let server = folder.serve_with("", &[("PROMPT_EDGE__SERVER__DRAIN_DELAY", "10m")]);

    server.signal("INT");

    ended(server).await;
}

#[tokio::test]
async fn a_connection_that_is_kept_is_told_that_it_ends_before_it_does() {
    let (folder, key) = folder();
    let server = folder.serve_with("", &[PATIENT]);
    let mut kept = Client::to(server.address).await;
    assert_eq!(kept.get_as(&key, GREETING).await.header("connection"), "");

    server.signal("TERM");

    // Each turn waits for an answer; none comes without one before the connection ends.
    while kept.get_as(&key, GREETING).await.header("connection") != "close" {}
    kept.closed().await;
    ended(server).await;
}

/// Answers with its name.
struct Named(&'static str);

impl Service for Named {
    fn call(&self, _: Request<Incoming>, _: &Peer) -> Reply {
        Reply::now(Response::new(Full::from(self.0)))
    }

    fn refuse(&self, _: &Request<Incoming>, refused: Response) -> Response {
        refused
    }
}

async fn listening(address: SocketAddr) -> Listener {
    let opened = Listener::open(&ListenerConfig::clear(address), &mut Inherited::default()).await;
    opened.expect("the port is free, or shared")
}

#[tokio::test]
async fn who_waits_to_be_accepted_at_the_end_is_answered_and_who_comes_then_finds_the_next() {
    let first = listening("127.0.0.1:0".parse().expect("an address")).await;
    let address = first.address().expect("it is one of TCP");
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::to(address).await;
        waiting.spawn(async move { client.get("/", &[]).await });
    }
    let second = listening(address).await;
    let (leaving, staying) = (Drain::default(), Drain::default());
    first.serve(&door(Arc::new(Named("first")), &leaving)).expect("there are descriptors left");
    second.serve(&door(Arc::new(Named("second")), &staying)).expect("there are descriptors left");

    // The loop that accepts has not run yet, and finds the end when it does.
    let mut finishing = JoinSet::new();
    finishing.spawn(async move { leaving.finish(PATIENCE).await });
    while finishing.try_join_next().is_none() {
        assert_eq!(Client::to(address).await.get("/", &[]).await.status, 200);
    }

    for answer in waiting.join_all().await {
        assert_eq!(answer.text(), "first");
    }
    for _ in 0..20 {
        assert_eq!(Client::to(address).await.get("/", &[]).await.text(), "second");
    }
    staying.finish(PATIENCE).await;
}
