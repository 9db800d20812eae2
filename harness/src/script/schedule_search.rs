//! Searches for a schedule in which a script shows something.

#[cfg(feature = "shuttle")]
use std::cell::RefCell;
#[cfg(feature = "shuttle")]
use std::rc::Rc;

use crate::error::Error;
#[cfg(feature = "shuttle")]
use crate::host::ScheduledRun;
use crate::process::scratch_dir::ScratchDir;
use crate::report::kind::Kind;
#[cfg(feature = "shuttle")]
use crate::run::outcome::ScheduledEnd;
#[cfg(feature = "shuttle")]
use crate::run::{RunInProgress, Subject};
#[cfg(feature = "shuttle")]
use crate::schedule::Preemption;
use crate::schedule::search::Search;
use crate::script::runner::ScriptRunner;
#[cfg(feature = "shuttle")]
use crate::script::script_run::ScriptRun;
use crate::script::shrink::ScheduleSearchOutcome;
use crate::system::System;
use crate::system::script::Script;

/// Runs a script in the schedules of a search until one shows evidence of the kind `wanted` (of any
/// kind, if that is `None`) and `is_it` accepts the script with that schedule.
///
/// # Errors
/// If this build can't run the script.
#[cfg(feature = "shuttle")]
pub(crate) fn find_schedule<S: System>(
    runner: &ScriptRunner<S>,
    script: &Script<S::Op>,
    scratch: &ScratchDir,
    search: Search,
    wanted: Option<Kind>,
    is_it: &dyn Fn(&Script<S::Op>) -> bool,
) -> Result<ScheduleSearchOutcome<S::Op>, Error> {
    let script = script.clone().by(&[]);
    let prepared = runner.prepare(&script)?;
    let Some(host) = prepared.host else { return Ok((None, 0)) };
    let search = Rc::new(RefCell::new(search.steps_max(STEPS_MAX)));
    let begin = || runner.inner.job(&prepared, scratch).ok().map(RunInProgress::new);
    let is_it = |schedule: &[Preemption]| is_it(&script.clone().by(schedule));
    let mut finder = ScriptScheduleFinder {
        begin: &begin,
        subject: &*prepared.subject,
        wanted,
        is_it: &is_it,
        run: None,
        found: None,
    };
    host.search(Rc::clone(&search), &mut finder);
    let runs = search.borrow().begun();
    Ok((finder.found.map(|schedule| script.clone().by(&schedule)), runs))
}

#[cfg(not(feature = "shuttle"))]
pub(crate) fn find_schedule<S: System>(
    _: &ScriptRunner<S>,
    _: &Script<S::Op>,
    _: &ScratchDir,
    _: Search,
    _: Option<Kind>,
    _: &dyn Fn(&Script<S::Op>) -> bool,
) -> Result<ScheduleSearchOutcome<S::Op>, Error> {
    Ok((None, 0))
}

/// The most scheduling points of a run. One with more is taken for endless.
#[cfg(feature = "shuttle")]
const STEPS_MAX: u64 = 200_000;

/// Runs the schedules of a search until one is accepted.
#[cfg(feature = "shuttle")]
struct ScriptScheduleFinder<'a> {
    begin: &'a dyn Fn() -> Option<RunInProgress<'a>>,
    subject: &'a dyn Subject,
    wanted: Option<Kind>,
    is_it: &'a dyn Fn(&[Preemption]) -> bool,
    run: Option<RunInProgress<'a>>,
    found: Option<Vec<Preemption>>,
}

#[cfg(feature = "shuttle")]
impl ScheduledRun for ScriptScheduleFinder<'_> {
    fn begin(&mut self) {
        self.run = (self.begin)();
    }

    fn body(&mut self) {
        if let Some(run) = &mut self.run {
            run.body(self.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(run) = self.run.take() else { return false };
        let run = ScriptRun::of(run.end(conducted));
        let is_wanted = |kind| self.wanted.is_none_or(|wanted| wanted == kind);
        let schedule = search.preemptions().to_vec();
        if run.evidence.iter().any(|evidence| is_wanted(evidence.kind)) && (self.is_it)(&schedule) {
            self.found = Some(schedule);
        }
        self.found.is_none()
    }
}
