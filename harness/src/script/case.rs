//! From many scripts to one case: scripts are played until one shows something, which is made as
//! small as it gets and written down.

use crate::script::caught::{CaughtFinding, CaughtScript};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
#[cfg(any(feature = "cli", feature = "script-tests"))]
use crate::plan::syntax::Shortage;
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::report::rerun::{PROGRAM, PROGRAM_SHUTTLE, Rerun};
#[cfg(any(feature = "cli", feature = "script-tests"))]
use crate::schedule;
use crate::schedule::search::Search;
use crate::script::runner::{PlayedRun, Player};
use crate::script::schedule_search::{Searched, seek};
use crate::script::shrink;
use crate::script::shrink::{Limits, Removed, ScriptOracle, Shows};
use crate::sweep::exit_outcome::os_error;
use crate::system::System;
use crate::system::script::Script;

/// Whether this process is a command line, which plays a script's file by its command `run`.
static IS_COMMAND_LINE: AtomicBool = AtomicBool::new(false);

/// Notes that it is.
#[cfg(feature = "cli")]
pub(crate) fn in_command_line() {
    IS_COMMAND_LINE.store(true, Ordering::Relaxed);
}

/// How what a script's file shows is seen again: by the command line if this is one, else by the
/// test that the file is.
pub(crate) fn rerun<Op>(path: &Path, script: &Script<Op>) -> Rerun {
    let test = path.file_stem().map(|stem| stem.to_string_lossy());
    let program = if script.is_contended() { PROGRAM_SHUTTLE } else { PROGRAM };
    Rerun::Line(match test {
        Some(test) if !IS_COMMAND_LINE.load(Ordering::Relaxed) => {
            format!("cargo nextest run {test}")
        }
        _ => format!("{program} run {}", path.display()),
    })
}

/// Runs at the most where each takes a child of its own.
const RUNS_DEATH: u64 = 600;
/// The same where each child stands still until it is put down.
const RUNS_HANG: u64 = 12;

/// A smaller script, and what was removed; none where it was not steady.
type SmallerScript<Op> = Option<(Script<Op>, Removed)>;

codec_struct!(CaughtFinding { nth, seen, text, runs, faults, preemptions, operations, sizes });

/// Plays candidates in this process.
struct InProcess<'a, S> {
    player: &'a Player<S>,
    scratch: &'a ScratchDir,
    kind: Kind,
    id: &'a str,
}

impl<S: System> InProcess<'_, S> {
    fn look(&self, script: &Script<S::Op>) -> Option<Shows> {
        let seen = self.player.see(script, self.scratch, Some(self.kind), None).ok()?;
        let shows = self.player.name(&seen, script).0.iter().any(|named| named.id == self.id);
        shows.then(|| seen.shows())
    }
}

impl<S: System> ScriptOracle<S::Op> for InProcess<'_, S> {
    fn shows(&mut self, script: &Script<S::Op>) -> Option<Shows> {
        self.look(script)
    }

    fn survey(&mut self, script: &Script<S::Op>) -> Shows {
        self.player.glance(script, self.scratch).map(|seen| seen.shows()).unwrap_or_default()
    }

    fn search(&mut self, script: &Script<S::Op>, changes: u32, most: u64) -> Searched<S::Op> {
        let is_it = |script: &Script<S::Op>| self.look(script).is_some();
        let search = Search::bounded(changes, most);
        let found = seek(self.player, script, self.scratch, search, Some(self.kind), &is_it);
        found.unwrap_or((None, 0))
    }
}

/// Plays each candidate in a child of its own: for those that die.
struct InChild<'a, S> {
    player: &'a Player<S>,
    id: &'a str,
}

impl<S: System> ScriptOracle<S::Op> for InChild<'_, S> {
    fn shows(&mut self, script: &Script<S::Op>) -> Option<Shows> {
        let (seen, _) = self.player.play(script).ok()?;
        let shows = self.player.name(&seen, script).0.iter().any(|named| named.id == self.id);
        shows.then(|| seen.shows())
    }

    fn survey(&mut self, script: &Script<S::Op>) -> Shows {
        self.player.play(script).map(|(seen, _)| seen.shows()).unwrap_or_default()
    }

    // A child for each of them would take too long.
    fn search(&mut self, _: &Script<S::Op>, _: u32, _: u64) -> Searched<S::Op> {
        (None, 0)
    }
}

impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    pub(crate) fn caught(
        &self,
        script: Script<S::Op>,
        seen: PlayedRun,
    ) -> Option<CaughtScript<S::Op>> {
        let named = self.name(&seen, &script).0.into_iter().min_by_key(|named| named.kind)?;
        Some(CaughtScript { script, seen, kind: named.kind, id: named.id, removed: None })
    }

    /// The smallest script that shows the same.
    ///
    /// # Errors
    /// Where no child can be made.
    pub(crate) fn smallest(
        &self,
        caught: CaughtScript<S::Op>,
        limits: Limits,
    ) -> Result<CaughtScript<S::Op>, Error> {
        let Some((script, removed)) = self.shrink(&caught, limits)? else {
            return Ok(caught);
        };
        let (seen, _) = self.play(&script)?;
        Ok(CaughtScript { script, seen, removed: Some(removed), ..caught })
    }

    fn shrink(
        &self,
        caught: &CaughtScript<S::Op>,
        limits: Limits,
    ) -> Result<SmallerScript<S::Op>, Error> {
        let (kind, id) = (caught.kind, &*caught.id);
        let here = |scratch: &ScratchDir| {
            let mut oracle = InProcess { player: self, scratch, kind, id };
            shrink::minimise(&caught.script, limits, &mut oracle)
        };
        let scratch_of = std::process::id();
        if self.settings.in_process {
            return Ok(here(&ScratchDir::new(scratch_of)));
        }
        let is_death = matches!(kind, Kind::Abort | Kind::Crash | Kind::Exit);
        if !is_death {
            let answer = child::ask::<CaughtFinding>(self.patience(), |pipe| {
                status::set_started();
                let small = here(&ScratchDir::new(scratch_of));
                let find = small.map(|(script, removed)| CaughtFinding {
                    text: script.print().unwrap_or_default(),
                    runs: removed.runs,
                    faults: removed.faults,
                    preemptions: removed.preemptions,
                    operations: removed.operations,
                    sizes: removed.sizes,
                    ..CaughtFinding::default()
                });
                pipe.send(&find.unwrap_or_default());
            });
            let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
            if let Some(find) = answer.messages.pop() {
                if find.text.is_empty() {
                    return Ok(None);
                }
                let script = Script::read(&find.text, "the smallest script")?;
                let CaughtFinding { runs, faults, preemptions, operations, sizes, .. } = find;
                let removed = Removed { runs, faults, preemptions, operations, sizes };
                return Ok(Some((script, removed)));
            }
        }
        let most = if kind == Kind::NoProgress { RUNS_HANG } else { RUNS_DEATH };
        let limits = Limits { runs: limits.runs.min(most), ..limits };
        Ok(shrink::minimise(&caught.script, limits, &mut InChild { player: self, id }))
    }
}

impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    /// The report of what was caught, with its script; `path` is where that was written.
    pub(crate) fn caught_report(
        &self,
        caught: &CaughtScript<S::Op>,
        path: Option<&Path>,
    ) -> Result<Report, Error> {
        let again = || Rerun::Line("the same seed, or the same input, shows it again".to_owned());
        let rerun = path.map_or_else(again, |path| rerun(path, &caught.script));
        let mut report = self.report(&caught.seen, &caught.script, &rerun);
        let by = caught.by()?;
        for finding in report.findings.iter_mut().filter(|finding| finding.id == caught.id) {
            finding.notes.push(by.clone());
        }
        if report.findings.is_empty() {
            report.notes.push(format!("{} {} was seen once: {by}", caught.kind, caught.id));
        }
        Ok(report)
    }
}

/// Findings of a script whose smallest script is looked for.
#[cfg(any(feature = "cli", feature = "script-tests"))]
const CASES_MAX: usize = 8;

#[cfg(any(feature = "cli", feature = "script-tests"))]
impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    /// Adds to what was found of a script, in all its faults and schedules, the smallest script that
    /// shows the same; and writes it into a folder, if one is named.
    ///
    /// # Errors
    /// Where no child can be made, or no file.
    pub(crate) fn add_cases(
        &self,
        report: &mut Report,
        script: &Script<S::Op>,
        folder: Option<&Path>,
    ) -> Result<(), Error> {
        for finding in report.findings.iter_mut().take(CASES_MAX) {
            let mut script = script.clone();
            if let Some(fault) = &finding.fault {
                let once = Shortage::Once(fault.at);
                let good = Shortage::ForGood(fault.at);
                let shortage = if fault.persistent { good } else { once };
                script.fault = Some(shortage.to_string());
            }
            let turns = finding.schedule.as_ref().map_or(&[][..], |schedule| &schedule.turns);
            script.schedule = (!turns.is_empty()).then(|| schedule::format_schedule(turns));
            let (seen, _) = self.play(&script)?;
            let named = self.name(&seen, &script).0.into_iter();
            let Some(same) = named.into_iter().find(|named| named.id == finding.id) else {
                continue;
            };
            let caught = CaughtScript { script, seen, kind: same.kind, id: same.id, removed: None };
            let caught = self.smallest(caught, Limits::default())?;
            finding.notes.push(caught.by()?);
            if let Some(folder) = folder {
                let path = caught.write(folder)?;
                finding.rerun = rerun(&path, &caught.script);
            }
        }
        Ok(())
    }
}

/// The smallest script that shows what another one does: see [`minimise`].
#[derive(Clone, Debug)]
pub struct Minimised<Op> {
    /// The script, as a case.
    pub script: Script<Op>,
    /// What it shows.
    pub report: Report,
    /// What was removed; `None` where the script showed something else when it was run again.
    pub removed: Option<Removed>,
}

/// Makes a script that shows something as small as it gets: faults go first, then preemptions,
/// operations and sizes, and the finding's id is kept. `None`: it shows nothing.
///
/// # Errors
/// Where it is no script that can be played, or no child process can be made.
#[track_caller]
pub fn minimise<S: System>(
    script: &Script<S::Op>,
    input: &[u8],
    limits: Limits,
) -> Result<Option<Minimised<S::Op>>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let player = Player::<S>::new(Arc::from(input))?;
    let (seen, _) = player.play(script)?;
    // A case is about what it found, whatever else it shows.
    let wanted = script.found.as_ref().map(|found| &*found.id);
    let same = player.name(&seen, script).0.into_iter().find(|named| Some(&*named.id) == wanted);
    let Some(mut caught) = player.caught(script.clone(), seen) else { return Ok(None) };
    if let Some(same) = same {
        (caught.kind, caught.id) = (same.kind, same.id);
    }
    let caught = player.smallest(caught, limits)?;
    let report = player.caught_report(&caught, None)?;
    let mut case = caught.case();
    if script.found.is_some() && !script.about.is_empty() {
        case.about.clone_from(&script.about);
    }
    Ok(Some(Minimised { script: case, report, removed: caught.removed }))
}
