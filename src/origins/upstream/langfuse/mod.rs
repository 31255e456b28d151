//! Langfuse as an origin.
//!
//! Its public API hands over versions uncompiled, so they are compiled here. An environment that
//! serves what is published reads one label, one that serves drafts another; a prompt can be
//! pinned to a version by its number instead. Langfuse has no `ETag`: every question is answered in
//! full, and whether that is what was known before is found out here.
//!
//! # Names
//!
//! Langfuse finds prompts by name alone, and its lists name neither a prompt's id nor its project.
//! So a [`PromptId`] is made of the origin's name and the prompt's, and whoever asks by id costs a
//! look through the list.
//!
//! # Changes
//!
//! There is no stream of changes. The list is polled for what was updated since the newest update
//! seen, and as a whole now and then, which alone shows what was deleted (`watch`).

mod question;
mod shapes;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{MissedTickBehavior, interval};

use crate::formats::Misfit;
use crate::model::{Credential, Edition, Listed, OriginName, PromptId, PromptName, Reads, Slug};
use crate::origins::upstream::keys::{self, Keys, Scheme};
use crate::origins::upstream::langfuse::question::Wanted;
use crate::origins::upstream::langfuse::shapes::Row;
use crate::origins::upstream::langfuse::watch::{Picture, Rows};
use crate::origins::upstream::quiet;
use crate::origins::upstream::{Heard, Upstream};
use crate::origins::{
    Change, Changes, Compiles, Cursor, Error, Found, Origin, Pending, Question, Reader, Text, Told,
    Validator,
};

/// How a Langfuse project is read.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's key, `public:secret`. Without one every caller brings a key of its own, and
    /// nobody is told of changes.
    pub key: Option<Credential>,
    /// The label that published prompts carry.
    pub live_label: String,
    /// The label that drafts carry.
    pub draft_label: String,
    /// Prompts of which one version is served, whatever its labels, by name.
    pub versions: BTreeMap<String, u32>,
    /// How long to wait between two looks for changes.
    pub poll_interval: Duration,
    /// Each time after so many looks, the whole list is read to find what was deleted.
    pub full_list_every: NonZeroU32,
}

impl Default for Config {
    /// Langfuse's own labels; a look every ten seconds, through the whole list every hour.
    fn default() -> Self {
        Self {
            key: None,
            live_label: "production".to_owned(),
            draft_label: "latest".to_owned(),
            versions: BTreeMap::new(),
            poll_interval: Duration::from_secs(10),
            full_list_every: NonZeroU32::MIN.saturating_add(359),
        }
    }
}

/// A Langfuse project.
#[derive(Debug)]
pub struct Langfuse {
    upstream: Upstream,
    keys: Keys,
    config: Config,
    /// What was seen of the list. Held for a comparison, never while Langfuse is asked.
    picture: Mutex<Picture>,
    /// The names of prompts that were asked for by id. Held for a look.
    names: Mutex<HashMap<PromptId, Slug>>,
}

impl Langfuse {
    /// The project that the key opens, at the platform `upstream` reaches: its base URL is that of
    /// the site, without `/api/public`.
    pub fn new(upstream: Upstream, mut config: Config) -> Self {
        let own = keys::Config { key: config.key.take(), draft_key: None };
        let keys = Keys::new(upstream.name().clone(), Scheme::Basic, own);
        let picture = Mutex::new(Picture::new(config.full_list_every));
        Self { upstream, keys, config, picture, names: Mutex::default() }
    }

    /// The header for a question on a reader's behalf.
    fn authorization(&self, reader: &Reader) -> Result<HeaderValue, Error> {
        self.keys.authorization(self.keys.of(reader)?)
    }

    /// Which version of a prompt a reader is served.
    fn wanted(&self, reader: &Reader, slug: &Slug) -> Wanted<'_> {
        match (self.config.versions.get(slug.as_str()), reader.reads) {
            (Some(version), Reads::Draft | Reads::Published) => Wanted::Version(*version),
            (None, Reads::Draft) => Wanted::Label(&self.config.draft_label),
            (None, Reads::Published) => Wanted::Label(&self.config.live_label),
        }
    }

    async fn ask(&self, question: Question<'_>) -> Result<Told<Text>, Error> {
        let authorization = self.authorization(question.reader)?;
        let named = self.named(question.prompt, &authorization).await?;
        let Some(slug) = named.filter(question::is_askable) else {
            return Ok(Told::plainly(None));
        };
        let wanted = self.wanted(question.reader, &slug);
        let heard = self.upstream.get(&wanted.target(&slug), &authorization, None).await?;
        if is_absence(&heard) {
            return Ok(Told { status: Some(heard.status), ..Told::plainly(None) });
        }
        let edition = self.understood(heard.status, || {
            shapes::edition(&heard.body, &slug, wanted.number(), self.name())
        })?;
        let validator = validator(&edition, wanted);
        Ok(Told {
            // Other prompts that it is composed of change on their own.
            is_immutable: matches!(wanted, Wanted::Version(_)) && edition.composed_of.is_empty(),
            found: match question.known == Some(&validator) {
                true => Found::Unchanged,
                false => Found::Present(Text::Edition(Box::new(edition))),
            },
            validator: Some(validator),
            allowance: heard.allowance,
            status: Some(heard.status),
        })
    }

    /// What Langfuse calls a prompt; `None` if it has none such.
    async fn named(
        &self,
        prompt: &PromptName,
        authorization: &HeaderValue,
    ) -> Result<Option<Slug>, Error> {
        let id = match prompt {
            PromptName::Id(id) => id,
            PromptName::Slug(slug) => return Ok(Some(slug.clone())),
        };
        if let Some(name) = self.names().get(id) {
            return Ok(Some(name.clone()));
        }
        // A name may have the shape of an id.
        let spelled = id.0.to_string();
        let is_meant = |slug: &Slug| self.id_of(slug) == *id || slug.as_str() == spelled;
        let rows = self.rows(authorization, None, |row| is_meant(&row.slug).then_some(())).await?;
        let Some((name, ())) = rows.by_name.into_iter().next() else { return Ok(None) };
        let mut names = self.names();
        if names.len() == MAX_NAMES {
            names.clear();
        }
        names.insert(*id, name.clone());
        Ok(Some(name))
    }

    async fn list(
        &self,
        reader: &Reader,
        known: Option<&Validator>,
    ) -> Result<Told<Vec<Listed>>, Error> {
        let authorization = self.authorization(reader)?;
        let rows = self.rows(&authorization, None, |row| self.listed(reader, row)).await?;
        let listed: Vec<_> = rows.by_name.into_values().collect();
        let validator = shapes::validator_of(&listed);
        Ok(Told {
            found: match known == Some(&validator) {
                true => Found::Unchanged,
                false => Found::Present(listed),
            },
            validator: Some(validator),
            status: Some(200),
            ..Told::plainly(None)
        })
    }

    /// A line of the list; `None` if the reader is not served the prompt.
    fn listed(&self, reader: &Reader, row: &Row) -> Option<Listed> {
        let slug = &row.slug;
        let current_version = match self.wanted(reader, slug) {
            Wanted::Label(label) => {
                row.labels.iter().any(|its| its == label).then(|| row.version_of(label))?
            }
            Wanted::Version(version) => row.versions.contains(&version).then_some(Some(version))?,
        };
        let (id, name) = (self.id_of(slug), slug.to_string());
        Some(Listed { id, name, slug: slug.clone(), current_version })
    }

    /// What `keep` makes of every prompt, or of those that were updated since a cursor. No row is
    /// held any longer than that takes: what a list weighs is for Langfuse to say.
    async fn rows<T>(
        &self,
        authorization: &HeaderValue,
        since: Option<Cursor>,
        keep: impl Fn(&Row) -> Option<T>,
    ) -> Result<Rows<T>, Error> {
        let from = since.map(watch::from);
        let mut rows = Rows { by_name: BTreeMap::new(), is_whole: false };
        for number in 1..=MAX_PAGES {
            let target = question::page(number, PAGE_ROWS, from);
            let heard = self.upstream.get(&target, authorization, None).await?;
            let page = self.understood(heard.status, || shapes::page(&heard.body))?;
            let kept = page.rows.into_iter().filter_map(|row| Some((keep(&row)?, row.slug)));
            rows.by_name.extend(kept.map(|(kept, slug)| (slug, kept)));
            if number >= page.pages {
                rows.is_whole = true;
                break;
            }
        }
        Ok(rows)
    }

    /// What an answer says, if it is a 200 and fits.
    fn understood<T>(
        &self,
        status: u16,
        read: impl FnOnce() -> Result<T, Misfit>,
    ) -> Result<T, Error> {
        let malformed = |source| Error::Malformed {
            origin: self.name().clone(),
            expected: "an answer as Langfuse gives it",
            source,
        };
        if status != 200 {
            return Err(malformed(format!("it has the status {status}").into()));
        }
        read().map_err(|misfit| malformed(misfit.into()))
    }

    fn id_of(&self, slug: &Slug) -> PromptId {
        shapes::prompt_id(self.name(), slug)
    }

    /// Waits for changes; for ever, if there is no key to look for them with.
    async fn follow(&self, cursor: Cursor) -> Result<Changes, Error> {
        let Some(key) = self.keys.own() else {
            return quiet::changes(cursor, self.probe()).await;
        };
        let authorization = self.keys.authorization(key)?;
        if cursor == Cursor::START {
            let rows = self.rows(&authorization, None, |row| Some(row.updated_at)).await?;
            let cursor = self.picture().begin(rows);
            return Ok(Changes { changes: Vec::new(), cursor });
        }
        let mut looks = interval(self.config.poll_interval.max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        loop {
            looks.tick().await;
            let since = self.picture().look(cursor);
            let rows = self.rows(&authorization, since, |row| Some(row.updated_at)).await?;
            let (names, cursor) = self.picture().compare(rows, since, cursor);
            if !names.is_empty() {
                let changes = names.into_iter().flat_map(|slug| self.changed(slug)).collect();
                return Ok(Changes { changes, cursor });
            }
        }
    }

    /// Both names that callers may have asked for a prompt by.
    fn changed(&self, slug: Slug) -> [Change; 2] {
        let id = self.id_of(&slug);
        let own = PromptName::anywhere(slug.as_str()).unwrap_or(PromptName::Slug(slug));
        [own, PromptName::Id(id)].map(Change::Named)
    }

    /// An id is made of the name, so it means the same name for ever and to every reader.
    fn names(&self) -> MutexGuard<'_, HashMap<PromptId, Slug>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one row of the list by a key.
    async fn glance(&self, key: &Credential) -> Result<(), Error> {
        let authorization = self.keys.authorization(key)?;
        let heard = self.upstream.get(&glance(), &authorization, None).await?;
        self.understood(heard.status, || shapes::page(&heard.body)).map(drop)
    }
}

impl Origin for Langfuse {
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
        Box::pin(self.ask(question))
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(self.list(reader, known))
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(self.follow(cursor))
    }

    /// Reads one row of the list. Without a key of the operator's, that it is shown to nobody is an
    /// answer, too.
    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            match self.keys.own() {
                Some(key) => self.glance(key).await,
                None => self.upstream.knock(&glance()).await,
            }
        })
    }

    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool> {
        Box::pin(async move { keys::admitted(self.glance(credential).await) })
    }
}

/// The first row of the list: the cheapest question.
fn glance() -> String {
    question::page(1, 1, None)
}

/// Whether it is Langfuse that says there is no such prompt, and not something before it.
fn is_absence(heard: &Heard) -> bool {
    heard.status == 404 && heard.body.get("message").is_some_and(serde_json::Value::is_string)
}

/// Changes with everything that is delivered, also with the text of another prompt within it.
fn validator(edition: &Edition, wanted: Wanted<'_>) -> Validator {
    let version = &edition.version;
    let updated_at = edition.prompt.updated_at;
    let label = match wanted {
        Wanted::Label(label) => label,
        Wanted::Version(_) => "",
    };
    Validator(format!("{};{updated_at};{label};{}", version.number, version.commit).into())
}

/// How many rows a page has; Langfuse gives no more.
const PAGE_ROWS: usize = 100;

/// How many names are remembered.
const MAX_NAMES: usize = 10_000;

/// How many pages are read: what a list says of its own length is not to be relied on.
const MAX_PAGES: u64 = 100;
