//! What a search for a failing script caught.

use crate::error::Error;
use crate::report::kind::Kind;
use crate::script::runner::PlayedRun;
use crate::script::shrink::Removed;
use crate::system::script::Found;
use crate::system::script::Script;
use serde::Serialize;
use std::path::Path;
#[cfg(any(feature = "arbitrary", feature = "cli", feature = "script-tests"))]
use std::path::PathBuf;

/// A script that shows something.
#[derive(Clone, Debug)]
pub(crate) struct CaughtScript<Op> {
    pub(crate) script: Script<Op>,
    pub(crate) seen: PlayedRun,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// What was removed; `None`: run again it showed something else, so nothing was.
    pub(crate) removed: Option<Removed>,
}

impl<Op: Clone + Serialize> CaughtScript<Op> {
    /// The case as a report has it.
    pub(crate) fn by(&self) -> Result<String, Error> {
        let text = self.case().print()?;
        Ok(match self.removed {
            Some(removed) => format!("by this script ({removed}):\n{}", text.trim_end()),
            None => format!(
                "by this script, as it was: run again, it showed something else:\n{}",
                text.trim_end()
            ),
        })
    }

    /// The script as it is written down: with what it shows.
    pub(crate) fn case(&self) -> Script<Op> {
        let found = Found { kind: self.kind.name().to_owned(), id: self.id.clone() };
        let note = self.seen.evidence.first().and_then(|evidence| evidence.notes.first());
        let about = note.and_then(|note| note.lines().next()).unwrap_or(self.kind.name());
        let about = about.trim_end_matches(':').chars().take(120).collect();
        Script { about, found: Some(found), ..self.script.clone() }
    }

    /// Writes the case into a folder, unless a smaller one of the same finding is there.
    ///
    /// # Errors
    /// Where it can't be written.
    #[cfg(any(feature = "arbitrary", feature = "cli", feature = "script-tests"))]
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join(format!("{}.ron", self.id));
        let failed = |error: std::io::Error| {
            Error::new(format!("{}: cannot write the case: {error}", path.display()))
                .help("look after the folder's rights and space")
        };
        let text = self.case().print()?;
        let present = std::fs::read_to_string(&path).ok();
        if present.is_none_or(|present| (text.len(), &text) < (present.len(), &present)) {
            std::fs::create_dir_all(folder).map_err(failed)?;
            crate::process::atomic_file::write(&path, &text).map_err(failed)?;
        }
        Ok(path)
    }
}

/// One find of a child, and what is left of a script made smaller there.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaughtFinding {
    pub(crate) nth: u64,
    pub(crate) seen: Option<PlayedRun>,
    pub(crate) text: String,
    pub(crate) runs: u64,
    pub(crate) faults: u64,
    pub(crate) preemptions: u64,
    pub(crate) operations: u64,
    pub(crate) sizes: u64,
}
