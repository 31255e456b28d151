//! How prompts are written down.
//!
//! * [`content`]: a version's content as JSON: what the stores keep, what the bundle carries and
//!   what the commit hash is computed over. One definition, so the three cannot drift apart.
//! * [`markdown`]: one prompt as a Markdown file with optional YAML front matter.
//! * [`bundle`]: any number of prompts with their whole history as one JSON file
//!   (`docs/bundle.schema.json`).
//! * [`edition`]: a version with its prompt and defaults, as one edge hands it to the next.
//! * [`files`]: a Markdown file or a bundle, by the name of the file that holds it.
//! * `fields`: how all of them read an object, so that each says in the same words where a file is
//!   wrong ([`Misfit`]).
//!
//! All of it is pure: text in, nouns out, and back.

pub mod bundle;
pub mod content;
pub mod edition;
mod fields;
pub mod files;
pub mod markdown;

pub use fields::{Misfit, Problem};
