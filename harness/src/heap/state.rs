//! What a run knows while it goes: one `State` for all heaps of the run, touched by one thread of
//! control at a time and never across a call into a port or into the subject.

use crate::trace::Injected;
use std::alloc::Layout;

use crate::detect::block::Block;
use crate::detect::block::HeapInfo;
use crate::heap::ledger::{Ledger, RecordSlot};
use crate::heap::quarantine::{Quarantine, Quarantined};
use crate::heap::record::Record;
use crate::heap::redzone::LEAD;
use crate::options::Options;
use crate::plan::{Plan, Request};
use crate::process::backtrace;
use crate::process::backtrace::Capture;
use crate::process::heartbeat::{Heartbeat, Lifeline};
use crate::report::evidence::{Evidence, Moment};
use crate::trace::{Coordinate, End, Event, Fingerprint, Op};

/// Size classes of the histogram: powers of two.
const CLASSES: usize = usize::BITS as usize + 1;

/// A call from a thread that the heap doesn't belong to: parked until the owner looks.
pub(crate) struct ForeignCall {
    pub(crate) op: Op,
    pub(crate) heap: u16,
    pub(crate) address: usize,
    pub(crate) layout: Layout,
}

pub(crate) struct State {
    // What each request touches stands first.
    /// Requests of the present logical thread.
    pub(crate) requests: u64,
    /// The first request that is not simply passed: where the plan begins, or progress ends.
    stop: u64,
    pub(crate) allocations: u64,
    pub(crate) events: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) live: usize,
    pub(crate) peak: usize,
    pub(crate) thread: u16,
    pub(crate) guards: bool,
    /// Whether frees are part of the fingerprint.
    tells_frees: bool,
    pub(crate) moving: bool,
    /// Somebody looks at single events: a recorder, a capture, a budget, a histogram.
    watched: bool,
    /// `stop` where the quick routes may be taken (nobody does, and nothing is wiped), and 0
    /// elsewhere: one comparison for both questions.
    pub(crate) quick_stop: u64,
    /// The same in a run that a model checker drives, for those whose turn has come.
    pub(crate) met_stop: u64,
    pub(crate) ledger: Ledger,
    pub(crate) quarantine: Quarantine,

    pub(crate) options: Options,
    pub(crate) plan: Plan,
    armed: bool,
    /// Requests of the part under test, by logical thread.
    pub(crate) asked: Vec<u64>,
    /// Requests after which the plan is lifted: the run makes no progress.
    pub(crate) bound: u64,
    pub(crate) hung: bool,
    /// Like a plan, it has a first request that leaves the fast path.
    pulse: Heartbeat,
    pub(crate) heaps: Vec<HeapInfo>,
    pub(crate) free_heaps: Vec<u16>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) injected: Option<Injected>,
    /// Whether the latest failed request is the one in question, not the first.
    pub(crate) wants_latest: bool,
    pub(crate) failures: u64,
    pub(crate) recorder: Option<Vec<Event>>,
    pub(crate) capture: Option<Capture>,
    pub(crate) sizes: Option<Box<[u64; CLASSES]>>,
    /// Who is told of events and findings at once: a run that may die keeps nothing.
    pub(crate) sink: Option<Box<dyn EventSink>>,
    pub(crate) over_budget: bool,
    /// The counters of the logical threads that don't run at present.
    others: Vec<u64>,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let mut state = State {
            requests: 0,
            stop: u64::MAX,
            allocations: 0,
            events: 0,
            fingerprint: Fingerprint::START,
            live: 0,
            peak: 0,
            thread: 0,
            guards: options.guards(),
            tells_frees: !options.global,
            moving: options.moving,
            watched: false,
            quick_stop: 0,
            met_stop: 0,
            ledger: Ledger::new(pool_lead(&options)),
            quarantine: Quarantine::default(),
            sizes: options.histogram.then(|| Box::new([0; CLASSES])),
            options,
            plan: Plan::none(),
            armed: false,
            asked: Vec::new(),
            bound: u64::MAX,
            hung: false,
            pulse: Heartbeat::NONE,
            heaps: Vec::new(),
            free_heaps: Vec::new(),
            evidence: Vec::new(),
            injected: None,
            wants_latest: false,
            failures: 0,
            recorder: None,
            capture: None,
            sink: None,
            over_budget: false,
            others: Vec::new(),
        };
        state.rewatch();
        state
    }

    fn rewatch(&mut self) {
        self.watched = self.recorder.is_some()
            || self.sink.is_some()
            || self.capture.is_some()
            || self.sizes.is_some()
            || self.options.budget.is_some();
        self.restop();
    }

    /// Gives signs of life here, from the part under test on.
    pub(crate) fn hold(&mut self, line: Lifeline) {
        self.pulse = Heartbeat::on(line);
    }

    pub(crate) fn record(&mut self) {
        self.recorder = Some(Vec::new());
        self.rewatch();
    }

    pub(crate) fn tell(&mut self, sink: Box<dyn EventSink>) {
        self.sink = Some(sink);
        self.rewatch();
    }

    pub(crate) fn look_for(&mut self, capture: Capture) {
        self.capture = Some(capture);
        self.rewatch();
    }

    /// Lets the plan decide from here on; ordinals count from here.
    pub(crate) fn arm(&mut self, mut plan: Plan) {
        plan.rewind();
        self.plan = plan;
        self.armed = true;
        self.requests = 0;
        self.others.clear();
        if let Some(census) = self.capture.as_mut().and_then(|capture| capture.census.as_mut()) {
            census.restart();
        }
        self.pulse.arm(self.plan.first(self.thread, self.requests) != u64::MAX);
        self.restop();
    }

    /// Lifts the plan; requests go on being counted.
    pub(crate) fn disarm(&mut self) {
        if self.armed {
            let mut asked = self.others.clone();
            let present = usize::from(self.thread);
            asked.resize(asked.len().max(present + 1), 0);
            asked[present] = self.requests;
            self.asked = asked;
        }
        self.armed = false;
        self.restop();
    }

    fn restop(&mut self) -> u64 {
        // The present request may be on its way to the plan.
        let after = self.requests.saturating_sub(1);
        let first = if self.armed { self.plan.first(self.thread, after) } else { u64::MAX };
        self.stop = first.min(self.bound.saturating_add(1)).min(self.pulse.at());
        self.met_stop = if self.watched || self.options.wipe { 0 } else { self.stop };
        self.quick_stop = if self.options.driven { 0 } else { self.met_stop };
        self.stop
    }

    pub(crate) fn set_bound(&mut self, requests: u64) {
        self.bound = requests;
        self.restop();
    }

    /// Lets requests pass uncounted, until [`go_on`](Self::go_on).
    pub(crate) fn pause(&mut self) -> (u64, bool) {
        let before = (self.requests, self.armed);
        self.armed = false;
        self.restop();
        before
    }

    pub(crate) fn go_on(&mut self, (requests, armed): (u64, bool)) {
        self.requests = requests;
        self.armed = armed;
        self.restop();
    }

    /// Lets another logical thread's counters take the place of the present one's.
    #[inline]
    pub(crate) fn switch_to(&mut self, thread: u16) {
        if thread != self.thread {
            self.switch(thread);
        }
    }

    #[cold]
    fn switch(&mut self, thread: u16) {
        let most = usize::from(thread.max(self.thread));
        if self.others.len() <= most {
            self.others.resize(most + 1, 0);
        }
        self.others[usize::from(self.thread)] = self.requests;
        self.requests = self.others[usize::from(thread)];
        self.thread = thread;
        self.pulse.soon(self.requests);
        self.restop();
    }

    /// Counts a request. False: it has to be looked at more closely.
    #[inline]
    pub(crate) fn passes(&mut self) -> bool {
        self.requests += 1;
        self.requests < self.stop
    }

    /// Takes the plan out for a consultation, since a closure in it may come back to the heap.
    pub(crate) fn lend_plan(&mut self) -> Option<Plan> {
        if self.pulse.beat(self.requests) && self.requests < self.restop() {
            // Nothing else is due: a plan is not asked before its first request.
            return None;
        }
        if self.requests > self.bound {
            if !self.hung {
                self.hung = true;
                self.disarm();
                // Lifting the plan has to help within as many requests again.
                self.set_bound(self.bound.saturating_mul(2));
            } else {
                self.pulse.stuck();
                self.set_bound(u64::MAX);
            }
        }
        self.armed.then(|| std::mem::take(&mut self.plan))
    }

    pub(crate) fn take_plan_back(&mut self, plan: Plan) {
        self.plan = plan;
        self.restop();
    }

    pub(crate) fn request(&self, op: Op, layout: Layout, old: usize, heap: u16) -> Request {
        Request {
            at: Coordinate { thread: self.thread, ordinal: self.requests },
            heap: self.heaps[usize::from(heap)].name,
            op,
            size: layout.size(),
            align: layout.align(),
            live: self.live,
            live_after: (self.live + layout.size()).saturating_sub(old),
        }
    }

    /// A block whose time in quarantine is up, if any.
    #[inline]
    pub(crate) fn surplus(&mut self) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop_surplus(|record| ledger.size(record))
    }

    /// The oldest block in quarantine.
    pub(crate) fn release_kept(&mut self) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop(|record| ledger.size(record))
    }

    /// A block of this heap in quarantine.
    pub(crate) fn release_kept_of(&mut self, heap: u16) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop_heap(heap, |record| ledger.size(record))
    }

    /// Records a request that came to nothing.
    pub(crate) fn refused(&mut self, op: Op, layout: Layout, heap: u16, end: End) {
        if end == End::Injected {
            let at = Coordinate { thread: self.thread, ordinal: self.requests };
            if self.injected.is_none() || self.wants_latest {
                let (size, event) = (layout.size(), self.events + 1);
                self.injected = Some(Injected { at, op, size, heap, event });
                self.pulse.soon(self.requests);
                self.restop();
            }
        }
        self.failures += 1;
        self.note(op, layout, heap, end, 0);
    }

    /// Records a new block.
    #[inline(always)]
    pub(crate) fn granted(
        &mut self,
        op: Op,
        address: usize,
        layout: Layout,
        heap: u16,
        counted: usize,
    ) {
        self.allocations += 1;
        let number = self.allocations;
        let (size, align) = (layout.size(), layout.align());
        let event = Event { op, heap, thread: self.thread, align, size, end: End::Done };
        self.stamp(event);
        let twin = self.ledger.insert(address, heap, size, align, number);
        self.live += size & counted;
        self.peak = self.peak.max(self.live);
        if self.watched || twin.is_some() {
            self.watch(event, number);
            self.look(address, heap, layout, number, twin);
        }
    }

    /// Records a block that was resized: it keeps its number.
    pub(crate) fn resized(
        &mut self,
        op: Op,
        old: &Block,
        address: usize,
        layout: Layout,
        counted: usize,
    ) {
        let heap = old.heap;
        self.note(op, layout, heap, End::Done, 0);
        let twin = self.ledger.insert(address, heap, layout.size(), layout.align(), old.number);
        self.live = self.live - (old.size & counted) + (layout.size() & counted);
        self.peak = self.peak.max(self.live);
        self.look(address, heap, layout, old.number, twin);
    }

    /// Takes a block that is rightly freed out of the ledger.
    pub(crate) fn freed(&mut self, slot: RecordSlot, block: &Block, counted: usize) -> Record {
        self.note(Op::Free, block.layout(), block.heap, End::Done, 0);
        self.live -= block.size & counted;
        self.ledger.retire(slot, self.events)
    }

    pub(crate) fn note(&mut self, op: Op, layout: Layout, heap: u16, end: End, number: u64) {
        let (size, align) = (layout.size(), layout.align());
        let event = Event { op, heap, thread: self.thread, align, size, end };
        self.stamp(event);
        if self.watched {
            self.watch(event, number);
        }
    }

    /// What every event costs, however little is watched.
    #[inline(always)]
    pub(crate) fn stamp(&mut self, event: Event) {
        self.events += 1;
        // Code on the global allocator uses std's maps, whose seeds are random: they give back
        // what they hold in another order each time.
        if event.op != Op::Free || self.tells_frees {
            self.fingerprint.add(event);
        }
    }

    #[cold]
    #[inline(never)]
    fn watch(&mut self, event: Event, number: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.push(event);
        }
        // What std asks for on its way to an abort, to print a backtrace, is none of the run's.
        let is_over = || self.options.global && self.injected.is_some() && backtrace::is_dying();
        if let Some(sink) = &self.sink
            && !is_over()
        {
            sink.fingerprint(self.fingerprint, self.injected.as_ref());
        }
        if let Some(capture) = &mut self.capture {
            capture.see(Moment::Event(self.events));
            if number != 0 {
                capture.see(Moment::Allocation(number));
            }
            if event.op != Op::Free {
                capture.request(event.thread, event.op, event.size);
            }
        }
        if let Some(sizes) = &mut self.sizes
            && event.op != Op::Free
        {
            sizes[(usize::BITS - event.size.leading_zeros()) as usize] += 1;
        }
    }

    /// The share of the budget that was used, in percent, where there is one.
    pub(crate) fn budget_used(&self) -> Option<u64> {
        let budget = self.options.budget?.max(1) as u128;
        Some((self.peak as u128 * 100 / budget) as u64)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.ledger.recycle();
        // That of a global heap is asked for past it.
        if !self.options.global {
            self.quarantine.recycle();
        }
    }
}

/// Hears of a run while it goes.
pub(crate) trait EventSink {
    fn evidence(&self, evidence: &Evidence);
    fn fingerprint(&self, fingerprint: Fingerprint, injected: Option<&Injected>);
}

/// How many bytes of a pooled block come before the subject's part, in runs that have a pool. There is
/// none under the global allocator, whose blocks outlive their run, nor in a parallel run.
pub(crate) fn pool_lead(options: &Options) -> Option<usize> {
    let lead = if options.guards() { LEAD } else { 0 };
    (!options.global && !options.parallel).then_some(lead)
}
