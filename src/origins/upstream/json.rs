//! Reading a foreign body as JSON, without letting it decide how deep we go.

use serde_json::Value;

use crate::origins::error::BoxError;

/// Reads a body.
///
/// # Errors
///
/// If it is no JSON, or nests more than [`DEPTH`] objects and arrays. The error holds no part of
/// the body.
pub(super) fn read(body: &[u8]) -> Result<Value, BoxError> {
    if depth(body) > DEPTH {
        return Err(format!("it nests more than {DEPTH} objects and arrays").into());
    }
    Ok(serde_json::from_slice(body)?)
}

/// Deeper than any prompt: model settings and variables are written by people. A value may nest 64
/// levels (`formats::fields`), and another edge puts a few around it.
const DEPTH: usize = 80;

/// How many objects and arrays are open at once, in one pass. Of what is no JSON any number will
/// do, since the parser refuses it.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in body {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' => is_escaped = is_quoted,
            b'{' | b'[' if !is_quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !is_quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_deep_as_allowed_is_read_and_one_deeper_is_not() {
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();

        assert!(read(nested(DEPTH).as_bytes()).is_ok());
        assert!(read(nested(DEPTH + 1).as_bytes()).is_err());
        assert!(read(nested(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn brackets_in_text_nest_nothing() {
        let body = format!(r#"{{"a\"{}": "\\", "b": "{}"}}"#, "[".repeat(100), "{".repeat(100));

        assert_eq!(depth(body.as_bytes()), 1);
        assert!(read(body.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_body() {
        let error = read(b"{\"secret\": hush}").unwrap_err().to_string();

        assert_eq!(error, "expected value at line 1 column 12");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }
    }
}
