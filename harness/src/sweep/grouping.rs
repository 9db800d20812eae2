//! From what single runs showed to findings: one for each root cause, with a count, shown at its
//! smallest coordinate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::process::backtrace::Stack;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::finding::{FaultAt, Finding, FindingStep, ScheduleAt};
use crate::report::kind::Kind;
use crate::report::token::{Fault, Token};
use crate::run::symbolizer::Symbolizer;
use crate::schedule::ScheduledOp;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;
use crate::trace::{Coordinate, Fingerprint, hash_bytes};

/// The stacks that these findings need names for, each once.
pub(crate) fn stacks(found: &[Observation]) -> Vec<Stack> {
    let all: BTreeSet<&Stack> = found.iter().flat_map(|found| found.stacks.values()).collect();
    all.into_iter().cloned().collect()
}

/// Names for stacks, aligned with them; empty sites where there is no debug information.
pub(crate) fn symbolise(settings: &Settings, stacks: &[Stack]) -> Vec<Site> {
    Symbolizer::new(settings.known_file)
        .sites(stacks)
        .unwrap_or_else(|| vec![Site::default(); stacks.len()])
}

/// Whether findings of this kind are about the place of the fault, not about a block's history.
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

struct Group {
    finding: Finding,
    coordinates: BTreeSet<Coordinate>,
}

/// Groups what was found by kind and sites.
pub(crate) fn findings(
    settings: &Settings,
    scouted: &Baseline,
    found: &[Observation],
    sites: &HashMap<Stack, Site>,
) -> Vec<Finding> {
    let mut order: Vec<&Observation> = found.iter().collect();
    // The smallest coordinate stands for all; once before for good.
    order.sort_by_key(|found| {
        let turns = found.order.as_ref().map_or(0, |order| order.preemptions.len());
        (found.point.is_some(), turns, found.point)
    });
    let mut groups: BTreeMap<(Kind, Vec<u64>), Group> = BTreeMap::new();
    for found in order {
        let mut blocks: BTreeMap<(Kind, Vec<u64>), (u64, u64)> = BTreeMap::new();
        for evidence in &found.evidence {
            let steps = steps(evidence, &found.stacks, sites);
            let fault = found.injected.and_then(|injected| scouted.site(injected.at));
            let mut key = (evidence.kind, root(evidence, fault, &steps));
            if !scouted.has_sites {
                // Without names there is only the place: nothing is put together that may be two.
                let place = found.point.map(|point| point.at.to_string()).unwrap_or_default();
                key.1.push(hash_bytes(place.as_bytes()));
            }
            let size = evidence.block.as_ref().map_or(0, |block| block.size as u64);
            let seen = blocks.entry(key.clone()).or_default();
            *seen = (seen.0 + 1, seen.1 + size);
            groups.entry(key).or_insert_with_key(|(kind, root)| Group {
                finding: finding(
                    settings,
                    scouted,
                    found,
                    evidence,
                    (steps, id(*kind, root)),
                    sites,
                ),
                coordinates: BTreeSet::new(),
            });
        }
        for (key, (count, bytes)) in blocks {
            let Some(group) = groups.get_mut(&key) else {
                continue;
            };
            if group.coordinates.is_empty() {
                group.finding.blocks = count;
                group.finding.bytes = bytes;
            }
            group.coordinates.extend(found.point.map(|point| point.at));
            group.finding.count = group.coordinates.len().max(1) as u64;
        }
    }
    let mut findings: Vec<Finding> = groups.into_values().map(|group| group.finding).collect();
    findings.sort_by_cached_key(|finding| {
        let place =
            |step: &FindingStep| step.site.frames.first().map(|frame| frame.function.clone());
        let first = finding.steps.first().and_then(place);
        (finding.kind, first, finding.fault.as_ref().map(|fault| fault.at))
    });
    findings
}

/// What a root cause is told by: the sites of the block's history, or the place of the fault.
pub(crate) fn root(evidence: &Evidence, fault: Option<&Site>, steps: &[FindingStep]) -> Vec<u64> {
    // Where a thread is joined follows from what it waits for.
    let is_root = |step: &&FindingStep| step.role != Role::Joins;
    let mut root: Vec<u64> = steps.iter().filter(is_root).map(|step| step.site.key()).collect();
    if evidence.kind == Kind::Deadlock {
        // A circle is the same wherever one begins to tell it.
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

pub(crate) fn id(kind: Kind, root: &[u64]) -> String {
    let mut bytes = kind.name().as_bytes().to_vec();
    for part in root {
        bytes.extend_from_slice(&part.to_le_bytes());
    }
    format!("{}-{:08x}", kind.letter(), hash_bytes(&bytes) >> 32)
}

pub(crate) fn steps(
    evidence: &Evidence,
    stacks: &BTreeMap<Moment, Stack>,
    sites: &HashMap<Stack, Site>,
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

fn finding(
    settings: &Settings,
    scouted: &Baseline,
    found: &Observation,
    evidence: &Evidence,
    (steps, id): (Vec<FindingStep>, String),
    sites: &HashMap<Stack, Site>,
) -> Finding {
    // A request that was to fail and never came is known from the runs without a fault.
    let meant = found.point.and_then(|point| Some((point.at, scouted.asked(point.at)?)));
    let met = found.injected.map(|injected| (injected.at, (injected.op, injected.size as u64)));
    let fault = met.or(meant).map(|(at, (op, size))| FaultAt {
        at,
        persistent: found.point.is_some_and(|point| point.persistent),
        op,
        size,
        site: scouted.site(at).cloned().unwrap_or_default(),
    });
    Finding {
        kind: evidence.kind,
        id,
        scenario: settings.name.clone(),
        block: evidence.block.clone(),
        blocks: 1,
        bytes: 0,
        steps,
        notes: evidence.notes.clone(),
        fault,
        schedule: schedule(found, sites),
        count: 1,
        of: scouted.requests,
        token: token(settings, scouted, found),
        rerun: settings.rerun.clone(),
    }
}

/// The order of threads that a run needs.
fn schedule(found: &Observation, sites: &HashMap<Stack, Site>) -> Option<ScheduleAt> {
    let order = found.order.as_ref()?;
    let site = |act: &ScheduledOp| {
        let stack = found.stacks.get(&Moment::Step(act.step));
        stack.and_then(|stack| sites.get(stack)).cloned().unwrap_or_default()
    };
    let pair = order.pair.iter().map(|act| (act.clone(), site(act))).collect();
    let notes = order.notes.clone();
    Some(ScheduleAt {
        turns: order.preemptions.clone(),
        seen: order.seen,
        of: order.of,
        pair,
        notes,
    })
}

/// The line that replays a run.
fn token(settings: &Settings, scouted: &Baseline, found: &Observation) -> Token {
    let fault = found.point.map(|point| Fault {
        at: point.at,
        persistent: point.persistent,
        site: scouted
            .has_sites
            .then(|| Some((scouted.site(point.at)?.short(), scouted.occurrence(point.at))))
            .flatten(),
    });
    Token {
        scenario: settings.name.clone(),
        fault,
        turns: found.order.as_ref().map(|order| order.preemptions.clone()),
        seed: settings.seed,
        input: settings.input_hash(),
        modes: settings.modes(),
        fingerprint: Fingerprint(found.fingerprint).short(),
    }
}
