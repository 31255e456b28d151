//! The limiter's share of a hit, in instructions: a number that a busy machine does not change.
//!
//! ```sh
//! cargo bench --no-run --bench limits_instructions    # names the executable
//! for n in 20000 40000; do
//!   for plan in unlimited limited; do
//!     valgrind --tool=callgrind --callgrind-out-file=$plan.$n EXECUTABLE $plan $n
//!   done
//! done
//! ```
//!
//! Callgrind prints `Collected` for each. What a hit costs is the difference of two runs on one
//! plan divided by the difference of their hits (20,000): start and setup cancel out. What the
//! background does for these hits, renewals of the lease included, is in it. `callgrind_annotate
//! --inclusive=yes limited.40000` shows what of a hit is `Gate::try_spend` and `Gate::settle`.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]
#![expect(clippy::print_stdout, reason = "it is run by hand")]

#[expect(dead_code, reason = "changed prompts and tags are for the other benches")]
mod support;

use std::hint::black_box;

use http::StatusCode;
use prompt_edge::config::Config;
use prompt_edge::model::PlanName;

use support::{Edge, limited};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [plan, hits] = &*arguments else {
        println!(
            "run it as its first lines say: with a plan and a number of hits, under callgrind"
        );
        return;
    };
    let hits: u64 = hits.parse().expect("the second argument is a number");
    let (limited, config) = limited(Config::default());
    let plan_name = match plan.as_str() {
        "limited" => limited,
        "unlimited" => PlanName::new("enterprise"),
        other => panic!("the plans are limited and unlimited, not {other}"),
    };
    let edge = Edge::on(&plan_name, &config);
    let _entered = edge.runtime.enter();

    let hit = edge.ask("Alex");
    edge.check(hit.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    for _ in 0..hits {
        drop(black_box(edge.hit(hit.clone())));
    }
    println!("{plan}: {hits} hits");
}
