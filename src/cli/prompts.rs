//! `prompts`: list, show, publish, roll back, delete.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::authoring::Authoring;
use crate::cli::Failure;
use crate::cli::output;
use crate::compile::Prepared;
use crate::formats::bundle;
use crate::model::{Overview, Portable, PromptName};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List a project's prompts.
    List {
        /// The project's name.
        #[arg(long)]
        project: String,
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show one prompt: what it is, its versions, and the text of one of them.
    Show {
        #[command(flatten)]
        which: Which,
        /// The version whose text is shown [default: the newest]
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        /// The whole history, as `export` writes it.
        #[arg(long, conflicts_with = "version")]
        json: bool,
    },
    /// Make a version live.
    Publish {
        #[command(flatten)]
        which: Which,
        /// The version [default: the newest]
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        /// Where it becomes live.
        #[arg(long, default_value = "live")]
        environment: String,
    },
    /// Take back the newest publication: what was live before is live again.
    Rollback {
        #[command(flatten)]
        which: Which,
        /// Where it is taken back.
        #[arg(long, default_value = "live")]
        environment: String,
    },
    /// Delete a prompt with its whole history.
    Delete {
        #[command(flatten)]
        which: Which,
    },
}

/// Which prompt.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The prompt's slug or id.
    prompt: PromptName,
    /// The project's name.
    #[arg(long)]
    project: String,
}

pub(super) async fn run(command: Command, authoring: Authoring) -> Result<(), Failure> {
    match command {
        Command::List { project, json } => {
            let rows = authoring.prompts(&project).await?.iter().map(row).collect();
            output::list(json, &["slug", "name", "latest", "published", "updated_at"], rows)
        }
        Command::Show { which, version, json } => show(which, version, json, &authoring).await,
        Command::Publish { which, version, environment } => {
            let Which { prompt, project } = which;
            let live = authoring.publish(&project, prompt.clone(), version, &environment).await?;
            output::line(&format!("{prompt}: version {live} is live in {environment}"))
        }
        Command::Rollback { which, environment } => {
            let Which { prompt, project } = which;
            let live = authoring.rollback(&project, prompt.clone(), &environment).await?;
            output::line(&format!("{prompt}: version {live} is live again in {environment}"))
        }
        Command::Delete { which } => {
            authoring.delete(&which.project, which.prompt.clone()).await?;
            output::line(&format!("{}: deleted", which.prompt))
        }
    }
}

fn row(overview: &Overview) -> Value {
    let prompt = &overview.prompt;
    let published = overview.published.iter().map(|(name, number)| (name.clone(), json!(number)));
    json!({
        "slug": prompt.slug.as_str(),
        "name": prompt.name,
        "id": prompt.id.0.to_string(),
        "latest": overview.latest,
        "published": published.collect::<Map<_, _>>(),
        "updated_at": prompt.updated_at.to_string(),
    })
}

async fn show(
    which: Which,
    version: Option<u32>,
    is_json: bool,
    authoring: &Authoring,
) -> Result<(), Failure> {
    let exported = authoring.export(&which.project, Some(which.prompt.clone())).await?;
    if is_json {
        return output::bytes(bundle::write(&exported).as_bytes());
    }
    let (Some(prompt), prompt_name) = (exported.first(), which.prompt) else { return Ok(()) };
    let newest = u32::try_from(prompt.versions.len()).unwrap_or(u32::MAX);
    let number = version.unwrap_or(newest);
    let Some(shown) = (number as usize).checked_sub(1).and_then(|at| prompt.versions.get(at))
    else {
        return Err(Failure::of(format!(
            "`{prompt_name}` has no version {number}: it has 1 to {newest}"
        )));
    };
    let prepared = Prepared::new(&shown.content, Map::new());
    let variables = prepared.names().collect::<Vec<_>>().join(", ");
    output::line(&format!(
        "{}\nversion    {number}\nvariables  {}\n\n{}",
        heading(prompt),
        if variables.is_empty() { "-" } else { &variables },
        prepared.source().trim_end_matches('\n'),
    ))
}

fn heading(prompt: &Portable) -> String {
    let of = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let stack = |(name, numbers): &(String, Vec<u32>)| {
        numbers.last().map(|number| format!("{name}={number}"))
    };
    let published = prompt.published.iter().filter_map(stack).collect::<Vec<_>>().join(" ");
    let label =
        |(label, number): &(_, u32)| format!("{}={number}", crate::model::Label::as_str(label));
    let labels = prompt.labels.iter().map(label).collect::<Vec<_>>().join(" ");
    format!(
        "slug       {}\nname       {}\nid         {}\ncategory   {}\ntags       {}\nversions   {}\n\
         published  {}\nlabels     {}",
        prompt.slug,
        of(&prompt.name),
        prompt.id.map_or("-".to_owned(), |id| id.0.to_string()),
        of(&prompt.category),
        of(&prompt.tags.join(", ")),
        prompt.versions.len(),
        of(&published),
        of(&labels),
    )
}
