//! Which request is the next: drawn by its number alone, so that a run can be repeated.
//!
//! Neither the connection that happens to be free nor the moment decides anything. Two targets of
//! one comparison, and two runs with one seed, are asked for the same prompts in the same order.

/// Draws requests: slugs and variables each by a Zipf law, and a share that asks for a change only.
#[derive(Clone, Debug)]
pub struct Choice {
    slugs: Zipf,
    variables: Zipf,
    not_modified: f64,
    seed: u64,
}

/// What one request is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Which of the target's requests.
    pub(crate) request: usize,
    /// Whether it says which answer is known already.
    pub(crate) is_conditional: bool,
}

impl Choice {
    /// Draws among so many slugs and, for each, so many sets of variables, the first of each being
    /// the most popular. `not_modified` is the share of conditional requests, from 0 to 1.
    pub fn new(slugs: Zipf, variables: Zipf, not_modified: f64, seed: u64) -> Self {
        Self { slugs, variables, not_modified, seed }
    }

    /// What the request of this number is to be. Requests are counted slug by slug.
    pub(crate) fn draw(&self, number: u64) -> Draw {
        let slug = self.slugs.rank(fraction(self.seed, number, SLUG));
        let variables = self.variables.rank(fraction(self.seed, number, VARIABLES));
        Draw {
            request: slug * self.variables.ranks() + variables,
            is_conditional: fraction(self.seed, number, CONDITION) < self.not_modified,
        }
    }
}

/// A Zipf law: the thing of rank *k* is asked for in proportion to 1 / *k*^exponent.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The share of each rank and all before it; the last is 1.
    cumulative: Vec<f64>,
}

impl Zipf {
    /// A law over so many ranks, of which there is at least one. With an exponent of 0 all are alike.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let weights = (1..=ranks.max(1)).map(|rank| (rank as f64).powf(-exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let mut cumulative: Vec<f64> = sums.collect();
        let total = cumulative.last().copied().unwrap_or(1.0);
        cumulative.iter_mut().for_each(|sum| *sum /= total);
        Self { cumulative }
    }

    fn ranks(&self) -> usize {
        self.cumulative.len()
    }

    /// The rank, from 0, at a fraction of all: the inverse of the cumulative law.
    fn rank(&self, at: f64) -> usize {
        let rank = self.cumulative.partition_point(|sum| *sum <= at);
        rank.min(self.ranks() - 1)
    }
}

/// What a fraction is drawn for: independent of what is drawn for another purpose.
const SLUG: u64 = 1;
const VARIABLES: u64 = 2;
const CONDITION: u64 = 3;

/// A fraction in [0, 1), by seed, number and purpose.
fn fraction(seed: u64, number: u64, purpose: u64) -> f64 {
    let bits = mix(mix(mix(seed) ^ purpose).wrapping_add(number.wrapping_mul(GOLDEN)));
    // The 53 bits that a double holds exactly.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): a
/// step by the golden ratio and a finaliser, so that a position in the sequence is reached at once.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Evenly spread fractions reach each rank as often as the law says.
        #[test]
        fn ranks_are_drawn_by_the_law(ranks in 1_usize..60, exponent in 0.0_f64..3.0) {
            const DRAWS: usize = 20_000;
            let zipf = Zipf::new(ranks, exponent);
            let mut drawn = vec![0_usize; ranks];

            for draw in 0..DRAWS {
                drawn[zipf.rank((draw as f64 + 0.5) / DRAWS as f64)] += 1;
            }

            let weight = |rank: usize| 1.0 / ((rank + 1) as f64).powf(exponent);
            let total: f64 = (0..ranks).map(weight).sum();
            for (rank, times) in drawn.into_iter().enumerate() {
                let expected = weight(rank) / total * DRAWS as f64;
                prop_assert!((times as f64 - expected).abs() <= 2.0, "{rank}: {times}, {expected}");
            }
        }

        #[test]
        fn every_draw_is_a_request_there_is(
            slugs in 1_usize..20,
            variables in 1_usize..20,
            exponent in 0.0_f64..50.0,
            (seed, number) in any::<(u64, u64)>(),
        ) {
            let [a, b] = [slugs, variables].map(|ranks| Zipf::new(ranks, exponent));

            let draw = Choice::new(a, b, 0.5, seed).draw(number);

            prop_assert!(draw.request < slugs * variables);
        }
    }

    #[test]
    fn a_seed_repeats_its_draws_and_another_does_not() {
        let choice = |seed| Choice::new(Zipf::new(5, 1.0), Zipf::new(7, 1.0), 0.5, seed);
        let draws = |seed| (0..100).map(|n| choice(seed).draw(n)).collect::<Vec<_>>();

        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    /// With one seed, so that it holds always or never: 100,000 draws, five standard deviations.
    #[test]
    fn fractions_are_even_and_shares_are_met() {
        const DRAWS: u64 = 100_000;
        let choice = Choice::new(Zipf::new(4, 0.0), Zipf::new(1, 0.0), 0.3, 1);
        let mut drawn = [0_u64; 4];
        let mut conditional = 0;

        for number in 0..DRAWS {
            let draw = choice.draw(number);
            drawn[draw.request] += 1;
            conditional += u64::from(draw.is_conditional);
        }

        assert!(drawn.iter().all(|times| times.abs_diff(DRAWS / 4) < 685), "{drawn:?}");
        assert!(conditional.abs_diff(DRAWS * 3 / 10) < 725, "{conditional}");
    }
}
