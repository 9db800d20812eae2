//! A directory of a run's own.

use std::cell::Cell;
use std::path::{Path, PathBuf};

/// A directory that each run finds empty, made when it is first asked for.
pub(crate) struct Scratch {
    path: PathBuf,
    used: Cell<bool>,
}

impl Scratch {
    /// A scratch directory of this process, named after `owner`.
    pub(crate) fn new(owner: u32) -> Self {
        let path = std::env::temp_dir().join(format!("mallory-{owner}-{}", std::process::id()));
        Scratch { path, used: Cell::new(false) }
    }

    pub(crate) fn path(&self) -> &Path {
        if !self.used.replace(true) {
            // A failure shows when the subject uses the directory, with the subject's own error.
            let _ = std::fs::create_dir_all(&self.path);
        }
        &self.path
    }

    pub(crate) fn empty(&self) {
        if self.used.get() {
            let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }

    /// Removes the directory of a process that is done, or dead.
    pub(crate) fn remove(owner: u32, process: u32) {
        let path = std::env::temp_dir().join(format!("mallory-{owner}-{process}"));
        let _ = std::fs::remove_dir_all(path);
    }
}
