//! Platforms over HTTP: what their adapters share.
//!
//! An adapter knows its vendor's paths and shapes; [`Upstream`] knows how to ask. Whatever a vendor
//! answers is hostile until it has been read: bounded in bytes and depth, of the right media type,
//! never followed anywhere.

use http::HeaderValue;
use serde_json::Value;

use crate::model::OriginName;
use crate::origins::{Error, Validator};
use crate::wire::caching::Allowance;

/// One platform, and the pooled connections to it.
#[derive(Debug)]
pub struct Upstream {
    name: OriginName,
}

/// An answer that was understood as HTTP and JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// 200, 304, 400 or 404: every other status is an [`Error`].
    pub status: u16,
    /// What the body says. `Null` for a 304, and for a 400 or 404 that has no JSON.
    pub body: Value,
    /// Its `ETag`.
    pub validator: Option<Validator>,
    /// What its `Cache-Control` allows.
    pub allowance: Allowance,
}

impl Upstream {
    /// Its name, for errors.
    pub fn name(&self) -> &OriginName {
        &self.name
    }

    /// Asks `GET {base_url}{target}`, with `If-None-Match` if something is known.
    ///
    /// # Errors
    ///
    /// `Rejected` for 401 and 403, `Limited` for 429, `Failed` for 5xx, `Malformed` for any other
    /// status and for a body that is not bounded JSON, `TimedOut`, `Unreachable`.
    pub async fn get(
        &self,
        target: &str,
        authorization: &HeaderValue,
        known: Option<&Validator>,
    ) -> Result<Heard, Error> {
        let _ = (target, authorization, known);
        Err(Error::Unreachable { origin: self.name.clone(), source: "not connected".into() })
    }
}
