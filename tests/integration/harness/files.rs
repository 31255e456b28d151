//! A watched folder as a place that prompts come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prompt_edge::formats::bundle;
use prompt_edge::model::{Layout, OriginName, Portable, PortableVersion, Reads};
use prompt_edge::origins::files::{Config, FilesOrigin};
use prompt_edge::origins::{Cursor, Origin, Reader};
use tempfile::TempDir;

use crate::contract::given::{content, prompt};
use crate::contract::origin::{self, Drafts, Place};

/// A folder that people write prompts into.
pub(crate) struct Cabinet<F> {
    form: F,
    root: TempDir,
    origin: Mutex<Arc<dyn Origin>>,
}

/// How the prompts are written down.
pub(crate) trait Form {
    /// Makes a prompt or its next version, and writes it into the folder.
    fn write(&self, folder: &Path, slug: &str, text: &str, is_published: bool);

    /// Deletes a prompt from the folder.
    fn delete(&self, folder: &Path, slug: &str);
}

/// Each prompt in a Markdown file.
pub(crate) struct Markdown;

/// All prompts in one bundle.
#[derive(Default)]
pub(crate) struct Bundle(Mutex<BTreeMap<String, Portable>>);

pub(crate) async fn markdown() -> Cabinet<Markdown> {
    Cabinet::of(Markdown).await
}

pub(crate) async fn bundles() -> Cabinet<Bundle> {
    Cabinet::of(Bundle::default()).await
}

impl<F: Form> Cabinet<F> {
    async fn of(form: F) -> Self {
        let root = TempDir::new().expect("there is a temporary folder");
        fs::create_dir(folder(&root)).expect("it can be made");
        let cabinet = Self { form, origin: Mutex::new(open(&root)), root };
        cabinet.now().await;
        cabinet
    }

    fn folder(&self) -> PathBuf {
        folder(&self.root)
    }

    /// Where the changes are, as soon as the folder has been read.
    async fn now(&self) -> Cursor {
        let told = self.origin().changes(Cursor::START).await;
        told.expect("the folder is watched").cursor
    }

    /// Writes, and waits until that is noticed.
    async fn noticed(&self, write: impl FnOnce(&F, &Path)) {
        let before = self.now().await;
        write(&self.form, &self.folder());
        self.origin().changes(before).await.expect("the folder is watched");
    }

    /// Another process begins to watch.
    fn restart(&self) {
        let origin = open(&self.root);
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = origin;
    }
}

fn folder(root: &TempDir) -> PathBuf {
    root.path().join("prompts")
}

fn open(root: &TempDir) -> Arc<dyn Origin> {
    let config = Config::at(OriginName::new("files"), folder(root));
    let origin = FilesOrigin::open(Config { interval: Duration::from_millis(1), ..config });
    Arc::new(origin.expect("there is a thread for it"))
}

impl<F: Form> Place for Cabinet<F> {
    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reader(&self, reads: Reads) -> Reader {
        origin::reader(reads)
    }

    async fn publish(&self, slug: &str, text: &str) {
        self.noticed(|form, folder| form.write(folder, slug, text, true)).await;
    }

    async fn delete(&self, slug: &str) {
        self.noticed(|form, folder| form.delete(folder, slug)).await;
    }

    /// A folder that goes away takes nothing with it from an edge that has read it: only one that
    /// starts without the folder has no answer.
    async fn goes_away(&self) {
        fs::rename(self.folder(), self.root.path().join("gone")).expect("it can be moved");
        self.restart();
    }

    async fn comes_back(&self) {
        fs::rename(self.root.path().join("gone"), self.folder()).expect("it can be moved");
        self.now().await;
    }
}

impl Drafts for Cabinet<Bundle> {
    async fn draft(&self, slug: &str, text: &str) {
        self.noticed(|form, folder| form.write(folder, slug, text, false)).await;
    }
}

impl Form for Markdown {
    fn write(&self, folder: &Path, slug: &str, text: &str, is_published: bool) {
        assert!(is_published, "a Markdown file is live as it stands");
        replace(&folder.join(format!("{slug}.md")), text);
    }

    fn delete(&self, folder: &Path, slug: &str) {
        fs::remove_file(folder.join(format!("{slug}.md"))).expect("the prompt exists");
    }
}

impl Form for Bundle {
    fn write(&self, folder: &Path, slug: &str, text: &str, is_published: bool) {
        self.rewrite(folder, |prompts| {
            let prompt = prompts.entry(slug.to_owned()).or_insert_with(|| prompt(slug, &[]));
            let mut content = content(text);
            if let Layout::Sections(blocks) = &mut content.layout {
                blocks.iter_mut().for_each(|block| block.title.clear());
            }
            prompt.versions.push(PortableVersion { id: None, content, created_at: None });
            if is_published {
                let newest = u32::try_from(prompt.versions.len()).expect("they are few");
                prompt.published = vec![("live".into(), vec![newest])];
            }
        });
    }

    fn delete(&self, folder: &Path, slug: &str) {
        self.rewrite(folder, |prompts| {
            prompts.remove(slug).expect("the prompt exists");
        });
    }
}

impl Bundle {
    fn rewrite(&self, folder: &Path, change: impl FnOnce(&mut BTreeMap<String, Portable>)) {
        let mut prompts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut prompts);
        let prompts: Vec<_> = prompts.values().cloned().collect();
        replace(&folder.join("all.json"), &bundle::write(&prompts));
    }
}

/// As an editor saves: written beside the file, then renamed.
fn replace(path: &Path, text: &str) {
    let beside = path.with_file_name(".new");
    fs::write(&beside, text).expect("it can be written");
    fs::rename(beside, path).expect("it can be renamed");
}
