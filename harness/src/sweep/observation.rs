//! What one run of a sweep showed: its findings, and the stacks of the moments in question.

use crate::process::backtrace::Stack;
use crate::process::codec::Codec;
use crate::process::codec::codec_struct;
use crate::report::evidence::Evidence;
use crate::report::evidence::Moment;
use crate::schedule::FoundSchedule;
use crate::trace::Coordinate;
use crate::trace::Injected;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A coordinate and how it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) at: Coordinate,
    pub(crate) persistent: bool,
}

/// What one run showed, with the stacks of the moments in question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    pub(crate) point: Option<Point>,
    pub(crate) injected: Option<Injected>,
    pub(crate) fingerprint: u64,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) stacks: BTreeMap<Moment, Stack>,
    /// Where threads take turns: by which schedule, and in how many of those that were run with
    /// this fault it was seen.
    pub(crate) order: Option<FoundSchedule>,
}

/// The moments whose call sites these findings need.
pub(crate) fn moments(evidence: &[Evidence]) -> BTreeSet<Moment> {
    evidence.iter().flat_map(|evidence| evidence.steps.iter().map(|step| step.1)).collect()
}

codec_struct!(Point { at, persistent });
codec_struct!(Observation { point, injected, fingerprint, evidence, stacks, order });

/// What a child sends of one of its items: what it finds, as it comes, and in the end the result.
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
