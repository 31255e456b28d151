//! Standard output: lines, tables, JSON.

use std::io::{self, Write};

use comfy_table::Table;
use serde_json::Value;

use crate::cli::Failure;

/// Writes a line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes as they are. A reader that has left is no failure.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Writes a line to standard error: what is said about the work, not its result.
pub(super) fn note(text: &str) {
    // If nobody can be told, there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a list: as a JSON array of objects, or as a table whose columns are the objects' names.
/// `columns` names the columns, in order, also when the list is empty.
pub(super) fn list(is_json: bool, columns: &[&str], rows: Vec<Value>) -> Result<(), Failure> {
    if is_json {
        return line(&format!("{:#}", Value::from(rows)));
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.replace('_', " ").to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(row.get(column))));
    }
    let lines = table.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    line(&lines.join("\n"))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => visible(text),
        Some(Value::Array(items)) if !items.is_empty() => {
            let items = items.iter().map(|item| cell(Some(item)));
            items.collect::<Vec<_>>().join(" ")
        }
        Some(Value::Object(pairs)) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            let pairs = pairs.collect::<Vec<_>>().join(" ");
            if pairs.is_empty() { "-".to_owned() } else { pairs }
        }
        Some(other) => other.to_string(),
    }
}

/// Text fit for a table: a line break or a terminal's escape code in a name shows as what it is.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
