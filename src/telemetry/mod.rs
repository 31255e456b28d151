//! What the process says about itself.
//!
//! * [`metrics`]: counts and durations, declared in one place, served by `admin`.
//! * [`trace`]: log lines on standard error.
//! * [`request_id`]: the name by which a caller and a log line speak of the same request.
//!
//! A message is a constant lower-case phrase; data goes into fields. Levels: *error*, an operator
//! must act; *warn*, unexpected and handled; *info*, life cycle; *debug*, one line per request that
//! was refused and per background step; *trace*, inside a request. A successful hit logs nothing
//! above trace. No line, at any level, holds a key, a variable's value or the text of a prompt
//! (`logs_never_hold_a_secret` in `tests/integration/logs.rs`), and no label comes from a caller.

pub mod metrics;
pub mod request_id;
pub mod trace;

pub use metrics::Metrics;
