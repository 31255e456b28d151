//! Where one request ends and the next begins: what a peer may say of it, and what it may not.

use std::time::Duration;

use prompt_edge::server::Config;

use crate::harness::client::Raw;
use crate::harness::door::{Door, within};

/// What follows the one request of every case, unless it says otherwise.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: edge\r\n\r\n";

/// The statuses of all answers on a connection, once the server has closed it.
fn statuses(received: &str) -> Vec<u16> {
    let answers = received.split("HTTP/1.").skip(1);
    answers.filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

/// Sends a request and a second one behind it, and gives the statuses and what reached the service.
fn exchange(door: &Door, bytes: &str) -> (Vec<u16>, Vec<String>) {
    let before = door.asked().len();
    let mut connection = Raw::to(door.address);
    connection.send(bytes);
    let received = connection.rest();
    (statuses(&received), door.asked().split_off(before))
}

/// The request line, `Host`, the given lines and a body.
fn with(line: &str, fields: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: edge\r\n{fields}\r\n{body}")
}

#[test]
fn nothing_smuggled_is_answered() {
    let door = Door::open(within(Duration::from_millis(300)));
    let query = |fields: &str, body: &str| with("QUERY /", fields, body);
    let chunked = |body: &str| query("Transfer-Encoding: chunked\r\n", body);
    let cases = [
        // Two lengths (RFC 9112 §6.3).
        query("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        query("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        query("transfer-encoding:chunked\r\nCONTENT-LENGTH:5\r\n", "0\r\n\r\n"),
        query("Transfer-Encoding: chunked\r\nContent-Length: no\r\n", "0\r\n\r\n"),
        query("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        query("Content-Length: 5, 6\r\n", "hello"),
        query("Content-Length: 5, 5\r\n", "hello"),
        // A length that is none.
        query("Content-Length: +5\r\n", "hello"),
        query("Content-Length: -5\r\n", "hello"),
        query("Content-Length: 0x5\r\n", "hello"),
        query("Content-Length: 5 5\r\n", "hello"),
        query("Content-Length: \r\n", "hello"),
        query("Content-Length: 18446744073709551616\r\n", "hello"),
        query("Content-Length: 99999999999999999999999\r\n", "hello"),
        // A coding that is not understood, or not the last.
        query("Transfer-Encoding: gzip\r\n", "hello"),
        query("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        query("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        query("Transfer-Encoding: identity\r\n", ""),
        query("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        query("Transfer-Encoding:\u{b}chunked\r\n", "0\r\n\r\n"),
        "QUERY / HTTP/1.0\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        // A GET or HEAD with a body of unknown length.
        with("GET /", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        with("GET /", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        with("HEAD /", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        // Names and lines that others read otherwise.
        query("Content-Length : 5\r\n", "hello"),
        query("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        query("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        query("X: y\r\n\tfolded\r\n", ""),
        query(" Content-Length: 5\r\n", "hello"),
        query("X: a\rContent-Length: 5\r\n", "hello"),
        query("X: a\0b\r\n", ""),
        query("Content-Length\0: 5\r\n", "hello"),
        query("Content_Length\r\n", ""),
        query(": empty\r\n", ""),
        query("X\u{1}: y\r\n", ""),
        // Chunks (RFC 9112 §7.1).
        chunked("5\r\nhelloXX\r\n0\r\n\r\n"),
        chunked("5\r\nhello0\r\n\r\n"),
        chunked("5\nhello\r\n0\r\n\r\n"),
        chunked("5\r\nhello\n0\r\n\r\n"),
        chunked("5\rXhello\r\n0\r\n\r\n"),
        chunked("5;a=b\nhello\r\n0\r\n\r\n"),
        chunked("5;a=\rb\r\nhello\r\n0\r\n\r\n"),
        chunked("0x5\r\nhello\r\n0\r\n\r\n"),
        chunked("-5\r\nhello\r\n0\r\n\r\n"),
        chunked("+5\r\nhello\r\n0\r\n\r\n"),
        chunked(" 5\r\nhello\r\n0\r\n\r\n"),
        chunked("5 5\r\nhello\r\n0\r\n\r\n"),
        chunked("\r\n5\r\nhello\r\n0\r\n\r\n"),
        chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
        chunked("g\r\nhello\r\n0\r\n\r\n"),
        chunked("0\r\nnot a field\r\n\r\n"),
        chunked("0\rX\r\n"),
        // Request lines.
        "GET  / HTTP/1.1\r\nHost: edge\r\n\r\n".to_owned(),
        "GET / HTTP/1.1 \r\nHost: edge\r\n\r\n".to_owned(),
        "GET / /smuggled HTTP/1.1\r\nHost: edge\r\n\r\n".to_owned(),
        "GET\t/ HTTP/1.1\r\nHost: edge\r\n\r\n".to_owned(),
        " GET / HTTP/1.1\r\nHost: edge\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\rHost: edge\r\n\r\n".to_owned(),
        "GET / HTTP/1.2\r\nHost: edge\r\n\r\n".to_owned(),
        "GET / HTTP/2.0\r\nHost: edge\r\n\r\n".to_owned(),
        "GET / http/1.1\r\nHost: edge\r\n\r\n".to_owned(),
        "GET /\r\n\r\n".to_owned(),
        "G\u{0}T / HTTP/1.1\r\nHost: edge\r\n\r\n".to_owned(),
    ];

    for case in cases {
        assert_refused(&door, &case);
    }
}

/// A request is refused, and what follows it is not looked at.
fn assert_refused(door: &Door, case: &str) {
    let (statuses, asked) = exchange(door, &format!("{case}{SECOND}"));

    let is_refused = matches!(statuses[..], [400..=499]);
    assert!(is_refused, "{case:?} is answered {statuses:?}");
    assert!(!asked.iter().any(|asked| asked.contains("smuggled")), "{case:?}: {asked:?}");
}

/// Behind the size of a chunk are extensions and nothing else (RFC 9112 §7.1.1): others may look there
/// for the end of the line.
#[test]
fn nothing_is_hidden_behind_the_size_of_a_chunk() {
    let door = Door::open(within(Duration::from_millis(300)));
    for line in [
        "5;",
        "5 ",
        "5; ",
        "5;a ",
        "5;a=b;",
        "5;a=b ",
        "5;bad[=x",
        "5;a b",
        "5;a=\"b",
        "5;\0",
        "5;a\u{7f}",
    ] {
        let sized = format!("{line}\r\nhello\r\n0\r\n\r\n");
        let last = format!("5\r\nhello\r\n{}\r\n\r\n", line.replacen('5', "0", 1));
        for body in [sized, last] {
            assert_refused(&door, &with("QUERY /", "Transfer-Encoding: chunked\r\n", &body));
        }
    }
    for body in ["0\r\n\n", "5\r\nhello\r\n0\r\n\n", "0\r\nA: b\nC: d\r\n\r\n"] {
        assert_refused(&door, &with("QUERY /", "Transfer-Encoding: chunked\r\n", body));
    }
}

/// What is coded in two ways would be read as if it were in one (RFC 9112 §6.1).
#[test]
fn a_body_is_in_chunks_and_in_nothing_else() {
    let door = Door::open(within(Duration::from_millis(300)));
    for codings in ["gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked"] {
        let fields = format!("Transfer-Encoding: {codings}\r\n");
        let request = with("QUERY /", &fields, "5\r\nhello\r\n0\r\n\r\n");
        let (statuses, asked) = exchange(&door, &format!("{request}{SECOND}"));
        assert_eq!((statuses, asked), (vec![501], vec![]), "{codings}");
    }
}

/// The bytes of a body come as they come.
#[test]
fn chunks_are_followed_over_any_number_of_reads() {
    let door = Door::open(within(Duration::from_secs(5)));
    let mut connection = Raw::to(door.address);
    connection.send(&with("QUERY /", "Transfer-Encoding: chunked\r\n", "5;a"));
    connection.send("=\"b\"\r");
    connection.send("\nhel");
    connection.send("lo\r\n0");
    connection.send("\r\nTrailer: field\r\n\r");
    connection.send("\n");
    connection.until("hello\n");
    connection.send(&with("QUERY /", "Transfer-Encoding: chunked\r\n", "5\r\nhel"));
    connection.send(&format!("lo\r\n0\r\n\n{SECOND}"));

    assert_eq!(statuses(&connection.rest()), [200, 400]);
    assert_eq!(door.asked(), ["QUERY /"; 2]);
}

#[test]
fn a_host_is_named_once_and_well() {
    let door = Door::open(within(Duration::from_millis(300)));
    for hosts in [
        "",
        "Host: edge\r\nHost: edge\r\n",
        "Host: edge\r\nHost: other\r\n",
        "Host:\r\n",
        "Host: \r\n",
        "Host: user@edge\r\n",
        "Host: edge/path\r\n",
        "Host: edge, other\r\n",
        "Host: edge:port\r\n",
        "Host: edge:65536\r\n",
        "Host: ed ge\r\n",
        "Host: http://edge\r\n",
        "Host : edge\r\n",
    ] {
        for target in ["/", "http://edge/"] {
            let request = format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");
            let (statuses, asked) = exchange(&door, &format!("{request}{SECOND}"));
            assert_eq!((statuses, asked), (vec![400], vec![]), "{request:?}");
        }
    }
}

#[test]
fn a_target_is_a_path_or_of_this_host() {
    let door = Door::open(within(Duration::from_millis(300)));
    for (line, expected) in [
        ("GET *", 400),
        ("GET edge:80", 400),
        ("GET user@edge", 400),
        ("GET http://user:secret@edge/", 400),
        ("GET ftp://edge/", 400),
        ("GET http:///", 400),
        ("GET path", 400),
        ("GET /caf\u{e9}", 400),
        ("GET /?q=\u{e9}", 400),
        ("GET /a\u{7f}", 400),
        ("CONNECT edge:443", 405),
        ("NONSENSE /", 501),
        ("get /", 501),
    ] {
        let (statuses, asked) = exchange(&door, &with(line, "", SECOND));
        assert_eq!((statuses, asked), (vec![expected], vec![]), "{line:?}");
    }
}

#[test]
fn what_is_refused_for_its_method_says_which_there_are() {
    let door = Door::open(within(Duration::from_millis(300)));
    for (line, status) in [
        ("OPTIONS *", "204 No Content"),
        ("TRACE /", "405 Method Not Allowed"),
        ("CONNECT edge:443", "405 Method Not Allowed"),
        ("NONSENSE /", "501 Not Implemented"),
    ] {
        let mut connection = Raw::to(door.address);
        connection.send(&with(line, "Connection: close\r\n", ""));
        let answer = connection.rest();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}: {answer}");
        assert!(answer.contains("allow: GET, HEAD, OPTIONS, POST, QUERY\r\n"), "{line}: {answer}");
        assert!(answer.contains("cache-control: no-store\r\n"), "{line}: {answer}");
    }
    assert_eq!(door.asked(), [""; 0]);
}

#[test]
fn what_is_well_framed_is_answered_and_so_is_what_follows() {
    let door = Door::open(within(Duration::from_secs(5)));
    let chunked = "Transfer-Encoding: chunked\r\n";
    for case in [
        with("GET /", "", ""),
        with("HEAD /", "", ""),
        with("GET /", "Content-Length: 5\r\n", "hello"),
        with("GET http://edge/", "", ""),
        with("OPTIONS /", "", ""),
        with("DELETE /", "", ""),
        with("PROPFIND /", "", ""),
        with("QUERY /", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        with("QUERY /", "Content-Length: 0\r\n", ""),
        with("QUERY /", chunked, "5\r\nhello\r\n0\r\n\r\n"),
        with("QUERY /", chunked, "5;name=value\r\nhello\r\n0\r\nTrailer: field\r\n\r\n"),
        with("QUERY /", chunked, "5 ; a = \"b c\" ;d\r\nhello\r\n0;e\r\n\r\n"),
        with("QUERY /", chunked, "00005\r\nhello\r\n000\r\n\r\n"),
        with("QUERY /", "Transfer-Encoding: Chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
        with("GET /", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", ""),
        with("GET /", "X:\r\nY: \t a b \t \r\n", ""),
        format!("\r\n\r\n{}", with("GET /", "", "")),
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(),
    ] {
        let last = with("GET /last", "Connection: close\r\n", "");
        let (statuses, asked) = exchange(&door, &format!("{case}{last}{SECOND}"));

        assert_eq!(statuses, [200, 200], "{case:?}");
        assert_eq!(asked.last().map(String::as_str), Some("GET /last"), "{case:?}");
    }
}

#[test]
fn who_wants_one_answer_gets_one() {
    let door = Door::open(within(Duration::from_secs(5)));
    for case in [
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: edge\r\n\r\n".to_owned(),
        with("GET /", "Connection: close\r\n", ""),
        with("GET /", "Connection: x, Close\r\n", ""),
        with("GET /", "Connection: keep-alive\r\nConnection: close\r\n", ""),
    ] {
        let (statuses, _) = exchange(&door, &format!("{case}{SECOND}"));
        assert_eq!(statuses, [200], "{case:?}");
    }
}

/// A body that was not read could be taken for a request.
#[test]
fn a_body_that_nobody_reads_ends_the_connection() {
    let door = Door::open(within(Duration::from_secs(5)));

    let mut connection = Raw::to(door.address);
    connection.send(&with("GET /", "Content-Length: 100\r\n", "he"));
    connection.until("hello\n");
    connection.send(SECOND);

    assert_eq!(statuses(&connection.rest()), [200]);
    assert_eq!(door.asked(), ["GET /"]);
}

#[test]
fn a_head_has_limits_and_says_which() {
    let door = Door::open(Config { head_limit_bytes: 128 << 10, ..within(Duration::from_secs(5)) });
    for (request, expected) in [
        (with(&format!("GET /{}", "a".repeat(66_000)), "", ""), 414),
        (with("GET /", &format!("X: {}\r\n", "a".repeat(200_000)), ""), 431),
        (with("GET /", &"X: y\r\n".repeat(101), ""), 431),
        (with("GET /", &"X: y\r\n".repeat(90), "GET / HTTP/1.0\r\n\r\n"), 200),
    ] {
        let (statuses, _) = exchange(&door, &request);
        assert_eq!(statuses.first(), Some(&expected), "{} bytes", request.len());
    }
}

#[test]
fn a_body_that_says_it_is_too_long_is_not_waited_for() {
    let config = Config { body_limit_bytes: 1 << 10, ..within(Duration::from_secs(5)) };
    let door = Door::open(config);

    for fields in ["Content-Length: 1025\r\nExpect: 100-continue\r\n", "Content-Length: 1025\r\n"] {
        let mut connection = Raw::to(door.address);
        connection.send(&with("QUERY /", fields, ""));
        let answer = connection.rest();
        assert_eq!(statuses(&answer), [413], "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }

    // Who sends all before it reads gets the answer too, not a reset.
    let mut connection = Raw::to(door.address);
    let body = "x".repeat(500_000);
    connection.send(&with("QUERY /", "Content-Length: 500000\r\n", &body));
    assert_eq!(statuses(&connection.rest()), [413]);
}
