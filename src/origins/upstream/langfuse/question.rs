//! How Langfuse is asked.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Slug, Timestamp};

/// Which version of a prompt is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// The one that carries the label.
    Label(&'a str),
    /// This one.
    Version(u32),
}

impl Wanted<'_> {
    /// The number, if it is asked for by number.
    pub(super) fn number(self) -> Option<u32> {
        match self {
            Self::Label(_) => None,
            Self::Version(number) => Some(number),
        }
    }

    /// Where the version is. A folder's slash is part of the name, not of the path.
    pub(super) fn target(self, slug: &Slug) -> String {
        let name = utf8_percent_encode(slug.as_str(), ESCAPED);
        match self {
            Self::Label(label) => {
                format!("{PROMPTS}/{name}?label={}", utf8_percent_encode(label, ESCAPED))
            }
            Self::Version(version) => format!("{PROMPTS}/{name}?version={version}"),
        }
    }
}

/// Whether a URL can name a prompt of this name: dots between slashes are resolved on the way
/// (RFC 3986 §5.2.4), escaped or not.
pub(super) fn is_askable(slug: &Slug) -> bool {
    !slug.as_str().split('/').any(|part| matches!(part, "." | ".."))
}

/// Where a page of the list is: of every prompt, or of those updated at `from` or later.
pub(super) fn page(number: u64, limit: usize, from: Option<Timestamp>) -> String {
    let from = from.map(|from| format!("&fromUpdatedAt={from}")).unwrap_or_default();
    format!("{PROMPTS}?page={number}&limit={limit}{from}")
}

/// Where prompts are, below the site's own URL.
const PROMPTS: &str = "/api/public/v2/prompts";

/// What a segment of a path or a value in a query cannot hold as it is (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
