//! Turns the observations of single runs into findings: one for each root cause, with a count,
//! shown at its smallest coordinate.

use std::collections::{BTreeMap, BTreeSet};

use crate::memory::preloaded::is_preloaded;
use crate::process::backtrace::Stack;
use crate::process::exit::Death;
use crate::report::call_site::{Site, is_loader};
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::finding::{BlockTally, FaultAt, Finding, FindingStep, ScheduleAt};
use crate::report::kind::Kind;
use crate::report::token::{Fault, Token};
use crate::run::symbolizer::Symbolizer;
use crate::schedule::ScheduledOp;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;
use crate::trace::{Coordinate, Fingerprint, hash_bytes};

/// The backtraces that these observations need names for, each once.
pub(crate) fn stacks(found: &[Observation]) -> Vec<Stack> {
    let all: BTreeSet<&Stack> = found.iter().flat_map(|found| found.stacks.values()).collect();
    all.into_iter().cloned().collect()
}

/// The call sites of backtraces, aligned with them; empty ones without debug information.
pub(crate) fn symbolise(settings: &Settings, stacks: &[Stack]) -> Vec<Site> {
    Symbolizer::new(settings.known_file)
        .sites(stacks)
        .unwrap_or_else(|| vec![Site::default(); stacks.len()])
}

/// Whether the call site of the fault identifies a finding of this kind, instead of the history of
/// a block.
fn is_about_fault(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SilentWrong
            | Kind::WrongError
            | Kind::Absorbed
            | Kind::NotRecovered
            | Kind::NoProgress
            | Kind::Abort
            | Kind::Crash
            | Kind::Exit
    )
}

/// How many functions, from the innermost one, tell where a program died.
pub(crate) const DEATH_FRAMES: usize = 2;
/// How many tell which of its loops doesn't end: a program has functions of its own around `malloc`.
const LOOP_FRAMES: usize = 4;

/// Whether a step is where a finding of this kind shows that the program can't go on.
fn ends(kind: Kind, role: Role) -> bool {
    match kind {
        Kind::Crash | Kind::Abort => role == Role::Died,
        Kind::NoProgress => role == Role::Hung,
        _ => false,
    }
}

/// The observations of one root cause.
struct Group {
    finding: Finding,
    coordinates: BTreeSet<Coordinate>,
}

/// Groups observations by kind and root cause; sorts the findings by kind, call site and
/// coordinate.
pub(crate) fn findings(
    settings: &Settings,
    baseline: &Baseline,
    found: &[Observation],
    sites: &BTreeMap<Stack, Site>,
) -> Vec<Finding> {
    let mut order: Vec<&Observation> = found.iter().collect();
    // The first of a group represents it: without a fault before with one, then fewer preemptions,
    // then the smaller coordinate, and failing once before failing for good.
    order.sort_by_key(|found| {
        let preemptions = found.schedule.as_ref().map_or(0, |schedule| schedule.preemptions.len());
        (found.point.is_some(), preemptions, found.point)
    });
    let mut groups: BTreeMap<(Kind, Vec<u64>), Group> = BTreeMap::new();
    for found in order {
        let mut tallies: BTreeMap<(Kind, Vec<u64>), BlockTally> = BTreeMap::new();
        for evidence in &found.evidence {
            let steps = steps(evidence, &found.stacks, sites);
            let fault = found.injected.and_then(|injected| baseline.site(injected.at));
            let mut key = (evidence.kind, root(evidence, fault, &steps, found.injected.is_some()));
            if !baseline.has_sites {
                // Without names the coordinate is all there is to tell two causes apart.
                let place = found.point.map(|point| point.at.to_string()).unwrap_or_default();
                key.1.push(hash_bytes(place.as_bytes()));
            }
            tallies.entry(key.clone()).or_default().add(evidence);
            groups.entry(key).or_insert_with_key(|(kind, root)| Group {
                finding: finding(
                    settings,
                    baseline,
                    found,
                    evidence,
                    (steps, id(*kind, root)),
                    sites,
                ),
                coordinates: BTreeSet::new(),
            });
        }
        for (key, tally) in tallies {
            let Some(group) = groups.get_mut(&key) else {
                continue;
            };
            if group.coordinates.is_empty() {
                group.finding.tally = tally;
            }
            // What shows without a fault is not counted where it shows with one.
            if group.finding.fault.is_some() {
                group.coordinates.extend(found.point.map(|point| point.at));
            }
            group.finding.count = group.coordinates.len().max(1) as u64;
        }
    }
    let mut findings: Vec<Finding> = groups.into_values().map(|group| group.finding).collect();
    sort(&mut findings);
    findings
}

/// Sorts findings by kind, call site and coordinate.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by_cached_key(|finding| {
        let place =
            |step: &FindingStep| step.site.frames.first().map(|frame| frame.function.clone());
        let first = finding.steps.first().and_then(place);
        (finding.kind, first, finding.fault.as_ref().map(|fault| fault.at))
    });
}

/// The key that identifies a root cause: the call sites of the block's history, or that of the
/// fault. `fault` is the call site of the request that failed, if one was `injected`.
pub(crate) fn root(
    evidence: &Evidence,
    fault: Option<&Site>,
    steps: &[FindingStep],
    injected: bool,
) -> Vec<u64> {
    if is_preloaded()
        && let Some(end) = steps.iter().find(|step| ends(evidence.kind, step.role))
        && !end.site.frames.is_empty()
    {
        // Many requests of a program lead to one place where it can't go on.
        let frames = if end.role == Role::Hung { LOOP_FRAMES } else { DEATH_FRAMES };
        return vec![end.site.innermost(frames)];
    }
    // Where a thread is joined follows from what the joined thread waits for; and where a process
    // dies of a fault, from the fault.
    let is_root = |step: &&FindingStep| match step.role {
        Role::Joins => false,
        Role::Died | Role::Hung => !injected,
        _ => true,
    };
    let mut root: Vec<u64> = steps.iter().filter(is_root).map(|step| step.site.key()).collect();
    if evidence.kind == Kind::Deadlock {
        // A cycle of threads is the same wherever the list begins.
        root.sort_unstable();
    }
    if is_about_fault(evidence.kind) || root.is_empty() {
        root.extend(fault.map(Site::key));
    }
    if root.is_empty() && !evidence.operation.is_empty() {
        root.push(hash_bytes(evidence.operation.as_bytes()));
    }
    root
}

/// The id of a finding: the letter of its kind, and 32 bits hashed from kind and root cause.
pub(crate) fn id(kind: Kind, root: &[u64]) -> String {
    let mut bytes = kind.name().as_bytes().to_vec();
    for part in root {
        bytes.extend_from_slice(&part.to_le_bytes());
    }
    format!("{}-{:08x}", kind.letter(), hash_bytes(&bytes) >> 32)
}

/// The steps of a block's history, with their call sites.
pub(crate) fn steps(
    evidence: &Evidence,
    stacks: &BTreeMap<Moment, Stack>,
    sites: &BTreeMap<Stack, Site>,
) -> Vec<FindingStep> {
    let site = |moment: &Moment| stacks.get(moment).and_then(|stack| sites.get(stack)).cloned();
    let mut labels = evidence.labels.iter();
    let step = |(role, moment): &(Role, Moment)| FindingStep {
        role: *role,
        label: labels.next().cloned().unwrap_or_else(|| role.label().to_owned()),
        site: site(moment).unwrap_or_default(),
    };
    evidence.steps.iter().map(step).collect()
}

/// The finding of the first observation of a group.
fn finding(
    settings: &Settings,
    baseline: &Baseline,
    found: &Observation,
    evidence: &Evidence,
    (steps, id): (Vec<FindingStep>, String),
    sites: &BTreeMap<Stack, Site>,
) -> Finding {
    // A request that was to fail and never came is known from the baseline.
    let planned = found.point.and_then(|point| Some((point.at, baseline.asked(point.at)?)));
    let injected =
        found.injected.map(|injected| (injected.at, (injected.op, injected.size as u64)));
    let fault: Option<FaultAt> = injected.or(planned).map(|(at, (op, size))| FaultAt {
        at,
        persistent: found.point.is_some_and(|point| point.persistent),
        op,
        size,
        site: baseline.site(at).cloned().unwrap_or_default(),
        is_first_use: settings.first_runs.get(),
    });
    // Where the failed request itself ended the process, its call site says it all.
    let is_said = |step: &FindingStep| {
        let fault = fault.as_ref().map(|fault| fault.site.key());
        // In C it is what follows the failed request that ends the process.
        let is_at_fault = !is_preloaded() && fault == Some(step.site.key());
        step.role == Role::Died && (step.site.frames.is_empty() || is_at_fault)
    };
    let c_call = c_call(evidence, fault.as_ref(), &steps);
    let steps = steps.into_iter().filter(|step| !is_said(step)).collect();
    Finding {
        kind: evidence.kind,
        id,
        scenario: settings.name.clone(),
        block: evidence.block.clone(),
        tally: BlockTally::default(),
        steps,
        notes: evidence.notes.clone(),
        fault,
        schedule: schedule(found, sites),
        count: 1,
        of: baseline.subject_requests(),
        token: token(settings, baseline, found),
        rerun: settings.rerun.clone(),
        c_call,
    }
}

/// The function of the C library in one call of which the request failed and all steps happened, if
/// there is one.
fn c_call(evidence: &Evidence, fault: Option<&FaultAt>, steps: &[FindingStep]) -> String {
    let Some(fault) = fault else { return String::new() };
    if let Some(call) = gives_up(evidence, fault) {
        return call.to_owned();
    }
    if steps.is_empty() {
        return String::new();
    }
    let is_inside = |step: &FindingStep| fault.site.is_in_same_c_call(&step.site);
    if steps.iter().all(is_inside) { fault.site.c_call.clone() } else { String::new() }
}

/// The function in which glibc itself ends a program that it has no memory for thread-locals of: it says
/// so, or its loader, which makes requests of its own, exits.
fn gives_up(evidence: &Evidence, fault: &FaultAt) -> Option<&'static str> {
    const NO_DESTRUCTOR: &str = "failed to register TLS destructor";
    let has = |text: &str| evidence.notes.iter().any(|note| note.contains(text));
    let is_loaders = || fault.site.frames.first().is_some_and(|frame| is_loader(&frame.module));
    match evidence.kind {
        Kind::Abort if is_preloaded() && has(NO_DESTRUCTOR) => Some("__cxa_thread_atexit_impl"),
        Kind::Exit if is_preloaded() && is_loaders() && has(&Death::Exit(127).to_string()) => {
            Some("__tls_get_addr")
        }
        _ => None,
    }
}

/// The schedule of an observation, under a model checker.
fn schedule(found: &Observation, sites: &BTreeMap<Stack, Site>) -> Option<ScheduleAt> {
    let schedule = found.schedule.as_ref()?;
    let site = |act: &ScheduledOp| {
        let stack = found.stacks.get(&Moment::Step(act.step));
        stack.and_then(|stack| sites.get(stack)).cloned().unwrap_or_default()
    };
    let pair = schedule.pair.iter().map(|act| (act.clone(), site(act))).collect();
    let notes = schedule.notes.clone();
    Some(ScheduleAt {
        preemptions: schedule.preemptions.clone(),
        seen: schedule.seen,
        of: schedule.of,
        pair,
        notes,
    })
}

/// The token that replays an observation.
fn token(settings: &Settings, baseline: &Baseline, found: &Observation) -> Token {
    let fault = found.point.map(|point| Fault {
        at: point.at,
        persistent: point.persistent,
        site: baseline
            .has_sites
            .then(|| Some((baseline.site(point.at)?.short(), baseline.occurrence(point.at))))
            .flatten(),
    });
    Token {
        scenario: settings.name.clone(),
        fault,
        preemptions: found.schedule.as_ref().map(|schedule| schedule.preemptions.clone()),
        seed: settings.seed,
        input: settings.input_hash(),
        modes: settings.modes(),
        fingerprint: Fingerprint(found.fingerprint).short(),
    }
}
