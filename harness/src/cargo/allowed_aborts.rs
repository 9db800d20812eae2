//! The file of aborts that the user accepts, of all tests together: the one that `Sweep::allowed` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::exec::order::SentFinding;
use crate::sweep::allowed_file;

/// The file of allowed aborts, and what was seen of it.
#[derive(Default)]
pub(super) struct AllowedAborts {
    pub(super) path: Option<PathBuf>,
    is_updated: bool,
    /// The lines of the file by id.
    lines: BTreeMap<String, String>,
    seen: BTreeMap<String, String>,
}

impl AllowedAborts {
    /// Reads the file, if one is named.
    ///
    /// # Errors
    /// The file can't be read or understood.
    pub(super) fn read(path: Option<&Path>, is_updated: bool) -> Result<AllowedAborts, Error> {
        let Some(path) = path else { return Ok(AllowedAborts::default()) };
        let lines = allowed_file::read(path)?;
        Ok(AllowedAborts { path: Some(path.to_owned()), is_updated, lines, ..Self::default() })
    }

    /// Whether an abort is in the file, or comes into it.
    pub(super) fn accepts(&mut self, finding: &SentFinding) -> bool {
        let is_known = self.lines.contains_key(&finding.place);
        self.seen.insert(finding.place.clone(), finding.line.clone());
        self.path.is_some() && (is_known || self.is_updated)
    }

    /// Writes the file anew, if that is asked for. Of a part of the tests, what is gone isn't known.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write(&self, is_whole: bool) -> Result<(), Error> {
        let Some(path) = self.path.as_ref().filter(|_| self.is_updated) else { return Ok(()) };
        let mut lines = if is_whole { BTreeMap::new() } else { self.lines.clone() };
        lines.extend(self.seen.clone());
        allowed_file::write(path, &lines)
    }

    /// How many lines of the file are of no abort any more.
    pub(super) fn gone(&self) -> u64 {
        let is_gone = |id: &&String| !self.seen.contains_key(*id);
        if self.is_updated { 0 } else { self.lines.keys().filter(is_gone).count() as u64 }
    }
}
