//! The smallest script that still shows the same: faults go first, then preemptions, operations
//! and sizes. The same passes in the same order each time, until none finds anything more.
//!
//! Shortlex: fewer operations before shorter ones, shorter ones before earlier in the alphabet.

use crate::run::ddmin::ddmin;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plan::syntax::{Shortage, Shortages};
use crate::report::format::count;
use crate::schedule;
use crate::schedule::Preemption;
use crate::script::shrink_value;
use crate::script::shrink_value::SmallerValue as _;
use crate::system::script::Script;
use crate::trace::Coordinate;

/// How long to look for something smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs at the most: 10,000 unless given.
    pub runs: u64,
    /// Time at the most: none unless given. What comes out then hangs on the machine.
    pub time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { runs: 10_000, time: None }
    }
}

/// What was removed, and by how many runs.
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
    /// Numbers, texts and lists that could be smaller.
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

/// What a script that shows it does on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shows {
    /// The request whose failure it comes of.
    pub(crate) injected: Option<Coordinate>,
    /// For each thread its requests before each operation, and all of them.
    pub(crate) starts: Vec<Vec<u64>>,
    pub(crate) requests: Vec<u64>,
}

impl Shows {
    fn starts(&self, thread: u16) -> &[u64] {
        self.starts.get(usize::from(thread)).map_or(&[], Vec::as_slice)
    }

    fn requests(&self, thread: u16) -> u64 {
        self.requests.get(usize::from(thread)).copied().unwrap_or(0)
    }
}

/// Tells whether a script still shows what is to be kept.
pub(crate) trait ScriptOracle<Op> {
    fn shows(&mut self, script: &Script<Op>) -> Option<Shows>;
    /// What it does without any fault: where to look for one that has moved.
    fn survey(&mut self, script: &Script<Op>) -> Shows;
    /// The first schedule with so few changes of threads in which the script shows it, and how many
    /// were run, `most` of them at the most.
    fn search(&mut self, script: &Script<Op>, changes: u32, most: u64)
    -> (Option<Script<Op>>, u64);
}

/// Other places that are tried for a fault, where operations before it are gone.
const PLACES: usize = 48;
/// The same where only sizes have changed.
const PLACES_NEAR: usize = 6;
/// Literals that may change places with each other.
const LITERALS: usize = 8;
/// Changes of threads that are looked for where operations are gone, and schedules that are run.
const CHANGES: u32 = 3;
const SCHEDULES: u64 = 100;
/// The same where threads are to go, and where the schedule is chosen.
const SCHEDULES_ALL: u64 = 2_000;
/// Smaller ordinals that are tried at the end.
const ORDINALS: u64 = 64;

struct ScriptShrinker<'a, Op> {
    best: Script<Op>,
    shows: Shows,
    oracle: &'a mut dyn ScriptOracle<Op>,
    limits: Limits,
    deadline: Option<Instant>,
    removed: Removed,
}

/// The smallest script that shows what this one does, or `None` where it doesn't show it twice.
pub(crate) fn minimise<Op: Clone + Serialize + DeserializeOwned>(
    script: &Script<Op>,
    limits: Limits,
    oracle: &mut dyn ScriptOracle<Op>,
) -> Option<(Script<Op>, Removed)> {
    let shows = oracle.shows(script)?;
    if oracle.shows(script)? != shows {
        return None;
    }
    let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
    let removed = Removed { runs: 2, ..Removed::default() };
    let best = script.clone();
    let mut minimiser = ScriptShrinker { best, shows, oracle, limits, deadline, removed };
    loop {
        let before = minimiser.measure();
        minimiser.modes();
        minimiser.faults();
        minimiser.preemptions();
        minimiser.threads();
        minimiser.operations();
        minimiser.sizes();
        minimiser.places();
        minimiser.order();
        minimiser.schedule();
        if minimiser.is_over() || minimiser.measure() == before {
            return Some((minimiser.best, minimiser.removed));
        }
    }
}

impl<Op: Clone + Serialize + DeserializeOwned> ScriptShrinker<'_, Op> {
    /// What is compared: the text without what was written about it.
    fn measure(&self) -> String {
        let bare = Script { about: String::new(), found: None, ..self.best.clone() };
        bare.print().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.removed.runs >= self.limits.runs
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn shows(&mut self, script: &Script<Op>) -> Option<Shows> {
        if self.is_over() {
            return None;
        }
        self.removed.runs += 1;
        self.oracle.shows(script)
    }

    fn accepts(&mut self, script: Script<Op>) -> bool {
        let Some(shows) = self.shows(&script) else { return false };
        (self.best, self.shows) = (script, shows);
        true
    }

    fn shortages(&self) -> Vec<Shortage> {
        self.best.shortages().ok().flatten().map(|all| all.0).unwrap_or_default()
    }

    fn with_shortages(&self, shortages: Vec<Shortage>) -> Script<Op> {
        let fault = (!shortages.is_empty()).then(|| Shortages(shortages).to_string());
        Script { fault, ..self.best.clone() }
    }

    fn modes(&mut self) {
        for mode in self.best.modes.clone() {
            let mut plainer = self.best.clone();
            plainer.modes.retain(|other| *other != mode);
            self.removed.faults += u64::from(self.accepts(plainer));
        }
    }

    fn faults(&mut self) {
        let all = self.shortages().len() as u64;
        if all > 0 && self.accepts(self.with_shortages(Vec::new())) {
            self.removed.faults += all;
            return;
        }
        for nth in (0..self.shortages().len()).rev() {
            let mut fewer = self.shortages();
            if fewer.len() > 1 && nth < fewer.len() {
                fewer.remove(nth);
                self.removed.faults += u64::from(self.accepts(self.with_shortages(fewer)));
            }
        }
        for nth in 0..self.shortages().len() {
            self.plainer(nth);
        }
    }

    /// Makes one fault plainer: once before for good before a burst before a budget.
    fn plainer(&mut self, nth: usize) {
        let set = |minimiser: &mut Self, shortage| {
            let mut all = minimiser.shortages();
            let differs = all.get(nth).is_some_and(|present| *present != shortage);
            differs && {
                all[nth] = shortage;
                minimiser.accepts(minimiser.with_shortages(all))
            }
        };
        let Some(present) = self.shortages().get(nth).copied() else { return };
        match present {
            Shortage::Once(_) => {}
            Shortage::ForGood(at) => {
                set(self, Shortage::Once(at));
            }
            Shortage::Burst(at, last) => {
                let latest = self.shows.injected.unwrap_or(at);
                if [at, latest].into_iter().any(|at| set(self, Shortage::Once(at)))
                    || set(self, Shortage::ForGood(at))
                {
                    return;
                }
                let (mut without, mut with) = (at.ordinal, last);
                while with - without > 1 {
                    let middle = without + (with - without) / 2;
                    if set(self, Shortage::Burst(at, middle)) {
                        with = middle;
                    } else {
                        without = middle;
                    }
                }
            }
            Shortage::Budget(_) => {
                if let Some(at) = self.shows.injected {
                    let _ = set(self, Shortage::Once(at)) || set(self, Shortage::ForGood(at));
                }
            }
        }
    }

    fn turns(&self) -> Vec<Preemption> {
        self.best.turns().unwrap_or_default()
    }

    fn with_turns(&self, turns: &[Preemption]) -> Script<Op> {
        let schedule = (!turns.is_empty()).then(|| schedule::format_schedule(turns));
        Script { schedule, ..self.best.clone() }
    }

    fn preemptions(&mut self) {
        let all = self.turns().len() as u64;
        if all == 0 {
            return;
        }
        if self.accepts(self.with_turns(&[])) {
            self.removed.preemptions += all;
            return;
        }
        ddmin(
            self,
            |shrinker| shrinker.turns().len(),
            |shrinker, range| {
                let mut fewer = shrinker.turns();
                fewer.drain(range.clone());
                let accepted = !fewer.is_empty() && shrinker.accepts(shrinker.with_turns(&fewer));
                if accepted {
                    shrinker.removed.preemptions += range.len() as u64;
                }
                accepted
            },
        );
    }

    /// Looks for the first schedule of all: of those that show it always the same one is left.
    fn schedule(&mut self) {
        let before = self.turns();
        if !self.best.is_contended() || before.is_empty() {
            return;
        }
        let changes = (before.len() as u32).min(CHANGES);
        let script = self.with_turns(&[]);
        let Some(found) = self.search(&script, changes, SCHEDULES_ALL) else { return };
        let turns = found.turns().unwrap_or_default();
        let is_smaller = (turns.len(), &turns) < (before.len(), &before);
        if is_smaller && self.accepts(found) {
            self.removed.preemptions += before.len().saturating_sub(turns.len()) as u64;
        }
    }

    fn search(&mut self, script: &Script<Op>, changes: u32, most: u64) -> Option<Script<Op>> {
        let left = self.limits.runs.saturating_sub(self.removed.runs);
        if self.is_over() {
            return None;
        }
        let (found, runs) = self.oracle.search(script, changes, most.min(left));
        self.removed.runs += runs;
        found
    }

    /// One thread for all operations, or else a thread less: those that do nothing.
    fn threads(&mut self) {
        if self.best.threads.len() > 1 {
            let mut one = self.best.clone();
            let starts: Vec<u64> = (0..one.threads.len() as u16)
                .scan(0, |sum, thread| {
                    let before = *sum;
                    *sum += self.shows.requests(thread);
                    Some(before)
                })
                .collect();
            one.threads = vec![one.threads.concat()];
            one.schedule = None;
            let first = |shortage: &Shortage| match shortage.at() {
                None => *shortage,
                Some(at) => {
                    let before = starts.get(usize::from(at.thread)).copied().unwrap_or(0);
                    shortage.moved(before + at.ordinal).of(0)
                }
            };
            let all: Vec<Shortage> = self.shortages().iter().map(first).collect();
            one.fault = (!all.is_empty()).then(|| Shortages(all).to_string());
            let changes = self.turns().len() as u64;
            if self.accepts(one.clone()) || self.accepts_near(&one) {
                self.removed.preemptions += changes;
                return;
            }
        }
        let mut thread = self.best.threads.len();
        while thread > 0 && self.best.threads.len() > 1 {
            thread -= 1;
            if self.best.threads.get(thread).is_some_and(Vec::is_empty) {
                self.drop_thread(thread);
            }
        }
    }

    /// Takes an empty thread out. Those behind it get other numbers; the first asks for what opening
    /// takes.
    fn drop_thread(&mut self, thread: usize) {
        let mut fewer = self.best.clone();
        fewer.threads.remove(thread);
        let opening = self.shows.requests(0);
        let moved = |shortage: &Shortage| match shortage.at() {
            Some(at) if usize::from(at.thread) > thread => {
                let more = if at.thread == 1 { opening } else { 0 };
                shortage.moved(at.ordinal + more).of(at.thread - 1)
            }
            _ => *shortage,
        };
        let all: Vec<Shortage> = self.shortages().iter().map(moved).collect();
        fewer.fault = (!all.is_empty()).then(|| Shortages(all).to_string());
        if thread + 1 == self.best.threads.len() && self.accepts(fewer.clone()) {
            return;
        }
        let changes = (self.turns().len() as u32).clamp(1, CHANGES);
        if let Some(found) = self.search(&fewer, changes, SCHEDULES_ALL) {
            self.accepts(found);
        }
    }

    /// Drops operations: halves, quarters, …, single ones, from the last on; and threads that are
    /// empty then.
    fn operations(&mut self) {
        for thread in (0..self.best.threads.len()).rev() {
            ddmin(
                self,
                |shrinker| shrinker.best.threads[thread].len(),
                |shrinker, range| {
                    let accepted = shrinker.drop_operations(thread, range.start, range.end);
                    if accepted {
                        shrinker.removed.operations += range.len() as u64;
                    }
                    accepted
                },
            );
        }
    }

    fn drop_operations(&mut self, thread: usize, start: usize, end: usize) -> bool {
        let mut fewer = self.best.clone();
        fewer.threads[thread].drain(start..end);
        let thread = thread as u16;
        let requests = self.shows.requests(thread);
        let of = |nth: usize| self.shows.starts(thread).get(nth).copied().unwrap_or(requests);
        let (from, gone) = (of(start), of(end).saturating_sub(of(start)));
        let guess = |at: Coordinate| match at.ordinal {
            ordinal if at.thread != thread => ordinal,
            ordinal if ordinal > from + gone => ordinal - gone,
            ordinal => ordinal.min(from + 1),
        };
        self.accepts_somewhere(fewer, &guess, PLACES)
    }

    /// Whether a script shows it with its faults where they are guessed to be now; or, where it
    /// has only one, at another request.
    fn accepts_somewhere(
        &mut self,
        mut script: Script<Op>,
        guess: &dyn Fn(Coordinate) -> u64,
        places: usize,
    ) -> bool {
        let shortages = self.shortages();
        let moved = |shortage: &Shortage| {
            shortage.at().map_or(*shortage, |at| shortage.moved(guess(at).max(1)))
        };
        let guessed: Vec<Shortage> = shortages.iter().map(moved).collect();
        script.fault = (!guessed.is_empty()).then(|| Shortages(guessed.clone()).to_string());
        if self.accepts(script.clone()) {
            return true;
        }
        if script.is_contended() && places == PLACES {
            // Its changes of threads are elsewhere now.
            let changes = (self.turns().len() as u32).clamp(1, CHANGES);
            if let Some(found) = self.search(&script, changes, SCHEDULES) {
                return self.accepts(found);
            }
        }
        let [one] = guessed.as_slice() else { return false };
        one.at().is_some_and(|at| self.accepts_at(script, *one, at, places))
    }

    /// Whether a script of one thread shows it with its fault at another request.
    fn accepts_near(&mut self, script: &Script<Op>) -> bool {
        let Ok(Some(all)) = script.shortages() else { return false };
        let [one] = all.0[..] else { return false };
        one.at().is_some_and(|at| self.accepts_at(script.clone(), one, at, PLACES))
    }

    fn accepts_at(
        &mut self,
        mut script: Script<Op>,
        one: Shortage,
        at: Coordinate,
        places: usize,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        self.removed.runs += 1;
        let survey = self.oracle.survey(&Script { fault: None, ..script.clone() });
        let (starts, requests) = (survey.starts(at.thread), survey.requests(at.thread));
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
            script.fault = Some(one.moved(ordinal).to_string());
            if self.accepts(script.clone()) {
                return true;
            }
        }
        false
    }

    /// Makes what operations hold smaller: what stands in several places in all of them at once,
    /// then place by place.
    fn sizes(&mut self) {
        for literal in shrink_value::distinct(self.best.threads.iter().flatten()) {
            let mut present = literal;
            while let Some(smaller) = self.smaller_everywhere(&present) {
                self.removed.sizes += 1;
                present = smaller;
            }
        }
        for thread in 0..self.best.threads.len() {
            for nth in 0..self.best.threads[thread].len() {
                while self.smaller_operation(thread, nth) {
                    self.removed.sizes += 1;
                }
            }
        }
    }

    fn smaller_everywhere(&mut self, present: &str) -> Option<String> {
        for smaller in shrink_value::smaller(present) {
            let other = |literal: &str| (literal == present).then(|| smaller.clone());
            let script = self.with_literals(&other);
            if script.is_some_and(|it| self.accepts_somewhere(it, &|at| at.ordinal, PLACES_NEAR)) {
                return Some(smaller);
            }
            if self.is_over() {
                return None;
            }
        }
        None
    }

    /// The same with other literals, if there are any to change, and it still is a script.
    fn with_literals(&self, other: &dyn Fn(&str) -> Option<String>) -> Option<Script<Op>> {
        let mut script = self.best.clone();
        let mut changed = false;
        for op in script.threads.iter_mut().flatten() {
            match op.with_all(other) {
                Some(Ok(fresh)) => (*op, changed) = (fresh, true),
                Some(Err(())) => return None,
                None => {}
            }
        }
        changed.then_some(script)
    }

    /// Lets two literals change places where that is earlier in the alphabet: of two scripts that
    /// are as small, always the same one is left.
    fn order(&mut self) {
        let mut all = shrink_value::distinct(self.best.threads.iter().flatten());
        all.truncate(LITERALS);
        let pairs = (0..all.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
        for (one, other) in pairs {
            let (one, other) = (&all[one], &all[other]);
            let swapped = self.with_literals(&|literal| match literal {
                _ if literal == one => Some(other.clone()),
                _ if literal == other => Some(one.clone()),
                _ => None,
            });
            let text = |script: &Script<Op>| script.print().unwrap_or_default();
            if let Some(swapped) = swapped
                && text(&swapped) < text(&self.best)
            {
                self.accepts_somewhere(swapped, &|at| at.ordinal, PLACES_NEAR);
            }
        }
    }

    fn smaller_operation(&mut self, thread: usize, nth: usize) -> bool {
        for smaller in self.best.threads[thread][nth].smaller() {
            let mut script = self.best.clone();
            script.threads[thread][nth] = smaller;
            if self.accepts_somewhere(script, &|at| at.ordinal, PLACES_NEAR) {
                return true;
            }
            if self.is_over() {
                return false;
            }
        }
        false
    }

    /// Lets the fault come as early as it may.
    fn places(&mut self) {
        let [one] = self.shortages()[..] else { return };
        let Some(at) = one.at() else { return };
        for ordinal in (1..at.ordinal).take(ORDINALS as usize) {
            if self.accepts(self.with_shortages(vec![one.moved(ordinal)])) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Op {
        Put { key: String, size: u32 },
        Drop(String),
        Tick,
    }

    /// Every operation but a tick makes two requests. It is shown where a key is dropped that was
    /// put with 37 bytes or more, and the second request of that drop fails.
    struct Planted;

    fn requests(op: &Op) -> u64 {
        if *op == Op::Tick { 0 } else { 2 }
    }

    impl ScriptOracle<Op> for Planted {
        fn shows(&mut self, script: &Script<Op>) -> Option<Shows> {
            let survey = self.survey(script);
            let at = script.shortages().ok()??.0.first()?.at()?.ordinal;
            let put = |key: &str, before: usize| {
                script.threads[0][..before]
                    .iter()
                    .any(|op| matches!(op, Op::Put { key: its, size } if its == key && *size >= 37))
            };
            let shown = script.threads[0].iter().enumerate().any(|(nth, op)| match op {
                Op::Drop(key) => put(key, nth) && at == survey.starts(0)[nth] + 2,
                _ => false,
            });
            let scheduled = script.turns().ok()?.contains(&"T1@8>T2".parse().ok()?);
            (shown && scheduled).then_some(survey)
        }

        fn survey(&mut self, script: &Script<Op>) -> Shows {
            let (mut starts, mut all) = (Vec::new(), 0);
            for op in &script.threads[0] {
                starts.push(all);
                all += requests(op);
            }
            Shows { injected: None, starts: vec![starts], requests: vec![all] }
        }

        fn search(&mut self, _: &Script<Op>, _: u32, _: u64) -> (Option<Script<Op>>, u64) {
            (None, 0)
        }
    }

    fn long() -> Script<Op> {
        let mut ops = Vec::new();
        for nth in 0..200_u32 {
            let key = format!("key-{}", nth % 7);
            ops.push(Op::Put { key: key.clone(), size: nth });
            ops.push(if nth % 3 == 0 { Op::Tick } else { Op::Drop(key) });
        }
        let mut script = Script::of("planted", ops);
        script.schedule = Some("T0@1>T1, T1@8>T2".into());
        script.fault = Some("T0#3, T0#514..".into());
        script
    }

    #[test]
    fn what_is_needed_is_left_and_reads_as_a_person_would_have_written_it() {
        let mut script = long();
        let ordinal = (1..=2000).find(|at| {
            script.fault = Some(format!("T0#{at}, T0#1900.."));
            Planted.shows(&script).is_some()
        });
        assert!(ordinal.is_some_and(|at| at > 100), "{ordinal:?}");
        let (small, removed) = minimise(&script, Limits::default(), &mut Planted).expect("shown");
        assert_eq!(
            ron::to_string(&small.threads).expect("text"),
            r#"[[Put(key:"",size:37),Drop("")]]"#
        );
        assert_eq!(small.fault.as_deref(), Some("T0#4"));
        assert_eq!(small.schedule.as_deref(), Some("T1@8>T2"));
        assert_eq!((removed.operations, removed.preemptions), (398, 1));
        assert!(removed.runs < 3_000, "{removed}");
        let again = minimise(&script, Limits::default(), &mut Planted);
        assert_eq!(again, Some((small, removed)), "the same each time");
    }

    #[test]
    fn a_limit_is_kept_and_what_shows_nothing_is_left_alone() {
        let mut script = long();
        assert_eq!(minimise(&script, Limits::default(), &mut Planted), None);
        script.threads[0] = vec![Op::Put { key: "k".into(), size: 40 }, Op::Drop("k".into())];
        script.fault = Some("T0#4..".into());
        let few = Limits { runs: 5, time: None };
        let (_, removed) = minimise(&script, few, &mut Planted).expect("shown");
        assert_eq!(removed.runs, 5);
    }

    /// Shows it the first time only.
    struct Flaky(u32);

    impl ScriptOracle<Op> for Flaky {
        fn shows(&mut self, _: &Script<Op>) -> Option<Shows> {
            self.0 += 1;
            (self.0 == 1).then(Shows::default)
        }

        fn survey(&mut self, _: &Script<Op>) -> Shows {
            Shows::default()
        }

        fn search(&mut self, _: &Script<Op>, _: u32, _: u64) -> (Option<Script<Op>>, u64) {
            (None, 0)
        }
    }

    #[test]
    fn what_is_flaky_is_not_made_smaller() {
        assert_eq!(minimise(&long(), Limits::default(), &mut Flaky(0)), None);
    }
}
