//! YAML front matter: finding it, and reading it as the JSON that `fields` understands.

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use crate::formats::fields::{Misfit, Place};
use crate::formats::markdown::Error;

/// Splits a file into its front matter, if it has one, and its body. The opening line stays with
/// the front matter: to YAML it is the start of a document, and lines count from the file's top.
pub(super) fn split(file: &str) -> (Option<&str>, &str) {
    let is_fence = |line: &str| line.trim_end() == "---";
    let mut lines = file.split_inclusive('\n');
    let Some(opening) = lines.next().filter(|line| is_fence(line)) else {
        return (None, file);
    };

    let mut length = opening.len();
    for line in lines {
        if is_fence(line) {
            let (front_matter, rest) = file.split_at(length);
            return (Some(front_matter), rest.split_at(line.len()).1);
        }
        length += line.len();
    }
    (None, file)
}

/// Reads front matter as JSON. A key with nothing after it is as good as absent.
pub(super) fn read(yaml: Option<&str>) -> Result<Value, Error> {
    let Some(yaml) = yaml else {
        return Ok(Value::Object(Map::new()));
    };
    if yaml.len() > MAX_BYTES {
        return Err(Error::FrontMatter);
    }
    match to_json(yaml_serde::from_str(yaml).map_err(Error::Yaml)?, &Place::Root)? {
        Value::Object(mut map) => {
            map.retain(|_, value| !value.is_null());
            Ok(Value::Object(map))
        }
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::Unmapped)
        }
    }
}

/// The longest front matter that is read. libyaml takes time with the square of some inputs, such
/// as mappings nested in a line: half a second for 32 KiB of the worst, a day for a file of 16 MiB.
const MAX_BYTES: usize = 32 << 10;

/// Translates YAML to JSON, where it has a JSON form.
fn to_json(yaml: yaml_serde::Value, place: &Place<'_>) -> Result<Value, Misfit> {
    Ok(match yaml {
        yaml_serde::Value::Null => Value::Null,
        yaml_serde::Value::Bool(flag) => Value::Bool(flag),
        yaml_serde::Value::Number(number) => Value::Number(to_json_number(&number, place)?),
        yaml_serde::Value::String(text) => Value::String(text),
        yaml_serde::Value::Sequence(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(i, item)| to_json(item, &place.index(i))).collect::<Result<_, _>>()?
        }
        yaml_serde::Value::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                let yaml_serde::Value::String(key) = key else {
                    return Err(place.must_be("a mapping with texts as keys: put them in quotes"));
                };
                let value = to_json(value, &place.key(&key))?;
                map.insert(key, value);
            }
            Value::Object(map)
        }
        yaml_serde::Value::Tagged(_) => {
            return Err(place.must_be("a value without a YAML tag: remove the `!…` before it"));
        }
    })
}

fn to_json_number(number: &yaml_serde::Number, place: &Place<'_>) -> Result<Number, Misfit> {
    if let Some(whole) = number.as_u64() {
        return Ok(whole.into());
    }
    if let Some(whole) = number.as_i64() {
        return Ok(whole.into());
    }
    let finite = number.as_f64().and_then(Number::from_f64);
    finite.ok_or_else(|| place.must_be("a finite number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(yaml: &str) -> String {
        read(Some(yaml)).map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn front_matter_lies_between_the_first_line_and_the_next_fence() {
        for (file, expected) in [
            ("---\na: 1\n---\nx", (Some("---\na: 1\n"), "x")),
            ("---\r\na: 1\r\n---  \r\n\r\nx", (Some("---\r\na: 1\r\n"), "\r\nx")),
            ("---\n---", (Some("---\n"), "")),
            ("\n---\na: 1\n---\n", (None, "\n---\na: 1\n---\n")),
            ("---\na: 1\n", (None, "---\na: 1\n")),
            ("----\na: 1\n---\n", (None, "----\na: 1\n---\n")),
            ("", (None, "")),
        ] {
            assert_eq!(split(file), expected, "in {file:?}");
        }
    }

    #[test]
    fn yaml_is_read_as_json() {
        for (yaml, expected) in [
            ("---\n", "{}"),
            ("---\n# Nothing yet.\n", "{}"),
            ("---\nname:\ntags: [a, b]\n", r#"{"tags":["a","b"]}"#),
            ("---\nz: {b: 1, a: ~}\na: 0.4\nc: -3\n", r#"{"z":{"b":1,"a":null},"a":0.4,"c":-3}"#),
            ("---\r\nz: |\r\n  one\r\n  two\r\n", r#"{"z":"one\ntwo\n"}"#),
            ("---\na: &x [1]\nb: *x\n", r#"{"a":[1],"b":[1]}"#),
        ] {
            assert_eq!(read_json(yaml), expected, "of {yaml:?}");
        }
    }

    #[test]
    fn what_has_no_json_form_is_refused() {
        for (yaml, expected) in [
            ("---\na: {b: .inf}\n", "front matter: a.b must be a finite number"),
            ("---\na: !x 1\n", "front matter: a must be a value without a YAML tag"),
            ("---\na: [{1: x}]\n", "front matter: a[0] must be a mapping with texts as keys"),
            ("---\njust words\n", "the front matter between the `---` lines is not a mapping"),
            ("---\na: [1\nb: 2\n", "the front matter is not YAML: did not find"),
            ("---\na: 1\na: 2\n", "the front matter is not YAML: duplicate entry"),
            ("---\na: 123456789012345678901234567890\n", "the front matter is not YAML: a: "),
        ] {
            let problem = read_json(yaml);
            assert!(problem.starts_with(expected), "{yaml:?} should say {expected:?}: {problem}");
        }
    }

    #[test]
    fn aliases_cannot_multiply_a_small_file_into_a_large_value() {
        let mut yaml = "---\na: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            yaml.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }

        assert!(read_json(&yaml).starts_with("the front matter is not YAML: repetition limit"));
    }

    #[test]
    fn front_matter_is_limited_in_bytes() {
        let of = |len: usize| format!("---\na: {}", "x".repeat(len - 7));

        assert!(read(Some(&of(MAX_BYTES))).is_ok());
        assert!(matches!(read(Some(&of(MAX_BYTES + 1))), Err(Error::FrontMatter)));
    }

    #[test]
    fn a_yaml_error_counts_lines_from_the_top_of_the_file() {
        let (yaml, _) = split("---\nname: x\ntags: ]\n---\nText\n");

        let problem = read(yaml).unwrap_err().to_string();
        assert!(problem.contains("line 3"), "{problem}");
    }
}
