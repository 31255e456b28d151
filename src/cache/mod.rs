//! Answers kept near the caller.
//!
//! A prompt changes rarely and is read all the time, so nearly every ask should end here. Two
//! maps, each bounded in bytes:
//!
//! | map       | key                                                        | holds                |
//! |-----------|------------------------------------------------------------|----------------------|
//! | templates | tenant, what the origin was asked for                      | what the origin said |
//! | answers   | tenant, representation, prompt, canonical variables        | ready bytes          |
//!
//! So new variables cost one render and never a question to the origin (unless it is the one that
//! compiles). A URL that is repeated does not even get here: `delivery::lane` knows its answer.
//!
//! Nothing has to be searched for to be outdated. What changed is *marked* ([`generation`]), what
//! grows old knows its windows, and both are in the [`provenance`] that everything made of one
//! answer of an origin shares.
//!
//! # Invariants
//!
//! 1. The tenant is part of every key by the key's type, and equality is on the whole key, never
//!    on a hash: where a hash leads to an answer, the answer's own key is compared.
//!    (`key::tests::tenants_never_share_a_key`, `tests::a_hash_alone_finds_nothing`)
//! 2. At most one flight per key is under way, and a caller that leaves does not cancel it.
//!    (`flight::tests::a_crowd_shares_one_flight`)
//! 3. A flight that panics, or that a stopping runtime drops, frees its key; nobody waits for ever.
//!    (`flight::tests::a_flight_that_panics_frees_its_key`,
//!    `flight::tests::a_flight_of_a_runtime_that_has_ended_frees_its_key`)
//! 4. What was fetched before a change never passes for current after it, even if it is stored
//!    after it. (`tests::an_answer_made_before_a_change_is_not_fresh_after_it`)
//! 5. What was fetched before a change never takes the place of what was fetched after it.
//!    (`tests::an_older_word_does_not_replace_a_newer_one`)
//! 6. Answers end with the record they were made of.
//!    (`tests::an_answer_ends_with_its_record`)
//! 7. Answers can be ended without forgetting what they were made of: nothing is asked for again.
//!    (`tests::answers_are_made_again_of_what_was_said`)
//! 8. Nothing here reads a clock or knows what HTTP is.

pub mod entry;
pub mod flight;
pub mod generation;
pub mod key;
pub mod place;
pub mod provenance;

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::{Cache as Map, CacheBuilder};

use entry::{Entry, Record, Weigh};
use generation::Generations;
use key::{AnswerKey, RecordKey};
use place::Unhashed;
use provenance::{Moment, Provenance, Standing, Windows};

/// How much memory the maps may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Prepared editions, in bytes.
    pub templates_bytes: u64,
    /// Finished answers, in bytes: half of it here, half in the fast lane (`delivery::lane`).
    pub answers_bytes: u64,
}

impl Default for Config {
    /// Some thousand prompts, and about a hundred thousand answers of 1 KiB, most of them in both
    /// halves.
    fn default() -> Self {
        Self { templates_bytes: 32 << 20, answers_bytes: 256 << 20 }
    }
}

/// The maps. `A` is what a finished answer holds.
pub struct Cache<A> {
    records: Map<RecordKey, Arc<Record>, RandomState>,
    /// By the seeded hash of their keys, which stand in them: a map of whole keys would take as many
    /// bytes again, and follow two more pointers for each that it moves or compares.
    answers: Map<u64, Arc<Entry<A>>, Unhashed>,
    hasher: RandomState,
    generations: Arc<Generations>,
    /// Held while a record is put in its place, so that no older one takes it in between.
    keeping: Mutex<()>,
}

/// What one map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// The map's name in metrics.
    pub map: &'static str,
    /// How many entries.
    pub entries: u64,
    /// What they are reckoned to take.
    pub weight_bytes: u64,
}

impl<A: Weigh + Send + Sync + 'static> Cache<A> {
    /// Empty maps under the marks of `generations`.
    pub fn new(config: Config, generations: Arc<Generations>) -> Self {
        Self {
            records: bounded(config.templates_bytes, |key: &RecordKey, record: &Arc<Record>| {
                key.weight_bytes() + record.weight_bytes()
            })
            .eviction_listener(|_, record: Arc<Record>, cause| {
                let was_last = record.places.fetch_sub(1, Ordering::AcqRel) == 1;
                // What is told to have changed is marked then: its answers may outlive it.
                let is_told = record.provenance.fresh_until().is_none();
                if cause == RemovalCause::Replaced || (was_last && !is_told) {
                    record.provenance.retire();
                }
            })
            .build_with_hasher(RandomState::default()),
            answers: bounded(config.answers_bytes / 2, |_, entry: &Arc<Entry<A>>| {
                entry.weight_bytes()
            })
            .build_with_hasher(Unhashed::default()),
            hasher: RandomState::default(),
            generations,
            keeping: Mutex::new(()),
        }
    }

    /// The marks that entries live and die by.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Which window something is in.
    pub fn standing(&self, provenance: &Provenance, elapsed: impl FnOnce() -> Moment) -> Standing {
        provenance.standing(&self.generations, elapsed)
    }

    /// What an origin said, however long ago.
    pub fn record(&self, key: &RecordKey) -> Option<Arc<Record>> {
        let record = self.records.get(key)?;
        if !record.provenance.is_retired() {
            return Some(record);
        }
        // What takes its place is there under one of its names, and just about to be under this.
        let _keeping = self.keeping();
        self.records.get(key)
    }

    /// Everything that origins said, in no order.
    pub fn records(&self) -> impl Iterator<Item = (Arc<RecordKey>, Arc<Record>)> + '_ {
        self.records.iter()
    }

    /// Keeps what an origin said, under each of its names, unless something newer is there, or
    /// anything if it is out of date already. Ends the answers made of what was there before.
    pub fn keep_record(&self, record: &Arc<Record>) {
        let _keeping = self.keeping();
        let provenance = &record.provenance;
        let is_current = self.generations.hold(&provenance.stamp());
        // Asked by its other name, the origin may have said something newer meanwhile.
        let is_newer = |there: &Record| {
            let there = &there.provenance;
            is_current && (there.is_retired() || there.said_at() <= provenance.said_at())
        };
        for key in record.keys() {
            if self.records.get(&key).is_none_or(|there| is_newer(&there)) {
                record.places.fetch_add(1, Ordering::AcqRel);
                self.records.insert(key, Arc::clone(record));
            }
        }
    }

    /// Ends every finished answer, so that it is made anew of what its origin said, which stays.
    /// `windows` may say that a word is good for another time than it was.
    pub fn remake_answers(&self, windows: impl Fn(&Record) -> Option<Windows>) {
        let records: Vec<_> = self.records.iter().map(|(_, record)| record).collect();
        for record in records {
            let _keeping = self.keeping();
            let is_there = |key: &RecordKey| {
                self.records.get(key).is_some_and(|there| Arc::ptr_eq(&there, &record))
            };
            // Under all of its names at once; by the second of them it is no longer there.
            let keys: Vec<_> = record.keys().into_iter().filter(is_there).collect();
            if keys.is_empty() || record.provenance.is_retired() {
                continue;
            }
            let again = Arc::new(record.again(windows(&record)));
            again.places.store(keys.len(), Ordering::Release);
            for key in keys {
                self.records.insert(key, Arc::clone(&again));
            }
            record.provenance.retire();
        }
    }

    fn keeping(&self) -> MutexGuard<'_, ()> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what an origin said of one thing, and ends the answers made of it.
    pub fn drop_record(&self, key: &RecordKey) {
        if let Some(record) = self.records.remove(key) {
            record.provenance.retire();
        }
    }

    /// A finished answer, whatever it was made of.
    pub fn answer(&self, key: &AnswerKey) -> Option<Arc<Entry<A>>> {
        self.answers.get(&self.place(key)).filter(|entry| entry.key == *key)
    }

    /// Every finished answer, in no order.
    pub fn answers(&self) -> impl Iterator<Item = Arc<Entry<A>>> + '_ {
        self.answers.iter().map(|(_, entry)| entry)
    }

    /// How many finished answers are kept that were made of this word of an origin.
    pub fn answers_of(&self, provenance: &Arc<Provenance>) -> usize {
        self.answers.iter().filter(|(_, entry)| Arc::ptr_eq(&entry.provenance, provenance)).count()
    }

    /// Keeps a finished answer. Of two whose keys have one hash the later one stays.
    pub fn keep_answer(&self, entry: Arc<Entry<A>>) {
        self.answers.insert(self.place(&entry.key), entry);
    }

    /// Weighs a kept answer that has grown. One that was evicted or replaced is not brought back;
    /// if that happens at this very moment, it is one more that can be evicted, and nothing is
    /// served of it that was not before.
    pub fn weigh_again(&self, entry: &Arc<Entry<A>>) {
        let place = self.place(&entry.key);
        if self.answers.get(&place).is_some_and(|there| Arc::ptr_eq(&there, entry)) {
            self.answers.insert(place, Arc::clone(entry));
        }
    }

    fn place(&self, key: &AnswerKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// What the maps hold, after the work they have put off is done.
    pub fn holds(&self) -> [Holds; 2] {
        fn of<K, V, S>(map: &'static str, of: &Map<K, V, S>) -> Holds
        where
            K: Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
            S: BuildHasher + Clone + Send + Sync + 'static,
        {
            of.run_pending_tasks();
            Holds { map, entries: of.entry_count(), weight_bytes: of.weighted_size() }
        }
        [of("templates", &self.records), of("answers", &self.answers)]
    }
}

/// A map bounded by the sum of what `weigh` says of its entries, in bytes.
fn bounded<K, V>(
    capacity_bytes: u64,
    weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
) -> CacheBuilder<K, V, Map<K, V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Map::builder()
        .max_capacity(capacity_bytes)
        .weigher(move |key, value| {
            u32::try_from(weigh(key, value) + MAP_BYTES_PER_ENTRY).unwrap_or(u32::MAX)
        })
        // A stream of answers that are never asked for again must not push out those that are.
        .eviction_policy(EvictionPolicy::tiny_lfu())
}

/// What moka itself takes per entry (bucket, entry record, queue node, frequency sketch), and what the
/// allocator rounds up.
///
/// Measured: docs/performance.md.
const MAP_BYTES_PER_ENTRY: usize = 320;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use crate::model::{EnvironmentId, ProjectId, PromptId, Tenant};

    use crate::model::{OriginName, Reads};
    use crate::origins::Reader;

    use super::entry::What;
    use super::generation::Mark;
    use super::key::{Query, Subject, Variables};
    use super::provenance::{Provenance, Windows};
    use super::*;

    const TENANT: Tenant = Tenant::new(ProjectId(1), EnvironmentId(1));

    /// An answer of a number, which takes as many bytes as it is told.
    #[derive(Debug)]
    struct Told {
        number: u32,
        len_bytes: AtomicUsize,
    }

    impl Told {
        fn new(number: u32, len_bytes: usize) -> Self {
            Self { number, len_bytes: len_bytes.into() }
        }
    }

    impl Weigh for Told {
        fn len_bytes(&self) -> usize {
            self.len_bytes.load(Ordering::Relaxed)
        }
    }

    fn answer_key(variables: u32) -> AnswerKey {
        AnswerKey {
            tenant: TENANT,
            representation: "test",
            subject: Subject::Prompt(PromptId(uuid::Uuid::nil())),
            variables: Variables::Resolved(variables.to_le_bytes().into()),
        }
    }

    fn cache(answers_bytes: u64) -> Cache<Told> {
        let config = Config { answers_bytes, ..Config::default() };
        Cache::new(config, Arc::new(Generations::default()))
    }

    const LISTING: RecordKey = RecordKey { tenant: TENANT, query: Query::Listing };

    fn provenance(cache: &Cache<Told>, windows: Windows, said_at: Moment) -> Provenance {
        let stamp = cache.generations().stamp(LISTING.marks());
        Provenance::new(OriginName::new("o"), "test", stamp, windows, said_at)
    }

    fn record(cache: &Cache<Told>, windows: Windows) -> Arc<Record> {
        record_at(cache, windows, 0)
    }

    fn record_at(cache: &Cache<Told>, windows: Windows, said_at: Moment) -> Arc<Record> {
        let reader = Reader {
            tenant: TENANT,
            project: "acme".into(),
            environment: "live".into(),
            reads: Reads::Published,
            origin: None,
            credential: None,
        };
        let what = What::Listing(Arc::new([]));
        let provenance = provenance(cache, windows, said_at);
        Arc::new(Record::new(what, provenance, None, Arc::new(reader), LISTING))
    }

    fn made_of(record: &Record, answer: u32) -> Arc<Entry<Told>> {
        Arc::new(Entry {
            key: answer_key(answer),
            answer: Told::new(answer, 10),
            provenance: Arc::clone(&record.provenance),
        })
    }

    fn entry(cache: &Cache<Told>, answer: u32, len_bytes: usize) -> Arc<Entry<Told>> {
        entry_of(cache, answer_key(answer), answer, len_bytes)
    }

    fn entry_of(
        cache: &Cache<Told>,
        key: AnswerKey,
        answer: u32,
        len_bytes: usize,
    ) -> Arc<Entry<Told>> {
        let provenance = Arc::new(provenance(cache, Windows::ENDLESS, 0));
        Arc::new(Entry { key, answer: Told::new(answer, len_bytes), provenance })
    }

    #[test]
    fn a_hash_alone_finds_nothing() {
        let cache = cache(1 << 20);
        let tenant = Tenant::new(ProjectId(2), EnvironmentId(1));
        let another = AnswerKey { tenant, ..answer_key(1) };

        // As if both keys had one hash.
        cache.answers.insert(cache.place(&another), entry(&cache, 1, 10));

        assert!(cache.answer(&another).is_none(), "what is there is another tenant's");
    }

    #[test]
    fn an_answer_made_before_a_change_is_not_fresh_after_it() {
        let cache = cache(1 << 20);
        let made_before = entry(&cache, 1, 10);

        cache.generations().advance(&Mark::Listing(ProjectId(1)));
        cache.keep_answer(made_before);

        let kept = cache.answer(&answer_key(1)).unwrap();
        assert_eq!(cache.standing(&kept.provenance, || 0), Standing::Rescue);
        let made_after = entry(&cache, 2, 10);
        assert_eq!(cache.standing(&made_after.provenance, || 0), Standing::Fresh);
    }

    #[test]
    fn an_older_word_does_not_replace_a_newer_one() {
        let cache = cache(1 << 20);
        let older = record(&cache, Windows::ENDLESS);
        cache.generations().advance(&Mark::Listing(ProjectId(1)));
        let newer = record(&cache, Windows::ENDLESS);

        cache.keep_record(&newer);
        cache.keep_record(&older);

        assert!(Arc::ptr_eq(&cache.record(&LISTING).unwrap(), &newer));
        assert!(!newer.provenance.is_retired());
    }

    #[test]
    fn a_word_that_was_asked_for_earlier_does_not_replace_a_later_one() {
        let cache = cache(1 << 20);
        let [earlier, later] = [1, 2].map(|at| record_at(&cache, Windows::default(), at));

        cache.keep_record(&later);
        cache.keep_record(&earlier);

        assert!(Arc::ptr_eq(&cache.record(&LISTING).unwrap(), &later));
    }

    #[test]
    fn an_answer_ends_with_its_record() {
        for windows in [Windows::ENDLESS, Windows::default()] {
            let cache = cache(1 << 20);
            let first = record(&cache, windows);
            cache.keep_record(&first);
            let answer = made_of(&first, 1);

            cache.keep_record(&record(&cache, windows));

            assert_eq!(cache.standing(&answer.provenance, || 0), Standing::Gone, "{windows:?}");
        }
    }

    #[test]
    fn answers_are_made_again_of_what_was_said() {
        for windows in [Windows::ENDLESS, Windows::default()] {
            let cache = cache(1 << 20);
            let first = record(&cache, windows);
            cache.keep_record(&first);
            let answer = made_of(&first, 1);

            cache.remake_answers(|_| None);

            assert_eq!(cache.standing(&answer.provenance, || 0), Standing::Gone, "{windows:?}");
            let again = cache.record(&LISTING).expect("what was said stays");
            assert_eq!(cache.standing(&again.provenance, || 0), Standing::Fresh);
            assert_eq!(again.provenance.ends(), record(&cache, windows).provenance.ends());
            cache.remake_answers(|_| Some(Windows::NONE));
            let again = cache.record(&LISTING).expect("it stays, for no time at all");
            assert_eq!(cache.standing(&again.provenance, || 0), Standing::Gone);
        }
    }

    #[test]
    fn what_has_changed_is_not_current_because_its_answers_are_made_again() {
        let cache = cache(1 << 20);
        cache.keep_record(&record(&cache, Windows::ENDLESS));
        cache.generations().advance(&Mark::Listing(ProjectId(1)));

        cache.remake_answers(|_| None);

        let again = cache.record(&LISTING).expect("it is there to rescue");
        assert_eq!(cache.standing(&again.provenance, || 0), Standing::Rescue);
    }

    #[test]
    fn a_dropped_record_ends_its_answers() {
        let cache = cache(1 << 20);
        let record = record(&cache, Windows::default());
        cache.keep_record(&record);

        cache.drop_record(&LISTING);

        assert!(cache.record(&LISTING).is_none());
        assert_eq!(cache.standing(&record.provenance, || 0), Standing::Gone);
    }

    #[test]
    fn the_weight_of_a_flood_stays_within_the_capacity() {
        let cache = cache(1 << 20);

        for n in 0..20_000 {
            cache.keep_answer(entry(&cache, n, 1_000));
        }

        let [_, answers] = cache.holds();
        let weight = answers.weight_bytes;
        assert!(weight <= 1 << 19, "{weight} should be within the capacity");
        assert!(answers.entries > 100, "the capacity should be used, not only kept");
    }

    #[test]
    fn what_has_grown_is_weighed_again() {
        let cache = cache(1 << 20);
        let kept = entry(&cache, 1, 1_000);
        cache.keep_answer(Arc::clone(&kept));
        let [_, before] = cache.holds();

        kept.answer.len_bytes.store(1_400, Ordering::Relaxed);
        cache.weigh_again(&kept);

        let [_, after] = cache.holds();
        assert_eq!((after.entries, after.weight_bytes), (1, before.weight_bytes + 400));
        assert!(Arc::ptr_eq(&cache.answer(&kept.key).unwrap(), &kept), "it is the same");
    }

    #[test]
    fn what_has_gone_is_not_brought_back_by_its_new_weight() {
        let cache = cache(1 << 20);
        let [gone, older] = [1, 2].map(|n| entry(&cache, n, 10));
        cache.keep_answer(Arc::clone(&older));
        cache.keep_answer(entry_of(&cache, answer_key(2), 3, 10));

        cache.weigh_again(&gone);
        cache.weigh_again(&older);

        assert!(cache.answer(&gone.key).is_none());
        assert_eq!(cache.answer(&older.key).unwrap().answer.number, 3);
    }

    #[test]
    fn answers_that_grow_stay_within_the_capacity() {
        let cache = cache(2 << 20);
        let kept: Vec<_> = (0..400).map(|n| entry(&cache, n, 1_000)).collect();
        for entry in &kept {
            cache.keep_answer(Arc::clone(entry));
        }
        let [_, before] = cache.holds();

        for entry in &kept {
            entry.answer.len_bytes.store(3_000, Ordering::Relaxed);
            cache.weigh_again(entry);
        }

        let [_, after] = cache.holds();
        assert_eq!(before.entries, 400, "they should fit at first");
        assert!(after.entries < before.entries && after.weight_bytes <= 1 << 20, "{after:?}");
    }
}
