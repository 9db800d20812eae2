//! The subject of `mallory exec`: the whole program. Its result is what its user sees: the exit status,
//! standard output, and the files that were named.

use std::fs;
use std::path::PathBuf;

use crate::exec::world::FixedClock;
use crate::exec::{exits, folder, judge};
use crate::heap::thread_context::ours;
use crate::process::descriptors::{self, StreamFile};
use crate::process::file_limit::{FileLimit, end_by_limit};
use crate::process::handled_signals;
use crate::report::format::diff;
use crate::run::outcome::{ResultComparison, SubjectEnd, exit_status};
use crate::run::{Stage, Subject, program_result};

/// The whole program, from `main` to its exit.
pub(crate) struct Program {
    /// The folder in which the sweep began.
    pub(crate) home: PathBuf,
    /// What each run reads.
    pub(crate) stdin: PathBuf,
    /// The folder of which each run gets a copy.
    pub(crate) folder: Option<PathBuf>,
    /// Whether the program's clock is fixed.
    pub(crate) has_fixed_clock: bool,
    /// Files that belong to the result.
    pub(crate) compared: Vec<PathBuf>,
    /// The command that judges whether two results mean the same.
    pub(crate) judge: Option<String>,
    /// The most bytes that a run may write to one file.
    pub(crate) output_max: u64,
    /// Whether it runs one test. The test says itself whether the result is right, so the exit status is
    /// all that is compared, and has to be 0 without a fault.
    pub(crate) is_test: bool,
}

impl Subject for Program {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        let (mut out, mut err) = match self.prepare(stage) {
            Ok(streams) => streams,
            Err(error) => return SubjectEnd::Err(format!("the run can't be prepared: {error}")),
        };
        let limit = FileLimit::set(self.output_max);
        let clock = self.has_fixed_clock.then(FixedClock::begin);
        stage.arm();
        let status = ours(exits::run_program);
        stage.disarm();
        drop(clock);
        drop(limit);
        if out.size().max(err.size()) >= self.output_max {
            end_by_limit();
        }
        let said = err.read().unwrap_or_default();
        if self.is_test {
            return judge_test(stage, status, &[said, out.read().unwrap_or_default()]);
        }
        let said = said.iter().filter(|byte| **byte == b'\n').count();
        let mut result = program_result::begin(status, &text(&out.read().unwrap_or_default()));
        for path in &self.compared {
            let content = fs::read(path).map(|bytes| text(&bytes)).map_err(|error| error.kind());
            let content = content.as_deref().map_err(|error| *error);
            program_result::add_file(&mut result, &path.to_string_lossy(), content);
        }
        handled_signals::die_of_handled(status != 0);
        let Some(usual) = stage.baseline.and_then(<[String]>::first) else {
            if let Some(judge) = &self.judge
                && self.is_equal(judge, stage, &result, &result) != Ok(true)
            {
                return SubjectEnd::Err(format!(
                    "`{judge}` doesn't take the result for equal to itself"
                ));
            }
            program_result::end(&mut result, said);
            return stage.ok(&|out| out.write_str(&result));
        };
        let (usual, usually_said) = program_result::split(usual);
        if status != 0 && exit_status(usual) != Some(status) {
            // It failed where it succeeds without a fault.
            return SubjectEnd::Oom;
        }
        if ResultComparison::of(usual, &result) <= stage.comparison {
            return SubjectEnd::Ok { differs: None };
        }
        if let Some(judge) = &self.judge {
            match self.is_equal(judge, stage, usual, &result) {
                Ok(true) => return SubjectEnd::Ok { differs: None },
                Ok(false) => {}
                Err(error) => return SubjectEnd::Err(error),
            }
        }
        if usually_said != said.to_string() {
            return SubjectEnd::Degraded;
        }
        SubjectEnd::Ok { differs: Some(diff(usual, &result)) }
    }
}

impl Program {
    /// Whether the command takes the two results for equal.
    fn is_equal(
        &self,
        judge: &str,
        stage: &Stage<'_>,
        usual: &str,
        other: &str,
    ) -> Result<bool, String> {
        judge::takes_for_equal(judge, usual, other, &stage.scratch().join("judged"), &self.home)
            .map_err(|error| format!("`{judge}` can't be run: {error}"))
    }

    /// Prepares the streams and the working folder of a run.
    fn prepare(&self, stage: &Stage<'_>) -> std::io::Result<(StreamFile, StreamFile)> {
        if let Some(folder) = &self.folder {
            let copy = stage.scratch().join("work");
            folder::copy(folder, &copy)?;
            std::env::set_current_dir(copy)?;
        }
        descriptors::open_as(&self.stdin, 0)?;
        Ok((StreamFile::in_place_of(1)?, StreamFile::in_place_of(2)?))
    }
}

/// The end of a run of a test: its exit status, and what it said on its two streams.
fn judge_test(stage: &mut Stage<'_>, status: i32, said: &[Vec<u8>]) -> SubjectEnd {
    match (status, stage.baseline) {
        (0, _) => stage.ok(&|out| out.write_str("passed")),
        (_, Some(_)) => SubjectEnd::Oom,
        (_, None) => {
            let said = said.iter().map(|bytes| text(bytes)).collect::<String>();
            SubjectEnd::Err(format!("exit status {status}\n{}", said.trim_end()))
        }
    }
}

/// Bytes as text. What is no text becomes escapes, so that different bytes are different texts.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{}\n", bytes.escape_ascii()),
    }
}
