//! Every key of an entry of `[[origins]]`: its default, its range, and the kinds it is for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::authoring::names;
use crate::config::names::quoted;
use crate::config::origins::{Kind, Labels, Origin};
use crate::config::places::{self, PATH};
use crate::config::reader::Reader;
use crate::config::units::{HOUR, SECOND};
use crate::delivery::freshness::{Exception, Freshness};
use crate::model::{OriginName, PromptName};
use crate::origins::guard;
use crate::origins::upstream::langfuse;

/// Reads `[[origins]]`. An entry that is not among the result has a problem. A question may take as
/// long as an ask (`deadline`) or an answer of that origin; `is_offline` forbids those over HTTP.
pub(crate) fn all(reader: &mut Reader<'_>, deadline: Duration, is_offline: bool) -> Vec<Origin> {
    let mut passing = None;
    let mut origins = Vec::new();
    for path in reader.entries("origins") {
        let origin = Entry::new(reader, path).read(&mut passing);
        origins.extend(origin.map(|origin| {
            let remote = origin.remote();
            let guard = guard::Config {
                // An answer that is on its way is worth waiting for, if only for the next ask.
                deadline: remote
                    .map_or(deadline, |remote| deadline.max(remote.client.total_timeout)),
                is_offline: is_offline && remote.is_some(),
                ..origin.guard
            };
            Origin { guard, ..origin }
        }));
    }
    origins
}

/// One entry while it is read.
pub(super) struct Entry<'r, 's> {
    pub(super) reader: &'r mut Reader<'s>,
    pub(super) path: String,
    /// What it is; `None` if that is wrong, and then every key might be for it.
    pub(super) kind: Option<KindName>,
}

/// What an entry may be, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KindName {
    Files,
    Langfuse,
    PromptEdge,
    PromptOt,
    Sqlite,
}

impl KindName {
    const ALL: [Self; 5] =
        [Self::PromptOt, Self::PromptEdge, Self::Langfuse, Self::Files, Self::Sqlite];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Langfuse => "langfuse",
            Self::PromptEdge => "prompt-edge",
            Self::PromptOt => "promptot",
            Self::Sqlite => "sqlite",
        }
    }
}

const KIND: &str = "one of promptot, prompt-edge, langfuse, files, sqlite";

/// The kinds that are asked over HTTP.
const REMOTE: &[KindName] = &[KindName::PromptOt, KindName::PromptEdge, KindName::Langfuse];
const LOCAL: &[KindName] = &[KindName::Files, KindName::Sqlite];
const LANGFUSE: &[KindName] = &[KindName::Langfuse];
/// The kinds of which an environment that reads drafts may need a key of its own.
pub(super) const WITH_DRAFT_KEY: &[KindName] = &[KindName::PromptOt, KindName::PromptEdge];

/// The keys that only some kinds take.
const OF_SOME_KINDS: [(&str, &[KindName]); 20] = [
    ("base_url", REMOTE),
    ("path", LOCAL),
    ("keys", REMOTE),
    ("key", REMOTE),
    ("draft_key", WITH_DRAFT_KEY),
    ("connect_timeout", REMOTE),
    ("first_byte_timeout", REMOTE),
    ("total_timeout", REMOTE),
    ("max_body", REMOTE),
    ("ca", REMOTE),
    ("client_certificate", REMOTE),
    ("proxy", REMOTE),
    ("allow_http", REMOTE),
    ("retries", REMOTE),
    ("breaker_failures", REMOTE),
    ("breaker_open", REMOTE),
    ("hook", REMOTE),
    ("live_label", LANGFUSE),
    ("draft_label", LANGFUSE),
    ("poll_interval", LANGFUSE),
];

impl<'r, 's> Entry<'r, 's> {
    fn new(reader: &'r mut Reader<'s>, path: String) -> Self {
        let kind = reader.text(format!("{path}.kind"), KIND, |text| {
            KindName::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(KIND)
        });
        reader.require(&path, "kind", KIND);
        Self { reader, path, kind }
    }

    fn read(mut self, passing: &mut Option<String>) -> Option<Origin> {
        for (key, kinds) in OF_SOME_KINDS {
            self.refuse_unless_for(key, kinds);
        }
        let name = self.name();
        let (prompts, pins) = self.prompts();
        let freshness = self.freshness(prompts);
        let path = self.is_one_of(LOCAL).then(|| self.path_of_prompts()).flatten();
        let labels = self.is_one_of(LANGFUSE).then(|| self.labels());
        let remote = self.is_one_of(REMOTE).then(|| self.remote(passing)).flatten();
        let guard = self.is_one_of(REMOTE).then(|| self.guard());
        let hook = self.is_one_of(REMOTE).then(|| self.hook()).flatten();
        let kind = match self.kind? {
            KindName::Files => Kind::Files { path: path? },
            KindName::Langfuse => {
                let (labels, poll_interval) = labels?;
                Kind::Langfuse { remote: remote?, labels, poll_interval, pins }
            }
            KindName::PromptEdge => Kind::PromptEdge(remote?),
            KindName::PromptOt => Kind::PromptOt(remote?),
            KindName::Sqlite => Kind::Sqlite { path: path? },
        };
        Some(Origin { name: name?, kind, freshness, guard: guard.unwrap_or_default(), hook })
    }

    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Whether the entry is of one of these kinds, or of none, so that it might be.
    pub(super) fn is_one_of(&self, kinds: &[KindName]) -> bool {
        self.kind.is_none_or(|kind| kinds.contains(&kind))
    }

    /// Refuses that a key is not set. Of what nobody knows, nobody knows what it needs.
    pub(super) fn require(&mut self, key: &str, expected: &str) {
        if self.kind.is_some() {
            self.reader.require(&self.path, key, expected);
        }
    }

    /// Refuses a key that the entry's kind has no use for.
    fn refuse_unless_for(&mut self, key: &str, kinds: &[KindName]) {
        if !self.is_one_of(kinds) {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
            let expected = format!("in an origin of kind {}", kinds.join(", "));
            self.reader.refuse_key(&self.at(key), &expected);
        }
    }

    fn name(&mut self) -> Option<OriginName> {
        let path = self.at("name");
        let name = self.reader.text(path.clone(), NAME, |text| {
            is_name(text).then(|| OriginName::new(text)).ok_or(NAME)
        });
        self.reader.require(&self.path, "name", NAME);
        // Of two entries with one name, the second is not known by it.
        let is_first = |name: &OriginName| self.path == format!("origins.{name}");
        match name {
            Some(name) if !is_first(&name) => {
                let expected = "a name that no origin before it has";
                self.reader.refuse(&[&path], name.as_str(), expected);
                None
            }
            name => name,
        }
    }

    fn freshness(&mut self, prompts: BTreeMap<String, Exception>) -> Freshness {
        let mut freshness = Freshness { prompts, ..Freshness::default() };
        let windows = &mut freshness.windows;
        for (key, window) in [
            ("fresh", &mut windows.fresh),
            ("stale", &mut windows.stale),
            ("rescue", &mut windows.rescue),
        ] {
            *window = self.reader.duration(self.at(key), *window, WINDOW);
        }
        let (closed, bound) = (self.at("fail_closed"), self.at("max_staleness"));
        freshness.fail_closed = self.reader.switch(closed, freshness.fail_closed);
        freshness.max_staleness =
            self.reader.duration(bound, freshness.max_staleness, SECOND..=HOUR);
        for (name, path) in self.reader.tables_in(&self.at("environments")) {
            let exception = self.exception(&path);
            freshness.environments.insert(name, exception);
        }
        freshness
    }

    /// What is said of single prompts: for how long they are used, and which are read in one
    /// version.
    fn prompts(&mut self) -> (BTreeMap<String, Exception>, BTreeMap<String, u32>) {
        let (mut exceptions, mut pins) = (BTreeMap::new(), BTreeMap::new());
        for (name, path) in self.reader.tables_in(&self.at("prompts")) {
            if PromptName::anywhere(&name).is_err() {
                self.reader.refuse_name(&path, format!("expected {PROMPT}"));
                continue;
            }
            self.refuse_unless_for(&format!("prompts.{}.version", quoted(&name)), LANGFUSE);
            let pin = match self.is_one_of(LANGFUSE) {
                true => self.reader.optional(format!("{path}.version"), None, 1..=MAX_VERSION),
                false => None,
            };
            pins.extend(pin.map(|version| (name.clone(), version)));
            exceptions.insert(name, self.exception(&path));
        }
        (exceptions, pins)
    }

    /// What holds for one environment or one prompt instead.
    fn exception(&mut self, path: &str) -> Exception {
        let default = Freshness::default().windows;
        let mut window = |key: &str, default| {
            let read = |reader: &mut Reader<'_>, path| reader.duration(path, default, WINDOW);
            self.reader.if_set(format!("{path}.{key}"), read)
        };
        Exception {
            fresh: window("fresh", default.fresh),
            stale: window("stale", default.stale),
            rescue: window("rescue", default.rescue),
            fail_closed: self
                .reader
                .if_set(format!("{path}.fail_closed"), |reader, path| reader.switch(path, false)),
        }
    }

    fn path_of_prompts(&mut self) -> Option<PathBuf> {
        self.require("path", PATH);
        self.reader.text(self.at("path"), PATH, places::path)
    }

    fn labels(&mut self) -> (Labels, Duration) {
        let default = langfuse::Config::default();
        let interval = self.at("poll_interval");
        let mut read = |key: &str, default| self.reader.parsed(self.at(key), default, LABEL, label);
        let labels = Labels {
            live: read("live_label", default.live_label),
            draft: read("draft_label", default.draft_label),
        };
        (labels, self.reader.duration(interval, default.poll_interval, SECOND..=HOUR))
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=32).contains(&text.len()) && text.bytes().all(is_allowed) && text != names::STORE
}

/// As Langfuse has them.
fn label(text: &str) -> Result<String, &'static str> {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    let is_label = (1..=36).contains(&text.len()) && text.bytes().all(is_allowed);
    is_label.then(|| text.to_owned()).ok_or(LABEL)
}

const NAME: &str =
    "a name of 1 to 32 lower-case letters, digits, dashes and underscores, other than store";
const LABEL: &str = "a label of 1 to 36 lower-case letters, digits, dashes, dots and underscores";
const PROMPT: &str = "the name of a prompt, of 1 to 256 bytes";

const WINDOW: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 24 * 60 * 60);
/// The largest number that Langfuse's database has for a version.
const MAX_VERSION: u32 = i32::MAX as u32;
