//! Whom to ask, and every request that it can be asked, ready made.

use std::net::SocketAddr;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{HOST, IF_NONE_MATCH};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Empty;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::load::connection::Protocol;

/// A URL as it was given, with a place for the slug or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    scheme: Scheme,
    authority: Authority,
    /// Path and query as they were written; nothing if only a server was named.
    path: String,
}

/// Why a URL cannot be asked. The message says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no URL of HTTP.
    #[error("expected http:// or https://, a host, and a path")]
    Form,
    /// It names a user.
    #[error("a URL with a user or password is not taken: give the key by `--key-file`")]
    User,
    /// It leads to no prompt.
    #[error(
        "it names no path to ask: write the whole URL of a prompt, or name prompts by `--slug`"
    )]
    NoPath,
    /// There are slugs, and no place for them.
    #[error("it has no place for `--slug`: write {{slug}} into its path, or leave the path out")]
    NoPlace,
    /// There is a place, and nothing to put there.
    #[error("it has a place for a slug: name one or more by `--slug` or `--slugs-file`")]
    NoSlug,
    /// Variables come from two sides.
    #[error("it has a `variables` parameter already: leave it out, or leave out the flag")]
    TwoVariables,
    /// More requests than are held ready.
    #[error(
        "there would be more than {MAX_REQUESTS} different requests: give fewer slugs or sets of variables"
    )]
    TooMany,
}

impl Template {
    /// Reads a URL, in which `{slug}` stands for the slug.
    ///
    /// # Errors
    ///
    /// If it is none of HTTP.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let (scheme, rest) = url.split_once("://").ok_or(Invalid::Form)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(Invalid::Form),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Invalid::User);
        }
        let authority: Authority = authority.parse().map_err(|_| Invalid::Form)?;
        if authority.host().is_empty() || path.starts_with('?') {
            return Err(Invalid::Form);
        }
        Ok(Self { scheme, authority, path: path.to_owned() })
    }

    /// Takes the path of another URL if it has none.
    pub fn or_path_of(mut self, other: &Self) -> Self {
        if self.path.is_empty() {
            self.path.clone_from(&other.path);
        }
        self
    }

    /// `scheme://host:port`, to tell two targets apart.
    pub fn server(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The host and the port.
    pub fn place(&self) -> (&str, u16) {
        let standard = if self.is_secured() { 443 } else { 80 };
        let host = self.authority.host();
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        (host, self.authority.port_u16().unwrap_or(standard))
    }

    pub(crate) fn is_secured(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Every path and query: slug by slug, and for each of them every set of variables.
    fn targets(
        &self,
        slugs: &[String],
        variables: &[String],
    ) -> Result<Vec<PathAndQuery>, Invalid> {
        let has_place = self.path.contains(PLACE);
        let path = match self.path.as_str() {
            "" | "/" if !slugs.is_empty() => DEFAULT_PATH,
            "" => return Err(Invalid::NoPath),
            _ if has_place && slugs.is_empty() => return Err(Invalid::NoSlug),
            _ if !has_place && !slugs.is_empty() => return Err(Invalid::NoPlace),
            path => path,
        };
        let query = path.split_once('?').map(|(_, query)| query);
        let is_named = |query: &str| query.split('&').any(|pair| pair.starts_with(PARAMETER));
        if !variables.is_empty() && query.is_some_and(is_named) {
            return Err(Invalid::TwoVariables);
        }
        if slugs.len().max(1).saturating_mul(variables.len().max(1)) > MAX_REQUESTS {
            return Err(Invalid::TooMany);
        }
        let separator = if query.is_some() { '&' } else { '?' };
        let slugs = if slugs.is_empty() { &[String::new()] } else { slugs };
        let mut targets = Vec::with_capacity(slugs.len() * variables.len().max(1));
        for slug in slugs {
            let slug = utf8_percent_encode(slug, ESCAPED).to_string();
            let path = path.replace(PLACE, &slug);
            if variables.is_empty() {
                targets.push(path.parse().map_err(|_| Invalid::Form)?);
            }
            for set in variables {
                let set = utf8_percent_encode(set, ESCAPED);
                let target = format!("{path}{separator}{PARAMETER}{set}");
                targets.push(target.try_into().map_err(|_| Invalid::Form)?);
            }
        }
        Ok(targets)
    }
}

/// A server, and the requests that it is asked.
#[derive(Debug)]
pub struct Target {
    /// As it was given, with the default path if it had none.
    pub url: String,
    /// `scheme://host:port`.
    pub server: String,
    /// Where it is. The first that can be connected to is taken.
    pub addresses: Vec<SocketAddr>,
    pub(crate) host: String,
    pub(crate) is_secured: bool,
    headers: HeaderMap,
    asked: Vec<Asked>,
}

/// One request.
#[derive(Debug)]
struct Asked {
    uri: Uri,
    /// The tag of its newest answer.
    tag: ArcSwapOption<HeaderValue>,
}

impl Target {
    /// Makes every request ready. The slugs and the sets of variables, JSON objects as they are to
    /// be sent, are in the order of their popularity; both can be empty.
    ///
    /// # Errors
    ///
    /// If the URL does not fit what is to be asked.
    pub fn new(
        template: &Template,
        addresses: Vec<SocketAddr>,
        (slugs, variables): (&[String], &[String]),
        mut headers: HeaderMap,
        protocol: Protocol,
    ) -> Result<Self, Invalid> {
        let targets = template.targets(slugs, variables)?;
        let path = if template.path.len() <= 1 && !slugs.is_empty() {
            DEFAULT_PATH
        } else {
            &template.path
        };
        if protocol == Protocol::Http1 && !headers.contains_key(HOST) {
            let host = HeaderValue::from_str(template.authority.as_str());
            headers.insert(HOST, host.map_err(|_| Invalid::Form)?);
        }
        let asked = targets.into_iter().map(|target| {
            let uri = match protocol {
                Protocol::Http1 => Ok(Uri::from(target)),
                // There the scheme and the authority are fields of the request (RFC 9113 §8.3.1).
                Protocol::Http2 => Uri::builder()
                    .scheme(template.scheme.clone())
                    .authority(template.authority.clone())
                    .path_and_query(target)
                    .build(),
            };
            let uri = uri.map_err(|_| Invalid::Form)?;
            Ok(Asked { uri, tag: ArcSwapOption::empty() })
        });
        Ok(Self {
            url: format!("{}{path}", template.server()),
            server: template.server(),
            addresses,
            host: template.place().0.to_owned(),
            is_secured: template.is_secured(),
            headers,
            asked: asked.collect::<Result<_, _>>()?,
        })
    }

    /// A request; conditional if that is wanted and an answer of its is known.
    pub(crate) fn request(&self, index: usize, is_conditional: bool) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.headers_mut() = self.headers.clone();
        if let Some(asked) = self.asked.get(index) {
            *request.uri_mut() = asked.uri.clone();
            if let Some(tag) = asked.tag.load().as_ref().filter(|_| is_conditional) {
                request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::clone(tag));
            }
        }
        request
    }

    /// Learns the tag of an answer, so that the next request can be conditional.
    pub(crate) fn learn(&self, index: usize, tag: HeaderValue) {
        let Some(asked) = self.asked.get(index) else { return };
        let is_known = asked.tag.load().as_ref().is_some_and(|known| **known == tag);
        if !is_known {
            asked.tag.store(Some(tag.into()));
        }
    }
}

/// Where the slug goes.
const PLACE: &str = "{slug}";

/// What is asked of a server of which only the address was given.
const DEFAULT_PATH: &str = "/api/v1/prompts/{slug}/compiled";

/// How variables travel in a query.
const PARAMETER: &str = "variables=";

/// Each takes about 300 bytes.
const MAX_REQUESTS: usize = 1_000_000;

/// All but what RFC 3986 §2.3 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn target(url: &str, slugs: &[&str], variables: &[&str]) -> Result<Target, Invalid> {
        let (slugs, variables) = (strings(slugs), strings(variables));
        let what = (slugs.as_slice(), variables.as_slice());
        let template = Template::parse(url)?;
        Target::new(&template, Vec::new(), what, HeaderMap::new(), Protocol::Http1)
    }

    fn asked(url: &str, slugs: &[&str], variables: &[&str]) -> Vec<String> {
        let target = target(url, slugs, variables).expect("the URL fits");
        target.asked.iter().map(|asked| asked.uri.to_string()).collect()
    }

    #[test]
    fn a_whole_url_is_asked_as_it_is() {
        assert_eq!(asked("http://edge:7080/a/b?c=%20", &[], &[]), ["/a/b?c=%20"]);
        assert_eq!(asked("HTTPS://[::1]/a#part", &[], &[]), ["/a"]);
        assert_eq!(asked("http://edge/", &[], &[]), ["/"]);
    }

    #[test]
    fn slugs_and_variables_go_where_they_belong() {
        let sets = [r#"{"a":"1"}"#, "{}"];

        let default = asked("http://edge", &["x", "a/b"], &sets);
        let placed = asked("http://edge/v2/{slug}?raw=1", &["x"], &sets);

        let expected = [
            "/api/v1/prompts/x/compiled?variables=%7B%22a%22%3A%221%22%7D",
            "/api/v1/prompts/x/compiled?variables=%7B%7D",
            "/api/v1/prompts/a%2Fb/compiled?variables=%7B%22a%22%3A%221%22%7D",
            "/api/v1/prompts/a%2Fb/compiled?variables=%7B%7D",
        ];
        assert_eq!(default, expected);
        assert_eq!(placed[1], "/v2/x?raw=1&variables=%7B%7D");
    }

    #[test]
    fn a_url_that_does_not_fit_is_refused() {
        for (url, slugs, variables, expected) in [
            ("edge:7080", &[][..], &[][..], Invalid::Form),
            ("ftp://edge/x", &[], &[], Invalid::Form),
            ("http:///x", &[], &[], Invalid::Form),
            ("http://edge?x", &[], &[], Invalid::Form),
            ("http://me:pw@edge/x", &[], &[], Invalid::User),
            ("http://edge", &[], &[], Invalid::NoPath),
            ("http://edge/{slug}", &[], &[], Invalid::NoSlug),
            ("http://edge/x", &["a"], &[], Invalid::NoPlace),
            ("http://edge/x?a=1&variables={}", &[], &["{}"], Invalid::TwoVariables),
        ] {
            assert_eq!(target(url, slugs, variables).err(), Some(expected), "{url}");
        }
    }

    #[test]
    fn another_target_takes_the_path_it_was_not_given() {
        let first = Template::parse("http://edge/x?y").expect("a URL");
        let other = |url| Template::parse(url).expect("a URL").or_path_of(&first).path;

        assert_eq!(other("https://vendor.example"), "/x?y");
        assert_eq!(other("https://vendor.example/z"), "/z");
    }

    #[test]
    fn a_place_has_a_port() {
        let place = |url| {
            let template = Template::parse(url).expect("a URL");
            let (host, port) = template.place();
            format!("{host} {port}")
        };

        assert_eq!(place("http://edge/"), "edge 80");
        assert_eq!(place("https://edge/"), "edge 443");
        assert_eq!(place("http://[::1]:7080/"), "::1 7080");
    }

    #[test]
    fn a_request_is_conditional_once_a_tag_is_known() {
        let target = target("http://edge/x", &[], &[]).expect("the URL fits");
        let tag = HeaderValue::from_static("\"one\"");

        let before = target.request(0, true);
        target.learn(0, tag.clone());
        let after =
            [true, false].map(|is| target.request(0, is).headers().get(IF_NONE_MATCH).cloned());

        assert_eq!(before.headers().get(IF_NONE_MATCH), None);
        assert_eq!(before.headers()[HOST], "edge");
        assert_eq!(after, [Some(tag), None]);
    }

    proptest! {
        #[test]
        fn no_url_and_no_slug_panics(url in ".{0,40}", slug in ".{0,20}", set in ".{0,20}") {
            for url in [url.clone(), format!("http://h/{url}{{slug}}"), format!("http://{url}")] {
                let _ = target(&url, &[&slug], &[&set]);
            }
        }
    }
}
