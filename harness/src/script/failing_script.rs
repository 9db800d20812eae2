//! A script that shows something, together with what it shows: the contents of a case file.

#[cfg(any(feature = "arbitrary", feature = "cli", feature = "script-tests"))]
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::printable;
use crate::process::codec::codec_struct;
use crate::report::kind::Kind;
use crate::script::runner::ScriptRunner;
use crate::script::script_run::ScriptRun;
use crate::script::shrink::Removed;
use crate::system::System;
use crate::system::script::{Found, Script};

/// A script that shows something, and the finding that it is about.
#[derive(Clone, Debug)]
pub(crate) struct FailingScript<Op> {
    pub(crate) script: Script<Op>,
    pub(crate) run: ScriptRun,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// What was removed from the script. `None` if it wasn't shrunk, since it showed something else
    /// when it was run again.
    pub(crate) removed: Option<Removed>,
}

impl<Op> FailingScript<Op> {
    /// A script about its first finding by kind; `None` if the run shows nothing.
    pub(crate) fn new<S: System<Op = Op>>(
        runner: &ScriptRunner<S>,
        script: Script<Op>,
        run: ScriptRun,
    ) -> Option<FailingScript<Op>> {
        let findings = runner.findings(&run, &script);
        let first = findings.into_iter().min_by_key(|finding| finding.kind)?;
        Some(FailingScript { script, run, kind: first.kind, id: first.id, removed: None })
    }
}

impl<Op: Clone + Serialize> FailingScript<Op> {
    /// The note of a report: the case's text, and what was removed.
    pub(crate) fn describe(&self) -> Result<String, Error> {
        // The file has all of it.
        let text = printable::script(&self.case().print()?);
        Ok(match self.removed {
            Some(removed) => format!("by this script ({removed}):\n{}", text.trim_end()),
            None => format!(
                "by this script, not shrunk since it showed something else when it was run again:\n{}",
                text.trim_end()
            ),
        })
    }

    /// The script as a case: with what it shows.
    pub(crate) fn case(&self) -> Script<Op> {
        let found = Found { kind: self.kind.name().to_owned(), id: self.id.clone() };
        let note = self.run.evidence.first().and_then(|evidence| evidence.notes.first());
        let about = note.and_then(|note| note.lines().next()).unwrap_or(self.kind.name());
        let about = about.trim_end_matches(':').chars().take(120).collect();
        Script { about, found: Some(found), ..self.script.clone() }
    }

    /// Writes the case into a folder, and returns its path. A smaller case of the same finding is
    /// kept.
    ///
    /// # Errors
    /// If the file can't be written.
    #[cfg(any(feature = "arbitrary", feature = "cli", feature = "script-tests"))]
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join(format!("{}.ron", self.id));
        let failed = |error: std::io::Error| {
            Error::new(format!("cannot write the case: {error}"))
                .at(path.display().to_string())
                .help("check the folder's permissions and free space")
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

/// What a child process sends: a failing script, or what is left of one that it shrunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureMessage {
    /// The number of the script.
    pub(crate) nth: u64,
    pub(crate) run: Option<ScriptRun>,
    /// The script's text, if the parent doesn't know it.
    pub(crate) text: String,
    /// The requests of all runs.
    pub(crate) requests: u64,
    pub(crate) runs: u64,
    pub(crate) faults: u64,
    pub(crate) preemptions: u64,
    pub(crate) operations: u64,
    pub(crate) sizes: u64,
}

codec_struct!(FailureMessage {
    nth,
    run,
    text,
    requests,
    runs,
    faults,
    preemptions,
    operations,
    sizes
});
