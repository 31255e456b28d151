//! `serve --demo`: a temporary store with example prompts and a key for each environment.

use std::path::Path;

use tempfile::TempDir;

use crate::authoring::Authoring;
use crate::cli::Failure;
use crate::config::StoreUrl;
use crate::formats::files;

/// The prompts of `examples/prompts`.
const PROMPTS: [(&str, &str); 6] = [
    ("code-review.md", include_str!("../../examples/prompts/code-review.md")),
    ("customer-support.md", include_str!("../../examples/prompts/customer-support.md")),
    ("meeting-summary.md", include_str!("../../examples/prompts/meeting-summary.md")),
    ("order-status.md", include_str!("../../examples/prompts/order-status.md")),
    ("plain-language.md", include_str!("../../examples/prompts/plain-language.md")),
    ("ticket-extraction.md", include_str!("../../examples/prompts/ticket-extraction.md")),
];

const PROJECT: &str = "demo";
const PLAN: &str = "free";

/// A folder for the temporary store, removed when it is dropped, and the URL of the store in it.
pub(super) fn temporary() -> Result<(TempDir, StoreUrl), Failure> {
    let folder = tempfile::Builder::new().prefix("prompt-edge-demo-").tempdir()?;
    let url = StoreUrl::Sqlite(folder.path().join("demo.db"));
    Ok((folder, url))
}

/// Fills the store and says how to ask it, given where the server listens.
pub(super) async fn fill(authoring: &Authoring, address: &str) -> Result<String, Failure> {
    let project = authoring.create_project(PROJECT, PLAN).await?;
    let mut prompts = Vec::new();
    for (name, text) in PROMPTS {
        prompts.extend(files::parse(Path::new(name), text.as_bytes()).map_err(Failure::of)?);
    }
    let count = authoring.import(&project, prompts, Some("live")).await?.len();
    let (live, _) = authoring.issue_key(PROJECT, "live", "demo", None).await?;
    let (dev, _) = authoring.issue_key(PROJECT, "dev", "demo", None).await?;

    Ok(format!(
        "demo project \"{PROJECT}\" (plan {PLAN}), {count} prompts, temporary store\n  \
           live key  {live}        development key  {dev}\n\
         try:\n  \
           curl -i -H 'Authorization: Bearer {live}' '{address}/api/v1/prompts/customer-support/\
         compiled?variables=%7B%22user_name%22%3A%22Alex%22%7D'",
        live = live.reveal(),
        dev = dev.reveal(),
    ))
}
