//! Secrets: the configuration says where one is, and never what it is.
//!
//! `{ env = "NAME" }` is a variable of the environment, `{ file = "path" }` a file, such as an
//! orchestrator mounts. A secret that stands in the configuration itself is refused, because such
//! files are shown, shared and kept in version control.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};

use crate::config::names::PREFIX;
use crate::config::reader::Reader;
use crate::model::Credential;

/// How a secret is given, as messages put it.
pub(crate) const FORM: &str = "{ env = \"NAME\" } or { file = \"path\" }, where the secret is";

/// Reads the secret that the table at `path` names, if there is one. `parse` fails with what it
/// would have taken.
pub(crate) fn secret<T>(
    reader: &mut Reader<'_>,
    path: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let is_there = reader.table(path, FORM);
    let [env, file] = ["env", "file"].map(|key| format!("{path}.{key}"));
    let [is_in_variable, is_in_file] = [&env, &file].map(|path| reader.is_set(path));
    if is_there && !is_in_variable && !is_in_file {
        reader.refuse(&[path], "…", FORM);
    }
    let environment = reader.environment();
    let of_variable = reader.whereabouts(env, |name| {
        parse(&variable(environment, name)?).map_err(|form| format!("{form}, in that variable"))
    });
    if is_in_variable && is_in_file {
        reader.refuse_key(&file, "env or file, and not both");
        return of_variable;
    }
    let of_file = reader.whereabouts(file, |path| {
        parse(&content(path)?).map_err(|form| format!("{form}, in that file"))
    });
    of_variable.or(of_file)
}

/// What a variable holds.
fn variable(environment: &[(OsString, OsString)], name: &str) -> Result<String, String> {
    if name.starts_with(PREFIX) {
        return Err(format!("a name that does not begin with {PREFIX}: such variables are keys"));
    }
    let found = environment.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let text = found.and_then(|value| value.to_str()).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| {
        // A name in capitals is a name. Any other text might be a secret that was put there.
        let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        match !name.is_empty() && name.bytes().all(is_capital) {
            true => format!("the variable {name} to be set and not empty"),
            false => "the name of a variable that is set and not empty".to_owned(),
        }
    })
}

/// What a file holds, without the newline that editors and `echo` end it with.
fn content(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err("a file of text".to_owned());
        }
        Err(error) => return Err(format!("a file that can be read: {error}")),
        Ok(bytes) if bytes as u64 > MAX_BYTES => {
            return Err(format!("a file of at most {MAX_BYTES} bytes"));
        }
        Ok(_) => {}
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    match secret.is_empty() {
        true => Err("a file that is not empty".to_owned()),
        false => Ok(secret.to_owned()),
    }
}

/// Far longer than any key.
const MAX_BYTES: u64 = 16 << 10;

/// A secret that can be sent in a header.
pub(crate) fn credential(text: &str) -> Result<Credential, String> {
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
    let form = || "a secret of visible ASCII characters without blanks".to_owned();
    is_visible.then(|| Credential::new(text)).ok_or_else(form)
}
