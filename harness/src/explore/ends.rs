//! How children end, and what it is called: deaths as kinds and outcomes, and how long to wait.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::point::{Found, Point};
use super::scout::Scouted;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::kind::Kind;
use crate::run::Outcome;
use crate::state::Injected;
use crate::trace::Op;
use crate::worker::Death;

/// How long the runs without a fault may stand still.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(120);

/// How long a child may stand still: the clock decides nothing else, and is never printed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn patience(scouted: &Scouted) -> Duration {
    PATIENCE.max(Duration::from_micros(scouted.micros.saturating_mul(50)))
}

pub(crate) fn kind_of(death: Death) -> Kind {
    match death {
        Death::Exit(_) => Kind::Exit,
        Death::Stall => Kind::NoProgress,
        death if death.is_abort() => Kind::Abort,
        Death::Signal(_) => Kind::Crash,
    }
}

pub(crate) fn outcome_of(death: Death) -> Outcome {
    match death {
        Death::Exit(_) => Outcome::Exited,
        Death::Stall => Outcome::Hung,
        death if death.is_abort() => Outcome::Aborted,
        Death::Signal(_) => Outcome::Crashed,
    }
}

pub(crate) fn os_error(what: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot {what}: {error}"))
        .mend("look after the limits of processes and memory (ulimit -a)")
}

/// A finding about a point itself.
pub(crate) fn bare(point: Point, evidence: Evidence, scouted: &Scouted) -> Found {
    Found {
        point: Some(point),
        injected: Some(Injected { at: point.at, op: Op::Alloc, size: 0, heap: 0 }),
        fingerprint: scouted.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
    }
}
