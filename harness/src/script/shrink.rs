//! A script while it is shrunk: runs a smaller candidate and keeps it if it still shows the same. The
//! passes that choose candidates are in `shrink_faults`, `shrink_schedule` and `shrink_operations`;
//! `shrink_script` runs them in order.

use std::time::{Duration, Instant};

use crate::plan::syntax::{Shortage, Shortages};
use crate::report::format::count;
use crate::schedule;
use crate::schedule::Preemption;
use crate::system::script::Script;
use crate::trace::Coordinate;

/// How long to shrink a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most runs: 10,000 unless set.
    pub runs: u64,
    /// The most time: unlimited unless set. With a limit, the result depends on the machine.
    pub time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { runs: 10_000, time: None }
    }
}

/// What was removed from a script, and in how many runs.
///
/// Prints as `removed: 1 fault, 397 operations; 412 runs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Runs made.
    pub runs: u64,
    /// Faults and modes that were not needed.
    pub faults: u64,
    /// Preemptions that were not needed.
    pub preemptions: u64,
    /// Operations that were not needed.
    pub operations: u64,
    /// How many times a number, text or list was made smaller.
    pub sizes: u64,
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.faults, "fault"),
            (self.preemptions, "preemption"),
            (self.operations, "operation"),
            (self.sizes, "size"),
        ];
        let some = parts.iter().filter(|(n, _)| *n != 0).map(|(n, noun)| count(*n, noun));
        let all: Vec<String> = some.collect();
        let removed = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        write!(f, "removed: {removed}; {}", count(self.runs, "run"))
    }
}

/// The requests of a run: where a fault can be, and where it moves to when operations are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestProfile {
    /// The request that failed first.
    pub(crate) injected: Option<Coordinate>,
    /// For each thread the number of its requests before each operation.
    pub(crate) starts: Vec<Vec<u64>>,
    /// For each thread the number of its requests.
    pub(crate) requests: Vec<u64>,
}

impl RequestProfile {
    pub(crate) fn starts(&self, thread: u16) -> &[u64] {
        self.starts.get(usize::from(thread)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn requests(&self, thread: u16) -> u64 {
        self.requests.get(usize::from(thread)).copied().unwrap_or(0)
    }
}

/// The script with the first schedule that shows the finding, and how many schedules were run.
pub(crate) type ScheduleSearchOutcome<Op> = (Option<Script<Op>>, u64);

/// Runs candidates, and decides whether they show the finding that is to be kept.
pub(crate) trait ScriptOracle<Op> {
    /// The requests of a run of this script, if it shows the finding.
    fn profile_if_shown(&mut self, script: &Script<Op>) -> Option<RequestProfile>;
    /// The requests of a run of this script, whatever it shows.
    fn profile(&mut self, script: &Script<Op>) -> RequestProfile;
    /// Searches at most `most` schedules with at most `preemptions` preemptions for the first one in
    /// which the script shows the finding.
    fn find_schedule(
        &mut self,
        script: &Script<Op>,
        preemptions: u32,
        most: u64,
    ) -> ScheduleSearchOutcome<Op>;
}

/// The most places that are tried for a fault after operations before it were removed.
pub(crate) const PLACES: usize = 48;
/// The same after only sizes were changed.
pub(crate) const PLACES_NEAR: usize = 6;
/// The most preemptions of schedules that are searched.
pub(crate) const PREEMPTIONS_MAX: u32 = 3;
/// The most schedules of a search after operations were removed.
const SCHEDULES: u64 = 100;
/// The same after a thread was removed, and for the final schedule.
pub(crate) const SCHEDULES_ALL: u64 = 2_000;

/// A script while it is shrunk.
pub(crate) struct ScriptShrinker<'a, Op> {
    /// The smallest script so far, and the requests of its run.
    pub(crate) best: Script<Op>,
    pub(crate) profile: RequestProfile,
    oracle: &'a mut dyn ScriptOracle<Op>,
    limits: Limits,
    deadline: Option<Instant>,
    pub(crate) removed: Removed,
}

impl<'a, Op: Clone> ScriptShrinker<'a, Op> {
    /// A shrinker of a script; `None` if it doesn't show the same twice.
    pub(crate) fn new(
        script: &Script<Op>,
        limits: Limits,
        oracle: &'a mut dyn ScriptOracle<Op>,
    ) -> Option<Self> {
        let profile = oracle.profile_if_shown(script)?;
        if oracle.profile_if_shown(script)? != profile {
            return None;
        }
        let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
        let removed = Removed { runs: 2, ..Removed::default() };
        let best = script.clone();
        Some(ScriptShrinker { best, profile, oracle, limits, deadline, removed })
    }

    /// Whether a limit is reached.
    pub(crate) fn is_over(&self) -> bool {
        self.removed.runs >= self.limits.runs
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Keeps a script if it shows the finding, and returns whether it does.
    pub(crate) fn accepts(&mut self, script: Script<Op>) -> bool {
        if self.is_over() {
            return false;
        }
        self.removed.runs += 1;
        let Some(profile) = self.oracle.profile_if_shown(&script) else { return false };
        (self.best, self.profile) = (script, profile);
        true
    }

    pub(crate) fn shortages(&self) -> Vec<Shortage> {
        let shortages = self.best.shortages().ok().flatten();
        shortages.map(|shortages| shortages.0).unwrap_or_default()
    }

    /// The best script with other faults.
    pub(crate) fn with_shortages(&self, shortages: Vec<Shortage>) -> Script<Op> {
        Script { fault: fault_text(shortages), ..self.best.clone() }
    }

    pub(crate) fn schedule(&self) -> Vec<Preemption> {
        self.best.preemptions().unwrap_or_default()
    }

    /// The best script with another schedule.
    pub(crate) fn with_schedule(&self, preemptions: &[Preemption]) -> Script<Op> {
        let schedule = (!preemptions.is_empty()).then(|| schedule::format_schedule(preemptions));
        Script { schedule, ..self.best.clone() }
    }

    /// Searches for a schedule in which a script shows the finding: see
    /// [`ScriptOracle::find_schedule`].
    pub(crate) fn find_schedule(
        &mut self,
        script: &Script<Op>,
        preemptions: u32,
        most: u64,
    ) -> Option<Script<Op>> {
        if self.is_over() {
            return None;
        }
        let left = self.limits.runs.saturating_sub(self.removed.runs);
        let (found, runs) = self.oracle.find_schedule(script, preemptions, most.min(left));
        self.removed.runs += runs;
        found
    }

    /// Keeps a script if it shows the finding with its faults at the ordinals that `guess` returns for
    /// their present coordinates, in another schedule, or with its only fault at another request.
    pub(crate) fn accepts_somewhere(
        &mut self,
        mut script: Script<Op>,
        guess: &dyn Fn(Coordinate) -> u64,
        places: usize,
    ) -> bool {
        let moved = |shortage: &Shortage| {
            shortage.at().map_or(*shortage, |at| shortage.moved(guess(at).max(1)))
        };
        let guessed: Vec<Shortage> = self.shortages().iter().map(moved).collect();
        script.fault = fault_text(guessed.clone());
        if self.accepts(script.clone()) {
            return true;
        }
        if script.is_contended() && places == PLACES {
            // Scheduling points have moved with the removed operations.
            let preemptions = (self.schedule().len() as u32).clamp(1, PREEMPTIONS_MAX);
            if let Some(found) = self.find_schedule(&script, preemptions, SCHEDULES) {
                return self.accepts(found);
            }
        }
        let [only] = guessed.as_slice() else { return false };
        only.at().is_some_and(|at| self.accepts_at(script, *only, at, places))
    }

    /// Keeps a script if it shows the finding with its only fault at another request.
    pub(crate) fn accepts_elsewhere(&mut self, script: &Script<Op>) -> bool {
        let Ok(Some(shortages)) = script.shortages() else { return false };
        let [only] = shortages.0[..] else { return false };
        only.at().is_some_and(|at| self.accepts_at(script.clone(), only, at, PLACES))
    }

    /// Tries the fault at other requests: those of the same operation first, then some of all.
    fn accepts_at(
        &mut self,
        mut script: Script<Op>,
        shortage: Shortage,
        at: Coordinate,
        places: usize,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        self.removed.runs += 1;
        let profile = self.oracle.profile(&Script { fault: None, ..script.clone() });
        let (starts, requests) = (profile.starts(at.thread), profile.requests(at.thread));
        let next = starts.iter().find(|start| **start >= at.ordinal).copied();
        let begin = starts.iter().rfind(|start| **start < at.ordinal).copied().unwrap_or(0);
        let near = begin + 1..=next.unwrap_or(requests);
        let step = requests.div_ceil(places as u64).max(1);
        let far = (1..=requests).step_by(step as usize);
        let mut tried = vec![at.ordinal];
        for ordinal in near.chain(far) {
            if tried.len() > places || tried.contains(&ordinal) {
                continue;
            }
            tried.push(ordinal);
            script.fault = Some(shortage.moved(ordinal).to_string());
            if self.accepts(script.clone()) {
                return true;
            }
        }
        false
    }
}

/// The text of a script's faults.
pub(crate) fn fault_text(shortages: Vec<Shortage>) -> Option<String> {
    (!shortages.is_empty()).then(|| Shortages(shortages).to_string())
}
