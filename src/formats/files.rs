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

/// Whether a file in a folder is meant to be a prompt. Others are passed over.
pub fn is_prompt(path: &Path) -> bool {
    matches!(extension(path).as_str(), "md" | "markdown" | "json")
}

/// Reads the prompts of a file with this name and content.
///
/// # Errors
///
/// If it holds none that can be understood.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Portable>, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::NotText { valid_to: error.valid_up_to() })?;
    match extension(path).as_str() {
        "md" | "markdown" => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            Ok(Vec::from([markdown::parse(&stem, text)?]))
        }
        "json" => Ok(bundle::read(text)?),
        _ => Err(Error::Kind),
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
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
        assert!(is_prompt(Path::new("a.md")) && is_prompt(Path::new("b.json")));
        assert!(!is_prompt(Path::new("LICENSE")) && !is_prompt(Path::new("a.txt")));
    }
}
