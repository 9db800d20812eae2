//! What one run showed: the evidence of bugs, and the backtraces that their findings need. Children
//! send it to the parent.

use std::collections::{BTreeMap, BTreeSet};

use crate::process::backtrace::Stack;
use crate::process::codec::{Codec, codec_struct};
use crate::process::test_scope;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;
use crate::schedule::FoundSchedule;
use crate::trace::{Coordinate, Injected};

/// A point of a sweep: the coordinate of a request, and whether all requests after it fail too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) at: Coordinate,
    pub(crate) persistent: bool,
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    /// The point that it was about; `None` for a fault-free run or a plan of the caller's.
    pub(crate) point: Option<Point>,
    /// The fault that was injected, if the run reached it.
    pub(crate) injected: Option<Injected>,
    pub(crate) fingerprint: u64,
    pub(crate) evidence: Vec<Evidence>,
    /// The backtraces of the moments that the evidence names.
    pub(crate) stacks: BTreeMap<Moment, Stack>,
    /// Under a model checker: the schedule of the run, and in how many of the schedules with this
    /// fault the bug was seen.
    pub(crate) schedule: Option<FoundSchedule>,
}

impl Observation {
    /// Takes out leaks of a test program that are not the test's: what libtest and the standard library
    /// leave to the end of the process.
    pub(crate) fn leave_out_libtests(&mut self) {
        let stacks = &self.stacks;
        self.evidence.retain(|evidence| {
            let known = evidence.steps.iter().filter_map(|(_, moment)| stacks.get(moment));
            let known: Vec<&Stack> = known.collect();
            evidence.kind != Kind::Leak
                || known.is_empty()
                || known.into_iter().any(|stack| test_scope::mentions_test(stack))
        });
    }
}

/// The moments whose backtraces this evidence needs.
pub(crate) fn moments(evidence: &[Evidence]) -> BTreeSet<Moment> {
    evidence.iter().flat_map(|evidence| evidence.steps.iter().map(|step| step.1)).collect()
}

codec_struct!(Point { at, persistent });
codec_struct!(Observation { point, injected, fingerprint, evidence, stacks, schedule });

/// What a child sends about one of its items: observations as they come, and at the end a result.
#[derive(Clone, Debug)]
pub(crate) struct Message<R> {
    pub(crate) item: usize,
    pub(crate) found: Option<Observation>,
    pub(crate) result: Option<R>,
}

impl<R: Codec> Codec for Message<R> {
    fn put(&self, out: &mut Vec<u8>) {
        self.item.put(out);
        self.found.put(out);
        self.result.put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (item, found) = (Codec::get(from)?, Codec::get(from)?);
        Some(Message { item, found, result: Codec::get(from)? })
    }
}
