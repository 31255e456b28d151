//! Whether git is at work in a folder: what it checks out is one change, however long it takes.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands in git's own folder while files are changed: by any command, or by the merge or
/// rebase of a pull until it is brought to its end.
const AT_WORK: [&str; 4] = ["index.lock", "MERGE_HEAD", "rebase-apply", "rebase-merge"];

/// What says that git is at work in the repository that `folder` is or lies in; `None` if nothing
/// does.
pub(super) fn at_work(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let mut ancestors = folder.ancestors().map(|ancestor| ancestor.join(".git"));
    let git = ancestors.find(|git| git.exists())?;
    let git = if git.is_file() { pointed_at(&git)? } else { git };
    AT_WORK.iter().map(|name| git.join(name)).find(|path| path.exists())
}

/// A worktree and a submodule have a file in the place of the folder, which says where that is.
fn pointed_at(file: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    Some(file.parent()?.join(text.strip_prefix("gitdir:")?.trim()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn git_is_at_work_while_it_holds_its_lock() {
        let repository = TempDir::new().unwrap();
        let prompts = repository.path().join("prompts/support");
        fs::create_dir_all(&prompts).unwrap();
        assert_eq!(at_work(&prompts), None, "of no repository");

        fs::create_dir(repository.path().join(".git")).unwrap();
        assert_eq!(at_work(&prompts), None, "of a repository at rest");

        fs::write(repository.path().join(".git/index.lock"), "").unwrap();
        assert!(at_work(&prompts).unwrap().ends_with(".git/index.lock"));
        assert!(at_work(repository.path()).is_some());
    }

    #[test]
    fn a_worktree_is_asked_in_its_repository() {
        let folder = TempDir::new().unwrap();
        let git = folder.path().join("main/.git/worktrees/prompts");
        fs::create_dir_all(git.join("rebase-merge")).unwrap();
        let worktree = folder.path().join("prompts");
        fs::create_dir(&worktree).unwrap();
        fs::write(worktree.join(".git"), "gitdir: ../main/.git/worktrees/prompts\n").unwrap();

        assert!(at_work(&worktree).unwrap().ends_with("worktrees/prompts/rebase-merge"));
    }
}
