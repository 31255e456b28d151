//! Listeners of TLS, from outside: what is spoken, which certificate is shown, what a reload changes
//! and what it leaves alone.

use std::fs;
use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::app::{self, Haste, Opened, StartError};
use prompt_edge::clock::{Clock, ManualClock};
use prompt_edge::config::{Admin, Config};
use prompt_edge::model::Timestamp;
use prompt_edge::server::connection::Protocol;
use prompt_edge::server::tls::Error;
use prompt_edge::server::{
    self, Address, Deadlines, Drain, Inherited, ListenerConfig, Serves, Tls, tls,
};
use prompt_edge::telemetry::Metrics;
use rcgen::CertificateParams;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, SignatureScheme};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::contract::given::at;
use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::edge::Edge;
use crate::harness::exchange::compiled;
use crate::harness::process::PATIENCE;
use crate::harness::prompt::prompt;
use crate::harness::secured::{Caller, HOST, SHORT, Secured, config};
use crate::harness::store;

/// An edge with one prompt behind a listener with one certificate.
async fn served(authority: &Authority) -> (Edge, Secured) {
    within(server::Config::default(), authority).await
}

async fn within(server: server::Config, authority: &Authority) -> (Edge, Secured) {
    let edge = Edge::serving([prompt("greeting").text("Hello")]).await;
    let config = config([authority.host("edge", &[HOST])]);
    let router = edge.assembly.router.clone();
    let secured = Secured::within(server, router, config, edge.clock.clone()).await;
    (edge, secured)
}

/// The certificate that a caller was shown.
fn shown(stream: &TlsStream<tokio::net::TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().expect("a server shows one");
    chain[0].clone().into_owned()
}

/// TLS with these settings and no listener.
fn opened(config: tls::Config, clock: &Arc<ManualClock>) -> Result<(Tls, Arc<Metrics>), Error> {
    let metrics = Arc::new(Metrics::new("0", "0"));
    let tls = Tls::open("public", config, clock.clone(), Arc::clone(&metrics))?;
    Ok((tls, metrics))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(0)))
}

/// A certificate's end.
fn ending(params: &mut CertificateParams, when: Timestamp) {
    let since_epoch = when.since(Timestamp::default());
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
}

#[tokio::test]
async fn both_versions_are_spoken_with_modern_suites_alone() {
    let authority = Authority::new();
    let (edge, secured) = served(&authority).await;

    for (version, spoken, suites) in [
        (&TLS13, ProtocolVersion::TLSv1_3, [CipherSuite::TLS13_AES_128_GCM_SHA256; 2]),
        (
            &TLS12,
            ProtocolVersion::TLSv1_2,
            [
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ],
        ),
    ] {
        let caller = Caller::speaking(&[version], &authority);
        let stream = caller.shake(secured.address, HOST).await.expect("both sides agree");
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(spoken));
        let suite = session.negotiated_cipher_suite().expect("there is one").suite();
        assert!(suites.contains(&suite) || suite == CipherSuite::TLS13_AES_256_GCM_SHA384);

        let mut client = Client::over(stream, secured.address).await;
        let answer = client.get_as(&edge.live, &compiled("greeting")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(secured.handshakes("full"), 2);
}

#[tokio::test]
async fn our_order_of_suites_counts() {
    let authority = Authority::new();
    let (_edge, secured) = served(&authority).await;

    let callers = [Caller::of(&authority), Caller::preferring_last(&authority)];
    for caller in callers {
        let stream = caller.shake(secured.address, HOST).await.expect("both sides agree");
        let suite = stream.get_ref().1.negotiated_cipher_suite().expect("there is one").suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_256_GCM_SHA384);
    }
}

/// What a caller of ten years ago says: no extension, and suites by number.
fn hello(version: u8, suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len()).expect("a few").to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    let length = u16::try_from(body.len()).expect("a short one");
    let mut message = vec![22, 3, 1];
    message.extend((length + 4).to_be_bytes());
    message.extend([1, 0]);
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}

/// Sends bytes, and returns everything until the end of the connection.
fn sent(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    stream.write_all(bytes).expect("the server reads");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("the connection ends in time");
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_old_is_spoken() {
    let authority = Authority::new();
    let (_edge, secured) = served(&authority).await;
    let cbc_and_static_rsa = [0xC013, 0xC014, 0xC009, 0xC00A, 0x002F, 0x0035, 0x009C, 0x000A];

    for (name, version, suites) in [
        ("TLS 1.0", 1, &[0xC02F, 0xC02B, 0xC013][..]),
        ("TLS 1.1", 2, &[0xC02F, 0xC02B, 0xC013]),
        ("old suites", 3, &cbc_and_static_rsa),
    ] {
        let received = sent(secured.address, &hello(version, suites));

        // One fatal alert: protocol_version or handshake_failure (RFC 8446 §6).
        let is_alert = matches!(received[..], [21, 3, _, 0, 2, 2, 70 | 40]);
        assert!(is_alert, "to {name} the server said {received:?}");
    }
    secured.stopped().await;
    assert_eq!(secured.handshakes("failed"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_in_the_clear_gets_an_alert_and_nothing_more() {
    let authority = Authority::new();
    let (_edge, secured) = served(&authority).await;

    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let received = sent(secured.address, bytes);

        assert!(matches!(received[..], [21, 3, _, 0, 2, 2, _]), "{received:?}");
    }
    secured.stopped().await;
    assert_eq!(secured.handshakes("failed"), 2);
}

#[tokio::test]
async fn what_is_spoken_is_agreed_on_by_name() {
    let authority = Authority::new();
    let (tls, _) = opened(config([authority.host("edge", &[HOST])]), &clock()).expect("usable");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let caller = Caller::of(&authority);

    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(Protocol::Http2)),
        (&["http/1.1", "h2"], Some(Protocol::Http2)),
        (&["h2"], Some(Protocol::Http2)),
        (&["http/1.1"], Some(Protocol::Http1)),
        (&["spdy/3", "http/1.1"], Some(Protocol::Http1)),
        (&[], Some(Protocol::Http1)),
        (&["spdy/3"], None),
    ] {
        let shake = caller.offering(offered);
        let accept = async {
            let (stream, _) = listener.accept().await.expect("somebody comes");
            tls.accept(stream, PATIENCE).await
        };
        let (accepted, shaken) = tokio::join!(accept, shake.shake(address, HOST));

        assert_eq!(accepted.ok().map(|(_, protocol, _)| protocol), agreed, "of {offered:?}");
        assert_eq!(shaken.is_ok(), agreed.is_some(), "of {offered:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_its_ticket() {
    let authority = Authority::new();

    for version in [&TLS12, &TLS13] {
        let (edge, secured) = served(&authority).await;
        let caller = Caller::speaking(&[version], &authority);
        let mut first = caller.reach(secured.address).await;
        assert_eq!(first.get_as(&edge.live, &compiled("greeting")).await.status, 200);

        let mut stream = caller.shake(secured.address, HOST).await.expect("both sides agree");

        let session = stream.get_mut().1;
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(session.early_data().is_none(), "no request comes before the handshake is over");
        let mut second = Client::over(stream, secured.address).await;
        assert_eq!(second.get_as(&edge.live, &compiled("greeting")).await.status, 200);
        assert_eq!((secured.handshakes("full"), secured.handshakes("resumed")), (1, 1));
    }
}

#[tokio::test]
async fn each_host_is_shown_its_own_certificate() {
    let authority = Authority::new();
    let files = [
        authority.host("first", &[HOST, "127.0.0.1"]),
        authority.host("wild", &["*.wild.test"]),
        authority.host("exact", &["exact.wild.test", "other.test"]),
    ];
    let edge = Edge::serving([]).await;
    let (router, clock) = (edge.assembly.router.clone(), edge.clock.clone());
    let secured = Secured::serving(router, config(files.clone()), clock).await;
    let caller = Caller::of(&authority);
    let [first, wild, exact] = files.map(|(chain, _)| certificate_in(&chain));

    for (host, expected) in [
        (HOST, &first),
        ("any.wild.test", &wild),
        ("exact.wild.test", &exact),
        ("other.test", &exact),
        // An address is no name: nothing is said of the host.
        ("127.0.0.1", &first),
    ] {
        let stream = caller.shake(secured.address, host).await.expect("both sides agree");

        assert_eq!(shown(&stream), *expected, "to {host}");
    }
    for unknown in ["nobody.test", "a.b.wild.test", "wild.test"] {
        let refused = caller.shake(secured.address, unknown).await;

        // The caller finds in it the names of the first.
        let said = format!("{:?}", refused.expect_err("the certificate is not this host's"));
        assert!(said.contains("NotValidForName") && said.contains(HOST), "{said}");
    }
}

#[tokio::test]
async fn of_two_for_one_host_a_caller_is_shown_the_one_it_can_read() {
    let authority = Authority::new();
    let files = [authority.modern_host("modern", &[HOST]), authority.host("common", &[HOST])];
    let edge = Edge::serving([]).await;
    let (router, clock) = (edge.assembly.router.clone(), edge.clock.clone());
    let secured = Secured::serving(router, config(files.clone()), clock).await;
    let [modern, common] = files.map(|(chain, _)| certificate_in(&chain));

    let anything = Caller::of(&authority);
    let ecdsa = Caller::reading(SignatureScheme::ECDSA_NISTP256_SHA256, &authority);
    for (caller, expected) in [(anything, modern), (ecdsa, common)] {
        let stream = caller.shake(secured.address, HOST).await.expect("both sides agree");

        assert_eq!(shown(&stream), expected);
    }
}

fn certificate_in(path: &Path) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    let pem = fs::read(path).expect("the file is there");
    CertificateDer::from_pem_slice(&pem).expect("a certificate")
}

#[tokio::test]
async fn a_reload_is_for_new_handshakes_and_ends_no_connection() {
    let authority = Authority::new();
    let (edge, secured) = served(&authority).await;
    let mut old = Caller::of(&authority).reach(secured.address).await;
    assert_eq!(old.get_as(&edge.live, &compiled("greeting")).await.status, 200);
    assert!(!secured.tls.reload().expect("nothing is wrong"), "nothing is other than it was");

    let (chain, _) = authority.host("edge", &[HOST]);
    assert!(secured.tls.reload().expect("nothing is wrong"));

    let new = Caller::of(&authority).shake(secured.address, HOST).await.expect("they agree");
    assert_eq!(shown(&new), certificate_in(&chain));
    assert_eq!(old.get_as(&edge.live, &compiled("greeting")).await.status, 200);
    let count = |result| secured.metrics.tls_reloads("public", result).get();
    assert_eq!([count("changed"), count("unchanged"), count("failed")], [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_certificates_are_swapped() {
    let authority = Arc::new(Authority::new());
    let (edge, secured) = served(&authority).await;
    let (address, key) = (secured.address, edge.live.clone());
    let mut callers = JoinSet::new();
    for number in 0..4 {
        let (authority, key) = (Arc::clone(&authority), key.clone());
        callers.spawn(async move {
            let known = Caller::of(&authority);
            let mut kept = known.reach(address).await;
            let mut statuses = Vec::new();
            for _ in 0..40 {
                statuses.push(kept.get_as(&key, &compiled("greeting")).await.status);
                // Every other caller resumes, the others shake hands in full each time.
                let stranger = Caller::of(&authority);
                let caller = if number % 2 == 0 { &known } else { &stranger };
                let mut new = caller.reach(address).await;
                statuses.push(new.get_as(&key, &compiled("greeting")).await.status);
            }
            statuses
        });
    }

    let mut swaps = 0;
    let mut statuses = Vec::new();
    while !callers.is_empty() {
        authority.host("edge", &[HOST]);
        swaps += usize::from(secured.tls.reload().expect("nothing is wrong"));
        while let Some(done) = callers.try_join_next() {
            statuses.extend(done.expect("a caller is served"));
        }
        tokio::task::yield_now().await;
    }

    assert_eq!(statuses, [200; 320]);
    assert!(swaps > 1, "certificates were swapped {swaps} times");
    assert!(secured.handshakes("resumed") > 0);
}

#[tokio::test]
async fn a_wrong_file_keeps_the_certificate_that_was_there() {
    let authority = Authority::new();
    let (_edge, secured) = served(&authority).await;
    let before = certificate_in(&authority.path("edge.pem"));
    let good = fs::read(authority.path("edge.pem")).expect("the file is there");
    authority.host("other", &[HOST]);

    for (name, wrong) in [
        ("another certificate", fs::read(authority.path("other.pem")).expect("it is there")),
        ("half a file", good[..good.len() / 2].to_vec()),
        ("nothing", Vec::new()),
    ] {
        fs::write(authority.path("edge.pem"), wrong).expect("a file can be written");

        secured.tls.reload().expect_err(name);

        let new = Caller::of(&authority).shake(secured.address, HOST).await.expect("they agree");
        assert_eq!(shown(&new), before, "after {name}");
    }
    assert_eq!(secured.metrics.tls_reloads("public", "failed").get(), 3);
    fs::write(authority.path("edge.pem"), good).expect("a file can be written");
    assert!(!secured.tls.reload().expect("it is right again"));
}

/// A mounted secret is a folder of links into another folder, which is turned over as a whole.
#[test]
fn a_change_is_noticed_once_it_is_at_rest() {
    let authority = Authority::new();
    let (clock, mounted) = (clock(), authority.path("mounted"));
    for (version, host) in [("one", HOST), ("two", "two.test")] {
        let folder = authority.path(version);
        fs::create_dir(&folder).expect("a folder can be made");
        let (chain, key) = authority.host("made", &[host]);
        fs::rename(chain, folder.join("tls.crt")).expect("a file can be moved");
        fs::rename(key, folder.join("tls.key")).expect("a file can be moved");
    }
    let turn_to = |version: &str| {
        symlink(authority.path(version), authority.path("next")).expect("a link can be made");
        fs::rename(authority.path("next"), &mounted).expect("a link can be turned over");
    };
    turn_to("one");
    let files = (mounted.join("tls.crt"), mounted.join("tls.key"));
    let (tls, metrics) = opened(config([files]), &clock).expect("usable");
    assert!(tls.look().is_none() && tls.look().is_none(), "nothing has changed");

    turn_to("two");
    assert!(tls.look().is_none(), "it may be on the move still");
    assert!(matches!(tls.look(), Some(Ok(true))));

    assert!(tls.look().is_none(), "it is known by now");
    let text = metrics.encode().expect("metrics can be written");
    assert!(text.contains(r#"certificate="two.test""#) && !text.contains(HOST), "{text}");

    fs::remove_file(authority.path("two/tls.key")).expect("a file can be removed");
    assert!(tls.look().is_none());
    assert!(matches!(tls.look(), Some(Err(Error::File { .. }))));
    assert!(tls.look().is_none(), "it is said once");
    turn_to("one");
    assert!(tls.look().is_none());
    assert!(matches!(tls.look(), Some(Ok(true))), "it is mended");
}

#[tokio::test(start_paused = true)]
async fn files_are_watched_until_the_drain_begins() {
    let authority = Authority::new();
    let certificates = config([authority.host("edge", &[HOST])]);
    let (tls, metrics) = opened(certificates, &clock()).expect("usable");
    let (tls, drain) = (Arc::new(tls), Drain::default());
    drain.tasks().spawn(Arc::clone(&tls).watch(drain.clone()));
    let pass = || timeout(Duration::from_secs(10), pending::<()>());

    pass().await.expect_err("nothing happens");
    assert_eq!(metrics.tls_reloads("public", "changed").get(), 0);
    authority.host("edge", &[HOST]);
    pass().await.expect_err("nothing happens");

    assert_eq!(metrics.tls_reloads("public", "changed").get(), 1);
    assert!(drain.finish(PATIENCE).await, "the watch ends with the drain");
}

/// What can be wrong with files, and what is said of it.
#[test]
fn a_file_that_cannot_be_used_is_named_with_its_remedy() {
    let authority = Authority::new();
    let (chain, key) = authority.host("edge", &[HOST]);
    let (_, other_key) = authority.host("other", &["other.test"]);
    let write = |name: &str, text: &str| {
        let path = authority.path(name);
        fs::write(&path, text).expect("a file can be written");
        path
    };
    let missing = authority.path("missing.pem");
    let garbage = write("garbage.pem", "planted in a file");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = write("encrypted.key", encrypted);
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
               MIIB\n-----END RSA PRIVATE KEY-----\n";
    let old = write("old.key", old);
    let planted =
        "-----BEGIN PRIVATE KEY-----\ncGxhbnRlZCBpbiBhIGZpbGU=\n-----END PRIVATE KEY-----\n";
    let planted = write("planted.key", planted);
    let of = |chain: &PathBuf, key: &PathBuf| config([(chain.clone(), key.clone())]);
    let asking = |ca: &PathBuf| tls::Config { client_ca: Some(ca.clone()), ..of(&chain, &key) };

    for (config, file, remedy) in [
        (of(&missing, &key), &missing, "cannot be read"),
        (of(&chain, &missing), &missing, "cannot be read"),
        (of(&garbage, &key), &garbage, "holds no certificate in PEM"),
        (of(&key, &key), &key, "holds no certificate in PEM"),
        (of(&chain, &chain), &chain, "holds no private key in PEM"),
        (of(&chain, &encrypted), &encrypted, "openssl pkey -in KEY -out NEW"),
        (of(&chain, &old), &old, "openssl pkey -in KEY -out NEW"),
        (of(&chain, &planted), &planted, "the private key in"),
        (of(&chain, &other_key), &other_key, "the server's own certificate comes first"),
        (asking(&missing), &missing, "cannot be read"),
        (asking(&garbage), &garbage, "holds no certificate in PEM"),
    ] {
        let error = opened(config, &clock()).expect_err(remedy);
        let said = prompt_edge::telemetry::trace::Chain(&error).to_string();

        assert!(said.contains(&file.display().to_string()) && said.contains(remedy), "{said}");
        assert!(!said.contains("planted in a file") && !format!("{error:?}").contains("cGxhb"));
    }
    let error = opened(config([]), &clock()).expect_err("there is none");
    assert!(error.to_string().contains("needs at least one"), "{error}");
}

#[test]
fn an_end_is_shown_and_warned_of_two_weeks_before() {
    let (authority, clock) = (Authority::new(), clock());
    let day = Duration::from_secs(24 * 60 * 60);
    let end = clock.now().plus(day * 30);
    let soon = authority.files("soon", &[HOST, "www.edge.test"], |params| ending(params, end));
    let nameless = authority.files("nameless", &[], |params| ending(params, end.plus(day * 300)));
    let (tls, metrics) = opened(config([soon, nameless]), &clock).expect("usable");
    let expiry = |certificate: &str, at: Timestamp| {
        format!(
            "prompt_edge_tls_certificate_expiry_timestamp_seconds\
             {{listener=\"public\",certificate=\"{certificate}\"}} {}\n",
            at.as_millis() / 1_000
        )
    };

    let text = metrics.encode().expect("metrics can be written");
    assert!(text.contains(&expiry(HOST, end)), "{text}");
    assert!(text.contains(&expiry("nameless", end.plus(day * 300))), "{text}");
    clock.advance(day * 16 - Duration::from_secs(1));
    assert!(tls.remind().is_empty(), "there is time yet");
    clock.advance(Duration::from_secs(1));
    assert_eq!(tls.remind(), [HOST]);
    clock.advance(day * 20);
    assert_eq!(tls.remind(), [HOST], "it has ended");

    let renewed = end.plus(day * 90);
    authority.files("soon", &["new.test"], |params| ending(params, renewed));
    assert!(tls.reload().expect("nothing is wrong"));

    assert!(tls.remind().is_empty());
    let text = metrics.encode().expect("metrics can be written");
    assert!(text.contains(&expiry("new.test", renewed)), "{text}");
    assert!(!text.contains(HOST), "what is not used any more is not shown: {text}");
}

#[test]
fn a_certificate_that_has_ended_is_used_all_the_same() {
    let (authority, clock) = (Authority::new(), clock());
    let over = authority.files("over", &[HOST], |params| ending(params, at(-60)));

    let (tls, _) = opened(config([over]), &clock).expect("it is for callers to judge");

    assert_eq!(tls.remind(), [HOST]);
}

/// Once a day as long as the process runs: the watch looks every few seconds.
#[tokio::test(start_paused = true)]
async fn the_log_warns_once_a_day() {
    let (authority, clock) = (Authority::new(), clock());
    let soon = authority.files("soon", &[HOST], |params| {
        ending(params, at(60 * 60 * 24 * 10));
    });
    let said = Said::default();
    let _listening = said.listen();
    let (tls, _) = opened(config([soon]), &clock).expect("usable");
    let (tls, drain) = (Arc::new(tls), Drain::default());
    drain.tasks().spawn(Arc::clone(&tls).watch(drain.clone()));
    let pass = async || {
        timeout(Duration::from_secs(10), pending::<()>()).await.expect_err("nothing happens");
    };
    assert_eq!(said.count("a certificate expires soon"), 1, "at the start");

    pass().await;
    assert_eq!(said.count("a certificate expires soon"), 1);
    for days in 2..5 {
        clock.advance(Duration::from_secs(24 * 60 * 60));
        pass().await;
        assert_eq!(said.count("a certificate expires soon"), days);
    }

    assert!(said.text().contains(HOST) && said.text().contains("public"), "{}", said.text());
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let authority = Authority::new();
    let deadlines = Deadlines { handshake: SHORT, ..Deadlines::default() };
    let server = server::Config { deadlines, ..server::Config::default() };
    let (_edge, secured) = within(server, &authority).await;

    let whole = hello(3, &[0xC02B]);
    for begun in [&whole[..0], &whole[..1], &whole[..20]] {
        assert!(sent(secured.address, begun).is_empty(), "nothing is said to the slow");
    }

    secured.stopped().await;
    assert_eq!(secured.handshakes("timed_out"), 3);
}

#[tokio::test]
async fn whoever_leaves_in_the_middle_is_counted_apart() {
    let authority = Authority::new();
    let (_edge, secured) = served(&authority).await;

    let mut left = TcpStream::connect(secured.address).expect("the server listens");
    left.write_all(&hello(3, &[0xC02B])[..20]).expect("the server reads");
    drop(left);
    // Accepted after it, so it has been accepted too.
    Caller::of(&authority).shake(secured.address, HOST).await.expect("both sides agree");

    secured.stopped().await;
    assert_eq!((secured.handshakes("left"), secured.handshakes("full")), (1, 1));
}

#[tokio::test]
async fn over_the_limit_nothing_is_said_in_the_clear() {
    let authority = Authority::new();
    let server = server::Config { max_connections: 1, ..server::Config::default() };
    let (edge, secured) = within(server, &authority).await;
    let mut first = Caller::of(&authority).reach(secured.address).await;
    assert_eq!(first.get_as(&edge.live, &compiled("greeting")).await.status, 200);

    let second = Caller::of(&authority).shake(secured.address, HOST).await;

    second.expect_err("there is no place");
    assert_eq!(secured.metrics.shed("connections").get(), 1);
}

#[tokio::test]
async fn an_edge_opens_listeners_of_tls_and_reloads_them() {
    let authority = Authority::new();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let kept = store::sqlite();
    let start = async |files| {
        let settings = Config {
            admin: Admin { listen: any },
            listeners: Vec::from([ListenerConfig {
                name: "public".to_owned(),
                address: Address::Tcp(any),
                serves: Serves::ALL,
                tls: Some(config([files])),
            }]),
            ..Config::default()
        };
        let (store, ledger) = (Arc::clone(&kept.store), Arc::clone(&kept.ledger));
        let opened = Opened { store, ledger, origins: Vec::new() };
        app::Edge::start(&settings, opened, Inherited::default(), clock()).await
    };
    let edge = start(authority.host("edge", &[HOST])).await.expect("two ports are free");
    let address = edge.address().expect("it is one of TCP");
    let mut old = Caller::of(&authority).reach(address).await;
    assert_eq!(old.get("/api/v1/prompts", &[]).await.status, 401);

    let (chain, key) = authority.host("edge", &[HOST]);
    assert!(edge.reload_certificates().await);

    let new = Caller::of(&authority).shake(address, HOST).await.expect("both sides agree");
    assert_eq!(shown(&new), certificate_in(&chain));
    assert_eq!(old.get("/api/v1/prompts", &[]).await.status, 401, "it goes on");
    fs::remove_file(&key).expect("a file can be removed");
    assert!(!edge.reload_certificates().await, "it says that something is wrong");
    let refused = start((chain, key)).await;
    assert!(matches!(refused, Err(StartError::Secure { listener, .. }) if listener == "public"));

    drop((old, new));
    assert!(edge.stop(Haste::Now).await, "nothing is under way");
}

/// What is said in the log of this thread.
#[derive(Clone, Default)]
struct Said(Arc<std::sync::Mutex<Vec<u8>>>);

impl Said {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let said = self.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || said.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().expect("nobody panicked").clone();
        String::from_utf8(bytes).expect("a log is text")
    }

    fn count(&self, phrase: &str) -> usize {
        self.text().matches(phrase).count()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
