//! Runs many scripts, in one child process, until one shows something. A script with several threads is
//! run in several random schedules.

use std::cell::RefCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::host;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::SharedMemory;
use crate::process::status;
use crate::report::format;
use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::search::{Search, SearchOptions};
use crate::script::failing_script::{FailingScript, FailureMessage};
use crate::script::runner::ScriptRunner;
use crate::script::schedule_search::find_schedule;
use crate::script::script_run::ScriptRun;
use crate::sweep::exit_outcome::os_error;
use crate::system::System;
use crate::system::script::Script;

/// PCT schedules of each script with several threads, and their depth.
const SCHEDULES: u64 = 8;
const DEPTH: u32 = 3;
/// Once such a script showed something under a fault: the bounds of the search for a schedule in which
/// it shows something without one.
const PREEMPTIONS_WITHOUT_FAULT: u32 = 2;
const SCHEDULES_WITHOUT_FAULT: u64 = 2_000;

/// What a search showed.
pub(crate) struct FailureSearchOutcome<Op> {
    /// How many scripts were run.
    pub(crate) runs: u64,
    /// The requests that they made. Counted only if none of them failed.
    pub(crate) requests: u64,
    /// The first that showed something.
    pub(crate) failure: Option<FailingScript<Op>>,
}

impl<Op> FailureSearchOutcome<Op> {
    fn found(nth: u64, failure: FailingScript<Op>) -> Self {
        FailureSearchOutcome { runs: nth + 1, requests: 0, failure: Some(failure) }
    }
}

/// A script that shows something, and the run that showed it.
type FailingRun<Op> = Option<(Script<Op>, ScriptRun)>;

/// Runs the scripts `script(0)` to `script(count - 1)` in order, up to the first that shows something.
///
/// # Errors
/// If this build can't run such scripts, no child process can be started, or one didn't run all of them
/// for a reason that no script shows by itself.
pub(crate) fn find_failure<S: System>(
    runner: &ScriptRunner<S>,
    count: u64,
    script: &dyn Fn(u64) -> Script<S::Op>,
) -> Result<FailureSearchOutcome<S::Op>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let owner = std::process::id();
    if runner.inner.settings.in_process {
        let scratch = ScratchDir::new(owner);
        for nth in 0..count {
            if let Some((script, run)) = try_script(runner, script(nth), nth, &scratch)?
                && let Some(failure) = FailingScript::new(runner, script, run)
            {
                return Ok(FailureSearchOutcome::found(nth, failure));
            }
        }
        let requests = runner.requests();
        return Ok(FailureSearchOutcome { runs: count, requests, failure: None });
    }
    host::prepare_process();
    // What is wrong with every script is returned as an error here, where it can be.
    runner.run_once(&Script::of(S::NAME, Vec::new()), &ScratchDir::new(owner))?;
    let shared = SharedMemory::new(1, 0).map_err(|error| os_error("share memory", &error))?;
    let child_status = shared.status(0);
    let answer = child::ask::<FailureMessage>(runner.inner.patience(), &|pipe| {
        child_status.reset();
        status::set_started();
        let scratch = ScratchDir::new(owner);
        for nth in 0..count {
            child_status.set_item(Some(nth as usize));
            if let Ok(Some((script, run))) = try_script(runner, script(nth), nth, &scratch) {
                // The parent knows the script, unless a schedule was found for it here.
                let text = match script.is_contended() {
                    true => script.print().unwrap_or_default(),
                    false => String::new(),
                };
                let run = Some(run);
                pipe.send(&FailureMessage { nth, run, text, ..FailureMessage::default() });
                child_status.set_item(None);
                return;
            }
        }
        let requests = runner.requests();
        pipe.send(&FailureMessage { nth: count, requests, ..FailureMessage::default() });
        child_status.set_item(None);
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    let died = answer.early_death(child_status).is_some();
    match answer.messages.pop() {
        Some(FailureMessage { nth, run: Some(run), text, .. }) => {
            let script = match &*text {
                "" => script(nth),
                text => Script::read(text, "the script that was found")?,
            };
            let failure =
                FailingScript::new(runner, script, run).ok_or_else(|| unheard(nth + 1))?;
            Ok(FailureSearchOutcome::found(nth, failure))
        }
        Some(FailureMessage { nth, requests, .. }) if nth == count => {
            Ok(FailureSearchOutcome { runs: count, requests, failure: None })
        }
        _ if died => {
            let nth = child_status.current_item().unwrap_or(0) as u64;
            let schedule: Vec<Preemption> =
                answer.preemptions.into_iter().map(Preemption::unpack).collect();
            let failure = confirm_death(runner, script(nth), &schedule)?;
            let failure = failure.ok_or_else(|| died_after_others(nth))?;
            Ok(FailureSearchOutcome::found(nth, failure))
        }
        _ => Err(unheard(count)),
    }
}

/// The error of a process that ended in a script which ends none when it is run alone. The scripts after
/// it were not run, so the search must not pass.
fn died_after_others(nth: u64) -> Error {
    let which = nth + 1;
    Error::new(format!("the process ended in script {which}, which ends none when it is run alone"))
        .help("a static keeps something from script to script: let `open` begin anew")
}

/// The error of a process whose results were lost on the way.
fn unheard(scripts: u64) -> Error {
    Error::new(format!("what {} showed was lost", format::count(scripts, "script")))
        .help("does the system close or replace file descriptors that it didn't open?")
}

/// Runs the script in which the child process died by itself. It may survive, if the scripts before it
/// had a part in the death; then it shows nothing.
fn confirm_death<S: System>(
    runner: &ScriptRunner<S>,
    script: Script<S::Op>,
    schedule: &[Preemption],
) -> Result<Option<FailingScript<S::Op>>, Error> {
    let (run, _) = runner.run_isolated(&script)?;
    if !script.is_contended() || !run.evidence.is_empty() {
        return Ok(FailingScript::new(runner, script, run));
    }
    let script = script.by(schedule);
    let without_fault = Script { fault: None, ..script.clone() };
    let (run, _) = runner.run_isolated(&without_fault)?;
    if !run.evidence.is_empty() {
        return Ok(FailingScript::new(runner, without_fault, run));
    }
    let (run, _) = runner.run_isolated(&script)?;
    Ok(FailingScript::new(runner, script, run))
}

/// Runs a script, and returns it if it shows something. One with several threads is run in random
/// schedules, first without its faults, since what shows without a fault is reported so.
fn try_script<S: System>(
    runner: &ScriptRunner<S>,
    script: Script<S::Op>,
    seed: u64,
    scratch: &ScratchDir,
) -> Result<FailingRun<S::Op>, Error> {
    if !script.is_contended() {
        let run = runner.run_here(&script, scratch, None)?;
        let shows = !runner.findings(&run, &script).is_empty();
        return Ok(shows.then_some((script, run)));
    }
    let without_fault = Script { fault: None, ..script.clone() };
    let random = || Search::pct(DEPTH, seed, SearchOptions::DEFAULT, SCHEDULES);
    if let Some(found) = first_failing_run(runner, &without_fault, random(), scratch)? {
        return Ok(Some(found));
    }
    let Some(found) = first_failing_run(runner, &script, random(), scratch)? else {
        return Ok(None);
    };
    // The random schedules without the faults were few: another one may show it.
    let search = Search::bounded(
        Bound::Preemptions(PREEMPTIONS_WITHOUT_FAULT),
        SearchOptions::DEFAULT,
        SCHEDULES_WITHOUT_FAULT,
    );
    let needs_no_fault = first_failing_run(runner, &without_fault, search, scratch)?;
    Ok(Some(needs_no_fault.unwrap_or(found)))
}

/// The first schedule of a search in which a script shows something.
fn first_failing_run<S: System>(
    runner: &ScriptRunner<S>,
    script: &Script<S::Op>,
    search: Search,
    scratch: &ScratchDir,
) -> Result<FailingRun<S::Op>, Error> {
    let found = RefCell::new(None);
    let is_it = |script: &Script<S::Op>| {
        let Ok(run) = runner.run_here(script, scratch, None) else { return false };
        let shows = !runner.findings(&run, script).is_empty();
        if shows {
            found.replace(Some((script.clone(), run)));
        }
        shows
    };
    find_schedule(runner, script, scratch, search, None, &is_it)?;
    Ok(found.take())
}
