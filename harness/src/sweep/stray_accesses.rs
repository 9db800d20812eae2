//! Stray accesses of faulted runs. A failed request may lead a subject to write where it may not,
//! which damages the allocator below: the process dies somewhere else, in another way each time. Such
//! a subject is swept on guarded memory, which nothing damages, and each of its faulted runs is
//! guarded once, so that the access itself is reported.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::plan::Plan;
use crate::process::guard_region::{GuardMode, GuardSide};
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::sweep::exit_outcome::{C_LIBRARY_SAID, injected_at};
use crate::sweep::guarded::{Guardable, applies, look_into, may_shelter, run};
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;

/// The most points whose faulted runs are guarded in turn.
const POINTS_MAX: usize = 512;
/// The most suspects of which a guarded run is made.
const SUSPECTS_MAX: usize = 8;

/// Whether this may be the consequence of a stray write, which may show as anything.
fn is_suspect(evidence: &Evidence) -> bool {
    let is_by_c_library = |note: &String| note.starts_with(C_LIBRARY_SAID);
    match evidence.kind {
        Kind::HeapBufferOverflow | Kind::HeapBufferUnderflow | Kind::UseAfterFree => true,
        Kind::Crash | Kind::NoProgress | Kind::Nondeterminism => true,
        Kind::Abort => evidence.notes.iter().any(is_by_c_library),
        _ => false,
    }
}

/// Whether faulted runs write where they may not, judged by the guarded runs of some that show what
/// may come of it. The allocator below may be damaged then, and all that is found in doubt.
///
/// # Errors
/// If no child can be started.
pub(crate) fn is_astray(context: &RunContext<'_>, found: &[Observation]) -> Result<bool, Error> {
    let (settings, baseline) = (context.settings, context.baseline);
    if !may_shelter(settings) || !applies(settings, baseline) {
        return Ok(false);
    }
    let suspects = found.iter().filter(|found| found.evidence.iter().any(is_suspect));
    let points: BTreeSet<Point> = suspects.filter_map(|found| found.point).collect();
    for point in points.into_iter().take(SUSPECTS_MAX) {
        if stray_accesses(context, point)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The stray accesses of faulted runs: each of the first points is run guarded. A death of such a
/// run is only their consequence, and is dropped from what was found.
///
/// # Errors
/// If no child can be started.
pub(crate) fn guard_points(
    context: &RunContext<'_>,
    points: &[Point],
    found: &mut Vec<Observation>,
) -> Result<(), Error> {
    for point in points.iter().take(POINTS_MAX) {
        if let Some(stray) = stray_accesses(context, *point)? {
            for found in found.iter_mut().filter(|found| found.point == Some(*point)) {
                found.evidence.retain(|evidence| !is_suspect(evidence));
            }
            found.push(stray);
        }
    }
    found.retain(|found| !found.evidence.is_empty());
    Ok(())
}

/// The stray accesses of one faulted run that runs without a fault don't have.
fn stray_accesses(context: &RunContext<'_>, point: Point) -> Result<Option<Observation>, Error> {
    let (settings, baseline) = (context.settings, context.baseline);
    let plan = Plan::at(point.at, point.persistent);
    let subject = Guardable { settings, subject: context.subject, faults: Some((context, &plan)) };
    for side in [GuardSide::After, GuardSide::Before] {
        let mode = GuardMode { side, seed: settings.seed, flip_after: u64::MAX };
        let seen = run(subject, mode, &BTreeSet::new())?;
        let Some(mut found) = look_into(subject, mode, &seen)? else { continue };
        let known = |evidence: &Evidence| {
            let mut all = baseline.found.iter().flat_map(|found| &found.evidence);
            all.any(|other| (other.kind, &other.block) == (evidence.kind, &evidence.block))
        };
        found.evidence.retain(|evidence| !known(evidence));
        if !found.evidence.is_empty() {
            (found.point, found.injected) = (Some(point), Some(injected_at(point)));
            return Ok(Some(found));
        }
    }
    Ok(None)
}
