//! How many tokens a text costs.
//!
//! The count is exact for models of OpenAI, by the encoding of the model. For any other model it is
//! an estimate by `o200k_base`: most vendors publish no tokenizer.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// The encoding for prompts that name no model, or one that is not known.
const DEFAULT_ENCODING: &str = "o200k_base";

/// Whether [`warm`] has run. Before, the first count builds a vocabulary (up to 0.3 s).
static IS_WARM: AtomicBool = AtomicBool::new(false);

/// Which vocabulary counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static str);

impl Encoding {
    /// The encoding of a model, by its name; `o200k_base` if that is not known.
    pub fn of_model(model: Option<&str>) -> Self {
        const COMPILED_IN: [&str; 6] = [
            DEFAULT_ENCODING,
            "o200k_harmony",
            "cl100k_base",
            "p50k_base",
            "p50k_edit",
            "r50k_base",
        ];
        let known = model.and_then(tiktoken::model_to_encoding);
        Self(known.filter(|name| COMPILED_IN.contains(name)).unwrap_or(DEFAULT_ENCODING))
    }

    /// Counts the tokens of `text`. Special tokens count as the plain text they are written in.
    pub fn count(self, text: &str) -> usize {
        tiktoken::get_encoding(self.0).map_or(0, |encoding| encoding.count(text))
    }

    /// Whether a count starts at once, without building a vocabulary first.
    pub fn is_warm(self) -> bool {
        self.0 == DEFAULT_ENCODING && IS_WARM.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Builds the default vocabulary. Takes up to 0.3 s: not for an async worker.
pub fn warm() {
    Encoding(DEFAULT_ENCODING).count("");
    IS_WARM.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_brings_its_own_encoding() {
        assert_eq!(Encoding::of_model(Some("gpt-4o")), Encoding("o200k_base"));
        assert_eq!(Encoding::of_model(Some("gpt-4")), Encoding("cl100k_base"));
        assert_eq!(Encoding::of_model(Some("claude-opus-4")), Encoding("o200k_base"));
        assert_eq!(Encoding::of_model(None), Encoding("o200k_base"));
    }

    #[test]
    fn tokens_are_counted_as_the_vendor_counts_them() {
        assert_eq!(Encoding::of_model(None).count("hello world"), 2);
        assert_eq!(Encoding::of_model(Some("gpt-4")).count("hello world"), 2);
        assert_eq!(Encoding::of_model(None).count(""), 0);
        assert!(Encoding::of_model(None).count("<|endoftext|>") > 1, "plain text, not a token");
    }
}
