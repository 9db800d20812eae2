//! How children end: the kind, the outcome and the note of each death, and how long to wait for
//! one.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::error::Error;
use crate::memory::form::asked_align;
use crate::memory::preloaded::is_preloaded;
use crate::process::access_size;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::exit::{Abort, Death, DeathRecord};
use crate::process::guard_pages::{self, GuardHit};
use crate::process::status;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::symbolizer::Symbolizer;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::settings::Settings;
use crate::trace::{Injected, Op};

/// How long the fault-free runs may go without a request before they count as hung.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(120);

/// The same of a whole program, which may well be one that waits for ever.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(30);

/// How long the fault-free runs of a subject may: see `Sweep::patience`.
pub(crate) fn first_patience(settings: &Settings) -> Duration {
    let usual = if settings.is_program { PROGRAM_PATIENCE } else { FIRST_PATIENCE };
    settings.patience.unwrap_or(usual)
}

/// How long the run may that confirms how the fault-free runs ended. One that hung is not waited for
/// as long again.
pub(crate) fn again_patience(settings: &Settings, death: Death) -> Duration {
    let first = first_patience(settings);
    if death == Death::Stall { first.min(PATIENCE) } else { first }
}

/// How long a faulted run may, unless the fault-free run is slow. The clock decides nothing that is
/// printed but this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a faulted run may go without a request: see `Sweep::patience`.
pub(crate) fn patience(settings: &Settings, baseline: &Baseline) -> Duration {
    let usual = PATIENCE.max(Duration::from_micros(baseline.micros.saturating_mul(50)));
    settings.patience.unwrap_or(usual)
}

/// How the note of an abort begins that the C library explained, such as one by its allocator.
pub(crate) const C_LIBRARY_SAID: &str = "the C library said: ";

/// The kind of the finding that a death is.
pub(crate) fn kind_of(death: Death) -> Kind {
    match death {
        Death::Exit(_) | Death::Unseen | Death::Replaced => Kind::Exit,
        Death::Endless | Death::Stall | Death::Stopped(_) => Kind::NoProgress,
        death if is_beyond_file_limit(death) => Kind::NoProgress,
        death if death.is_abort() => Kind::Abort,
        Death::Signal(_) | Death::Unhandled(_) | Death::Guard(_) | Death::Overflow => Kind::Crash,
    }
}

/// Whether a whole program was stopped because it wrote too much.
fn is_beyond_file_limit(death: Death) -> bool {
    is_preloaded() && death == Death::Signal(libc::SIGXFSZ)
}

/// The outcome of a run that ended in a death.
pub(crate) fn outcome_of(death: Death) -> Outcome {
    match kind_of(death) {
        Kind::Abort => Outcome::Aborted,
        Kind::Crash => Outcome::Crashed,
        Kind::Exit => Outcome::Exited,
        _ => Outcome::Hung,
    }
}

/// A death as evidence, and the backtraces of its steps.
pub(crate) struct DescribedDeath {
    pub(crate) evidence: Evidence,
    pub(crate) stacks: BTreeMap<Moment, Stack>,
}

/// These deaths as evidence, aligned with them. An access to a guard page is the bug itself: the
/// process could have survived it.
///
/// # Errors
/// If no child can be started.
pub(crate) fn describe(deaths: &[DeathRecord]) -> Result<Vec<DescribedDeath>, Error> {
    let aborts = abort_kinds(deaths)?;
    Ok(deaths.iter().zip(aborts).map(|(record, abort)| describe_one(record, abort)).collect())
}

fn describe_one(record: &DeathRecord, abort: Option<Abort>) -> DescribedDeath {
    let hit = matches!(record.death, Death::Guard(_)).then(|| guard_pages::read(&record.stack));
    if let Some(hit) = hit.flatten() {
        return describe_hit(&hit);
    }
    let mut evidence = Evidence::new(kind_of(record.death));
    let mut stacks = BTreeMap::new();
    let stack = own_frames(&record.stack);
    if !stack.is_empty() {
        let role = if record.death == Death::Stall { Role::Hung } else { Role::Died };
        evidence = evidence.step(role, Moment::Death);
        stacks.insert(Moment::Death, stack);
    }
    evidence = evidence.note(match abort {
        Some(abort) => abort.note().to_owned(),
        None if is_beyond_file_limit(record.death) => {
            "it wrote a file beyond the limit (--max-output), and was stopped".to_owned()
        }
        None => record.death.to_string(),
    });
    if record.death == Death::Replaced {
        evidence = evidence
            .note(format!("sweep the other one instead: mallory exec -- {}", record.last_words));
    }
    if record.death == Death::Overflow && !evidence.steps.is_empty() {
        evidence = evidence.note("these functions call each other in a circle");
    }
    if abort == Some(Abort::AllocError) && record.refused > 0 {
        let bytes = count(record.refused, "byte");
        evidence = evidence.note(format!("the allocator refused a request of {bytes} by itself"));
    }
    if record.death.is_abort()
        // What std says then is that, and how to see a backtrace.
        && !(is_preloaded() && abort == Some(Abort::AllocError))
        && let Some(said) = record.last_words.lines().next()
    {
        evidence = evidence.note(match said.starts_with("panicked") {
            true => said.to_owned(),
            false if is_preloaded() => format!("it said: {said}"),
            false => format!("{C_LIBRARY_SAID}{said}"),
        });
    }
    DescribedDeath { evidence, stacks }
}

/// The number of an event that no run has: it stands for the free of a guarded block, whose
/// backtrace the dying process still had.
const FREE_OF_GUARDED: Moment = Moment::Event(0);

/// An access to a guard page as evidence: the `nth` of its run. `freed` is the moment of the block's
/// free, if it was freed and that is known.
pub(crate) fn hit_evidence(hit: &GuardHit, freed: Option<Moment>, nth: u64) -> Evidence {
    let block = BlockInfo {
        number: hit.number,
        size: hit.size,
        align: asked_align(hit.align),
        heap: "main".to_owned(),
    };
    let mut evidence = Evidence::new(hit.kind()).about(block);
    if let Some(freed) = freed {
        evidence = evidence.step(Role::Freed, freed);
    }
    // The address of the first frame is one more than that of the instruction.
    let size = hit.accessed.first().and_then(|frame| access_size::of_instruction(frame - 1));
    let size = size.map(|size| format!(" of {}", count(size, "byte"))).unwrap_or_default();
    let note = format!("{}{size}: {}", hit.access(), hit.place());
    evidence.step(Role::Accessed, Moment::Access(nth)).note(note)
}

fn describe_hit(hit: &GuardHit) -> DescribedDeath {
    let freed = hit.is_freed.then_some(FREE_OF_GUARDED);
    let mut stacks = BTreeMap::from([
        (Moment::Allocation(hit.number), own_frames(&hit.allocated)),
        (Moment::Access(1), own_frames(&hit.accessed)),
    ]);
    stacks.extend(freed.map(|freed| (freed, own_frames(&hit.freed))));
    DescribedDeath { evidence: hit_evidence(hit, freed, 1), stacks }
}

/// The kinds of those deaths that are aborts: the functions on the stack tell. A child process looks
/// up all names, since the first look-up is slow and allocates much.
fn abort_kinds(deaths: &[DeathRecord]) -> Result<Vec<Option<Abort>>, Error> {
    let is_abort = |record: &DeathRecord| record.death.is_abort() && !record.stack.is_empty();
    if !deaths.iter().any(is_abort) {
        return Ok(vec![None; deaths.len()]);
    }
    let answer = child::ask::<Vec<Option<u64>>>(FIRST_PATIENCE, &|pipe| {
        let mut symbols = Symbolizer::default();
        let mut kind = |record: &DeathRecord| {
            let stack = if is_abort(record) { own_frames(&record.stack) } else { Stack::new() };
            let abort = Abort::of(&symbols.functions(&stack))?;
            Abort::ALL.iter().position(|known| *known == abort).map(|index| index as u64)
        };
        pipe.send(&deaths.iter().map(&mut kind).collect::<Vec<_>>());
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    let kinds = answer.messages.pop().unwrap_or_else(|| vec![None; deaths.len()]);
    let kind = |index: Option<u64>| Abort::ALL.get(index? as usize).copied();
    Ok(kinds.into_iter().map(kind).collect())
}

/// The frames inside the program itself, whose names are found quickly. In a preloaded library those of
/// all others.
pub(crate) fn own_frames(stack: &[usize]) -> Stack {
    let is_program = |address: &usize| status::is_in_this_library(*address) != is_preloaded();
    stack.iter().copied().filter(is_program).collect()
}

/// The error of a system call that failed: `cannot WHAT: …`.
pub(crate) fn os_error(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .help("check the limits on processes and memory (ulimit -a)")
}

/// The fault of a point whose run wasn't asked for it: the baseline knows the operation and the size.
pub(crate) fn injected_at(point: Point) -> Injected {
    Injected { at: point.at, op: Op::Alloc, size: 0, heap: 0, event: 0 }
}

/// An observation of one finding about a point itself, made by the parent without a run.
pub(crate) fn observation_at(point: Point, evidence: Evidence, baseline: &Baseline) -> Observation {
    Observation {
        point: Some(point),
        injected: Some(injected_at(point)),
        fingerprint: baseline.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
        schedule: None,
    }
}
