//! The scratch directory: a directory for the subject's files that is empty at the start of each
//! run.

use std::cell::Cell;
use std::path::{Path, PathBuf};

/// The scratch directory of one process, created when it is first asked for.
///
/// A child makes it its working directory and hands out `.`, a path that has the same length on
/// every machine and in every process: the memory in which a subject keeps it is part of the trace.
pub(crate) struct ScratchDir {
    folder: PathBuf,
    is_child: bool,
    used: Cell<bool>,
}

impl ScratchDir {
    /// The scratch directory of this process. `owner` is the process that sweeps: the parent in a
    /// child, otherwise this process itself.
    pub(crate) fn new(owner: u32) -> Self {
        let process = std::process::id();
        let folder = folder(owner, process);
        ScratchDir { folder, is_child: owner != process, used: Cell::new(false) }
    }

    /// The directory's path: `.` in a child.
    pub(crate) fn path(&self) -> &Path {
        if !self.used.replace(true) {
            // If this fails, the subject gets the error when it uses the directory.
            let _ = std::fs::create_dir_all(&self.folder);
            if self.is_child {
                let _ = std::env::set_current_dir(&self.folder);
            }
        }
        if self.is_child { Path::new(".") } else { &self.folder }
    }

    /// Whether there are files in it.
    pub(crate) fn holds_files(&self) -> bool {
        let entries = || std::fs::read_dir(&self.folder).ok();
        self.used.get() && entries().is_some_and(|mut entries| entries.next().is_some())
    }

    /// Removes everything in it.
    pub(crate) fn empty(&self) {
        if self.used.get() {
            let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }

    /// Removes the directory of a process that has ended.
    pub(crate) fn remove(owner: u32, process: u32) {
        let _ = std::fs::remove_dir_all(folder(owner, process));
    }
}

/// Removes the directories of owners that were killed before they could do so.
pub(crate) fn tidy(is_alive: impl Fn(u32) -> bool) {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("mallory-"));
        let owner = owner.and_then(|rest| rest.split_once('-')).map(|(owner, _)| owner);
        let owner = owner.and_then(|owner| u32::from_str_radix(owner, 16).ok());
        if owner.is_some_and(|owner| !is_alive(owner)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn folder(owner: u32, process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("mallory-{owner:08x}-{process:08x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let (dead, alive) = (folder(0xFFFF_FFF1, 1), folder(0xFFFF_FFF2, 1));
        for folder in [&dead, &alive] {
            std::fs::create_dir_all(folder).expect("made");
        }
        tidy(|owner| owner != 0xFFFF_FFF1);
        assert!(!dead.exists() && alive.exists());
        std::fs::remove_dir_all(alive).expect("removed");
    }
}
