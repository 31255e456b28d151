//! From a file's bytes to prompts, by its name.

use std::path::Path;

use crate::formats::bundle;
use crate::formats::markdown;
use crate::model::Portable;

/// Why a file gave no prompts. Messages stand behind the file's name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A JSON bundle that is not one.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// Neither Markdown nor JSON.
    #[error("expected a name that ends in .md, .markdown or .json")]
    Kind,
    /// A Markdown prompt that is not one.
    #[error(transparent)]
    Markdown(#[from] markdown::Error),
    /// Bytes that are no text.
    #[error("not UTF-8 from byte {valid_to} on: save it as UTF-8")]
    NotText {
        /// How many bytes are.
        valid_to: usize,
    },
}

/// What a file holds, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any number of prompts, with their versions and what is published of them.
    Bundle,
    /// One version of one prompt.
    Markdown,
}

impl Kind {
    /// The kind of a file with this name; `None` if it is not meant to hold prompts: in a folder it
    /// is passed over.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Bundle),
            "md" | "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// Reads the prompts of a file with this name and content.
///
/// # Errors
///
/// If it holds none that can be understood.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Portable>, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::NotText { valid_to: error.valid_up_to() })?;
    match Kind::of(path).ok_or(Error::Kind)? {
        Kind::Bundle => Ok(bundle::read(text)?),
        Kind::Markdown => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            Ok(Vec::from([markdown::parse(&stem, text)?]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_its_name() {
        let markdown = parse(Path::new("x/Greeting.MD"), b"Hello {{name}}").unwrap();
        assert_eq!(markdown.first().unwrap().slug.as_str(), "greeting");

        let bundle = br#"{"format": "prompt-edge-bundle", "version": 1, "prompts": []}"#;
        assert_eq!(parse(Path::new("all.json"), bundle).unwrap(), []);

        assert!(matches!(parse(Path::new("a.txt"), b"x"), Err(Error::Kind)));
        assert!(matches!(parse(Path::new("a.md"), b"ab\xFF"), Err(Error::NotText { valid_to: 2 })));
    }

    #[test]
    fn only_prompts_are_taken_from_a_folder() {
        for (name, kind) in [
            ("a.md", Some(Kind::Markdown)),
            ("a.Markdown", Some(Kind::Markdown)),
            ("b.json", Some(Kind::Bundle)),
            ("LICENSE", None),
            ("a.txt", None),
            ("a.md~", None),
        ] {
            assert_eq!(Kind::of(Path::new(name)), kind, "of {name}");
        }
    }
}
