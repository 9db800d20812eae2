//! One rule of a plan: a condition on requests, a filter that says which requests the rule sees, and
//! the state that the rule keeps during a run.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::request::Request;
use crate::trace::{Coordinate, Op, mix};

/// A closure that decides whether a request fails.
pub(crate) type PlanFn = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// When a rule refuses a request. Ordinals count from 1, for each logical thread.
#[derive(Clone)]
pub(crate) enum RuleKind {
    /// The request with this ordinal.
    Nth(u64),
    /// The request with this ordinal, and every later one.
    From(u64),
    /// The first field is an ordinal, the second the number of requests that fail from there on.
    Burst(u64, u64),
    /// About `numerator` in `denominator` requests, by a hash.
    Seeded {
        numerator: u32,
        denominator: u32,
    },
    /// Requests that would raise the live bytes above this.
    Budget(usize),
    Closure(PlanFn),
    /// Like `Closure`, but only requests from the stored ordinal on are passed to it.
    Next(PlanFn, Arc<AtomicU64>),
}

/// Which requests a rule sees. `None` admits all.
#[derive(Clone, Default)]
pub(crate) struct Filter {
    pub(crate) thread: Option<u16>,
    pub(crate) heap: Option<&'static str>,
    pub(crate) op: Option<Op>,
    pub(crate) size: Option<RangeInclusive<usize>>,
    pub(crate) align: Option<RangeInclusive<usize>>,
}

impl Filter {
    fn admits(&self, request: &Request) -> bool {
        self.thread.is_none_or(|thread| thread == request.at.thread)
            && self.heap.is_none_or(|heap| heap == request.heap)
            && self.op.is_none_or(|op| op == request.op)
            && self.size.as_ref().is_none_or(|sizes| sizes.contains(&request.size))
            && self.align.as_ref().is_none_or(|aligns| aligns.contains(&request.align))
    }

    /// Whether the filter admits every request of a thread, so that the rule's count of requests is
    /// the request's ordinal.
    fn admits_whole_threads(&self) -> bool {
        self.heap.is_none() && self.op.is_none() && self.size.is_none() && self.align.is_none()
    }
}

#[derive(Clone)]
pub(crate) struct Rule {
    kind: RuleKind,
    pub(crate) filter: Filter,
    /// Requests seen, by logical thread. Only a rule whose filter leaves out requests of a thread
    /// counts; for any other the request's ordinal is the count.
    seen: Vec<u64>,
    /// Whether a persistent rule has refused its first request. From then on it refuses every
    /// thread's requests.
    persists: bool,
}

impl Rule {
    /// Whether one thread's requests decide which requests of other threads fail.
    pub(crate) fn crosses_threads(&self) -> bool {
        match self.kind {
            RuleKind::Nth(_) | RuleKind::Burst(..) | RuleKind::Seeded { .. } => false,
            RuleKind::From(_) | RuleKind::Budget(_) | RuleKind::Closure(_) | RuleKind::Next(..) => {
                true
            }
        }
    }

    pub(crate) fn new(kind: RuleKind) -> Rule {
        Rule { kind, filter: Filter::default(), seen: Vec::new(), persists: false }
    }

    /// Forgets the last run.
    pub(crate) fn rewind(&mut self) {
        self.seen.clear();
        self.persists = false;
    }

    /// The first ordinal of this thread, after `after`, at which the rule has to be asked.
    pub(crate) fn first(&self, thread: u16, after: u64) -> u64 {
        let is_other_thread = self.filter.thread.is_some_and(|only| only != thread);
        let is_by_ordinal = self.filter.admits_whole_threads();
        match &self.kind {
            RuleKind::Nth(_) | RuleKind::Burst(..) if is_other_thread => u64::MAX,
            RuleKind::From(_) if is_other_thread || self.persists => 0,
            // The ordinal is past: the request has failed, or never will.
            RuleKind::Nth(n) if is_by_ordinal && *n <= after => u64::MAX,
            RuleKind::Next(_, next) => next.load(Ordering::Relaxed),
            RuleKind::Nth(n) | RuleKind::From(n) | RuleKind::Burst(n, _) if is_by_ordinal => *n,
            _ => 0,
        }
    }

    /// Whether the rule refuses this request. `threads_apart`: a persistent rule stays in the
    /// filter's thread.
    pub(crate) fn refuses(&mut self, request: &Request, seed: u64, threads_apart: bool) -> bool {
        let refused = self.persists || self.refuses_now(request, seed);
        self.persists &= !threads_apart;
        refused
    }

    fn refuses_now(&mut self, request: &Request, seed: u64) -> bool {
        if !self.filter.admits(request) {
            return false;
        }
        let nth = if self.filter.admits_whole_threads() {
            request.at.ordinal
        } else {
            let thread = usize::from(request.at.thread);
            if self.seen.len() <= thread {
                self.seen.resize(thread + 1, 0);
            }
            self.seen[thread] += 1;
            self.seen[thread]
        };
        match &self.kind {
            RuleKind::Nth(n) => nth == *n,
            RuleKind::From(n) => {
                let refused = nth >= *n;
                // A rule with a narrower filter never persists: what it doesn't admit still passes.
                self.persists = refused && self.filter.admits_whole_threads();
                refused
            }
            RuleKind::Burst(n, k) => nth >= *n && nth - *n < *k,
            RuleKind::Seeded { numerator, denominator } => {
                hash_refuses(request.at, seed, *numerator, *denominator)
            }
            RuleKind::Budget(bytes) => {
                request.live_after > *bytes && request.live_after > request.live
            }
            RuleKind::Closure(refuses) | RuleKind::Next(refuses, _) => {
                // A panic must not unwind through a heap.
                let ask = std::panic::AssertUnwindSafe(|| refuses(request));
                std::panic::catch_unwind(ask).unwrap_or(false)
            }
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            RuleKind::Nth(n) => write!(f, "nth({n})"),
            RuleKind::From(n) => write!(f, "from({n})"),
            RuleKind::Burst(n, k) => write!(f, "burst({n}, {k})"),
            RuleKind::Seeded { numerator, denominator } => {
                write!(f, "seeded({numerator}, {denominator})")
            }
            RuleKind::Budget(bytes) => write!(f, "budget({bytes})"),
            RuleKind::Closure(_) | RuleKind::Next(..) => f.write_str("when(…)"),
        }
    }
}

/// Whether a seeded rule refuses this request. A hash of the seed and the coordinate decides, so
/// neither the order of threads nor earlier requests matter.
fn hash_refuses(at: Coordinate, seed: u64, numerator: u32, denominator: u32) -> bool {
    let hash = mix(mix(seed ^ u64::from(at.thread) << 48) ^ at.ordinal);
    // Scales 32 bits of the hash to 0..denominator, which avoids the bias of a remainder.
    ((hash >> 32) * u64::from(denominator)) >> 32 < u64::from(numerator)
}
