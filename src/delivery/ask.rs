//! What a caller wants, free of any dialect but for the shape of the answer.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::access::Caller;
use crate::compile::{Compiled, Prepared};
use crate::model::{Edition, Listed, PromptName};
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::ETag;
use crate::wire::caching::Demand;

pub use crate::origins::View;

pub use crate::compile::Message;

/// An ask for one prompt.
pub struct Ask<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Which prompt.
    pub prompt: PromptName,
    /// The values given. Names that do not occur in the prompt are ignored.
    pub variables: Map<String, Value>,
    /// What is to be done with the placeholders.
    pub resolve: Resolve,
    /// What the request said of caches.
    pub demand: Demand,
    /// The request's id.
    pub asked_by: &'a str,
    /// How the answer is written.
    pub shape: &'static dyn Shape,
    /// The raw path and query, if they are all that the answer depends on: the same ones are then
    /// answered by [`crate::delivery::Delivery::recall`].
    pub target: Option<&'a str>,
    /// Under which route the answer is counted.
    pub route: &'a Arc<RouteMetrics>,
}

/// An ask for the list of prompts.
pub struct Listing<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// How the answer is written.
    pub shape: &'static dyn ListShape,
    /// The raw path and query.
    pub target: &'a str,
    /// What the request said of caches.
    pub demand: Demand,
    /// The request's id.
    pub asked_by: &'a str,
    /// Under which route the answer is counted.
    pub route: &'a Arc<RouteMetrics>,
}

/// What is done with the placeholders of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Nothing: the caller fills them in.
    Nothing,
    /// Each is replaced by its variable's value, where there is one.
    Variables,
}

/// How a dialect writes one prompt.
pub trait Shape: Send + Sync {
    /// Names the representation; different shapes have different names.
    fn name(&self) -> &'static str;

    /// Which of an origin's views it is made of, where the origin is the one that compiles. `None`
    /// if it writes of the version itself, blocks and all, which such an origin keeps.
    fn view(&self) -> Option<View>;

    /// Writes the body, a function of the page alone.
    fn write(&self, page: &Page<'_>) -> Shaped;
}

/// How a dialect writes the list of prompts.
pub trait ListShape: Send + Sync {
    /// Names the representation; different shapes have different names.
    fn name(&self) -> &'static str;

    /// Writes the body, a function of the list alone.
    fn write(&self, listed: &[Listed]) -> Shaped;
}

/// What a [`Shape`] may write of.
pub struct Page<'a> {
    /// The prompt and its version.
    pub edition: &'a Edition,
    /// The version, prepared: its variables and their defaults.
    pub prepared: &'a Prepared,
    /// The text, and the messages of a chat prompt.
    pub compiled: &'a Compiled<'a>,
}

/// A written body with its tag.
pub struct Shaped {
    /// JSON.
    pub body: Vec<u8>,
    /// The tag of what the dialect calls the representation.
    pub etag: ETag,
}
