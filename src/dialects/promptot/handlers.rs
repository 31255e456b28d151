//! Parse → act → shape, one function per route.
//!
//! Who asks is settled before the request is read any further: a bad key is 401 whatever else is
//! wrong with the request. A place in its month is taken next, and given back if there is no answer.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use hyper::body::Body;
use serde_json::Map;
use serde_json::Value;

use crate::access::{Caller, Peer};
use crate::delivery::{Ask, Denied, Listing, Resolve, Shape};
use crate::dialects::Services;
use crate::dialects::promptot::routes::Route;
use crate::dialects::promptot::shapes;
use crate::model::{Noun, PromptName, Refusal, Scope};
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::request_id;
use crate::wire::Response;
use crate::wire::caching::Demand;
use crate::wire::{body, query};

/// Answers a request on a route.
pub(super) async fn handle<B>(
    services: &Services,
    route: Route,
    prompt: Cow<'_, str>,
    (parts, body, peer): (&Parts, B, &Peer),
    metrics: &Arc<RouteMetrics>,
) -> Result<Response, Denied>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if route == Route::Unknown {
        return Err(Refusal::NotFound { noun: Noun::Route }.into());
    }
    if !route.allows(&parts.method) {
        return Err(Refusal::MethodNotAllowed { allow: route.allow() }.into());
    }
    let caller = services.gate.admit(&parts.headers, peer, Scope::Deliver).await?;
    let receipt = services.gate.spend(&caller).await?;
    match act(services, route, prompt, (parts, body), (&caller, metrics)).await {
        Ok(mut response) => {
            services.gate.settle(receipt, &mut response);
            Ok(response)
        }
        Err(refusal) => {
            receipt.refund();
            Err(refusal)
        }
    }
}

async fn act<B>(
    services: &Services,
    route: Route,
    prompt: Cow<'_, str>,
    (parts, body): (&Parts, B),
    (caller, metrics): (&Caller, &Arc<RouteMetrics>),
) -> Result<Response, Denied>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let shape: &'static dyn Shape = match route {
        Route::Prompts | Route::Unknown => {
            return Ok(list(services, parts, caller, metrics).await?);
        }
        Route::Compiled => &shapes::Compiled,
        Route::Prompt => &shapes::Delivered,
    };

    let asked = Parameters::of(parts)?;
    let (variables, target) = match parts.method {
        Method::QUERY => (variables_of_body(services, parts, body).await?, None),
        _ => (asked.variables, Some(target(parts))),
    };
    let ask = Ask {
        caller,
        prompt: PromptName::anywhere(&prompt)
            .map_err(|_| Refusal::NotFound { noun: Noun::Prompt })?,
        variables,
        resolve: asked.resolve,
        demand: Demand::of(&parts.headers),
        asked_by: request_id::known(parts),
        shape,
        target,
        route: metrics,
    };
    Ok(services.delivery.deliver(ask).await?.respond(&parts.headers))
}

async fn list(
    services: &Services,
    parts: &Parts,
    caller: &Caller,
    route: &Arc<RouteMetrics>,
) -> Result<Response, Refusal> {
    let listing = Listing {
        caller,
        shape: &shapes::Prompts,
        target: target(parts),
        demand: Demand::of(&parts.headers),
        asked_by: request_id::known(parts),
        route,
    };
    Ok(services.delivery.list(listing).await?.respond(&parts.headers))
}

fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |target| target.as_str())
}

/// What the query says.
struct Parameters {
    variables: Map<String, Value>,
    resolve: Resolve,
}

impl Parameters {
    /// Reads the query. Names that mean nothing here are ignored; one that means something and
    /// occurs twice is refused, since which one counts would be a guess.
    fn of(parts: &Parts) -> Result<Self, Refusal> {
        let (mut variables, mut resolve) = (None, None);
        for (name, value) in query::pairs(parts.uri.query().unwrap_or_default()) {
            match name.as_ref() {
                b"variables" => once("variables", &mut variables, parse_variables(&value)?)?,
                b"resolve" => once("resolve", &mut resolve, parse_resolve(&value)?)?,
                _ => {}
            }
        }
        Ok(Self {
            variables: variables.unwrap_or_default(),
            resolve: resolve.unwrap_or(Resolve::Variables),
        })
    }
}

fn once<T>(field: &'static str, place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(field, "it is given more than once: give it once")),
    }
}

fn parse_resolve(value: &[u8]) -> Result<Resolve, Refusal> {
    match value {
        b"none" => Ok(Resolve::Nothing),
        _ => Err(bad("resolve", "the only value is `none`: leave it out to resolve variables")),
    }
}

/// `QUERY`: the body is the variables, and the query may not name them too.
async fn variables_of_body<B>(
    services: &Services,
    parts: &Parts,
    body: B,
) -> Result<Map<String, Value>, Refusal>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let named = query::pairs(parts.uri.query().unwrap_or_default());
    if named.into_iter().any(|(name, _)| *name == *b"variables") {
        return Err(bad("variables", "they stand in the body of a QUERY: remove the parameter"));
    }
    let media_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(bad("Content-Type", "the body of a QUERY is `application/json`: say so"));
    }
    let limits = **services.body.load();
    parse_variables(&body::read(body, limits).await?)
}

/// One JSON object of at most 64 KiB. A message never repeats what was sent.
fn parse_variables(json: &[u8]) -> Result<Map<String, Value>, Refusal> {
    const FIELD: &str = "variables";
    if json.len() > MAX_VARIABLES_BYTES {
        return Err(bad(FIELD, "more than 65536 bytes of JSON: send less"));
    }
    match serde_json::from_slice(json) {
        Ok(Value::Object(variables)) => Ok(variables),
        Ok(other) => Err(bad(
            FIELD,
            format!("expected a JSON object such as {{\"name\":\"Ada\"}}, found {}", kind(&other)),
        )),
        Err(error) => Err(bad(
            FIELD,
            format!(
                "not valid JSON at line {} column {}: send one JSON object, percent-encoded in a URL",
                error.line(),
                error.column()
            ),
        )),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn bad(field: &'static str, problem: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::BadInput { field, problem: problem.into() }
}

/// The contract's limit on decoded variables.
const MAX_VARIABLES_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_never_repeats_what_was_sent() {
        for sent in [r#""s3cret""#, r#"["s3cret"]"#, r#"{"a": s3cret}"#, r#"{"s3cret"}"#, "s3cret"]
        {
            let Err(Refusal::BadInput { field, problem }) = parse_variables(sent.as_bytes()) else {
                panic!("{sent} should be refused");
            };
            assert_eq!(field, "variables");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }

    #[test]
    fn variables_are_limited_in_bytes() {
        let of = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));

        assert!(parse_variables(of(MAX_VARIABLES_BYTES).as_bytes()).is_ok());
        assert!(parse_variables(of(MAX_VARIABLES_BYTES + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn variables_are_read_as_they_were_written(
            said in proptest::collection::hash_map(any::<String>(), any::<Option<String>>(), 0..6),
        ) {
            let variables = Map::from_iter(said.into_iter().map(|(name, value)| (name, value.into())));
            let json = serde_json::to_vec(&variables).unwrap();

            let read = parse_variables(&json);

            prop_assert_eq!(read.ok(), Some(variables));
        }

        #[test]
        fn no_change_to_variables_panics_or_is_repeated(
            at in 0..48_usize, length in 0..12_usize, splice in r#"[\[\]{}",:\\0-9eu\x00-\x1f-]{0,6}"#,
        ) {
            let json = r#"{"who":{"name":"s3cret","n":[1,2.50,-1e400]},"\u00e9":null,"ok":true}"#;
            let changed = format!("{}{splice}{}", &json[..at], &json[at + length..]);

            if let Err(refusal) = parse_variables(changed.as_bytes()) {
                let Refusal::BadInput { problem, .. } = refusal else { panic!("{refusal:?}") };
                prop_assert!(!problem.contains("s3cret"));
            }
        }

        #[test]
        fn no_query_panics(query in r"([a-z%=&+{}\x22]|variables=|resolve=|\PC){0,40}") {
            for (name, value) in query::pairs(&query) {
                if *name == *b"variables" {
                    let _ = parse_variables(&value);
                }
            }
        }

        #[test]
        fn no_bytes_panic_as_variables(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_variables(&bytes);
        }
    }
}
