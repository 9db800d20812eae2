//! From a failing script to a case: shrinks the script, reports it, and adds the smallest scripts to a
//! report's findings.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::launch;
#[cfg(any(feature = "cli", feature = "script-tests"))]
use crate::plan::syntax::Shortage;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
#[cfg(any(feature = "cli", feature = "script-tests"))]
use crate::schedule;
use crate::schedule::default_order::Bound;
use crate::schedule::search::{Search, SearchOptions};
use crate::script::failing_script::{FailingScript, FailureMessage};
use crate::script::runner::ScriptRunner;
use crate::script::schedule_search::find_schedule;
use crate::script::shrink::{Limits, Removed, RequestProfile, ScheduleSearchOutcome, ScriptOracle};
use crate::script::shrink_script::minimise_script;
use crate::sweep::exit_outcome::os_error;
use crate::system::System;
use crate::system::script::Script;

/// Whether this process is a command line, whose command `run` runs a script's file.
static IS_COMMAND_LINE: AtomicBool = AtomicBool::new(false);

/// Notes that this process is a command line.
#[cfg(feature = "cli")]
pub(crate) fn in_command_line() {
    IS_COMMAND_LINE.store(true, Ordering::Relaxed);
}

/// How a report says to repeat a script's file: by the command line if this process is one, else by
/// the test that the file is.
pub(crate) fn rerun<Op>(path: &Path, script: &Script<Op>) -> Rerun {
    let test = path.file_stem().map(|stem| stem.to_string_lossy());
    Rerun::Line(match test {
        Some(test) if !IS_COMMAND_LINE.load(Ordering::Relaxed) => launch::tests_with(&test),
        _ => {
            let features = script.is_contended().then_some("shuttle");
            format!("{} run {}", launch::command_line(features), path.display())
        }
    })
}

/// The most runs of a script that kills its process: each needs a child process of its own.
const RUNS_DEATH: u64 = 600;
/// The most runs of a script that hangs: each child is killed only after the patience has passed.
const RUNS_HANG: u64 = 12;

/// A smaller script, and what was removed; `None` if the script didn't show the same twice.
type SmallerScript<Op> = Option<(Script<Op>, Removed)>;

/// Runs candidates in this process.
struct InProcessOracle<'a, S> {
    runner: &'a ScriptRunner<S>,
    scratch: &'a ScratchDir,
    kind: Kind,
    id: &'a str,
}

impl<S: System> InProcessOracle<'_, S> {
    fn profile_if_shown(&self, script: &Script<S::Op>) -> Option<RequestProfile> {
        let run = self.runner.run_here(script, self.scratch, Some(self.kind)).ok()?;
        let findings = self.runner.findings(&run, script);
        findings.iter().any(|finding| finding.id == self.id).then(|| run.profile())
    }
}

impl<S: System> ScriptOracle<S::Op> for InProcessOracle<'_, S> {
    fn profile_if_shown(&mut self, script: &Script<S::Op>) -> Option<RequestProfile> {
        InProcessOracle::profile_if_shown(self, script)
    }

    fn profile(&mut self, script: &Script<S::Op>) -> RequestProfile {
        self.runner.run_once(script, self.scratch).map(|run| run.profile()).unwrap_or_default()
    }

    fn find_schedule(
        &mut self,
        script: &Script<S::Op>,
        preemptions: u32,
        most: u64,
    ) -> ScheduleSearchOutcome<S::Op> {
        let is_it =
            |script: &Script<S::Op>| InProcessOracle::profile_if_shown(self, script).is_some();
        let search = Search::bounded(Bound::Preemptions(preemptions), SearchOptions::DEFAULT, most);
        let wanted = Some(self.kind);
        let found = find_schedule(self.runner, script, self.scratch, search, wanted, &is_it);
        found.unwrap_or((None, 0))
    }
}

/// Runs each candidate in a child process of its own: for scripts that kill their process.
struct ChildOracle<'a, S> {
    runner: &'a ScriptRunner<S>,
    id: &'a str,
}

impl<S: System> ScriptOracle<S::Op> for ChildOracle<'_, S> {
    fn profile_if_shown(&mut self, script: &Script<S::Op>) -> Option<RequestProfile> {
        let (run, _) = self.runner.run_isolated(script).ok()?;
        let findings = self.runner.findings(&run, script);
        findings.iter().any(|finding| finding.id == self.id).then(|| run.profile())
    }

    fn profile(&mut self, script: &Script<S::Op>) -> RequestProfile {
        self.runner.run_isolated(script).map(|(run, _)| run.profile()).unwrap_or_default()
    }

    // A child process for each schedule would take too long.
    fn find_schedule(&mut self, _: &Script<S::Op>, _: u32, _: u64) -> ScheduleSearchOutcome<S::Op> {
        (None, 0)
    }
}

/// Shrinks a failing script. One that doesn't show the same twice is returned as it is.
///
/// # Errors
/// If no child process can be started.
pub(crate) fn shrink_failure<S: System>(
    runner: &ScriptRunner<S>,
    failure: FailingScript<S::Op>,
    limits: Limits,
) -> Result<FailingScript<S::Op>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let Some((script, removed)) = smaller_script(runner, &failure, limits)? else {
        return Ok(failure);
    };
    let (run, _) = runner.run_isolated(&script)?;
    Ok(FailingScript { script, run, removed: Some(removed), ..failure })
}

fn smaller_script<S: System>(
    runner: &ScriptRunner<S>,
    failure: &FailingScript<S::Op>,
    limits: Limits,
) -> Result<SmallerScript<S::Op>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let (kind, id) = (failure.kind, &*failure.id);
    let shrink_here = |scratch: &ScratchDir| {
        let mut oracle = InProcessOracle { runner, scratch, kind, id };
        minimise_script(&failure.script, limits, &mut oracle)
    };
    let owner = std::process::id();
    if runner.inner.settings.in_process {
        return Ok(shrink_here(&ScratchDir::new(owner)));
    }
    if !matches!(kind, Kind::Abort | Kind::Crash | Kind::Exit) {
        let answer = child::ask::<FailureMessage>(runner.inner.patience(), &|pipe| {
            status::set_started();
            let smaller = shrink_here(&ScratchDir::new(owner));
            let message = smaller.map(|(script, removed)| FailureMessage {
                text: script.print().unwrap_or_default(),
                runs: removed.runs,
                faults: removed.faults,
                preemptions: removed.preemptions,
                operations: removed.operations,
                sizes: removed.sizes,
                ..FailureMessage::default()
            });
            pipe.send(&message.unwrap_or_default());
        });
        let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
        if let Some(message) = answer.messages.pop() {
            if message.text.is_empty() {
                return Ok(None);
            }
            let script = Script::read(&message.text, "the smallest script")?;
            let FailureMessage { runs, faults, preemptions, operations, sizes, .. } = message;
            let removed = Removed { runs, faults, preemptions, operations, sizes };
            return Ok(Some((script, removed)));
        }
    }
    let most = if kind == Kind::NoProgress { RUNS_HANG } else { RUNS_DEATH };
    let limits = Limits { runs: limits.runs.min(most), ..limits };
    Ok(minimise_script(&failure.script, limits, &mut ChildOracle { runner, id }))
}

/// The report of a failing script. `path` is its case file, if one was written.
pub(crate) fn report_failure<S: System>(
    runner: &ScriptRunner<S>,
    failure: &FailingScript<S::Op>,
    path: Option<&Path>,
) -> Result<Report, Error>
where
    S::Op: Serialize,
{
    let by_seed = || Rerun::Line("the same seed, or the same input, shows it again".to_owned());
    let rerun = path.map_or_else(by_seed, |path| rerun(path, &failure.script));
    let mut report = runner.report(&failure.run, &failure.script, &rerun);
    let note = failure.describe()?;
    for finding in report.findings.iter_mut().filter(|finding| finding.id == failure.id) {
        finding.notes.push(note.clone());
    }
    if report.findings.is_empty() {
        report.notes.push(format!("{} {} was seen once: {note}", failure.kind, failure.id));
    }
    Ok(report)
}

/// The most findings of one script that are shrunk to a case.
#[cfg(any(feature = "cli", feature = "script-tests"))]
const CASES_MAX: usize = 8;

/// Adds to each finding of a swept or explored script the smallest script that shows it, and writes it
/// into `folder`, if there is one.
///
/// # Errors
/// If no child process can be started, or a case can't be written.
#[cfg(any(feature = "cli", feature = "script-tests"))]
pub(crate) fn add_cases<S: System>(
    runner: &ScriptRunner<S>,
    report: &mut Report,
    script: &Script<S::Op>,
    folder: Option<&Path>,
) -> Result<(), Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    for finding in report.findings.iter_mut().take(CASES_MAX) {
        let mut script = script.clone();
        if let Some(fault) = &finding.fault {
            let shortage = match fault.persistent {
                true => Shortage::ForGood(fault.at),
                false => Shortage::Once(fault.at),
            };
            script.fault = Some(shortage.to_string());
        }
        let preemptions =
            finding.schedule.as_ref().map_or(&[][..], |schedule| &schedule.preemptions);
        script.schedule = (!preemptions.is_empty()).then(|| schedule::format_schedule(preemptions));
        let (run, _) = runner.run_isolated(&script)?;
        let mut findings = runner.findings(&run, &script).into_iter();
        let Some(same) = findings.find(|same| same.id == finding.id) else { continue };
        let failure = FailingScript { script, run, kind: same.kind, id: same.id, removed: None };
        let failure = shrink_failure(runner, failure, Limits::default())?;
        finding.notes.push(failure.describe()?);
        if let Some(folder) = folder {
            let path = failure.write(folder)?;
            finding.rerun = rerun(&path, &failure.script);
        }
    }
    Ok(())
}

/// The smallest script that shows what another one does: see [`minimise`].
#[derive(Clone, Debug)]
pub struct Minimised<Op> {
    /// The script, as a case.
    pub script: Script<Op>,
    /// What it shows.
    pub report: Report,
    /// What was removed. `None` if the script showed something else when it was run again; then
    /// `script` is not smaller.
    pub removed: Option<Removed>,
}

/// Shrinks a script that shows something: first faults are removed, then preemptions, operations and
/// sizes. The finding's id stays the same. Returns `None` if the script shows nothing.
///
/// `input` is what the system reads: see [`World::input`](crate::system::World::input). A script with
/// a [`found`](Script::found) is shrunk for that finding, if it still shows it.
///
/// # Errors
/// If the script can't be run (another system, a bad fault or schedule, several threads without the
/// feature `shuttle`), or no child process can be started.
///
/// ```no_run
/// # use mallory::{Error, System};
/// use mallory::script::{Limits, Script, minimise};
/// # fn shrink<Queue: System>(text: &str) -> Result<(), Error>
/// # where Queue::Op: serde::Serialize + serde::de::DeserializeOwned {
/// let script: Script<Queue::Op> = Script::read(text, "queue.ron")?;
/// if let Some(minimised) = minimise::<Queue>(&script, &[], Limits::default())? {
///     println!("{}", minimised.script.print()?);
/// }
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn minimise<S: System>(
    script: &Script<S::Op>,
    input: &[u8],
    limits: Limits,
) -> Result<Option<Minimised<S::Op>>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let runner = ScriptRunner::<S>::new(Arc::from(input))?;
    let (run, _) = runner.run_isolated(script)?;
    // A case is about the finding that it names, whatever else it shows.
    let wanted = script.found.as_ref().map(|found| &*found.id);
    let mut findings = runner.findings(&run, script).into_iter();
    let same = findings.find(|finding| Some(&*finding.id) == wanted);
    let Some(mut failure) = FailingScript::new(&runner, script.clone(), run) else {
        return Ok(None);
    };
    if let Some(same) = same {
        (failure.kind, failure.id) = (same.kind, same.id);
    }
    let failure = shrink_failure(&runner, failure, limits)?;
    let report = report_failure(&runner, &failure, None)?;
    let mut case = failure.case();
    if script.found.is_some() && !script.about.is_empty() {
        case.about.clone_from(&script.about);
    }
    Ok(Some(Minimised { script: case, report, removed: failure.removed }))
}
