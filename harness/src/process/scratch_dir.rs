//! A directory of a run's own.

use std::cell::Cell;
use std::path::{Path, PathBuf};

/// A directory that each run finds empty, made when it is first asked for.
///
/// A child makes it its working directory and hands out `.`: a path that is as long on every
/// machine and in every process, since what a subject keeps of it is part of its trace.
pub(crate) struct ScratchDir {
    folder: PathBuf,
    is_child: bool,
    used: Cell<bool>,
}

impl ScratchDir {
    /// The scratch directory of this process, which works for `owner` (or is it).
    pub(crate) fn new(owner: u32) -> Self {
        let process = std::process::id();
        let folder = folder(owner, process);
        ScratchDir { folder, is_child: owner != process, used: Cell::new(false) }
    }

    pub(crate) fn path(&self) -> &Path {
        if !self.used.replace(true) {
            // A failure shows when the subject uses the directory, with the subject's own error.
            let _ = std::fs::create_dir_all(&self.folder);
            if self.is_child {
                let _ = std::env::set_current_dir(&self.folder);
            }
        }
        if self.is_child { Path::new(".") } else { &self.folder }
    }

    /// Whether anything was put there.
    pub(crate) fn holds_files(&self) -> bool {
        let entries = || std::fs::read_dir(&self.folder).ok();
        self.used.get() && entries().is_some_and(|mut entries| entries.next().is_some())
    }

    pub(crate) fn empty(&self) {
        if self.used.get() {
            let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }

    /// Removes the directory of a process that is done, or dead.
    pub(crate) fn remove(owner: u32, process: u32) {
        let _ = std::fs::remove_dir_all(folder(owner, process));
    }
}

/// Removes the directories of processes that were killed before they could.
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
