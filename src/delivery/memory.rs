//! What is in memory, as a snapshot has it.
//!
//! What was said is as old after a restart as it would have been without one. An origin that tells
//! every change cannot have told those of the time between: what it said is good for a rescue, and
//! asked for anew by the first who needs it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::cache::Cache;
use crate::cache::entry::{Entry, Record, Sheet, What};
use crate::cache::key::{AnswerKey, Query, RecordKey, Subject, Variables};
use crate::cache::provenance::{Moment, Provenance, Standing, Windows, moment};
use crate::delivery::answer::Finished;
use crate::delivery::promises::Promises;
use crate::delivery::sources::Source;
use crate::delivery::supply::Supply;
use crate::model::OriginName;
use crate::origins::{Reader, Rendition, Text};
use crate::snapshot::image::{self, Asked, Given, Image};
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::caching::Allowance;
use crate::wire::{ETag, Representation};

/// Takes memory down.
pub(crate) fn capture(
    supply: &Supply,
    cache: &Cache<Finished>,
) -> (Vec<image::Record>, Vec<image::Answer>) {
    let now = supply.now();
    let mut places = HashMap::new();
    let mut records = Vec::new();
    for (_, record) in cache.records() {
        let of = Arc::as_ptr(&record.provenance);
        let standing = cache.standing(&record.provenance, || now);
        // An absence is short, and a prompt is kept under each of its names.
        if !record.is_there() || standing == Standing::Gone || places.contains_key(&of) {
            continue;
        }
        places.insert(of, records.len());
        records.push(taken_down(supply, &record, standing, now));
    }

    let answers = cache.answers().filter_map(|entry| {
        let record = *places.get(&Arc::as_ptr(&entry.provenance))?;
        let representation = &entry.answer.representation;
        Some(image::Answer {
            record,
            representation: entry.key.representation.to_owned(),
            route: entry.answer.route.template().to_owned(),
            given: match &entry.key.variables {
                Variables::Unresolved | Variables::Sent(_) => Given::Nothing,
                Variables::Resolved(values) => Given::Values(Bytes::copy_from_slice(values)),
            },
            body: representation.body().clone(),
            etag: representation.etag().as_str().to_owned(),
            cache_control: representation.cache_control().to_str().ok()?.to_owned(),
        })
    });
    let answers = answers.take(ANSWERS_AT_MOST).collect();
    (records, answers)
}

fn taken_down(supply: &Supply, record: &Record, standing: Standing, now: Moment) -> image::Record {
    let provenance = &record.provenance;
    let said_at = provenance.said_at();
    let is_endless = provenance.fresh_until().is_none();
    let is_immutable = is_endless && !supply.tells_all(&record.reader);
    let [fresh, stale, rescue] = match (is_endless, standing) {
        (true, _) => {
            let [_, _, rescue] = provenance.ends();
            let rescue = span(said_at, rescue).min(Windows::default().rescue);
            [Duration::ZERO, Duration::ZERO, rescue]
        }
        (false, Standing::Fresh | Standing::Stale) => {
            let [fresh, stale, rescue] = provenance.ends();
            [span(said_at, fresh), span(fresh, stale), span(stale, rescue)]
        }
        // It may have been said to have changed.
        (false, Standing::Rescue | Standing::Gone) => {
            let [_, _, rescue] = provenance.ends();
            [Duration::ZERO, Duration::ZERO, span(said_at, rescue)]
        }
    };
    image::Record {
        reader: (*record.reader).clone(),
        asked: match record.asked.query.clone() {
            Query::Listing => Asked::Listing,
            Query::Prompt(prompt) => Asked::Prompt(prompt),
            Query::Compiled(prompt, compile) => Asked::Compiled { prompt, compile },
        },
        what: match (&record.what, record.asked.query.compile()) {
            (What::Absent, _) => image::What::Absent,
            (What::Listing(listed), _) => image::What::Listing(listed.to_vec()),
            (What::Prompt(sheet), None) => image::What::Edition(sheet.edition.clone()),
            (What::Prompt(sheet), Some(_)) => image::What::Rendition(rendition(sheet)),
        },
        validator: record.validator.clone(),
        age: span(said_at, now),
        fresh,
        stale,
        rescue,
        is_immutable,
    }
}

fn rendition(sheet: &Sheet) -> Rendition {
    Rendition {
        edition: sheet.edition.clone(),
        text: sheet.prepared.source().to_owned(),
        tokens: sheet.prepared.counted(),
        used: sheet.prepared.names().map(str::to_owned).collect(),
    }
}

/// Fills memory with what was taken down `since` ago. Returns the origins it is of.
pub(crate) fn restore(
    (supply, cache, promises): (&Arc<Supply>, &Cache<Finished>, &Promises),
    image: &Image,
    since: Duration,
    shapes: &[(&'static str, Arc<RouteMetrics>)],
    is_known: impl Fn(&Reader) -> bool,
) -> BTreeSet<OriginName> {
    let mut origins = BTreeSet::new();
    let records: Vec<_> = image
        .records
        .iter()
        .map(|taken| {
            let is_ours = is_known(&taken.reader);
            let record = is_ours.then(|| given_back(supply, cache, taken, since))??;
            cache.keep_record(&record);
            origins.insert(record.provenance.origin.clone());
            Some(record)
        })
        .collect();
    for answer in &image.answers {
        let Some(Some(record)) = records.get(answer.record) else { continue };
        let shape = shapes.iter().find(|(name, _)| *name == answer.representation);
        let Some((representation, route)) = shape else { continue };
        // A representation whose route has changed is of another version of this edge.
        if route.template() == answer.route {
            answer_given_back((cache, promises), record, answer, (representation, route));
        }
    }
    origins
}

fn given_back(
    supply: &Supply,
    cache: &Cache<Finished>,
    taken: &image::Record,
    since: Duration,
) -> Option<Arc<Record>> {
    let query = match taken.asked.clone() {
        Asked::Listing => Query::Listing,
        Asked::Prompt(prompt) => Query::Prompt(prompt),
        Asked::Compiled { prompt, compile } => Query::Compiled(prompt, compile),
    };
    let key = RecordKey { tenant: taken.reader.tenant, query };
    let what = match taken.what.clone() {
        image::What::Absent => return None,
        image::What::Listing(listed) => What::Listing(listed.into()),
        image::What::Edition(edition) => of(Text::Edition(Box::new(edition))),
        image::What::Rendition(rendition) => of(Text::Rendition(Box::new(rendition))),
    };
    let reader = Arc::new(taken.reader.clone());
    let source = supply.sources().of(&reader).ok()?;
    let sheet = match &what {
        What::Prompt(sheet) => Some(&**sheet),
        What::Absent | What::Listing(_) => None,
    };
    let held = Windows { fresh: taken.fresh, stale: taken.stale, rescue: taken.rescue };
    let windows = windows_today(source, (&key, &reader, sheet), held, taken.is_immutable);
    let said_at = supply.now().saturating_sub(moment(taken.age.saturating_add(since)));
    let stamp = cache.generations().stamp(key.marks());
    let origin = source.origin.name().clone();
    let provenance = Provenance::new(origin, "snapshot", stamp, windows, said_at);
    Some(Arc::new(Record::new(what, provenance, taken.validator.clone(), reader, key)))
}

/// For how long a word of before is good today; `None` if it is as it was: an absence is, and so is
/// what bears no origin's word any more.
pub(crate) fn held(supply: &Supply, record: &Record) -> Option<Windows> {
    let provenance = &record.provenance;
    let source = supply.sources().of(&record.reader).ok()?;
    if !record.is_there() || source.origin.name() != &provenance.origin {
        return None;
    }
    let sheet = record.sheet().map(|sheet| &**sheet);
    if provenance.fresh_until().is_none() {
        let freshness = source.freshness.load();
        let name = freshness.name_of(&record.asked.query, sheet);
        return Some(freshness.endless(&record.reader, name.as_deref()));
    }
    let [fresh, stale, rescue] = provenance.ends();
    let held = Windows {
        fresh: span(provenance.said_at(), fresh),
        stale: span(fresh, stale),
        rescue: span(stale, rescue),
    };
    Some(windows_today(source, (&record.asked, &record.reader, sheet), held, false))
}

/// For how long what was `held` to be good is good today: the operator may say less now, and the
/// origin's word allows no more.
fn windows_today(
    source: &Source,
    (key, reader, sheet): (&RecordKey, &Reader, Option<&Sheet>),
    held: Windows,
    is_immutable: bool,
) -> Windows {
    let freshness = source.freshness.load();
    let name = freshness.name_of(&key.query, sheet);
    let endless = freshness.endless(reader, name.as_deref());
    if source.origin.tells_all() {
        Windows { rescue: held.rescue.min(endless.rescue), ..held }
    } else if is_immutable {
        endless
    } else {
        let Windows { fresh, stale, rescue } = held;
        let held = Allowance { fresh: Some(fresh), stale: Some(stale), rescue: Some(rescue) };
        freshness.windows(reader, name.as_deref(), held)
    }
}

/// The time between two moments; none if the second is not after the first.
fn span(from: Moment, to: Moment) -> Duration {
    Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or_default())
}

fn of(text: Text) -> What {
    What::Prompt(Arc::new(Sheet::new(text)))
}

fn answer_given_back(
    (cache, promises): (&Cache<Finished>, &Promises),
    record: &Arc<Record>,
    answer: &image::Answer,
    (representation, route): (&'static str, &Arc<RouteMetrics>),
) {
    let subject = match record.sheet() {
        Some(sheet) => Subject::Prompt(sheet.edition.prompt.id),
        None => Subject::Listing,
    };
    let variables = match (&answer.given, record.asked.query.compile()) {
        (Given::Values(values), _) => Variables::Resolved((**values).into()),
        (Given::Nothing, Some(compile)) => Variables::Sent(compile.clone()),
        (Given::Nothing, None) => Variables::Unresolved,
    };
    let (Some(etag), Ok(cache_control)) =
        (ETag::parse(&answer.etag), HeaderValue::from_str(&answer.cache_control))
    else {
        return;
    };
    let heads = promises.as_promised(&cache_control);
    let tenant = record.asked.tenant;
    let entry = Arc::new(Entry {
        key: AnswerKey { tenant, representation, subject, variables },
        answer: Finished {
            representation: Representation::json(answer.body.to_vec(), etag, heads),
            route: Arc::clone(route),
        },
        provenance: Arc::clone(&record.provenance),
    });
    cache.keep_answer(entry);
}

/// How many answers are taken down: the rest is made again in microseconds each.
const ANSWERS_AT_MOST: usize = 10_000;
