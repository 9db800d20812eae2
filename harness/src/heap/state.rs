//! The mutable state of a run: one `State` for all its heaps.
//!
//! One thread at a time touches it, and never across a call into a port or into the subject.

use std::alloc::Layout;

use crate::detect::block::Block;
use crate::heap::heap_table::HeapTable;
use crate::heap::ledger::{Ledger, RecordSlot};
use crate::heap::quarantine::{Quarantine, Quarantined};
use crate::heap::record::Record;
use crate::heap::redzone::LEAD;
use crate::heap::unknown_frees::UnknownFrees;
use crate::options::Options;
use crate::plan::{Plan, Request};
use crate::process::backtrace::{self, Capture, Stack};
use crate::process::heartbeat::{Heartbeat, Lifeline};
use crate::process::{status, test_scope};
use crate::report::evidence::{Evidence, Moment};
use crate::trace::{Coordinate, End, Event, Fingerprint, Injected, Op, numbers_of};

/// The classes of the size histogram, one for each power of two, and one for 0.
const CLASSES: usize = usize::BITS as usize + 1;

/// A call from a thread that the heap doesn't belong to. It is parked, and the owner reports it at
/// the end of the run.
pub(crate) struct ForeignCall {
    pub(crate) op: Op,
    pub(crate) heap: u16,
    pub(crate) address: usize,
    pub(crate) layout: Layout,
}

pub(crate) struct State {
    // What each request touches comes first.
    /// Requests of the current logical thread.
    pub(crate) requests: u64,
    /// The first request to look closely at: the plan may fail it, or the bound or the heartbeat is
    /// due.
    stop: u64,
    pub(crate) allocations: u64,
    pub(crate) events: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) live: usize,
    pub(crate) peak: usize,
    pub(crate) thread: u16,
    pub(crate) guards: bool,
    /// Whether frees are part of the fingerprint.
    hashes_frees: bool,
    pub(crate) moving: bool,
    /// Whether somebody looks at single events: a recorder, a sink, a capture, a budget, a
    /// histogram.
    watched: bool,
    /// `stop` if the run may take the fast path (it is not watched, wiped or driven), else 0. So
    /// one comparison decides both whether the fast path is open and whether this request passes.
    pub(crate) quick_stop: u64,
    /// The same for a run that a model checker drives, after a scheduling point.
    pub(crate) driven_stop: u64,
    pub(crate) ledger: Ledger,
    pub(crate) quarantine: Quarantine,

    pub(crate) options: Options,
    pub(crate) plan: Plan,
    armed: bool,
    /// The requests made while the plan was armed, by logical thread.
    pub(crate) asked: Vec<u64>,
    /// The number of requests after which the plan is lifted: the run makes no progress.
    pub(crate) bound: u64,
    /// The event with which the requests passed that number.
    pub(crate) hung: Option<u64>,
    /// What the system of a script measured of itself.
    pub(crate) metrics: Vec<(String, u64)>,
    /// Shows the parent process that the run is alive, at certain requests (see `stop`).
    heartbeat: Heartbeat,
    pub(crate) heaps: HeapTable,
    pub(crate) evidence: Vec<Evidence>,
    /// The request that the plan failed: the first, or the latest with `wants_latest`.
    pub(crate) injected: Option<Injected>,
    pub(crate) wants_latest: bool,
    pub(crate) failures: u64,
    pub(crate) recorder: Option<Vec<Event>>,
    pub(crate) capture: Option<Capture>,
    pub(crate) sizes: Option<Box<[u64; CLASSES]>>,
    /// Receives events and findings at once: a process that may die must not keep them to itself.
    pub(crate) sink: Option<Box<dyn EventSink>>,
    pub(crate) over_budget: bool,
    /// The counts of the logical threads that are not the current one.
    other_threads: Vec<ThreadCounts>,
    pub(crate) unknown_frees: UnknownFrees,
}

/// What is counted for each logical thread alone, unless a model checker drives them: real threads run
/// in another order each time, but each makes its own requests in the same order.
#[derive(Clone, Copy)]
struct ThreadCounts {
    requests: u64,
    /// Blocks and events have numbers that say which thread's they are: see [`numbers_of`].
    allocations: u64,
    events: u64,
    fingerprint: Fingerprint,
}

impl ThreadCounts {
    /// The counts of this thread before its first event.
    fn of(thread: usize) -> Self {
        let first = numbers_of(thread);
        ThreadCounts {
            requests: 0,
            allocations: first,
            events: first,
            fingerprint: Fingerprint::START,
        }
    }
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
            hashes_frees: !options.global,
            moving: options.moving,
            watched: false,
            quick_stop: 0,
            driven_stop: 0,
            ledger: Ledger::new(pool_lead(&options)),
            quarantine: Quarantine::default(),
            sizes: options.histogram.then(|| Box::new([0; CLASSES])),
            options,
            plan: Plan::none(),
            armed: false,
            asked: Vec::new(),
            bound: u64::MAX,
            hung: None,
            metrics: Vec::new(),
            heartbeat: Heartbeat::NONE,
            heaps: HeapTable::default(),
            evidence: Vec::new(),
            injected: None,
            wants_latest: false,
            failures: 0,
            recorder: None,
            capture: None,
            sink: None,
            over_budget: false,
            other_threads: Vec::new(),
            unknown_frees: UnknownFrees::default(),
        };
        state.update_watched();
        state
    }

    fn update_watched(&mut self) {
        self.watched = self.recorder.is_some()
            || self.sink.is_some()
            || self.capture.is_some()
            || self.sizes.is_some()
            || self.options.budget.is_some();
        self.update_stops();
    }

    /// Shows on this lifeline that the run is alive, from when it is armed.
    pub(crate) fn hold(&mut self, line: Lifeline) {
        self.heartbeat = Heartbeat::on(line);
    }

    /// Records all events from here on.
    pub(crate) fn record(&mut self) {
        self.recorder = Some(Vec::new());
        self.update_watched();
    }

    /// Sends events and findings to this sink from here on.
    pub(crate) fn tell(&mut self, sink: Box<dyn EventSink>) {
        self.sink = Some(sink);
        self.update_watched();
    }

    /// Takes the backtraces that this capture wants.
    pub(crate) fn look_for(&mut self, capture: Capture) {
        self.capture = Some(capture);
        self.update_watched();
    }

    /// Lets the plan decide from here on; ordinals count from here.
    pub(crate) fn arm(&mut self, mut plan: Plan) {
        plan.rewind();
        self.plan = plan;
        self.armed = true;
        self.requests = 0;
        self.other_threads.iter_mut().for_each(|other| other.requests = 0);
        if let Some(census) = self.capture.as_mut().and_then(|capture| capture.census.as_mut()) {
            census.restart();
        }
        self.heartbeat.arm(self.plan.first(self.thread, self.requests) != u64::MAX);
        self.update_stops();
    }

    /// Lifts the plan. Requests are still counted.
    pub(crate) fn disarm(&mut self) {
        if self.armed {
            let mut asked: Vec<u64> =
                self.other_threads.iter().map(|other| other.requests).collect();
            let current = usize::from(self.thread);
            asked.resize(asked.len().max(current + 1), 0);
            asked[current] = self.requests;
            self.asked = asked;
        }
        self.armed = false;
        self.update_stops();
    }

    fn update_stops(&mut self) -> u64 {
        // The current request may be counted already, and not yet shown to the plan.
        let after = self.requests.saturating_sub(1);
        let first = if self.armed { self.plan.first(self.thread, after) } else { u64::MAX };
        self.stop = first.min(self.bound.saturating_add(1)).min(self.heartbeat.at());
        self.driven_stop = if self.watched || self.options.wipe { 0 } else { self.stop };
        self.quick_stop = if self.options.driven { 0 } else { self.driven_stop };
        self.stop
    }

    pub(crate) fn set_bound(&mut self, requests: u64) {
        self.bound = requests;
        self.update_stops();
    }

    /// Lets requests pass and forgets their count, until [`go_on`](Self::go_on) gets what this
    /// returns.
    pub(crate) fn pause(&mut self) -> (u64, bool) {
        let before = (self.requests, self.armed);
        self.armed = false;
        self.update_stops();
        before
    }

    pub(crate) fn go_on(&mut self, (requests, armed): (u64, bool)) {
        self.requests = requests;
        self.armed = armed;
        self.update_stops();
    }

    /// Makes this the current logical thread, with its own count of requests.
    #[inline]
    pub(crate) fn switch_to(&mut self, thread: u16) {
        if thread != self.thread {
            self.switch(thread);
        }
    }

    #[cold]
    fn switch(&mut self, thread: u16) {
        let highest = usize::from(thread.max(self.thread));
        for new in self.other_threads.len()..=highest {
            self.other_threads.push(ThreadCounts::of(new));
        }
        let mut next = self.other_threads[usize::from(thread)];
        if self.options.driven {
            // A schedule decides the order of all threads' events, so they are counted together.
            next = ThreadCounts { requests: next.requests, ..self.counts() };
        }
        self.other_threads[usize::from(self.thread)] = self.counts();
        let ThreadCounts { requests, allocations, events, fingerprint } = next;
        (self.requests, self.allocations) = (requests, allocations);
        (self.events, self.fingerprint) = (events, fingerprint);
        self.thread = thread;
        self.heartbeat.soon(self.requests);
        self.update_stops();
    }

    /// The counts of the current thread.
    fn counts(&self) -> ThreadCounts {
        ThreadCounts {
            requests: self.requests,
            allocations: self.allocations,
            events: self.events,
            fingerprint: self.fingerprint,
        }
    }

    /// The fingerprint of the whole run: of all threads, in whatever order they ran.
    pub(crate) fn whole_fingerprint(&self) -> Fingerprint {
        if self.options.driven || self.other_threads.is_empty() {
            return self.fingerprint;
        }
        let current = usize::from(self.thread);
        let own = |(nth, other): (usize, &ThreadCounts)| {
            if nth == current { self.fingerprint } else { other.fingerprint }
        };
        let all = self.other_threads.iter().enumerate().map(own);
        // What libtest's thread does depends on when the test's thread ends.
        Fingerprint::of_threads(all.skip(usize::from(test_scope::is_set())))
    }

    /// Counts a request. Returns false if it has to be looked at closely (see `stop`).
    #[inline]
    pub(crate) fn passes(&mut self) -> bool {
        self.requests += 1;
        self.requests < self.stop
    }

    /// Takes the plan out to ask it about the current request, since a closure in it may make
    /// requests of a heap itself. `None` if it need not be asked.
    pub(crate) fn lend_plan(&mut self) -> Option<Plan> {
        if self.heartbeat.beat(self.requests) && self.requests < self.update_stops() {
            // Only the heartbeat was due: the plan begins at a later request.
            return None;
        }
        if self.requests > self.bound {
            if self.hung.is_none() {
                self.hung = Some(self.events + 1);
                self.disarm();
                // Without the plan the run has to end within as many requests again.
                self.set_bound(self.bound.saturating_mul(2));
            } else {
                self.heartbeat.stuck();
                self.set_bound(u64::MAX);
            }
        }
        self.armed.then(|| std::mem::take(&mut self.plan))
    }

    pub(crate) fn take_plan_back(&mut self, plan: Plan) {
        self.plan = plan;
        self.update_stops();
    }

    pub(crate) fn request(&self, op: Op, layout: Layout, old: usize, heap: u16) -> Request {
        Request {
            at: Coordinate { thread: self.thread, ordinal: self.requests },
            heap: self.heaps.name(heap),
            op,
            size: layout.size(),
            align: layout.align(),
            live: self.live,
            live_after: (self.live + layout.size()).saturating_sub(old),
        }
    }

    /// Takes the oldest block out of quarantine if a bound is exceeded.
    #[inline]
    pub(crate) fn surplus(&mut self) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop_surplus(|record| ledger.size(record))
    }

    /// Takes the oldest block out of quarantine.
    pub(crate) fn release_kept(&mut self) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop(|record| ledger.size(record))
    }

    /// Takes the oldest block of this heap out of quarantine.
    pub(crate) fn release_kept_of(&mut self, heap: u16) -> Option<Quarantined> {
        let State { quarantine, ledger, .. } = self;
        quarantine.pop_heap(heap, |record| ledger.size(record))
    }

    /// Records a refused request.
    pub(crate) fn refused(&mut self, op: Op, layout: Layout, heap: u16, end: End) {
        if end == End::Injected {
            let at = Coordinate { thread: self.thread, ordinal: self.requests };
            if self.injected.is_none() || self.wants_latest {
                let (size, event) = (layout.size(), self.events + 1);
                self.injected = Some(Injected { at, op, size, heap, event });
                self.heartbeat.soon(self.requests);
                self.update_stops();
            }
        }
        if end == End::Refused {
            status::note_refused(layout.size());
        }
        self.failures += 1;
        self.record_event(op, layout, heap, end, 0);
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
        self.count_event(event);
        let twin = self.ledger.insert(address, heap, size, align, number);
        self.live += size & counted;
        self.peak = self.peak.max(self.live);
        if self.watched || twin.is_some() {
            self.show_event(event, number);
            self.show_place(address, number);
            self.check_new_block(address, heap, layout, number, twin);
        }
    }

    /// Records a resized block, which keeps its number.
    pub(crate) fn resized(
        &mut self,
        op: Op,
        old: &Block,
        address: usize,
        layout: Layout,
        counted: usize,
    ) {
        let heap = old.heap;
        self.record_event(op, layout, heap, End::Done, 0);
        if self.watched {
            self.show_release(old.address);
            self.show_place(address, old.number);
        }
        let twin = self.ledger.insert(address, heap, layout.size(), layout.align(), old.number);
        self.live = self.live - (old.size & counted) + (layout.size() & counted);
        self.peak = self.peak.max(self.live);
        self.check_new_block(address, heap, layout, old.number, twin);
    }

    /// Records a right free and takes the block out of the ledger.
    pub(crate) fn freed(&mut self, slot: RecordSlot, block: &Block, counted: usize) -> Record {
        self.record_event(Op::Free, block.layout(), block.heap, End::Done, 0);
        if self.watched {
            self.show_release(block.address);
        }
        self.live -= block.size & counted;
        self.ledger.retire(slot, self.events)
    }

    /// Records an event. `number` is that of the block that it allocated, or 0.
    pub(crate) fn record_event(
        &mut self,
        op: Op,
        layout: Layout,
        heap: u16,
        end: End,
        number: u64,
    ) {
        let (size, align) = (layout.size(), layout.align());
        let event = Event { op, heap, thread: self.thread, align, size, end };
        self.count_event(event);
        if self.watched {
            self.show_event(event, number);
        }
    }

    /// Counts an event and hashes it into the fingerprint: the part that every event needs, watched
    /// or not.
    #[inline(always)]
    pub(crate) fn count_event(&mut self, event: Event) {
        self.events += 1;
        // Under the global allocator frees are left out: std's maps have random seeds, so they free
        // what they hold in another order each time.
        if event.op != Op::Free || self.hashes_frees {
            self.fingerprint.add(event);
        }
    }

    /// Shows an event to everybody who watches single events.
    #[cold]
    #[inline(never)]
    fn show_event(&mut self, event: Event, number: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.push(event);
        }
        // What std requests on its way to an abort, to print a backtrace, is no part of the run.
        let is_over = || self.options.global && self.injected.is_some() && backtrace::is_dying();
        if let Some(sink) = &self.sink
            && !is_over()
        {
            sink.fingerprint(self.whole_fingerprint(), self.injected.as_ref());
        }
        if let Some(capture) = &mut self.capture {
            let moments = [Moment::Event(self.events), Moment::Allocation(number)];
            for moment in moments.into_iter().take(1 + usize::from(number != 0)) {
                if let (Some(stack), Some(sink)) = (capture.see(moment), &self.sink) {
                    sink.taken(moment, stack);
                }
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

    /// Tells the sink where a block is.
    #[cold]
    fn show_place(&self, start: usize, number: u64) {
        if let Some(sink) = &self.sink {
            sink.placed(start, number);
        }
    }

    /// Tells the sink that the latest event gives back the block at this address.
    #[cold]
    fn show_release(&self, start: usize) {
        if let Some(sink) = &self.sink {
            sink.released(start, self.events);
        }
    }

    /// The largest share of the budget that was used, in percent. `None` without a budget.
    pub(crate) fn budget_used(&self) -> Option<u64> {
        let budget = self.options.budget?.max(1) as u128;
        Some((self.peak as u128 * 100 / budget) as u64)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.ledger.recycle();
        // Under a global heap the ring is not kept for the thread's next run.
        if !self.options.global {
            self.quarantine.recycle();
        }
    }
}

/// Receives the findings and the fingerprint of a run as it makes them.
pub(crate) trait EventSink {
    /// A detector's finding.
    fn evidence(&self, evidence: &Evidence);
    /// The fingerprint after an event, and the fault so far.
    fn fingerprint(&self, fingerprint: Fingerprint, injected: Option<&Injected>);
    /// The block with this number is at this address now.
    fn placed(&self, _start: usize, _number: u64) {}
    /// This event gives back the block at this address.
    fn released(&self, _start: usize, _event: u64) {}
    /// A backtrace that was wanted.
    fn taken(&self, _moment: Moment, _stack: &Stack) {}
}

/// The number of bytes before the subject's part of a pooled block; `None` if the run has no pool.
/// Runs under the global allocator have none, since their blocks may outlive them, and neither have
/// parallel runs.
pub(crate) fn pool_lead(options: &Options) -> Option<usize> {
    let lead = if options.guards() { LEAD } else { 0 };
    (!options.global && !options.parallel).then_some(lead)
}
