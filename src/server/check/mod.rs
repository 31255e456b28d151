//! What is asked of every request before anybody looks at what it wants.
//!
//! hyper and h2 read messages and refuse what cannot be one. Whom a request is for, and how, they
//! hand on as it came: what RFC 9110, 9112 and 9113 demand of that is demanded here. A request that is
//! answered from memory pays for one pass over the bytes of its host: its path and query, byte for
//! byte, were looked at when they were asked first.

mod host;

use http::header::{ALLOW, CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::wire::Response;
use crate::wire::heeded::Heeded;
use crate::wire::representation::uncached;

/// What is answered somewhere, to `OPTIONS *` and to methods that are answered nowhere.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS, POST, QUERY");

/// The methods of IANA's registry that a route may answer, or refuse with 405: all but those that are
/// settled here.
const KNOWN: [&str; 33] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// An answer to a request that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    problem: &'static str,
    /// Whether it says which methods are answered.
    allows: bool,
    /// Whether the connection ends with it.
    closes: bool,
}

impl Refused {
    /// The whole response.
    pub(super) fn respond(&self) -> Response {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let line = if self.problem.is_empty() { "" } else { "\n" };
        let mut response = uncached(self.status, text, [self.problem, line].concat().into_bytes());
        if self.allows {
            response.headers_mut().append(ALLOW, METHODS);
        }
        if self.closes {
            response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

const fn bad(problem: &'static str) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, problem, allows: false, closes: true }
}

/// Checks a request of HTTP/1.1 or 1.0. `is_ambiguous` says that it had both ways to say
/// where its body ends.
///
/// # Errors
///
/// The answer, if it must not be looked at.
pub(super) fn http1<B>(
    request: &Request<B>,
    has_body: bool,
    is_ambiguous: bool,
) -> Result<(), Refused> {
    let headers = request.headers();
    // RFC 9112 §3.2: exactly one, even where the target names the host; 1.0 knew none.
    let named = one_host(headers)?;
    if named.is_none() && request.version() != Version::HTTP_10 {
        return Err(bad("Host: there is none: name the host that is asked"));
    }
    // Without a body there is no coding of one.
    if has_body && headers.contains_key(TRANSFER_ENCODING) {
        coded(request, is_ambiguous)?;
    }
    let uri = request.uri();
    if let Some(authority) = uri.authority()
        && *request.method() != Method::CONNECT
    {
        absolute(uri, authority.as_str())?;
    }
    target(request)
}

/// Whether a request of HTTP/1.1 names the host that is asked as nearly all do: once, in `Host`.
pub(super) fn is_plain_http1(heeded: &Heeded<'_>, uri: &Uri) -> bool {
    let named = heeded.host.is_some_and(|host| host::check(host.as_bytes()).is_ok());
    named && uri.authority().is_none()
}

/// Whether one of HTTP/2 does: once, in `:authority`, with a scheme that is ours.
pub(super) fn is_plain_http2(heeded: &Heeded<'_>, uri: &Uri) -> bool {
    let named = uri.authority().is_some_and(|name| host::check(name.as_str().as_bytes()).is_ok());
    named && heeded.host.is_none() && uri.scheme().is_none_or(is_ours)
}

/// A body whose end its coding tells.
fn coded<B>(request: &Request<B>, is_ambiguous: bool) -> Result<(), Refused> {
    if is_read(request.method()) {
        return Err(bad("Transfer-Encoding: a GET or HEAD has no body: leave it out"));
    }
    if is_ambiguous {
        return Err(bad("Content-Length: there is a Transfer-Encoding too: leave one out"));
    }
    // RFC 9112 §6.1: what is compressed as well is not understood, and nothing is in chunks twice.
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_some_and(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked && codings.next().is_none() {
        return Ok(());
    }
    let problem = "Transfer-Encoding: send chunked alone";
    Err(Refused { status: StatusCode::NOT_IMPLEMENTED, problem, allows: false, closes: true })
}

/// Checks a request of HTTP/2.
///
/// # Errors
///
/// The answer, if it must not be looked at.
pub(super) fn http2<B>(request: &Request<B>) -> Result<(), Refused> {
    // RFC 9113 §8.3.1: either may name the host; both have to name the same.
    let named = one_host(request.headers())?;
    let authority = request.uri().authority().map(|authority| authority.as_str());
    match (authority, named) {
        (None, None) => return Err(bad(":authority: there is none: name the host that is asked")),
        (Some(authority), named) => {
            host::check(authority.as_bytes()).map_err(bad)?;
            if named
                .is_some_and(|named| !named.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
            {
                return Err(bad("Host: it is not that of :authority: leave it out"));
            }
        }
        (None, Some(_)) => {}
    }
    if request.uri().scheme().is_some_and(|scheme| !is_ours(scheme)) {
        return Err(bad(":scheme: it has to be http or https"));
    }
    target(request)
}

/// The only `Host` there is, well-formed.
fn one_host(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refused> {
    let mut named = headers.get_all(HOST).iter();
    let Some(host) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        return Err(bad("Host: there are several: send one"));
    }
    host::check(host.as_bytes()).map_err(bad)?;
    Ok(Some(host))
}

/// A target that names a host (RFC 9112 §3.2.2).
fn absolute(uri: &Uri, authority: &str) -> Result<(), Refused> {
    if !uri.scheme().is_some_and(is_ours) {
        return Err(bad("target: send a path"));
    }
    host::check(authority.as_bytes()).map_err(bad)
}

fn is_ours(scheme: &Scheme) -> bool {
    *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS
}

/// What is asked, and how.
fn target<B>(request: &Request<B>) -> Result<(), Refused> {
    let (method, uri) = (request.method(), request.uri());
    if !(is_read(method) || *method == Method::QUERY) {
        other_method(method, uri)?;
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.starts_with('/') {
        return Err(bad("target: it has to begin with a slash"));
    }
    // A fold over all bytes takes many of them at once.
    if target.bytes().fold(0, |all, byte| all | byte) > 0x7f {
        return Err(bad("target: escape what is not ASCII"));
    }
    Ok(())
}

fn other_method(method: &Method, uri: &Uri) -> Result<(), Refused> {
    let refused = |status, problem, closes| Refused { status, problem, allows: true, closes };
    match method.as_str() {
        "OPTIONS" if uri.path() == "*" => Err(refused(StatusCode::NO_CONTENT, "", false)),
        "OPTIONS" => Ok(()),
        // RFC 9110 §9.3.6 and §9.3.8: a tunnel, and an echo of what may be secret.
        "CONNECT" => Err(refused(StatusCode::METHOD_NOT_ALLOWED, "", true)),
        "TRACE" => Err(refused(StatusCode::METHOD_NOT_ALLOWED, "", false)),
        known if KNOWN.contains(&known) => Ok(()),
        // RFC 9110 §9.1.
        _ => Err(refused(StatusCode::NOT_IMPLEMENTED, "method: nobody knows it", true)),
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
