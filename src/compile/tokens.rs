//! How many tokens a text costs.
//!
//! The count is exact for models of OpenAI, by the encoding of the model. For any other model it is
//! an estimate by `o200k_base`: most vendors publish no tokenizer.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The encoding for prompts that name no model, or one that is not known.
const DEFAULT_ENCODING: &str = "o200k_base";

/// The encodings whose vocabularies are part of this program.
const COMPILED_IN: [&str; 6] =
    [DEFAULT_ENCODING, "o200k_harmony", "cl100k_base", "p50k_base", "p50k_edit", "r50k_base"];

/// Whether [`warm`] has run. Before, the first count builds a vocabulary (up to 0.3 s).
static IS_WARM: AtomicBool = AtomicBool::new(false);

/// Which vocabulary counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static str);

impl Encoding {
    /// The encoding of a model, by its name; `o200k_base` if that is not known.
    pub fn of_model(model: Option<&str>) -> Self {
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

/// The texts of a template that are always the same, each counted once.
///
/// Encodings split a text before they look anything up: from left to right, never looking back, and in
/// all of those compiled in a word ends before a blank. So a text can be divided between a letter and
/// a blank, and its count is that of both parts together. What of a fixed text stands between its
/// first and its last such place has the same count wherever it stands.
#[derive(Debug, Default)]
pub struct Fixed(OnceLock<Box<[Option<Stretch>]>>);

/// A part of a text, and how many tokens it has.
#[derive(Debug)]
struct Stretch {
    range: Range<usize>,
    tokens: usize,
}

impl Stretch {
    fn of(encoding: Encoding, text: &str) -> Option<Self> {
        let is_division =
            |pair: &[u8]| matches!(pair, [letter, b' '] if letter.is_ascii_alphabetic());
        let first = text.as_bytes().windows(2).position(is_division)?;
        let last = text.as_bytes().windows(2).rposition(is_division)?;
        let range = first + 1..last + 1;
        let tokens = encoding.count(text.get(range.clone())?);
        Some(Self { range, tokens })
    }
}

impl Fixed {
    /// Counts the tokens of a text that was put together of `pieces`, which begin at `starts`. A piece
    /// that is the same in every text is a `Some`.
    pub fn count<'p>(
        &self,
        encoding: Encoding,
        pieces: impl Iterator<Item = Option<&'p str>>,
        text: &str,
        starts: &[usize],
    ) -> usize {
        let stretches =
            self.0.get_or_init(|| pieces.map(|piece| Stretch::of(encoding, piece?)).collect());
        let (mut from, mut tokens) = (0, 0);
        for (start, stretch) in starts.iter().zip(stretches) {
            let Some(Stretch { range, tokens: known }) = stretch else { continue };
            let between = text.get(from..start + range.start).unwrap_or_default();
            tokens += encoding.count(between) + known;
            from = start + range.end;
        }
        tokens + encoding.count(text.get(from..).unwrap_or_default())
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
    use proptest::prelude::*;

    use super::*;

    /// What stands around the places where a text is divided, and where an encoding may go on.
    const PIECE: &str = r"([a-zA-Zé漢 ]{1,6}|[ \n\r\t]{1,4}|[0-9.,;'/]{1,4}|'(s|re|LL)|\PC){0,8}";

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

    proptest! {
        #[test]
        fn what_is_counted_once_for_all_is_counted_right(
            encoding in prop::sample::select(&COMPILED_IN),
            pieces in prop::collection::vec((any::<bool>(), PIECE, PIECE), 0..6),
        ) {
            let (encoding, fixed) = (Encoding(encoding), Fixed::default());
            let known =
                || pieces.iter().map(|(is_fixed, first, _)| is_fixed.then_some(first.as_str()));

            // The second text differs from the first where a value stands.
            for is_second in [false, true] {
                let (mut text, mut starts) = (String::new(), Vec::new());
                for (is_fixed, first, second) in &pieces {
                    starts.push(text.len());
                    text.push_str(if *is_fixed || !is_second { first } else { second });
                }

                let counted = fixed.count(encoding, known(), &text, &starts);

                prop_assert_eq!(counted, encoding.count(&text), "of {:?}", text);
            }
        }
    }
}
