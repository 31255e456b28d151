//! HTTP/2 on the port of HTTP/1.1, by a client that knows it and by peers that abuse it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::door::{BIG, Door, within};
use crate::harness::process::PATIENCE;

/// A connection of HTTP/2, and what drives it.
struct Client(SendRequest<Full<Bytes>>, JoinSet<hyper::Result<()>>);

impl Client {
    async fn to(door: &Door) -> Self {
        let stream = tokio::net::TcpStream::connect(door.address).await.expect("it listens");
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.expect("it speaks HTTP/2");
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self(sender, driver)
    }

    /// Asks, and waits for the whole answer.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, HeaderMap, Bytes) {
        let request = Request::builder().version(Version::HTTP_2).method(method);
        let request = request.uri(format!("http://edge{path}"));
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        let mut sender = self.0.clone();
        let exchange = async {
            let response = sender.send_request(request).await.expect("an answer");
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            (parts.status.as_u16(), parts.headers, body)
        };
        timeout(PATIENCE, exchange).await.expect("an answer in time")
    }
}

#[tokio::test]
async fn a_client_is_answered_as_on_http1() {
    let door = Door::open(within(Duration::from_secs(10)));
    let client = Client::to(&door).await;

    for (method, path, body, expected) in [
        ("GET", "/", "", (200, 6)),
        ("HEAD", "/", "", (200, 0)),
        ("QUERY", "/", "{}", (200, 6)),
        ("GET", "/big", "", (200, BIG)),
        ("TRACE", "/", "", (405, 0)),
        ("NONSENSE", "/", "", (501, 24)),
    ] {
        let (status, headers, body) = client.ask(method, path, body).await;
        assert_eq!((status, body.len()), expected, "{method} {path}");
        assert!(headers.contains_key("date"), "{headers:?}");
        let len = if method == "HEAD" { 6 } else { body.len() };
        assert_eq!(headers["content-length"], len.to_string(), "{method} {path}");
        assert!(!headers.contains_key("connection"), "{headers:?}");
    }
    let mut many = JoinSet::new();
    for _ in 0..100 {
        let client = Client(client.0.clone(), JoinSet::new());
        many.spawn(async move { client.ask("QUERY", "/", "{}").await.0 });
    }
    assert_eq!(many.join_all().await, vec![200; 100]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_connection_goes_on() {
    let door = Door::open(within(Duration::from_secs(10)));
    let client = Client::to(&door).await;

    let (status, ..) = client.ask("QUERY", "/", &"x".repeat(200 << 10)).await;

    assert_eq!(status, 413);
    assert_eq!(client.ask("GET", "/", "").await.0, 200);
}

#[tokio::test]
async fn a_stop_lets_go_of_every_client() {
    let door = Door::open(within(Duration::from_secs(10)));
    let mut client = Client::to(&door).await;
    assert_eq!(client.ask("GET", "/", "").await.0, 200);

    assert!(door.drain.finish(PATIENCE).await, "the connection ends by itself");

    let ended = timeout(PATIENCE, client.1.join_next()).await.expect("it ends in time");
    assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// The last frame of a request, and of its fields.
const WHOLE: u8 = 0x5;

/// A peer that sends frames, right or wrong.
struct Peer(TcpStream);

/// A frame: its kind, its flags, its stream and its payload.
type Frame = (u8, u8, u32, Vec<u8>);

fn frame((kind, flags, stream, payload): (u8, u8, u32, &[u8])) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that no table of HPACK has.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let len = u8::try_from(text.len()).expect("a short text");
        assert!(len < 127, "longer lengths are written otherwise");
        [&[len], text.as_bytes()].concat()
    };
    [&[0][..], &text(name), &text(value)].concat()
}

/// `GET /` of a host.
fn get(authority: Option<&str>) -> Vec<u8> {
    let authority = authority.map(|authority| field(":authority", authority));
    [vec![0x82, 0x84, 0x86], authority.unwrap_or_default()].concat()
}

/// `GET /` of a host by another scheme than `http`.
fn scheme(scheme: &str) -> Vec<u8> {
    [&[0x82, 0x84], &*field(":scheme", scheme), &field(":authority", "edge")].concat()
}

impl Peer {
    fn to(door: &Door) -> Self {
        let stream = TcpStream::connect(door.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        let mut peer = Self(stream);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        peer.send(&frame((4, 0, 0, b"")));
        peer
    }

    /// Sends bytes, unless the connection has ended.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it does not end"),
            Err(_) => return None,
        }
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((kind, flags, u32::from_be_bytes([s0, s1, s2, s3]), payload))
    }

    /// Why the connection was ended, by the code in the last `GOAWAY`.
    fn ends_with(mut self) -> Option<u8> {
        let mut code = None;
        while let Some((kind, _, _, payload)) = self.next() {
            if kind == GOAWAY {
                code = payload.get(7).copied();
            }
        }
        code
    }

    /// How a stream, or the connection with it, is answered: `HEADERS`, `RST_STREAM` or `GOAWAY`
    /// and the payload.
    fn answer(&mut self, stream: u32) -> (u8, Vec<u8>) {
        while let Some((kind, _, of, payload)) = self.next() {
            if kind == GOAWAY || (of == stream && matches!(kind, HEADERS | RST_STREAM)) {
                return (kind, payload);
            }
        }
        panic!("the connection ended without an answer on {stream}")
    }
}

/// `:status: 400` in HPACK's static table.
const STATUS_400: u8 = 0x8c;
/// `:status: 200` there.
const STATUS_200: u8 = 0x88;

#[test]
fn a_host_is_named_once_or_twice_the_same() {
    let door = Door::open(within(Duration::from_secs(10)));
    let mut peer = Peer::to(&door);
    for (turn, (block, expected)) in [
        (get(Some("edge")), STATUS_200),
        (get(None), STATUS_400),
        (get(Some("user@edge")), STATUS_400),
        (get(Some("edge,other")), STATUS_400),
        ([get(None), field("host", "edge")].concat(), STATUS_200),
        ([get(None), field("host", "edge"), field("host", "edge")].concat(), STATUS_400),
        ([get(Some("edge")), field("host", "edge")].concat(), STATUS_200),
        ([get(Some("edge")), field("host", "other")].concat(), STATUS_400),
        ([&[0x82, 0x86], &*field(":path", "*"), &field(":authority", "edge")].concat(), STATUS_400),
        (scheme("https"), STATUS_200),
        (scheme("ftp"), STATUS_400),
        (scheme("1http"), STATUS_400),
        (scheme(""), STATUS_400),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = 2 * u32::try_from(turn).expect("few") + 1;
        peer.send(&frame((HEADERS, WHOLE, stream, &block)));
        let (kind, payload) = peer.answer(stream);
        assert_eq!((kind, payload[0]), (HEADERS, expected), "{block:?}");
    }
}

/// RFC 9113 §3.4.
#[test]
fn who_does_not_begin_with_settings_is_not_answered() {
    let door = Door::open(within(Duration::from_secs(10)));
    let mut stream = TcpStream::connect(door.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it reads");
    stream.write_all(&frame((HEADERS, WHOLE, 1, &get(Some("edge"))))).expect("it reads");

    let mut peer = Peer(stream);
    while let Some((kind, ..)) = peer.next() {
        assert_ne!(kind, HEADERS, "it is answered");
    }
    assert_eq!(door.asked(), [""; 0]);
}

#[test]
fn what_is_malformed_is_reset() {
    let door = Door::open(within(Duration::from_secs(10)));
    for block in [
        [get(Some("edge")), field("connection", "close")].concat(),
        [get(Some("edge")), field("transfer-encoding", "chunked")].concat(),
        [get(Some("edge")), field("X-Upper", "case")].concat(),
        [get(Some("edge")), field("te", "gzip")].concat(),
        [get(Some("edge")), vec![0x82]].concat(),
        [field("x", "before"), get(Some("edge"))].concat(),
        [get(Some("edge")), field(":unknown", "x")].concat(),
        vec![0x84, 0x86],
        vec![0x82, 0x84],
    ] {
        let mut peer = Peer::to(&door);
        peer.send(&frame((HEADERS, WHOLE, 1, &block)));
        let (kind, payload) = peer.answer(1);
        // PROTOCOL_ERROR, of the stream or of the connection (RFC 9113 §8.1.1).
        let code = if kind == GOAWAY { &payload[4..8] } else { &payload[..] };
        assert!(matches!(kind, RST_STREAM | GOAWAY), "{block:?}: {kind}");
        assert_eq!(code, [0, 0, 0, 1], "{block:?}");
    }
    assert_eq!(door.asked(), [""; 0]);
}

#[test]
fn who_floods_is_told_to_calm_down() {
    const ENHANCE_YOUR_CALM: u8 = 11;
    const PROTOCOL_ERROR: u8 = 1;
    let door = Door::open(within(Duration::from_secs(10)));

    // CVE-2023-44487: streams that are begun and taken back.
    let mut peer = Peer::to(&door);
    let resets = (0..2_000_u32).flat_map(|turn| {
        let stream = 2 * turn + 1;
        let begun = frame((HEADERS, WHOLE, stream, &get(Some("edge"))));
        [begun, frame((RST_STREAM, 0, stream, &[0, 0, 0, 8]))].concat()
    });
    peer.send(&resets.collect::<Vec<_>>());
    assert_eq!(peer.ends_with(), Some(ENHANCE_YOUR_CALM), "resets");
    assert!(door.asked().len() < 2_000, "not all of them were worked on");

    // CVE-2025-8671: streams that we are made to reset.
    let mut peer = Peer::to(&door);
    let wrong = (0..2_000_u32).flat_map(|turn| frame((HEADERS, WHOLE, 2 * turn + 1, &[0x84])));
    peer.send(&wrong.collect::<Vec<_>>());
    assert_eq!(peer.ends_with(), Some(ENHANCE_YOUR_CALM), "malformed requests");

    // VU#421644: a block of fields without an end.
    let mut peer = Peer::to(&door);
    peer.send(&frame((HEADERS, 1, 1, &get(Some("edge")))));
    let more = frame((CONTINUATION, 0, 1, &field("x", &"y".repeat(100)))).repeat(1_000);
    while peer.send(&more) {}
    let code = peer.ends_with();
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)), "{code:?}");
}

#[test]
fn a_list_of_fields_over_the_limit_is_431() {
    let mut config = within(Duration::from_secs(10));
    config.head_limit_bytes = 8 << 10;
    let door = Door::open(config);
    let mut peer = Peer::to(&door);

    let fields = field("x", &"y".repeat(100)).repeat(100);
    peer.send(&frame((HEADERS, WHOLE, 1, &[get(Some("edge")), fields].concat())));

    let (kind, payload) = peer.answer(1);
    assert_eq!(kind, HEADERS);
    assert!(payload.windows(3).any(|text| text == b"431") || payload.len() > 2, "{payload:?}");
    assert_eq!(door.asked(), [""; 0]);
}
