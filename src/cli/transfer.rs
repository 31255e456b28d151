//! `import` and `export`: prompts from files and into one.

use std::collections::HashMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::authoring::Authoring;
use crate::cli::Failure;
use crate::cli::output;
use crate::formats::{bundle, files};
use crate::model::{Imported, Project, Slug};

#[derive(Args, Debug)]
pub(super) struct Import {
    /// Markdown prompts, JSON bundles, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The project's name.
    #[arg(long)]
    project: String,
    /// Make the newest version of each prompt live as well.
    #[arg(long)]
    publish: bool,
    /// Where `--publish` makes them live.
    #[arg(long, default_value = "live", requires = "publish")]
    environment: String,
    /// What was done, as a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The project's name.
    #[arg(long)]
    project: String,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Imports file by file: a bad one is named and passed over, nothing of it is stored.
pub(super) async fn import(import: Import, authoring: Authoring) -> Result<(), Failure> {
    let project = authoring.project(&import.project).await?;
    let publish_in = import.publish.then_some(import.environment.as_str());
    let (found, mut failed) = collect(&import.paths);
    let mut run = Run { project, publish_in, sources: HashMap::new(), authoring };
    let progress = progress(found.len());

    let mut done = Vec::new();
    let total = found.len() + failed.len();
    for path in found {
        match run.file(&path).await {
            Ok(imported) => done.push((path, imported)),
            Err(reason) => failed.push((path, reason)),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();

    for (path, reason) in &failed {
        output::note(&format!("{}: {reason}", path.display()));
    }
    report(&done, import.json)?;
    if total == 0 {
        return Err(Failure::of("no prompts there: expected files that end in .md or .json"));
    }
    let of = |word: &str| {
        let all = done.iter().flat_map(|(_, imported)| imported);
        all.filter(|imported| imported.as_str() == word).count()
    };
    output::note(&format!(
        "{} of {total} files imported: {} prompts created, {} drafted, {} unchanged",
        done.len(),
        of("created"),
        of("drafted"),
        of("unchanged"),
    ));
    if failed.is_empty() { Ok(()) } else { Err(Failure::Partial) }
}

/// What was done, one line per prompt.
fn report(done: &[(PathBuf, Vec<Imported>)], is_json: bool) -> Result<(), Failure> {
    let rows = done.iter().flat_map(|(path, imported)| {
        imported.iter().map(move |imported| {
            json!({
                "outcome": imported.as_str(),
                "slug": imported.slug().as_str(),
                "version": imported.version(),
                "file": path.to_string_lossy(),
            })
        })
    });
    let rows: Vec<Value> = rows.collect();
    if rows.is_empty() && !is_json {
        return Ok(());
    }
    output::list(is_json, &["outcome", "slug", "version", "file"], rows)
}

/// One run over many files.
struct Run<'a> {
    project: Project,
    publish_in: Option<&'a str>,
    /// Which file each prompt came from: two of one name in one run are a mistake, not a history.
    sources: HashMap<Slug, PathBuf>,
    authoring: Authoring,
}

impl Run<'_> {
    async fn file(&mut self, path: &Path) -> Result<Vec<Imported>, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let prompts = files::parse(path, &bytes).map_err(|error| error.to_string())?;
        for prompt in &prompts {
            if let Some(earlier) = self.sources.get(&prompt.slug) {
                return Err(format!(
                    "the slug `{}` came from {} already: give one of them another",
                    prompt.slug,
                    earlier.display()
                ));
            }
        }
        let slugs: Vec<_> = prompts.iter().map(|prompt| prompt.slug.clone()).collect();
        let imported = self.authoring.import(&self.project, prompts, self.publish_in).await;
        let imported = imported.map_err(|error| error.to_string())?;
        self.sources.extend(slugs.into_iter().map(|slug| (slug, path.to_owned())));
        Ok(imported)
    }
}

/// The files that the paths name, in order of name within a folder, and what cannot be read.
fn collect(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<(PathBuf, String)>) {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            // Whatever is named is tried, also if it does not look like a prompt.
            found.push(path.clone());
        } else if let Err(error) = walk(path, &mut found) {
            failed.push((path.clone(), error.to_string()));
        }
    }
    (found, failed)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // A link to a folder could lead around in circles.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else if path.is_file() && files::Kind::of(&path).is_some() {
            found.push(path);
        }
    }
    Ok(())
}

/// A bar on a terminal for more files than fit on a screen.
fn progress(files: usize) -> ProgressBar {
    const WITHOUT_BAR: usize = 50;
    if files <= WITHOUT_BAR || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("importing {bar:40} {pos}/{len} files, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Writes the bundle; a file is replaced whole or not at all.
pub(super) async fn export(export: Export, authoring: Authoring) -> Result<(), Failure> {
    let prompts = authoring.export(&export.project, None).await?;
    let bundle = bundle::write(&prompts);
    let Some(out) = export.out else { return output::bytes(bundle.as_bytes()) };

    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bundle.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&out).map_err(|error| Failure::of(error.error))?;
    output::note(&format!("{} prompts written to {}", prompts.len(), out.display()));
    Ok(())
}
