//! Plans: which requests fail. A plan only answers whether a request fails; the heap acts on it.
//!
//! A plan is a list of rules, and a request fails if any of them refuses it. A rule without a filter
//! counts by a request's ordinal in its logical thread, so `nth(37)` names the coordinate `T…#37`. A
//! rule with a filter counts the requests that the filter admits, for each thread.
//!
//! # Map of the source
//!
//! | file | holds |
//! |---|---|
//! | this one | [`Plan`] and its constructors; [`Faults`], a sweep's choice |
//! | `request` | [`Request`], what a plan decides by |
//! | `rule` | one rule: its condition, filter and state |
//! | `syntax` | the text form of plans in scripts, such as `T0#18..` (feature `ron`) |
//!
//! The flow: a heap asks `Plan::first` for the next ordinal that matters, compares it with its
//! counter on the hot path, and from that ordinal on asks `Plan::refuses` about each request.

pub(crate) mod request;
pub(crate) mod rule;
#[cfg(feature = "ron")]
pub(crate) mod syntax;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::plan::rule::{Filter, PlanFn, Rule, RuleKind};

pub use crate::plan::request::Request;
pub use crate::trace::{Coordinate, Op};

/// Which faults a sweep injects at each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Faults {
    /// Two runs: in one the request fails once, in the other it and all later ones fail. The default.
    Both,
    /// The request fails once.
    Transient,
    /// The request fails, and all later ones.
    Persistent,
    /// No request fails: only what shows without a fault is reported.
    None,
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
    /// Whether a persistent fault stays in the thread in which it begins.
    threads_apart: bool,
}

impl Plan {
    fn one(kind: RuleKind) -> Plan {
        Plan { rules: vec![Rule::new(kind)], ..Plan::default() }
    }

    /// No request fails.
    #[must_use]
    pub fn none() -> Plan {
        Plan::default()
    }

    /// The `n`th request of each logical thread fails, once: a transient fault. `n` counts from 1.
    #[must_use]
    pub fn nth(n: u64) -> Plan {
        Plan::one(RuleKind::Nth(n))
    }

    /// The `n`th request fails, and every later one, on all threads: a persistent fault. `n` counts
    /// from 1.
    #[must_use]
    pub fn from(n: u64) -> Plan {
        Plan::one(RuleKind::From(n))
    }

    /// The `n`th request of each logical thread fails, and the `k - 1` after it.
    #[must_use]
    pub fn burst(n: u64, k: u64) -> Plan {
        Plan::one(RuleKind::Burst(n, k))
    }

    /// About `numerator` in `denominator` requests fail, chosen by a hash of the sweep's seed,
    /// the thread and the ordinal: the same ones in every run.
    ///
    /// # Panics
    /// If the denominator is zero.
    #[must_use]
    pub fn seeded(numerator: u32, denominator: u32) -> Plan {
        assert!(denominator != 0, "the denominator of a seeded plan is zero");
        Plan::one(RuleKind::Seeded { numerator, denominator })
    }

    /// A request fails if it would raise the live bytes, over all heaps, above `bytes`.
    #[must_use]
    pub fn budget(bytes: usize) -> Plan {
        Plan::one(RuleKind::Budget(bytes))
    }

    /// A request fails if the closure returns true. The closure is called once per request and must
    /// decide by the request alone; otherwise runs differ. If it panics, the request doesn't fail.
    #[must_use]
    pub fn when(refuses: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Plan {
        Plan::one(RuleKind::Closure(Arc::new(refuses)))
    }

    /// Like [`when`](Self::when), but the closure is only called from the ordinal in `next` on,
    /// which it may move.
    pub(crate) fn from_next(refuses: PlanFn, next: Arc<AtomicU64>) -> Plan {
        Plan::one(RuleKind::Next(refuses, next))
    }

    /// Exactly this coordinate fails, and if `persistent` every later request.
    pub(crate) fn at(place: Coordinate, persistent: bool) -> Plan {
        let n = place.ordinal;
        Plan::one(if persistent { RuleKind::From(n) } else { RuleKind::Nth(n) })
            .thread(place.thread)
    }

    /// Only requests of this logical thread count and fail.
    pub(crate) fn thread(self, thread: u16) -> Plan {
        self.filter(|filter| filter.thread = Some(thread))
    }

    /// A request fails if this plan or the other one refuses it.
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

    /// Only requests with a size in this range, in bytes, count and fail.
    #[must_use]
    pub fn size(self, bytes: RangeInclusive<usize>) -> Plan {
        self.filter(|filter| filter.size = Some(bytes.clone()))
    }

    /// Only requests with an alignment in this range, in bytes, count and fail.
    #[must_use]
    pub fn align(self, align: RangeInclusive<usize>) -> Plan {
        self.filter(|filter| filter.align = Some(align.clone()))
    }

    /// Whether one thread's requests decide which requests of other threads fail.
    pub(crate) fn crosses_threads(&self) -> bool {
        self.rules.iter().any(Rule::crosses_threads)
    }

    /// The seed of everything random in the run.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Makes persistent faults stay in the thread in which they begin. Loom needs this: it doesn't
    /// know that a request of one thread could depend on an earlier one of another, so a fault that
    /// reaches other threads would depend on an order that loom doesn't explore. And so would the
    /// reports on real threads, which run in another order each time.
    pub(crate) fn keep_apart(&mut self) {
        self.threads_apart = true;
    }

    /// Makes the plan ready for another run.
    pub(crate) fn rewind(&mut self) {
        self.rules.iter_mut().for_each(Rule::rewind);
    }

    /// The first ordinal of this thread, after `after`, at which [`refuses`](Self::refuses) has to be
    /// asked; `u64::MAX` if there is none. With it the hot path skips every earlier request by one
    /// comparison.
    pub(crate) fn first(&self, thread: u16, after: u64) -> u64 {
        self.rules.iter().map(|rule| rule.first(thread, after)).min().unwrap_or(u64::MAX)
    }

    /// Whether this request fails. Has to be called once for each request from
    /// [`first`](Self::first) on, in order.
    pub(crate) fn refuses(&mut self, request: &Request) -> bool {
        let mut refused = false;
        for rule in &mut self.rules {
            // Every rule sees every request, also one that is refused already: rules count them.
            refused |= rule.refuses(request, self.seed, self.threads_apart);
        }
        refused
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules).finish()
    }
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
    fn with_threads_apart_a_persistent_fault_stays_in_its_thread() {
        let refusals = |apart: bool| {
            let mut plan = Plan::at(Coordinate { thread: 1, ordinal: 3 }, true);
            if apart {
                plan.keep_apart();
            }
            let requests = [(1, 2), (1, 3), (0, 1), (1, 4), (0, 9)];
            requests.map(|(thread, ordinal)| plan.refuses(&request(thread, ordinal)))
        };
        assert_eq!(refusals(false), [false, true, true, true, true]);
        assert_eq!(refusals(true), [false, true, false, true, false]);
    }

    /// The ordinals that a plan refuses, of the first twelve requests of thread 0.
    fn refused(mut plan: Plan) -> Vec<u64> {
        (1..=12).filter(|n| plan.refuses(&request(0, *n))).collect()
    }

    #[test]
    fn each_kind_of_plan_refuses_what_its_name_says() {
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
    fn the_hot_path_learns_where_a_plan_begins() {
        assert_eq!(Plan::none().first(0, 0), u64::MAX);
        assert_eq!(Plan::nth(9).first(0, 0), 9);
        assert_eq!(Plan::nth(9).first(0, 8), 9);
        assert_eq!(Plan::nth(9).first(0, 9), u64::MAX, "the request is past");
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
