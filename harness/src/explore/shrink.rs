//! Shrinks findings: first the fault, then the schedule, and then finds the two operations whose order
//! matters. Each step is a run, which is kept if it shows the same finding.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::explore::critical_pair::critical_pair;
use crate::explore::shrink_loom::shrink_loom;
use crate::explore::shrinker::ScheduleShrinker;
use crate::explore::work_item::{RootCause, root_cause};
use crate::host::Host;
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::call_site::Site;
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::run::ddmin::ddmin;
use crate::schedule::Preemption;
use crate::schedule::default_order::Bound;
use crate::schedule::search::{Search, SearchOptions};
use crate::sweep::exit_outcome::{os_error, patience};
use crate::sweep::grouping;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::suppressions::name_sites;

/// No search is made for schedules with more preemptions than these.
const PREEMPTIONS_MAX: usize = 3;

/// The most schedules of each search for a shorter one.
const SEARCHED_MAX: u64 = 3_000;
/// The most scheduling points of a run. One with more is taken for endless.
const STEPS_MAX: u64 = 100_000;
/// The most findings that are shrunk. More than these are usually the same few bugs.
const FINDINGS_MAX: usize = 40;

/// Shrinks the smallest observation of each root cause, each in a child process. `is_random`: the
/// schedules were random, so one with fewer preemptions may exist.
pub(crate) fn shrink_findings(
    context: &RunContext<'_>,
    baseline: &Baseline,
    found: Vec<Observation>,
    is_random: bool,
) -> Result<Vec<Observation>, Error> {
    let mut found = merge_by_site(context, baseline, found)?;
    let size = |found: &Observation| {
        let preemptions = found.schedule.as_ref().map_or(0, |schedule| schedule.preemptions.len());
        (found.point.is_some(), preemptions, found.point)
    };
    found.sort_by_key(size);
    let mut roots: BTreeMap<(RootCause, Option<u64>), usize> = BTreeMap::new();
    for (index, found) in found.iter().enumerate() {
        let Some(evidence) = found.evidence.first() else { continue };
        let site = found.injected.and_then(|injected| baseline.site(injected.at)).map(Site::key);
        let root = root_cause(evidence, &found.stacks);
        let site = site.filter(|_| root.1.is_empty());
        roots.entry((root, site)).or_insert(index);
    }
    let mut indices: Vec<usize> = roots.into_values().collect();
    indices.sort_unstable();
    for index in indices.into_iter().take(FINDINGS_MAX) {
        // Every try of a run that ends its process would need a child process of its own. Such a
        // finding is confirmed already, and names its call site.
        let ends_process =
            |kind| matches!(kind, Kind::Abort | Kind::Crash | Kind::Exit | Kind::Nondeterminism);
        if found[index].evidence.iter().any(|evidence| ends_process(evidence.kind)) {
            continue;
        }
        let smaller = if context.settings.in_process {
            let scratch = ScratchDir::new(std::process::id());
            Some(shrink(ScheduleShrinker::new(context, &scratch, &found[index]), is_random))
        } else {
            let owner = std::process::id();
            let answer = child::ask::<Observation>(patience(context.settings, baseline), &|pipe| {
                let scratch = ScratchDir::new(owner);
                status::set_started();
                let shrinker = ScheduleShrinker::new(context, &scratch, &found[index]);
                pipe.send(&shrink(shrinker, is_random));
            });
            answer.map_err(|error| os_error("start a child", &error))?.messages.pop()
        };
        if let Some(smaller) = smaller {
            found[index] = smaller;
        }
    }
    Ok(found)
}

/// Merges the observations of one fault whose call sites are equal. Searches tell them apart by
/// return addresses, of which a function that was inlined has several, so the number of schedules in
/// which each was seen depends on the compiler.
fn merge_by_site(
    context: &RunContext<'_>,
    baseline: &Baseline,
    found: Vec<Observation>,
) -> Result<Vec<Observation>, Error> {
    if !baseline.has_sites {
        return Ok(found);
    }
    let sites = name_sites(context.settings, &found)?;
    let mut merged: Vec<Observation> = Vec::with_capacity(found.len());
    let mut known: BTreeMap<(Option<Point>, Kind, Vec<u64>), usize> = BTreeMap::new();
    for found in found {
        if let Some(evidence) = found.evidence.first() {
            let steps = grouping::steps(evidence, &found.stacks, &sites);
            let fault = found.injected.and_then(|injected| baseline.site(injected.at));
            let root = grouping::root(evidence, fault, &steps, found.injected.is_some());
            let nth = *known.entry((found.point, evidence.kind, root)).or_insert(merged.len());
            if let Some(first) = merged.get_mut(nth) {
                let seen = found.schedule.as_ref().map_or(0, |schedule| schedule.seen);
                first.schedule.iter_mut().for_each(|schedule| schedule.seen += seen);
                continue;
            }
        }
        merged.push(found);
    }
    Ok(merged)
}

/// Runs the passes on one finding, and returns its smallest observation.
fn shrink(mut shrinker: ScheduleShrinker<'_>, is_random: bool) -> Observation {
    if shrinker.context.settings.host.is_some_and(Host::is_weak) {
        return shrink_loom(shrinker);
    }
    let (point_before, preemptions_before) = (shrinker.point, shrinker.preemptions.len());
    shrink_fault(&mut shrinker);
    shrink_schedule(&mut shrinker);
    if is_random {
        find_shorter_schedule(&mut shrinker);
    }
    let need = describe_need(&mut shrinker);
    let pair = critical_pair(&mut shrinker);
    let mut notes = Vec::new();
    let removed = preemptions_before.saturating_sub(shrinker.preemptions.len());
    if removed > 0 {
        let all = count(preemptions_before as u64, "preemption");
        notes.push(format!("{removed} of {all} were not needed"));
    }
    match (point_before, shrinker.point) {
        (Some(_), None) => notes.push("the fault was not needed".to_owned()),
        (Some(before), Some(after)) if before != after => {
            notes.push("once is enough, it need not fail for good".to_owned());
        }
        _ => {}
    }
    notes.extend(need);
    if let Some(schedule) = &mut shrinker.best.schedule {
        schedule.preemptions = shrinker.preemptions;
        schedule.notes = notes;
        schedule.pair = Vec::new();
        if let Some((pair, stacks)) = pair {
            schedule.pair = pair;
            shrinker.best.stacks.extend(stacks);
        }
    }
    shrinker.best
}

/// Tries the schedule without its fault, and a fault for good as one that happens once.
fn shrink_fault(shrinker: &mut ScheduleShrinker<'_>) {
    let preemptions = shrinker.preemptions.clone();
    if shrinker.point.is_some() && shrinker.accept(None, &preemptions) {
        return;
    }
    if let Some(point) = shrinker.point.filter(|point| point.persistent) {
        shrinker.accept(Some(Point { persistent: false, ..point }), &preemptions);
    }
}

/// Leaves out preemptions: all of them, then halves, quarters, and so on to single ones.
fn shrink_schedule(shrinker: &mut ScheduleShrinker<'_>) {
    if shrinker.preemptions.is_empty() || shrinker.accept(shrinker.point, &[]) {
        return;
    }
    ddmin(
        shrinker,
        |shrinker| shrinker.preemptions.len(),
        |shrinker, range| {
            let mut fewer = shrinker.preemptions.clone();
            fewer.drain(range);
            shrinker.accept(shrinker.point, &fewer)
        },
    );
}

/// Searches for a schedule with fewer preemptions, since a random one may have needless ones that
/// can't be left out one by one.
fn find_shorter_schedule(shrinker: &mut ScheduleShrinker<'_>) {
    let Some(host) = shrinker.context.settings.host else { return };
    if shrinker.preemptions.len() <= 1 {
        // The only shorter one is the default schedule, which was tried.
        return;
    }
    let fewer = (shrinker.preemptions.len() - 1).min(PREEMPTIONS_MAX);
    // Where there are many threads, few deviations of any kind are found sooner than few preemptions.
    for bound in [Bound::Delays(fewer as u32), Bound::Preemptions(fewer as u32)] {
        let limit = shrinker.runs_left.min(SEARCHED_MAX);
        let search = Search::bounded(bound, SearchOptions::DEFAULT, limit).steps_max(STEPS_MAX);
        let (found, _) = shrinker.find_schedule(host, shrinker.point, search);
        let is_shorter = |found: &Vec<Preemption>| found.len() < shrinker.preemptions.len();
        if let Some(preemptions) = found.filter(is_shorter) {
            shrinker.runs_left = shrinker.runs_left.max(2);
            shrinker.accept(shrinker.point, &preemptions);
            return;
        }
    }
}

/// Leaves out each remaining part once more, and returns the sentence that all of them are needed, if
/// they are.
fn describe_need(shrinker: &mut ScheduleShrinker<'_>) -> Option<String> {
    let mut parts = Vec::new();
    let preemptions = shrinker.preemptions.clone();
    if let Some(point) = shrinker.point {
        if shrinker.runs_left == 0 || shrinker.probe(None, &preemptions).is_some() {
            return None;
        }
        parts.push(format!("the failure of {}", point.at));
    }
    for (nth, preemption) in preemptions.iter().enumerate() {
        let rest = [&preemptions[..nth], &preemptions[nth + 1..]].concat();
        if shrinker.runs_left == 0 || shrinker.probe(shrinker.point, &rest).is_some() {
            return None;
        }
        parts.push(preemption.to_string());
    }
    match parts.as_slice() {
        [] => None,
        [one] => Some(format!("needs {one}: without it, it is not seen")),
        [rest @ .., last] => Some(format!(
            "needs {} and {last}: without any of them, it is not seen",
            rest.join(", ")
        )),
    }
}
