//! How children end: the kind, the outcome and the note of each death, and how long to wait for
//! one.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::error::Error;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::exit::{Abort, Death};
use crate::process::guard_pages::{self, GuardHit};
use crate::process::status;
use crate::report::call_site::Frame;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::symbolizer::Symbolizer;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::settings::Settings;
use crate::trace::{Injected, Op};

/// How long the fault-free runs may go without a request before they count as hung.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(120);

/// How long a faulted run may, unless the fault-free run is slow. The clock decides nothing that is
/// printed but this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a faulted run may go without a request: see `Sweep::patience`.
pub(crate) fn patience(settings: &Settings, baseline: &Baseline) -> Duration {
    let usual = PATIENCE.max(Duration::from_micros(baseline.micros.saturating_mul(50)));
    settings.patience.unwrap_or(usual)
}

/// The kind of the finding that a death is.
pub(crate) fn kind_of(death: Death) -> Kind {
    match death {
        Death::Exit(_) | Death::Unseen => Kind::Exit,
        Death::Endless | Death::Stall | Death::Stopped(_) => Kind::NoProgress,
        death if death.is_abort() => Kind::Abort,
        Death::Signal(_) | Death::Unhandled(_) | Death::Guard(_) | Death::Overflow => Kind::Crash,
    }
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

/// The notes of these deaths, aligned with them. Each comes with the backtrace of its abort, or
/// with the words that were written at a guard page, or with nothing: the functions in a backtrace
/// tell how a process came to abort. A child process looks up all names, since the first look-up is
/// slow and allocates much.
///
/// # Errors
/// If no child can be started.
pub(crate) fn notes(deaths: &[(Death, Stack)]) -> Result<Vec<String>, Error> {
    let plain: Vec<String> = deaths.iter().map(|(death, _)| death.to_string()).collect();
    if deaths.iter().all(|(_, stack)| stack.is_empty()) {
        return Ok(plain);
    }
    let answer = child::ask::<Vec<Option<String>>>(FIRST_PATIENCE, |pipe| {
        let mut symbols = Symbolizer::default();
        let note = |(death, words): &(Death, Stack)| match death {
            Death::Guard(_) => guard_pages::read(words).map(|hit| guard_note(&hit, &mut symbols)),
            _ => Abort::of(&symbols.functions(&own_frames(words))).map(|abort| abort.note().into()),
        };
        pipe.send(&deaths.iter().map(note).collect::<Vec<_>>());
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    let known = answer.messages.pop().unwrap_or_else(|| vec![None; deaths.len()]);
    Ok(plain.into_iter().zip(known).map(|(plain, known)| known.unwrap_or(plain)).collect())
}

/// The frames inside the program itself, whose names are found quickly.
fn own_frames(stack: &[usize]) -> Stack {
    stack.iter().copied().filter(|address| status::is_in_this_library(*address)).collect()
}

/// Frames of each stack that a guard page's note shows.
const FRAMES_MAX: usize = 4;

/// The note of an access to a guard page: the block, and the functions that accessed, allocated and
/// freed it.
fn guard_note(hit: &GuardHit, symbols: &mut Symbolizer) -> String {
    let mut note = format!("it died of a bad access: {}", hit.place);
    let stacks = [&hit.accessed, &hit.allocated, &hit.freed].map(|stack| own_frames(stack));
    let sites = symbols.sites(&stacks).unwrap_or_default();
    for (label, site) in ["accessed in", "allocated in", "freed in"].iter().zip(sites) {
        let names: Vec<String> =
            site.frames.iter().take(FRAMES_MAX).map(Frame::short_name).collect();
        if !names.is_empty() {
            note.push_str(&format!("\n{label} {}", names.join(" ← ")));
        }
    }
    note
}

/// The error of a system call that failed: `cannot WHAT: …`.
pub(crate) fn os_error(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .help("check the limits on processes and memory (ulimit -a)")
}

/// An observation of one finding about a point itself, made by the parent without a run.
pub(crate) fn observation_at(point: Point, evidence: Evidence, baseline: &Baseline) -> Observation {
    Observation {
        point: Some(point),
        injected: Some(Injected { at: point.at, op: Op::Alloc, size: 0, heap: 0, event: 0 }),
        fingerprint: baseline.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
        schedule: None,
    }
}
