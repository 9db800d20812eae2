//! Plans: which requests fail. A plan answers, it never acts.
//!
//! A plan is a list of rules, of which the first that refuses wins. A rule sees the request and how many
//! requests of its logical thread the rule has seen. A rule without a filter counts all of them, so
//! `nth(37)` names the coordinate `T…#37`. The text form of plans is in [`syntax`].

#[cfg(feature = "ron")]
pub(crate) mod syntax;

use crate::trace::mix;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::trace::{Coordinate, Op};

/// Which faults a sweep makes of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Faults {
    /// The request fails once, and then it fails for good: two runs. The default.
    Both,
    /// It fails once.
    Transient,
    /// It fails, and all after it.
    Persistent,
    /// No request fails: only what shows without a fault is looked for.
    None,
}

/// A call that may fail, as a plan sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Its place in the run.
    pub at: Coordinate,
    /// The heap's name.
    pub heap: &'static str,
    /// Alloc, alloc_zeroed, grow or shrink.
    pub op: Op,
    /// Bytes asked for.
    pub size: usize,
    /// Alignment asked for.
    pub align: usize,
    /// Bytes live before it, over all heaps.
    pub live: usize,
    /// Bytes live after it, if it is granted.
    pub live_after: usize,
}

type PlanFn = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

#[derive(Clone)]
enum RuleKind {
    Nth(u64),
    From(u64),
    Burst(u64, u64),
    Seeded {
        numerator: u32,
        denominator: u32,
    },
    Budget(usize),
    Closure(PlanFn),
    /// The closure is asked from the ordinal on that stands here.
    Next(PlanFn, Arc<AtomicU64>),
}

#[derive(Clone, Default)]
struct Filter {
    thread: Option<u16>,
    heap: Option<&'static str>,
    op: Option<Op>,
    size: Option<RangeInclusive<usize>>,
    align: Option<RangeInclusive<usize>>,
}

impl Filter {
    fn admits(&self, request: &Request) -> bool {
        self.thread.is_none_or(|thread| thread == request.at.thread)
            && self.heap.is_none_or(|heap| heap == request.heap)
            && self.op.is_none_or(|op| op == request.op)
            && self.size.as_ref().is_none_or(|sizes| sizes.contains(&request.size))
            && self.align.as_ref().is_none_or(|aligns| aligns.contains(&request.align))
    }

    fn is_whole(&self) -> bool {
        self.heap.is_none() && self.op.is_none() && self.size.is_none() && self.align.is_none()
    }
}

#[derive(Clone)]
struct Rule {
    what: RuleKind,
    filter: Filter,
    /// Requests seen, by logical thread; only filtered rules count for themselves.
    seen: Vec<u64>,
    /// A persistent rule that has begun refuses every thread's later requests.
    begun: bool,
}

/// Which requests fail.
///
/// ```
/// use mallory::plan::Op;
/// use mallory::Plan;
/// let once = Plan::nth(3);
/// let for_good = Plan::from(3).or(Plan::budget(1 << 20));
/// let growth_only = Plan::nth(1).op(Op::Grow).heap("arena").size(4096..=usize::MAX);
/// let odd = Plan::when(|request| request.size % 2 == 1);
/// # let _ = (once, for_good, growth_only, odd);
/// ```
#[derive(Clone, Default)]
pub struct Plan {
    rules: Vec<Rule>,
    seed: u64,
    /// Whether no thread's requests depend on another's.
    apart: bool,
}

impl Plan {
    fn one(what: RuleKind) -> Plan {
        let rule = Rule { what, filter: Filter::default(), seen: Vec::new(), begun: false };
        Plan { rules: vec![rule], seed: 0, apart: false }
    }

    /// No request fails.
    #[must_use]
    pub fn none() -> Plan {
        Plan::default()
    }

    /// The `n`th request of each logical thread fails, once: a transient shortage.
    #[must_use]
    pub fn nth(n: u64) -> Plan {
        Plan::one(RuleKind::Nth(n))
    }

    /// The `n`th request fails, and every one after it, on all threads: a persistent shortage.
    #[must_use]
    pub fn from(n: u64) -> Plan {
        Plan::one(RuleKind::From(n))
    }

    /// The `n`th request fails, and the `k - 1` after it.
    #[must_use]
    pub fn burst(n: u64, k: u64) -> Plan {
        Plan::one(RuleKind::Burst(n, k))
    }

    /// About `numerator` in `denominator` requests fail, chosen by a hash of the sweep's seed,
    /// the thread and the ordinal: the same ones in every run.
    ///
    /// # Panics
    /// Where the denominator is zero.
    #[must_use]
    pub fn seeded(numerator: u32, denominator: u32) -> Plan {
        assert!(denominator != 0, "a ratio's denominator is not zero");
        Plan::one(RuleKind::Seeded { numerator, denominator })
    }

    /// A request fails where it would bring the live bytes above `bytes`.
    #[must_use]
    pub fn budget(bytes: usize) -> Plan {
        Plan::one(RuleKind::Budget(bytes))
    }

    /// A closure decides. It is asked once per request and must answer from the request alone,
    /// or runs differ. One that panics refuses nothing.
    #[must_use]
    pub fn when(refuses: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Plan {
        Plan::one(RuleKind::Closure(Arc::new(refuses)))
    }

    /// A closure that says itself from which ordinal on it wants to be asked.
    pub(crate) fn from_next(refuses: PlanFn, next: Arc<AtomicU64>) -> Plan {
        Plan::one(RuleKind::Next(refuses, next))
    }

    /// Just this coordinate, once or for good.
    pub(crate) fn at(place: Coordinate, persistent: bool) -> Plan {
        let n = place.ordinal;
        Plan::one(if persistent { RuleKind::From(n) } else { RuleKind::Nth(n) })
            .thread(place.thread)
    }

    /// Only requests of this logical thread count and fail.
    pub(crate) fn thread(self, thread: u16) -> Plan {
        self.filter(|filter| filter.thread = Some(thread))
    }

    /// This plan or the other: the first refusal wins.
    #[must_use]
    pub fn or(mut self, other: Plan) -> Plan {
        self.rules.extend(other.rules);
        self
    }

    fn filter(mut self, narrow: impl Fn(&mut Filter)) -> Plan {
        for rule in &mut self.rules {
            narrow(&mut rule.filter);
        }
        self
    }

    /// Only requests of the heap with this name count and fail.
    #[must_use]
    pub fn heap(self, name: &'static str) -> Plan {
        self.filter(|filter| filter.heap = Some(name))
    }

    /// Only this operation counts and fails.
    #[must_use]
    pub fn op(self, op: Op) -> Plan {
        self.filter(|filter| filter.op = Some(op))
    }

    /// Only requests for so many bytes count and fail.
    #[must_use]
    pub fn size(self, bytes: RangeInclusive<usize>) -> Plan {
        self.filter(|filter| filter.size = Some(bytes.clone()))
    }

    /// Only requests with such an alignment count and fail.
    #[must_use]
    pub fn align(self, align: RangeInclusive<usize>) -> Plan {
        self.filter(|filter| filter.align = Some(align.clone()))
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Lets what fails for good fail in its own thread only: another thread's later requests are
    /// later by an order that loom knows nothing of.
    pub(crate) fn keep_apart(&mut self) {
        self.apart = true;
    }

    /// Makes the plan ready for another run.
    pub(crate) fn rewind(&mut self) {
        for rule in &mut self.rules {
            rule.seen.clear();
            rule.begun = false;
        }
    }

    /// The first ordinal of this thread, after so many, at which the plan has to be asked at all:
    /// what lets the hot path pass every request before it with one comparison.
    pub(crate) fn first(&self, thread: u16, after: u64) -> u64 {
        let first = |rule: &Rule| {
            let elsewhere = rule.filter.thread.is_some_and(|only| only != thread);
            match &rule.what {
                RuleKind::Nth(_) | RuleKind::Burst(..) if elsewhere => u64::MAX,
                RuleKind::From(_) if elsewhere || rule.begun => 0,
                // What fails once has failed, or never will.
                RuleKind::Nth(n) if rule.filter.is_whole() && *n <= after => u64::MAX,
                RuleKind::Next(_, next) => next.load(Ordering::Relaxed),
                RuleKind::Nth(n) | RuleKind::From(n) | RuleKind::Burst(n, _)
                    if rule.filter.is_whole() =>
                {
                    *n
                }
                _ => 0,
            }
        };
        self.rules.iter().map(first).min().unwrap_or(u64::MAX)
    }

    /// Whether this request fails. To be asked once for each request from [`first`](Self::first)
    /// on, in order.
    pub(crate) fn refuses(&mut self, request: &Request) -> bool {
        let (seed, apart) = (self.seed, self.apart);
        let mut refused = false;
        for rule in &mut self.rules {
            // Every rule sees every request, also after a refusal, so that none miscounts.
            refused |= rule.refuses(request, seed);
            rule.begun &= !apart;
        }
        refused
    }
}

impl Rule {
    fn refuses(&mut self, request: &Request, seed: u64) -> bool {
        if self.begun {
            return true;
        }
        if !self.filter.admits(request) {
            return false;
        }
        let nth = if self.filter.is_whole() {
            request.at.ordinal
        } else {
            let thread = usize::from(request.at.thread);
            if self.seen.len() <= thread {
                self.seen.resize(thread + 1, 0);
            }
            self.seen[thread] += 1;
            self.seen[thread]
        };
        match &self.what {
            RuleKind::Nth(n) => nth == *n,
            RuleKind::From(n) => {
                // Once begun, requests that the filter doesn't admit pass still.
                let refused = nth >= *n;
                self.begun = refused && self.filter.is_whole();
                refused
            }
            RuleKind::Burst(n, k) => nth >= *n && nth - *n < *k,
            RuleKind::Seeded { numerator, denominator } => {
                draws_failure(request.at, seed, *numerator, *denominator)
            }
            RuleKind::Budget(bytes) => {
                request.live_after > *bytes && request.live_after > request.live
            }
            RuleKind::Closure(refuses) | RuleKind::Next(refuses, _) => {
                let asked = std::panic::AssertUnwindSafe(|| refuses(request));
                std::panic::catch_unwind(asked).unwrap_or(false)
            }
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for rule in &self.rules {
            match &rule.what {
                RuleKind::Nth(n) => list.entry(&format_args!("nth({n})")),
                RuleKind::From(n) => list.entry(&format_args!("from({n})")),
                RuleKind::Burst(n, k) => list.entry(&format_args!("burst({n}, {k})")),
                RuleKind::Seeded { numerator, denominator } => {
                    list.entry(&format_args!("seeded({numerator}, {denominator})"))
                }
                RuleKind::Budget(bytes) => list.entry(&format_args!("budget({bytes})")),
                RuleKind::Closure(_) | RuleKind::Next(..) => list.entry(&format_args!("when(…)")),
            };
        }
        list.finish()
    }
}

/// Whether a seeded plan fails this request. A hash of the seed and the coordinate decides, so neither
/// the order of threads nor earlier requests matter.
fn draws_failure(at: Coordinate, seed: u64, numerator: u32, denominator: u32) -> bool {
    let hash = mix(mix(seed ^ u64::from(at.thread) << 48) ^ at.ordinal);
    // Scales 32 bits of the hash to 0..denominator; the bias of a remainder is avoided.
    ((hash >> 32) * u64::from(denominator)) >> 32 < u64::from(numerator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(thread: u16, ordinal: u64) -> Request {
        Request {
            at: Coordinate { thread, ordinal },
            heap: "main",
            op: Op::Alloc,
            size: 64,
            align: 8,
            live: 0,
            live_after: 64,
        }
    }

    #[test]
    fn kept_apart_what_fails_for_good_fails_in_its_own_thread_only() {
        let ends = |apart: bool| {
            let mut plan = Plan::at(Coordinate { thread: 1, ordinal: 3 }, true);
            if apart {
                plan.keep_apart();
            }
            let asked = [(1, 2), (1, 3), (0, 1), (1, 4), (0, 9)];
            asked.map(|(thread, ordinal)| plan.refuses(&request(thread, ordinal)))
        };
        assert_eq!(ends(false), [false, true, true, true, true]);
        assert_eq!(ends(true), [false, true, false, true, false]);
    }

    /// The ordinals that a plan refuses on thread 0, of the first twelve.
    fn refused(mut plan: Plan) -> Vec<u64> {
        (1..=12).filter(|n| plan.refuses(&request(0, *n))).collect()
    }

    #[test]
    fn each_kind_of_plan_refuses_what_it_says() {
        assert!(refused(Plan::none()).is_empty());
        assert_eq!(refused(Plan::nth(4)), [4]);
        assert_eq!(refused(Plan::from(10)), [10, 11, 12]);
        assert_eq!(refused(Plan::burst(3, 2)), [3, 4]);
        assert!(refused(Plan::burst(u64::MAX, 2)).is_empty());
        assert_eq!(refused(Plan::when(|r| r.at.ordinal.is_multiple_of(5))), [5, 10]);
        assert_eq!(refused(Plan::nth(2).or(Plan::nth(7))), [2, 7]);
        assert_eq!(refused(Plan::budget(63)), (1..=12).collect::<Vec<u64>>());
        assert!(refused(Plan::budget(64)).is_empty());
    }

    #[test]
    fn a_filter_counts_only_what_it_admits() {
        let mut plan = Plan::nth(2).op(Op::Grow).heap("arena").size(10..=20).align(4..=8);
        let admitted = Request { heap: "arena", op: Op::Grow, size: 15, align: 4, ..request(0, 1) };
        let misses = [
            Request { heap: "main", ..admitted },
            Request { op: Op::Shrink, ..admitted },
            Request { size: 21, ..admitted },
            Request { align: 16, ..admitted },
        ];
        assert!(!plan.refuses(&admitted));
        for miss in misses {
            assert!(!plan.refuses(&miss), "{miss:?}");
        }
        assert!(plan.refuses(&admitted));
        assert!(!plan.refuses(&admitted));
    }

    #[test]
    fn a_persistent_plan_reaches_the_other_threads_once_it_has_begun() {
        let mut plan = Plan::at(Coordinate { thread: 1, ordinal: 3 }, true);
        assert!(!plan.refuses(&request(0, 5)));
        assert!(!plan.refuses(&request(1, 2)));
        assert!(plan.refuses(&request(1, 3)));
        assert!(plan.refuses(&request(0, 6)));
        plan.rewind();
        assert!(!plan.refuses(&request(0, 6)));
    }

    #[test]
    fn a_seeded_plan_repeats_itself_and_depends_on_the_seed() {
        let of = |seed| {
            let mut plan = Plan::seeded(1, 4);
            plan.set_seed(seed);
            (1..=4000).filter(|n| plan.refuses(&request(0, *n))).collect::<Vec<u64>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let share = of(7).len();
        assert!((900..1100).contains(&share), "about a quarter, not {share}");
    }

    #[test]
    fn the_hot_path_is_told_where_a_plan_begins() {
        assert_eq!(Plan::none().first(0, 0), u64::MAX);
        assert_eq!(Plan::nth(9).first(0, 0), 9);
        assert_eq!(Plan::nth(9).first(0, 8), 9);
        assert_eq!(Plan::nth(9).first(0, 9), u64::MAX, "it is over");
        assert_eq!(Plan::nth(9).or(Plan::from(4)).first(0, 0), 4);
        assert_eq!(Plan::nth(9).op(Op::Grow).first(0, 0), 0);
        assert_eq!(Plan::at(Coordinate { thread: 1, ordinal: 9 }, false).first(0, 0), u64::MAX);
        assert_eq!(Plan::budget(1).first(0, 0), 0);
    }

    #[test]
    fn a_closure_that_panics_refuses_nothing() {
        let mut plan = Plan::when(|_| std::panic::resume_unwind(Box::new("no")));
        assert!(!plan.refuses(&request(0, 1)));
    }
}
