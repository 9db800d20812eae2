//! What `cargo mallory` tells its runners, by a file in the folder that the variable names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::cargo::arguments::TestTool;
use crate::error::Error;
use crate::process::atomic_file;
use crate::process::codec::{self, codec_struct};

/// The variable with the folder in which settings and results are. The test programs don't see it.
pub(super) const VARIABLE: &str = "MALLORY_CARGO";

/// What the runners are told.
#[derive(Clone, Debug, Default)]
pub(super) struct RunnerSettings {
    pub(super) is_nextest: bool,
    pub(super) no_faults: bool,
    pub(super) limit: Option<u64>,
    pub(super) per_site: Option<u64>,
    pub(super) seed: u64,
    pub(super) jobs: usize,
    /// How many milliseconds a run may go without a request.
    pub(super) patience: Option<u64>,
    /// The token to replay, and the name of the sweep that it is of.
    pub(super) replay: Option<(String, String)>,
    /// The command in front of a token that replays it, and behind it.
    pub(super) rerun: (String, String),
    /// Whether to draw a bar.
    pub(super) draws: bool,
    /// The variable by which cargo finds its runner, and the value that it had before.
    pub(super) variable: String,
    pub(super) value_before: Option<String>,
}

codec_struct!(RunnerSettings {
    is_nextest,
    no_faults,
    limit,
    per_site,
    seed,
    jobs,
    patience,
    replay,
    rerun,
    draws,
    variable,
    value_before,
});

impl RunnerSettings {
    pub(super) fn tool(&self) -> TestTool {
        if self.is_nextest { TestTool::Nextest } else { TestTool::CargoTest }
    }

    /// Writes the settings into this folder.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let bytes = codec::message(self);
        atomic_file::replace(&file(folder), |file| std::io::Write::write_all(file, &bytes))?;
        Ok(())
    }

    /// The settings in this folder.
    ///
    /// # Errors
    /// There are none: the command that wrote them has ended, or was another version.
    pub(super) fn read(folder: &Path) -> Result<RunnerSettings, Error> {
        let mut bytes = std::fs::read(file(folder)).unwrap_or_default();
        let settings = codec::next_message(&mut bytes).and_then(|body| codec::unpack(&body));
        settings.ok_or_else(|| {
            Error::new("there are no settings of `cargo mallory` here")
                .at(folder.display().to_string())
                .help("start it as `cargo mallory test`")
        })
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("settings")
}

/// A word as the settings hold it: bytes of which none is lost.
pub(super) fn lossless(word: &OsStr) -> String {
    word.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

/// The word again.
pub(super) fn restored(text: &str) -> OsString {
    OsString::from_vec(text.chars().map(|letter| u32::from(letter) as u8).collect())
}
