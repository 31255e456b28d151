//! Tells the binary which source revision it was built from, for `--version` and `/version`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    // A packager without a checkout can say it; else git is asked; else nobody knows.
    println!("cargo::rerun-if-env-changed=PROMPT_EDGE_REVISION");
    let revision = env::var_os("PROMPT_EDGE_REVISION").and_then(|text| text.into_string().ok());
    let revision = revision.or_else(from_git);
    println!("cargo::rustc-env=PROMPT_EDGE_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

fn from_git() -> Option<String> {
    // `logs/HEAD` is appended to by every commit and checkout.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let asked = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let revision = String::from_utf8(asked.stdout).ok()?;
    asked.status.success().then(|| revision.trim().to_owned())
}
