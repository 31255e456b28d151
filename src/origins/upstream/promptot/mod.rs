//! PromptOT as an origin.
//!
//! It compiles: every set of variables is a question of its own, and what comes back is text. The
//! key decides whose prompts are read, and whether those are the published ones (`pk_live_…`) or
//! the newest drafts (`pk_dev_…`). Its answers carry an `ETag`. There is no stream of changes, so
//! what it said grows old.
//!
//! Absence is PromptOT's own word, in its envelope. A 404 of something on the way, such as a load
//! balancer, is an error.

mod shapes;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::model::{Credential, Listed, OriginName, PromptName};
use crate::origins::upstream::keys::{self, Keys, Scheme};
use crate::origins::upstream::promptot::shapes::Misfit;
use crate::origins::upstream::quiet::{self, LastList};
use crate::origins::upstream::{Heard, Upstream};
use crate::origins::{
    Changes, Compile, Compiles, Cursor, Error, Found, Origin, Pending, Question, Reader, Text,
    Told, Validator, View,
};
use crate::wire::caching::Allowance;

pub use crate::origins::upstream::keys::Config;

/// PromptOT, or whoever speaks its API.
#[derive(Debug)]
pub struct PromptOt {
    upstream: Upstream,
    keys: Keys,
    listed: LastList,
}

impl PromptOt {
    /// The API whose base URL, such as `https://api.promptot.com/api/v1`, is that of `upstream`.
    pub fn new(upstream: Upstream, config: Config) -> Self {
        let keys = Keys::new(upstream.name().clone(), Scheme::Bearer, config);
        Self { upstream, keys, listed: LastList::default() }
    }

    async fn ask(&self, question: Question<'_>) -> Result<Told<Text>, Error> {
        let Question { reader, prompt, compile, known } = question;
        let Some(target) = target(prompt, compile) else { return Ok(Told::plainly(None)) };
        let key = self.keys.authorization(self.keys.of(reader)?)?;
        let mut heard = self.upstream.get(&target, &key, known).await?;
        let found = match heard.status {
            200 => Found::Present(self.understood(text(&mut heard, prompt, view_of(compile)))?),
            304 if known.is_some() => Found::Unchanged,
            400 => {
                let problem = self.understood(shapes::problem(&heard.body))?;
                return Err(Error::Refused { origin: self.name().clone(), problem });
            }
            404 => {
                self.understood(shapes::absence(&heard.body))?;
                Found::Absent
            }
            _ => return Err(self.malformed(unasked("a prompt"))),
        };
        Ok(told(found, heard, known))
    }

    async fn list(
        &self,
        key: &Credential,
        known: Option<&Validator>,
    ) -> Result<Told<Vec<Listed>>, Error> {
        let heard = self.upstream.get(LIST, &self.keys.authorization(key)?, known).await?;
        let found = match heard.status {
            200 => Found::Present(self.understood(shapes::listed(&heard.body))?),
            304 if known.is_some() => Found::Unchanged,
            _ => return Err(self.malformed(unasked("a list of prompts"))),
        };
        let told = told(found, heard, known);
        if self.keys.own() == Some(key) {
            self.listed.is(told.validator.clone());
        }
        Ok(told)
    }

    fn understood<T>(&self, read: Result<T, Misfit>) -> Result<T, Error> {
        read.map_err(|misfit| self.malformed(misfit))
    }

    fn malformed(&self, Misfit { expected, found }: Misfit) -> Error {
        let origin = self.name().clone();
        Error::Malformed { origin, expected, source: format!("found {found}").into() }
    }
}

impl Origin for PromptOt {
    fn name(&self) -> &OriginName {
        self.upstream.name()
    }

    fn compiles(&self) -> Compiles {
        Compiles::There
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        Box::pin(self.ask(question))
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(async move { self.list(self.keys.of(reader)?, known).await })
    }

    /// PromptOT never tells: after the start there is nothing to wait for.
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

/// Reads what was asked for. The frozen shape repeats its tag in the body, for answers whose header
/// got lost on the way.
fn text(heard: &mut Heard, prompt: &PromptName, view: View) -> Result<Text, Misfit> {
    let rendition = match view {
        View::Compiled => shapes::compiled(&heard.body, prompt)?,
        View::Delivered => {
            let (rendition, tag) = shapes::delivered(&heard.body, prompt)?;
            heard.validator.get_or_insert(tag);
            rendition
        }
    };
    Ok(Text::Rendition(Box::new(rendition)))
}

fn told<T>(found: Found<T>, heard: Heard, known: Option<&Validator>) -> Told<T> {
    let (validator, allowance) = match found {
        // How long an absence is believed is decided here: a refusal is `no-store` as a rule.
        Found::Absent => (None, Allowance::default()),
        Found::Present(_) => (heard.validator, heard.allowance),
        Found::Unchanged => (heard.validator.or_else(|| known.cloned()), heard.allowance),
    };
    Told { found, validator, allowance, is_immutable: false, status: Some(heard.status) }
}

/// A status that is no answer to this question, such as 304 where no tag was named.
const fn unasked(expected: &'static str) -> Misfit {
    Misfit { expected, found: "a status that is no answer to the question" }
}

/// Path and query of a question; `None` if no URL leads to a prompt of this name, because dots
/// between slashes are resolved on the way (RFC 3986 §5.2.4).
fn target(prompt: &PromptName, compile: Option<&Compile>) -> Option<String> {
    let name = prompt.to_string();
    if name.split('/').any(|part| matches!(part, "." | "..")) {
        return None;
    }
    let mut target = format!("{LIST}/{}", escaped(&name));
    if view_of(compile) == View::Compiled {
        target.push_str("/compiled");
    }
    if let Some(variables) = compile.and_then(|compile| compile.variables.as_deref()) {
        target.push_str("?variables=");
        target.extend(escaped(variables));
    }
    Some(target)
}

/// Who does not say what is to be compiled wants the text alone.
fn view_of(compile: Option<&Compile>) -> View {
    compile.map_or(View::Compiled, |compile| compile.view)
}

fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
}

/// Where PromptOT lists its prompts; each is below, by its name.
const LIST: &str = "/prompts";

/// All but the unreserved characters of RFC 3986 §2.3: in one segment of a path, slashes too.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests;
