//! What files do not say of themselves, made of what they do: ids, numbers and validators.
//!
//! Nothing is drawn by chance or counted, so two edges on copies of one folder agree, and so does
//! an edge with itself after a restart.

use sha2::Digest;
use sha2::Sha256;
use uuid::Builder;
use uuid::Uuid;

use crate::model::{Listed, Prompt, Version};
use crate::origins::Validator;

/// A UUID (RFC 9562 §5.8, version 8) of these words.
pub(super) fn uuid(words: &[&str]) -> Uuid {
    let mut bytes = [0; 16];
    for (byte, derived) in bytes.iter_mut().zip(digest(words)) {
        *byte = derived;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// An integer id of these words: positive, and at most the 53 bits that every JSON reader keeps.
pub(super) fn number(words: &[&str]) -> i64 {
    let [a, b, c, d, e, f, g, ..] = digest(words);
    i64::from_be_bytes([0, a & 0x1F, b, c, d, e, f, g]).max(1)
}

/// What stands for one version of a prompt as `project` is told it.
pub(super) fn of_edition(project: Uuid, prompt: &Prompt, version: &Version) -> Validator {
    let mut words = Vec::from([
        project.to_string(),
        prompt.id.0.to_string(),
        prompt.slug.to_string(),
        prompt.name.clone(),
        prompt.description.clone(),
        prompt.category.clone(),
        prompt.visibility.as_str().to_owned(),
        prompt.owner.clone(),
        prompt.created_at.as_millis().to_string(),
        prompt.updated_at.as_millis().to_string(),
        version.id.0.to_string(),
        version.number.to_string(),
        version.commit.clone(),
        version.created_at.as_millis().to_string(),
    ]);
    // Last, since there may be any number of them.
    words.extend(prompt.tags.iter().cloned());
    validator(&words)
}

/// What stands for a list.
pub(super) fn of_listing(listed: &[Listed]) -> Validator {
    let mut words = Vec::with_capacity(listed.len() * 4);
    for line in listed {
        let number = line.current_version.map(|number| number.to_string());
        words.extend([line.id.0.to_string(), line.slug.to_string(), line.name.clone()]);
        words.push(number.unwrap_or_default());
    }
    validator(&words)
}

fn validator(words: &[String]) -> Validator {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let digest = digest(&words);
    Validator(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

/// Each word with its length before it: no two lists of words give the same bytes.
fn digest(words: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers keep ids: a release that derives others breaks them.
    #[test]
    fn what_is_derived_is_frozen() {
        let words = ["prompt", "team-folder", "greeting"];

        assert_eq!(uuid(&words).to_string(), "d8dddfb6-9f3f-8b52-95f7-ca950ccc4947");
        assert_eq!(number(&words), 6_999_352_352_390_939);
    }

    #[test]
    fn words_do_not_run_together() {
        assert_ne!(uuid(&["ab", "c"]), uuid(&["a", "bc"]));
        assert_ne!(uuid(&["a"]), uuid(&["a", ""]));
    }
}
