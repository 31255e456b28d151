//! Answers kept near the caller.
//!
//! A prompt changes rarely and is read all the time, so nearly every ask should end here. Three
//! maps, each bounded in bytes:
//!
//! | map       | key                                                        | holds                |
//! |-----------|------------------------------------------------------------|----------------------|
//! | templates | tenant, prompt as it was named                             | an edition, prepared, or its absence |
//! | answers   | tenant, representation, prompt, canonical variables        | ready bytes          |
//! | aliases   | tenant, raw path and query                                 | a pointer to an answer |
//!
//! So new variables cost one render and never a question to the origin, and a repeated URL costs
//! one look-up: nothing of it is parsed.
//!
//! Nothing is ever searched for to be removed. What changed is *marked* ([`generation`]); every
//! entry carries the stamps it was made under and is worthless once one has moved.
//!
//! # Invariants
//!
//! 1. The tenant is part of every key by the key's type, and equality is on the whole key, never
//!    on a hash. (`key::tests::tenants_never_share_a_key`)
//! 2. At most one flight per key is under way, and a caller that leaves does not cancel it.
//!    (`flight::tests::a_crowd_shares_one_flight`)
//! 3. A flight that panics, or that a stopping runtime drops, frees its key; nobody waits for ever.
//!    (`flight::tests::a_flight_that_panics_frees_its_key`,
//!    `flight::tests::a_flight_of_a_runtime_that_has_ended_frees_its_key`)
//! 4. What was fetched before a change is never served after it, even if it is stored after it.
//!    (`tests::an_answer_made_before_a_change_is_worthless_after_it`)
//! 5. Nothing here reads a clock or knows what HTTP is.

pub mod entry;
pub mod flight;
pub mod generation;
pub mod key;

use std::sync::{Arc, Weak};

use foldhash::quality::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Map;

use entry::{Absence, Entry, Known, Sheet};
use generation::Generations;
use key::{AliasKey, AliasRef, AnswerKey, SheetKey};

/// How much memory the maps may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Prepared editions, in bytes.
    pub templates_bytes: u64,
    /// Finished answers and their aliases together, in bytes.
    pub answers_bytes: u64,
}

impl Default for Config {
    /// Some thousand prompts, and about a hundred thousand answers of 1 KiB.
    fn default() -> Self {
        Self { templates_bytes: 32 << 20, answers_bytes: 128 << 20 }
    }
}

/// The maps. `A` is what a finished answer holds.
pub struct Cache<A> {
    sheets: Map<SheetKey, Known, RandomState>,
    answers: Map<AnswerKey, Arc<Entry<A>>, RandomState>,
    aliases: Map<AliasKey, Weak<Entry<A>>, RandomState>,
    generations: Arc<Generations>,
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

impl<A: Send + Sync + 'static> Cache<A> {
    /// Empty maps under the marks of `generations`.
    pub fn new(config: Config, generations: Arc<Generations>) -> Self {
        // An alias is about an eighth of a 1 KiB answer and what it names.
        let aliases_bytes = config.answers_bytes / 8;
        Self {
            sheets: bounded(config.templates_bytes, |key: &SheetKey, known: &Known| {
                key.weight_bytes() + known.weight_bytes()
            }),
            answers: bounded(config.answers_bytes - aliases_bytes, |key: &AnswerKey, entry| {
                key.weight_bytes() + Entry::weight_bytes(entry)
            }),
            aliases: bounded(aliases_bytes, |key: &AliasKey, _| {
                key.weight_bytes() + Entry::<A>::SHELL_BYTES
            }),
            generations,
        }
    }

    /// The marks that entries live and die by.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// What is known of a prompt: its prepared edition, or that there is none.
    pub fn sheet(&self, key: &SheetKey) -> Option<Known> {
        self.sheets.get(key).filter(|known| self.generations.hold(known.stamp()))
    }

    /// Keeps an edition.
    pub fn keep_sheet(&self, key: SheetKey, sheet: Arc<Sheet>) {
        self.sheets.insert(key, Known::Present(sheet));
    }

    /// Keeps an absence.
    pub fn keep_absence(&self, key: SheetKey, absence: Absence) {
        self.sheets.insert(key, Known::Absent(absence));
    }

    /// A finished answer.
    pub fn answer(&self, key: &AnswerKey) -> Option<Arc<Entry<A>>> {
        self.answers.get(key).filter(|entry| self.generations.hold(&entry.stamp))
    }

    /// Keeps a finished answer.
    pub fn keep_answer(&self, key: AnswerKey, entry: Arc<Entry<A>>) {
        self.answers.insert(key, entry);
    }

    /// A finished answer by the raw target that was answered with it before.
    pub fn aliased(&self, alias: AliasRef<'_>) -> Option<Arc<Entry<A>>> {
        let entry = self.aliases.get(&alias)?.upgrade()?;
        self.generations.hold(&entry.stamp).then_some(entry)
    }

    /// Remembers which answer a raw target leads to. The answer may be evicted all the same.
    pub fn keep_alias(&self, alias: AliasKey, entry: &Arc<Entry<A>>) {
        self.aliases.insert(alias, Arc::downgrade(entry));
    }

    /// What the maps hold, after the work they have put off is done.
    pub fn holds(&self) -> [Holds; 3] {
        fn of<K, V>(map: &'static str, of: &Map<K, V, RandomState>) -> Holds
        where
            K: std::hash::Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            of.run_pending_tasks();
            Holds { map, entries: of.entry_count(), weight_bytes: of.weighted_size() }
        }
        [of("templates", &self.sheets), of("answers", &self.answers), of("aliases", &self.aliases)]
    }
}

/// A map bounded by the sum of what `weigh` says of its entries, in bytes.
fn bounded<K, V>(
    capacity_bytes: u64,
    weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
) -> Map<K, V, RandomState>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Map::builder()
        .max_capacity(capacity_bytes)
        .weigher(move |key, value| {
            u32::try_from(weigh(key, value) + MAP_BYTES_PER_ENTRY).unwrap_or(u32::MAX)
        })
        // A stream of answers that are never asked for again must not push out those that are.
        .eviction_policy(EvictionPolicy::tiny_lfu())
        .build_with_hasher(RandomState::default())
}

/// What moka itself takes per entry: bucket, entry record, queue node, frequency sketch.
///
/// Measured: README.md, "Limits".
const MAP_BYTES_PER_ENTRY: usize = 320;

#[cfg(test)]
mod tests {
    use crate::model::{EnvironmentId, ProjectId, PromptId, Tenant};

    use super::generation::Mark;
    use super::key::{Subject, Variables};
    use super::*;

    const TENANT: Tenant = Tenant::new(ProjectId(1), EnvironmentId(1));

    fn answer_key(variables: u32) -> AnswerKey {
        AnswerKey {
            tenant: TENANT,
            representation: "test",
            subject: Subject::Prompt(PromptId(uuid::Uuid::nil())),
            variables: Variables::Resolved(variables.to_le_bytes().into()),
        }
    }

    fn cache(answers_bytes: u64) -> Cache<u32> {
        let config = Config { answers_bytes, ..Config::default() };
        Cache::new(config, Arc::new(Generations::default()))
    }

    fn entry(cache: &Cache<u32>, answer: u32, len_bytes: usize) -> Arc<Entry<u32>> {
        let stamp = cache.generations().stamp([Mark::Listing(ProjectId(1)); 2]);
        Arc::new(Entry { answer, len_bytes, stamp })
    }

    #[test]
    fn an_answer_made_before_a_change_is_worthless_after_it() {
        let cache = cache(1 << 20);
        let made_before = entry(&cache, 1, 10);
        let alias = AliasRef { tenant: TENANT, target: "/x?y" };

        cache.generations().advance(&Mark::Listing(ProjectId(1)));
        cache.keep_answer(answer_key(1), Arc::clone(&made_before));
        cache.keep_alias(alias.to_owned(), &made_before);

        assert!(cache.answer(&answer_key(1)).is_none());
        assert!(cache.aliased(alias).is_none());
        cache.keep_answer(answer_key(1), entry(&cache, 2, 10));
        assert_eq!(cache.answer(&answer_key(1)).unwrap().answer, 2);
    }

    #[test]
    fn the_weight_of_a_flood_stays_within_the_capacity() {
        let cache = cache(1 << 20);

        for n in 0..20_000 {
            let entry = entry(&cache, n, 1_000);
            let target = format!("/api/v1/prompts/x/compiled?variables={n}");
            cache.keep_alias(AliasRef { tenant: TENANT, target: &target }.to_owned(), &entry);
            cache.keep_answer(answer_key(n), entry);
        }

        let [_, answers, aliases] = cache.holds();
        let weight = answers.weight_bytes + aliases.weight_bytes;
        assert!(weight <= 1 << 20, "{weight} should be within the capacity");
        assert!(answers.entries > 100, "the capacity should be used, not only kept");
    }

    #[test]
    fn an_alias_does_not_keep_an_evicted_answer() {
        let cache = cache(1 << 20);
        let alias = AliasRef { tenant: TENANT, target: "/x" };

        cache.keep_alias(alias.to_owned(), &entry(&cache, 1, 10));

        assert!(cache.aliased(alias).is_none());
    }
}
