//! Another prompt-edge as an origin: tiers.
//!
//! The far edge hands its versions over uncompiled (`dialects::edge`), with everything that an
//! answer is made of. So this edge answers byte for byte what the far one answers, and new variables
//! cost no trip. What the far edge says is read by the file that wrote it, `formats::edition`.
//!
//! A key of the far edge decides whose prompts are read there; it needs the scope `edge`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::formats::Misfit;
use crate::formats::edition;
use crate::model::{Credential, Listed, OriginName};
use crate::origins::error::BoxError;
use crate::origins::upstream::Upstream;
use crate::origins::upstream::keys::{self, Keys, Scheme};
use crate::origins::upstream::quiet::{self, LastList};
use crate::origins::{
    Changes, Compiles, Cursor, Error, Found, Origin, Pending, Question, Reader, Text, Told,
    Validator,
};
use crate::wire::caching::Allowance;

pub use crate::origins::upstream::keys::Config;

/// An edge as an origin.
#[derive(Debug)]
pub struct Edge {
    upstream: Upstream,
    keys: Keys,
    listed: LastList,
}

impl Edge {
    /// The edge whose root is the base of `upstream`, such as `http://127.0.0.1:7080`.
    pub fn new(upstream: Upstream, config: Config) -> Self {
        let keys = Keys::new(upstream.name().clone(), Scheme::Bearer, config);
        Self { upstream, keys, listed: LastList::default() }
    }

    async fn list(
        &self,
        key: &Credential,
        known: Option<&Validator>,
    ) -> Result<Told<Vec<Listed>>, Error> {
        let told = self.ask(LIST, key, known, edition::read_list).await?;
        if self.keys.own() == Some(key) {
            self.listed.is(told.validator.clone());
        }
        Ok(told)
    }

    async fn ask<T>(
        &self,
        target: &str,
        key: &Credential,
        known: Option<&Validator>,
        read: fn(Value) -> Result<T, Misfit>,
    ) -> Result<Told<T>, Error> {
        let authorization = self.keys.authorization(key)?;
        let heard = self.upstream.get(target, &authorization, known).await;
        let heard = heard.map_err(|error| self.judged(error))?;
        let found = match heard.status {
            200 => Found::Present(read(heard.body).map_err(|misfit| self.malformed(misfit))?),
            304 => Found::Unchanged,
            404 if heard.body.get("code").is_some_and(|code| code == edition::NO_PROMPT) => {
                Found::Absent
            }
            status => return Err(self.malformed(format!("it answers with status {status}"))),
        };
        // A 404 says `no-store`, as every refusal does. How long an absence is believed is decided
        // here.
        let is_absent = matches!(found, Found::Absent);
        let allowance = if is_absent { Allowance::default() } else { heard.allowance };
        Ok(Told {
            validator: heard.validator,
            found,
            allowance,
            is_immutable: false,
            status: Some(heard.status),
        })
    }

    /// The far edge answers 501 where the origin behind it compiles: asking again gives the same.
    fn judged(&self, error: Error) -> Error {
        if let Error::Failed { status: 501, .. } = error {
            return self.malformed("it has an origin that compiles: make that the origin here");
        }
        error
    }

    fn malformed(&self, source: impl Into<BoxError>) -> Error {
        let origin = self.upstream.name().clone();
        Error::Malformed { origin, expected: "what an edge hands over", source: source.into() }
    }
}

impl Origin for Edge {
    fn name(&self) -> &OriginName {
        self.upstream.name()
    }

    fn compiles(&self) -> Compiles {
        Compiles::Here
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        Box::pin(async move {
            let name = question.prompt.to_string();
            let target = format!("{LIST}/{}", utf8_percent_encode(&name, SEGMENT));
            let key = self.keys.of(question.reader)?;
            self.ask(&target, key, question.known, |body| {
                edition::read(body).map(|edition| Text::Edition(Box::new(edition)))
            })
            .await
        })
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(async move { self.list(self.keys.of(reader)?, known).await })
    }

    /// An edge tells nobody what has changed: its answers grow old.
    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(quiet::changes(cursor, self.probe()))
    }

    /// Whether the list is still the same. Without a key of the operator's, that it is shown to
    /// nobody is an answer, too.
    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let Some(key) = self.keys.own() else { return self.upstream.knock(LIST).await };
            self.list(key, self.listed.validator().as_ref()).await.map(drop)
        })
    }

    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool> {
        Box::pin(async move { keys::admitted(self.list(credential, None).await) })
    }
}

/// Where the far edge lists its prompts; each is below, by its name.
const LIST: &str = "/edge/v1/prompts";

/// What is escaped in one segment of a path: slashes and dots, too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
