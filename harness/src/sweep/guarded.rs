//! The guarded runs of a baseline. Every block has inaccessible pages behind it in one run and
//! before it in another, and freed blocks stay inaccessible, so a stray access is seen at its
//! instruction, also if it only reads. What fresh memory holds differs between the two runs, so a
//! result that depends on it is seen as well.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::adapters::guarded::Guarded;
use crate::error::Error;
use crate::heap::state::EventSink;
use crate::options::Options;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::exit::Death;
use crate::process::guard_pages::GuardHit;
use crate::process::guard_region::{self, GuardMode, GuardSide};
use crate::process::hit_list::HitList;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::format::diff;
use crate::report::kind::Kind;
use crate::run::outcome::ResultComparison;
use crate::run::{Subject, execute};
use crate::sweep::address_reuse::RunText;
use crate::sweep::exit_outcome::{first_patience, hit_evidence, os_error, own_frames};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, moments};
use crate::sweep::point::RunContext;
use crate::sweep::settings::Settings;
use crate::trace::{Fingerprint, Injected};

/// How a guarded run ended, as its child says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GuardedEnd {
    result: RunText,
    fingerprint: u64,
    /// Blocks that the region was asked for.
    asked: u64,
    /// The run's number of the last block before the contents change ([`GuardMode::flip_after`]).
    last_usual: u64,
}

codec_struct!(GuardedEnd { result, fingerprint, asked, last_usual });

/// What the child of a guarded run sends.
#[derive(Clone, Debug)]
struct GuardedMessage {
    taken: BTreeMap<Moment, Stack>,
    end: Option<GuardedEnd>,
}

codec_struct!(GuardedMessage { taken, end });

/// A guarded run, as its parent sees it.
pub(crate) struct GuardedRun {
    /// The stray accesses, each with the event of its block's free.
    hits: Vec<(GuardHit, u64)>,
    taken: BTreeMap<Moment, Stack>,
    end: Option<GuardedEnd>,
    death: Option<Death>,
}

impl GuardedRun {
    /// Whether it did the same as another one.
    fn is_like(&self, other: &GuardedRun) -> bool {
        let end = |run: &GuardedRun| run.end.clone().map(|end| (end.result, end.fingerprint));
        (end(self), self.death) == (end(other), other.death)
    }
}

/// Tells the region which block of the run is where, and sends backtraces as they are taken: the
/// process may die before the run's end.
struct RegionNames {
    pipe: Rc<Pipe>,
}

impl EventSink for RegionNames {
    fn evidence(&self, _: &Evidence) {}

    fn fingerprint(&self, _: Fingerprint, _: Option<&Injected>) {}

    fn placed(&self, start: usize, number: u64) {
        guard_region::name(start, number);
    }

    fn released(&self, start: usize, event: u64) {
        guard_region::name_free(start, event);
    }

    fn taken(&self, moment: Moment, stack: &Stack) {
        let taken = BTreeMap::from([(moment, stack.clone())]);
        self.pipe.send(&GuardedMessage { taken, end: None });
    }
}

impl GuardedFindings {
    /// Whether there is a stray access in it.
    pub(crate) fn is_harmful(&self) -> bool {
        let mut all = self.found.iter().flat_map(|found| &found.evidence);
        all.any(|evidence| evidence.kind != Kind::UninitRead)
    }
}

/// Whether these settings leave the memory to the harness, with the detectors on that guards are for.
fn leaves_memory_to_us(settings: &Settings) -> bool {
    cfg!(all(target_os = "linux", target_pointer_width = "64"))
        && !settings.quick
        && (!settings.is_program || settings.guards_program)
        && !settings.in_process
        && settings.port.is_none()
        && settings.host.is_none()
        && settings.options.guards()
        && !settings.options.parallel
}

/// Whether all runs can be made on guarded memory, and aren't yet.
pub(crate) fn may_shelter(settings: &Settings) -> bool {
    leaves_memory_to_us(settings) && !settings.sheltered.get()
}

/// Whether a subject can be guarded: one of a single thread.
pub(crate) fn applies(settings: &Settings, baseline: &Baseline) -> bool {
    leaves_memory_to_us(settings) && baseline.threads <= 1
}

/// A subject to guard, with the faults of its run, if it has any.
#[derive(Clone, Copy)]
pub(crate) struct Guardable<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) subject: &'a dyn Subject,
    pub(crate) faults: Option<(&'a RunContext<'a>, &'a Plan)>,
}

/// What the guarded runs show.
#[derive(Default)]
pub(crate) struct GuardedFindings {
    pub(crate) found: Vec<Observation>,
    /// Whether the subject writes where it may not.
    pub(crate) writes: bool,
    /// What both runs ended in, if they agree and there is no stray access.
    pub(crate) agreed: Option<RunText>,
    /// Whether a difference between plain runs comes from what fresh memory holds.
    pub(crate) explains_difference: bool,
}

/// Makes the guarded runs, after the plain ones.
///
/// # Errors
/// If no child can be started.
pub(crate) fn guard(
    settings: &Settings,
    subject: &dyn Subject,
    plain: &Baseline,
) -> Result<GuardedFindings, Error> {
    let mut seen = GuardedFindings::default();
    if !applies(settings, plain) {
        return Ok(seen);
    }
    let subject = Guardable { settings, subject, faults: None };
    let mode = |side, flip_after| GuardMode { side, seed: settings.seed, flip_after };
    let behind = mode(GuardSide::After, u64::MAX);
    let ahead = mode(GuardSide::Before, 0);
    let none = BTreeSet::new();
    let first = run(subject, behind, &none)?;
    let second = run(subject, ahead, &none)?;
    for (mode, run) in [(behind, &first), (ahead, &second)] {
        seen.found.extend(look_into(subject, mode, run)?);
        seen.writes |= run.hits.iter().any(|(hit, _)| hit.is_write != Some(false));
    }
    let has_hits = !first.hits.is_empty() || !second.hits.is_empty();
    let differs = plain.shows(Kind::Nondeterminism) || plain.comparison == ResultComparison::Never;
    let can_tell = plain.dead_end.is_none() || differs;
    if settings.options.detects(Kind::UninitRead)
        && can_tell
        && !has_hits
        && !first.is_like(&second)
        && let Some(found) = unset_contents(subject, behind, &first)?
    {
        seen.found.push(found);
        seen.explains_difference = differs;
    }
    let text = |run: &GuardedRun| {
        run.end.as_ref().filter(|_| run.death.is_none()).map(|end| end.result.clone())
    };
    seen.agreed = text(&first).filter(|agreed| !has_hits && Some(agreed) == text(&second).as_ref());
    Ok(seen)
}

/// Makes one guarded run, and takes the backtraces of these moments.
pub(crate) fn run(
    Guardable { settings, subject, faults }: Guardable<'_>,
    mode: GuardMode,
    moments: &BTreeSet<Moment>,
) -> Result<GuardedRun, Error> {
    let list = HitList::open().map_err(|error| os_error("share memory", &error))?;
    let owner = std::process::id();
    let port = move |options: Options| options.heap_over(Guarded::new(mode));
    let answer = child::ask::<GuardedMessage>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(owner);
        let mut job = match faults {
            None => settings.job(&scratch),
            Some((context, plan)) => {
                settings.execute(subject, settings.job(&scratch));
                context.job(plan.clone(), &scratch)
            }
        };
        job.options = job.options.ledger_only();
        job.port = Some(&port);
        job.capture = (!moments.is_empty()).then(|| Capture::of(moments.clone()));
        job.sink = Some(Box::new(RegionNames { pipe: Rc::clone(pipe) }));
        let run = execute(subject, job);
        // Until here it may wait for a lock that another thread held at the fork.
        status::set_started();
        let end = GuardedEnd {
            result: RunText { text: run.text, failure: run.failure },
            fingerprint: run.fingerprint.0,
            asked: guard_region::asked(),
            last_usual: guard_region::number_of(mode.flip_after),
        };
        pipe.send(&GuardedMessage { taken: BTreeMap::new(), end: Some(end) });
    });
    let answer = answer.map_err(|error| os_error("start a child", &error))?;
    let mut seen = GuardedRun {
        hits: list.read(),
        taken: BTreeMap::new(),
        end: None,
        death: answer.death.map(|record| record.death),
    };
    // Blocks without a number are those of the run to warm up.
    seen.hits.retain(|(hit, _)| hit.number != 0 || faults.is_none());
    for message in answer.messages {
        seen.taken.extend(message.taken);
        seen.end = message.end.or(seen.end);
    }
    Ok(seen)
}

/// Repeats a guarded run with backtraces, if it has stray accesses: each is a finding.
pub(crate) fn look_into(
    subject: Guardable<'_>,
    mode: GuardMode,
    seen: &GuardedRun,
) -> Result<Option<Observation>, Error> {
    if seen.hits.is_empty() {
        return Ok(None);
    }
    let wanted = seen.hits.iter().map(|(hit, freed)| evidence(hit, *freed, 0));
    let wanted = moments(&wanted.collect::<Vec<Evidence>>());
    let again = run(subject, mode, &wanted)?;
    let mut found = Observation { stacks: again.taken, ..Observation::default() };
    found.fingerprint = again.end.map_or(0, |end| end.fingerprint);
    let mut known: Vec<(Kind, u64, Stack)> = Vec::new();
    for (nth, (hit, freed)) in (1..).zip(&again.hits) {
        let accessed = own_frames(&hit.accessed);
        let this = (hit.kind(), hit.number, accessed.clone());
        if known.contains(&this) || !subject.settings.options.detects(hit.kind()) {
            // One access may go on over several pages.
            continue;
        }
        known.push(this);
        found.stacks.insert(Moment::Access(nth), accessed);
        found.evidence.push(evidence(hit, *freed, nth));
    }
    Ok(Some(found).filter(|found| !found.evidence.is_empty()))
}

/// A stray access as evidence. `freed` is the event of its block's free, 0 if that is unknown.
fn evidence(hit: &GuardHit, freed: u64, nth: u64) -> Evidence {
    let is_known = hit.is_freed && freed != 0;
    hit_evidence(hit, is_known.then_some(Moment::Event(freed)), nth)
}

/// A result that depends on what fresh memory holds: `usual` is the run with the usual contents. The
/// block whose contents matter is found by bisection.
fn unset_contents(
    subject: Guardable<'_>,
    mode: GuardMode,
    usual: &GuardedRun,
) -> Result<Option<Observation>, Error> {
    let none = BTreeSet::new();
    let with = |flip_after| run(subject, GuardMode { flip_after, ..mode }, &none);
    let other = with(0)?;
    let Some(end) = usual.end.as_ref().filter(|_| !usual.is_like(&other)) else {
        return Ok(None);
    };
    // Runs that differ for another reason differ with the same contents as well.
    if !with(u64::MAX)?.is_like(usual) || !with(0)?.is_like(&other) {
        return Ok(None);
    }
    // With all blocks after `low` changed the run differs, with all after `high` it doesn't.
    let (mut low, mut high) = (0, end.asked);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if with(middle)?.is_like(usual) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let number = with(high)?.end.map_or(0, |end| end.last_usual);
    let moment = Moment::Allocation(number);
    let evidence = Evidence::new(Kind::UninitRead)
        .step(Role::Allocated, moment)
        .note("the result depends on what fresh memory holds:")
        .note(difference(usual, &other));
    let again = run(subject, mode, &BTreeSet::from([moment]))?;
    Ok(Some(Observation {
        fingerprint: end.fingerprint,
        evidence: vec![evidence],
        stacks: again.taken,
        ..Observation::default()
    }))
}

/// How two runs differ, in words.
fn difference(usual: &GuardedRun, other: &GuardedRun) -> String {
    let text = |run: &GuardedRun| match (&run.end, run.death) {
        (Some(end), _) => end.result.words().to_owned(),
        (None, Some(death)) => death.to_string(),
        (None, None) => String::new(),
    };
    let (usual, other) = (text(usual), text(other));
    if usual == other {
        return "its requests for memory differ".to_owned();
    }
    diff(&usual, &other)
}
