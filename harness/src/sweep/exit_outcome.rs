//! How children end, and what it is called: deaths as kinds and outcomes, and how long to wait.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::error::Error;
use crate::process::backtrace::Stack;
use crate::process::child;
use crate::process::exit::{Abort, Death};
use crate::process::guard_pages;
use crate::process::guard_pages::GuardHit;
use crate::process::status;
use crate::report::call_site::Frame;
use crate::report::evidence::Evidence;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::symbolizer::Symbolizer;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::settings::Settings;
use crate::trace::Injected;
use crate::trace::Op;

/// How long the runs without a fault may stand still.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(120);

/// How long a child may stand still: the clock decides nothing else, and is never printed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn patience(settings: &Settings, scouted: &Baseline) -> Duration {
    let usual = PATIENCE.max(Duration::from_micros(scouted.micros.saturating_mul(50)));
    settings.patience.unwrap_or(usual)
}

pub(crate) fn kind_of(death: Death) -> Kind {
    match death {
        Death::Exit(_) | Death::Unseen => Kind::Exit,
        Death::Endless | Death::Stall | Death::Stopped(_) => Kind::NoProgress,
        death if death.is_abort() => Kind::Abort,
        Death::Signal(_) | Death::Unhandled(_) | Death::Guard(_) | Death::Overflow => Kind::Crash,
    }
}

pub(crate) fn outcome_of(death: Death) -> Outcome {
    match kind_of(death) {
        Kind::Abort => Outcome::Aborted,
        Kind::Crash => Outcome::Crashed,
        Kind::Exit => Outcome::Exited,
        _ => Outcome::Hung,
    }
}

/// What is said of each of these deaths, given where it was if it was an abort, or what was said
/// at a guard page: the functions on the way there tell ways to abort from each other. They are
/// looked up all at once, in a child: the first one is slow.
pub(crate) fn notes(deaths: &[(Death, Stack)]) -> Result<Vec<String>, Error> {
    let said: Vec<String> = deaths.iter().map(|(death, _)| death.to_string()).collect();
    if deaths.iter().all(|(_, stack)| stack.is_empty()) {
        return Ok(said);
    }
    let answer = child::ask::<Vec<Option<String>>>(FIRST_PATIENCE, |pipe| {
        let mut symbols = Symbolizer::default();
        let note = |(death, words): &(Death, Stack)| match death {
            Death::Guard(_) => guard_pages::read(words).map(|hit| guard_note(&hit, &mut symbols)),
            _ => Abort::of(&symbols.functions(&at_home(words))).map(|abort| abort.note().into()),
        };
        pipe.send(&deaths.iter().map(note).collect::<Vec<_>>());
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    let known = answer.messages.pop().unwrap_or_else(|| vec![None; deaths.len()]);
    Ok(said.into_iter().zip(known).map(|(said, known)| known.unwrap_or(said)).collect())
}

/// The frames whose names are quickly found.
fn at_home(stack: &[usize]) -> Stack {
    stack.iter().copied().filter(|address| status::is_in_this_library(*address)).collect()
}

/// Frames of each stack that a guard page's note shows.
const FRAMES_MAX: usize = 4;

/// What is said of a guard page: whose it is, and the way to where it was touched, to where the
/// block was asked for, and to where it was freed.
fn guard_note(hit: &GuardHit, symbols: &mut Symbolizer) -> String {
    let mut note = format!("it died of a bad access: {}", hit.place);
    let stacks = [&hit.accessed, &hit.allocated, &hit.freed].map(|stack| at_home(stack));
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

pub(crate) fn os_error(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .help("look after the limits of processes and memory (ulimit -a)")
}

/// A finding about a point itself.
pub(crate) fn bare(point: Point, evidence: Evidence, scouted: &Baseline) -> Observation {
    Observation {
        point: Some(point),
        injected: Some(Injected { at: point.at, op: Op::Alloc, size: 0, heap: 0, event: 0 }),
        fingerprint: scouted.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
        order: None,
    }
}
