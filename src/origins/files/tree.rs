//! The folder as a look finds it: which files hold prompts, and a stamp of each that moves when
//! the file does.
//!
//! Passed over: whatever has a hidden name (`.git`, `.x.md.swp`, the `.#x.md` of an editor), and
//! every file whose name is not one of a prompt (`x.md~`, `4913`, `LICENSE`). A link is followed as
//! long as it stays inside the folder, so that a name may lead into a hidden place: that is how a
//! mounted ConfigMap is laid out. A folder is entered once, however many links lead to it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::{DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::formats::files::Kind;

/// What a folder holds. Two that are equal were looked at with no write in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// In an order that depends on the names alone.
    pub(super) files: Vec<File>,
}

impl Tree {
    /// Looks at everything below `folder`.
    ///
    /// # Cost
    ///
    /// One `stat` per file that holds prompts and no read: about 3 µs of one core each.
    pub(super) fn of(folder: &Path) -> Result<Self, Error> {
        let root = fs::canonicalize(folder).map_err(|error| unreadable(folder, &error))?;
        let mut walk = Walk {
            waiting: Vec::from([(PathBuf::new(), root.clone())]),
            root,
            entered: HashSet::new(),
            entries: 0,
            bytes: 0,
            files: Vec::new(),
        };
        while let Some((name, path)) = walk.waiting.pop() {
            if walk.entered.insert(path.clone()) {
                let shown = if name.as_os_str().is_empty() { folder } else { &name };
                let entries = walk.entries(&path).map_err(|error| unreadable(shown, &error))?;
                for entry in entries {
                    walk.entry(&name, &entry)?;
                }
            }
            if walk.entries > MAX_ENTRIES {
                return Err(Error::TooMany);
            }
        }
        Ok(Self { files: walk.files })
    }
}

/// A file that holds prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Its path below the folder: what people know it by.
    pub(super) name: PathBuf,
    /// Where it lies, all links followed.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    stamp: Stamp,
}

/// Why a folder cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "{name:?} is a link out of the folder: put what it leads to into the folder, or remove it"
    )]
    LeadsOut { name: PathBuf },

    #[error("{name:?} is longer than {MAX_FILE_BYTES} bytes: split it")]
    TooLong { name: PathBuf },

    #[error("the folder holds more than {MAX_ENTRIES} files and folders: name a smaller one")]
    TooMany,

    #[error("the prompts are longer than {MAX_BYTES} bytes in all: name a smaller folder")]
    TooMuch,

    #[error("{name:?} cannot be read: {kind}")]
    Unreadable { name: PathBuf, kind: io::ErrorKind },
}

/// A walk through the folder, as far as it has come.
struct Walk {
    /// The folder, all links followed: what leads out of it is not read.
    root: PathBuf,
    /// Folders to be entered: how they are called below the root, and where they lie.
    waiting: Vec<(PathBuf, PathBuf)>,
    /// Where the folders lie that were: links cannot lead around in circles.
    entered: HashSet<PathBuf>,
    entries: usize,
    bytes: u64,
    files: Vec<File>,
}

impl Walk {
    /// What is in a folder, by name; no more than is needed to know that it is too much.
    fn entries(&mut self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        let room = (MAX_ENTRIES + 1).saturating_sub(self.entries);
        let mut entries = fs::read_dir(folder)?.take(room).collect::<Result<Vec<_>, _>>()?;
        self.entries += entries.len();
        entries.sort_by_cached_key(DirEntry::file_name);
        Ok(entries)
    }

    fn entry(&mut self, folder: &Path, entry: &DirEntry) -> Result<(), Error> {
        let name = entry.file_name();
        if is_hidden(&name) {
            return Ok(());
        }
        let name = folder.join(name);
        let failed = |error: io::Error| unreadable(&name, &error);

        let kind = entry.file_type().map_err(failed)?;
        if kind.is_symlink() {
            return self.link(name, &entry.path());
        }
        if kind.is_dir() {
            self.waiting.push((name, entry.path()));
        } else if kind.is_file() && Kind::of(&name).is_some() {
            let metadata = entry.metadata().map_err(failed)?;
            return self.file(name, entry.path(), &metadata);
        }
        Ok(())
    }

    fn link(&mut self, name: PathBuf, path: &Path) -> Result<(), Error> {
        let is_prompt = Kind::of(&name).is_some();
        let target = fs::canonicalize(path)
            .and_then(|target| fs::metadata(&target).map(|metadata| (target, metadata)));
        let (target, metadata) = match target {
            Ok(target) => target,
            Err(error) if is_prompt => return Err(unreadable(&name, &error)),
            Err(_) => return Ok(()),
        };
        let (is_folder, is_file) = (metadata.is_dir(), is_prompt && metadata.is_file());
        if !is_folder && !is_file {
            return Ok(());
        }
        if !target.starts_with(&self.root) {
            return Err(Error::LeadsOut { name });
        }
        if is_folder {
            self.waiting.push((name, target));
            return Ok(());
        }
        self.file(name, target, &metadata)
    }

    fn file(&mut self, name: PathBuf, path: PathBuf, metadata: &Metadata) -> Result<(), Error> {
        let Some(kind) = Kind::of(&name) else { return Ok(()) };
        if metadata.len() > MAX_FILE_BYTES {
            return Err(Error::TooLong { name });
        }
        self.bytes += metadata.len();
        if self.bytes > MAX_BYTES {
            return Err(Error::TooMuch);
        }
        self.files.push(File { name, path, kind, stamp: Stamp::of(metadata) });
        Ok(())
    }
}

/// What moves when a file does. A file system gives two writes the same moment only if they fall
/// into one tick of a few milliseconds, and no two looks are that close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Moves with the above, and also where a tool has set `modified` back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

pub(super) fn unreadable(name: &Path, error: &io::Error) -> Error {
    Error::Unreadable { name: name.to_owned(), kind: error.kind() }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The longest file: hundreds of the longest prompts with their history.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// The most text in all. Parsed and indexed it takes two to three times as much memory, and twice
/// that while one set replaces another.
const MAX_BYTES: u64 = 256 << 20;

/// The most files and folders that are looked at, prompts or not.
const MAX_ENTRIES: usize = 100_000;
