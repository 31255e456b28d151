//! Where things are: the URL of a platform, of a proxy that leads there, the path of a file.

use std::net::IpAddr;
use std::path::PathBuf;

use http::Uri;

/// What is understood as a base URL, as messages put it.
pub(crate) const BASE: &str =
    "an absolute URL, https://host/path, without user, query and fragment";

/// What is understood as a proxy, as messages put it.
pub(crate) const PROXY: &str = "the URL of an HTTP proxy, http://host:port, without user and path";

/// What is understood as a path, as messages put it.
pub(crate) const PATH: &str = "a path";

/// Reads where a file or a folder is.
pub(crate) fn path(text: &str) -> Result<PathBuf, &'static str> {
    let is_usable = !text.is_empty() && !text.contains('\0');
    is_usable.then(|| text.into()).ok_or(PATH)
}

/// Reads where a platform is. Paths are appended to it, so it ends without a slash.
pub(crate) fn base(text: &str) -> Result<Uri, &'static str> {
    absolute(text).filter(|url| matches!(url.scheme_str(), Some("http" | "https"))).ok_or(BASE)
}

/// Reads where a proxy is.
pub(crate) fn proxy(text: &str) -> Result<Uri, &'static str> {
    let is_proxy = |url: &Uri| url.scheme_str() == Some("http") && url.path() == "/";
    absolute(text).filter(is_proxy).ok_or(PROXY)
}

/// Whether others could read on the way what is sent there: not if it is encrypted, or stays on
/// this machine.
pub(crate) fn is_exposed(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback());
    url.scheme_str() == Some("http") && !is_here
}

fn absolute(text: &str) -> Option<Uri> {
    // A fragment would be dropped without a word.
    let url: Uri = text.trim_end_matches('/').parse().ok().filter(|_| !text.contains('#'))?;
    let authority = url.authority()?;
    let (host, all) = (authority.host(), authority.as_str());
    // What follows a host is a port, if anything, and one that exists.
    let is_plain = all == host || authority.port_u16().is_some_and(|port| port > 0);
    let is_alone = !host.is_empty() && !all.contains('@') && url.query().is_none();
    (is_plain && is_alone).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_absolute_and_says_nothing_else() {
        for (text, url) in [
            ("https://api.promptot.com/api/v1", "https://api.promptot.com/api/v1"),
            ("https://api.promptot.com/api/v1//", "https://api.promptot.com/api/v1"),
            ("https://cloud.langfuse.com/", "https://cloud.langfuse.com/"),
            ("http://[::1]:3000/edge", "http://[::1]:3000/edge"),
        ] {
            assert_eq!(base(text).unwrap(), url, "{text}");
        }
        for bad in [
            "",
            "/",
            "api.promptot.com",
            "api.promptot.com/api",
            "ftp://host",
            "https://",
            "https:///path",
            "https://me:secret@host",
            "https://me@host",
            "https://host/?key=secret",
            "https://host/#part",
            "https://host:",
            "https://host:0",
            "https://host:70000",
            "https://host/a b",
        ] {
            assert_eq!(base(bad), Err(BASE), "{bad:?}");
        }
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        assert!(proxy("http://proxy.local:3128").is_ok());
        assert!(proxy("http://10.0.0.1/").is_ok());
        for bad in ["https://proxy", "http://me:secret@proxy", "http://proxy/path", "proxy:3128"] {
            assert_eq!(proxy(bad), Err(PROXY), "{bad}");
        }
    }

    #[test]
    fn what_leaves_the_machine_unencrypted_is_exposed() {
        for here in [
            "https://host",
            "http://localhost:1",
            "http://LOCALHOST",
            "http://127.0.0.2",
            "http://[::1]:80",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(!is_exposed(&here.parse().unwrap()), "{here}");
        }
        for away in ["http://host", "http://10.0.0.1", "http://localhost.example", "http://[::2]"] {
            assert!(is_exposed(&away.parse().unwrap()), "{away}");
        }
    }
}
