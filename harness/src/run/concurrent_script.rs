//! A script with several threads on one system, as a subject. What the threads see has to be
//! linearizable: some order of their operations, applied to the plain model, has to explain it.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell, UnsafeCell};

use crate::heap::Heap;
use crate::heap::state::State;
use crate::heap::thread_context::ours;
use crate::printable;
use crate::rt::{self, AccessKind, CurrentEngine, Object};
use crate::run::linearizability::{self, CompletedOp, NoOrder};
use crate::run::outcome::SubjectEnd;
use crate::run::script_subject::{ScriptProgress, name_of, open, still_fails};
use crate::run::stage::{PausedFaults, Stage, Subject};
use crate::sync::{Mutex, PoisonError};
use crate::system::{ApplyShared, Guarantee, System, World};
use crate::thread;

/// The operations of each thread. The first thread is the run's own: it opens the system and starts
/// the others.
pub(crate) struct ConcurrentScript<S: System> {
    threads: Vec<Vec<S::Op>>,
    /// Whether the plan stays active after the first error, as in a script with one thread.
    keeps_failing: bool,
}

impl<S: System> ConcurrentScript<S> {
    pub(crate) fn new(threads: &[Vec<S::Op>], keeps_failing: bool) -> Self {
        ConcurrentScript { threads: threads.to_vec(), keeps_failing }
    }
}

/// What the threads share.
struct SharedRun<'a, S: System> {
    threads: &'a [Vec<S::Op>],
    world: World<'a>,
    heap: Heap,
    keeps_failing: bool,
    /// How to apply an operation by a shared reference, if the system allows it.
    apply_shared: Option<ApplyShared<S>>,
    /// Held during each operation on a system that doesn't allow it.
    lock: Mutex<()>,
    system: UnsafeCell<S>,
    /// The logical clock: advances at every begin and end of an operation.
    clock: Cell<u64>,
    /// Operations that have begun and not ended.
    running: Cell<u64>,
    /// Threads that repeat an operation while faults are paused.
    pauses: Cell<u64>,
    /// Whether the plan was active before the first of these pauses.
    armed: Cell<bool>,
    /// Whether another thread may have seen a half-done operation, which a retryable one permits.
    /// The replies then can't be judged.
    saw_partial: Cell<bool>,
    log: RefCell<Log>,
}

/// What the threads record.
struct Log {
    progress: ScriptProgress,
    done: Vec<Vec<CompletedOp>>,
    starts: Vec<Vec<u64>>,
    not_recovered: Vec<String>,
}

/// A thread's reference to what it shares with the others.
struct ThreadAccess<'c, 'a, S: System>(&'c SharedRun<'a, S>);

impl<S: System> Clone for ThreadAccess<'_, '_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: System> Copy for ThreadAccess<'_, '_, S> {}

// SAFETY: `call` makes these only if shuttle schedules the threads (it asserts so). They are then
// all one OS thread that switches between stacks, so no two threads access anything at the same
// time.
unsafe impl<S: System> Send for ThreadAccess<'_, '_, S> {}

impl<S: System> SharedRun<'_, S> {
    fn tick(&self) -> u64 {
        // Which operations overlap makes a difference to the oracle.
        rt::log_access(Object::History, AccessKind::Write);
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn begin(&self) -> u64 {
        self.running.set(self.running.get() + 1);
        self.tick()
    }

    fn end(&self) -> u64 {
        self.running.set(self.running.get() - 1);
        self.tick()
    }

    /// Applies an operation. Returns when it began, its reply, and when it ended.
    fn apply(&self, op: &S::Op) -> (u64, Result<S::Reply, S::Error>, u64) {
        if let Some(apply) = self.apply_shared {
            let begun = self.begin();
            // SAFETY: `apply_shared` doesn't change during a run, so if it is set, no exclusive
            // reference is made before the threads have ended.
            let system = unsafe { &*self.system.get() };
            let reply = ours(|| apply(system, op, &self.world));
            return (begun, reply, self.end());
        }
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.begin();
        // SAFETY: the lock is held while the reference is used, and `snapshot` makes one only if
        // `running` is 0.
        let system = unsafe { &mut *self.system.get() };
        let reply = ours(|| system.apply(op, &self.world));
        (begun, reply, self.end())
    }

    /// The state; `None` while an operation is running.
    fn snapshot(&self) -> Option<S::Model> {
        // SAFETY: `running` is 0, so there is no exclusive reference; and no operation can begin
        // before this returns, since `without_points` has no scheduling points.
        let snapshot = || unsafe { &*self.system.get() }.snapshot();
        (self.running.get() == 0).then(|| rt::without_points(snapshot))
    }

    /// An operation as notes name it.
    fn describe(&self, thread: usize, nth: usize) -> String {
        let op = printable::debug(&self.threads[thread][nth]);
        match self.threads.len() {
            1 => format!("operation {} ({op})", nth + 1),
            _ => format!("operation {} of thread {thread} ({op})", nth + 1),
        }
    }

    /// Makes every request succeed until each pause was ended by
    /// [`resume_faults`](Self::resume_faults), or for the rest of the run.
    fn pause_faults(&self) -> PausedFaults {
        if !self.keeps_failing {
            self.heap.disarm();
            return (0, false);
        }
        let paused = self.heap.with(State::pause);
        if self.pauses.get() == 0 {
            self.armed.set(paused.1);
        }
        self.pauses.set(self.pauses.get() + 1);
        paused
    }

    fn resume_faults(&self, (requests, _): PausedFaults) {
        if !self.keeps_failing {
            return;
        }
        self.pauses.set(self.pauses.get() - 1);
        let armed = self.armed.get() && self.pauses.get() == 0;
        let thread = rt::current_thread();
        self.heap.with(|state| {
            state.switch_to(thread);
            state.go_on((requests, armed));
        });
        if !self.log.borrow().not_recovered.is_empty() {
            // The finding is attributed to the latest fault, so there must be no other.
            self.heap.disarm();
        }
    }

    /// Records at which of its thread's requests an operation begins.
    fn record_start(&self, thread: usize) {
        let requests = self.heap.with(|state| {
            state.switch_to(thread as u16);
            state.requests
        });
        self.log.borrow_mut().starts[thread].push(requests);
    }

    /// Runs a thread's operations.
    fn work(&self, thread: usize) {
        for (nth, op) in self.threads[thread].iter().enumerate() {
            self.record_start(thread);
            let (mut begun, mut reply, mut ended) = self.apply(op);
            if let Err(error) = &reply {
                let note = format!("{}: {}", self.describe(thread, nth), printable::debug(error));
                let (is_oom, name) = (S::is_oom(error), name_of(op));
                self.log.borrow_mut().progress.failed(is_oom, &name, note, &self.heap);
                let paused = self.pause_faults();
                let is_atomic = S::guarantee(op) == Guarantee::Atomic;
                if is_atomic {
                    self.expect_unchanged(thread, nth);
                }
                let first = begun;
                (begun, reply, ended) = self.apply(op);
                if !is_atomic {
                    // The first try may have done a part, which another thread may have seen,
                    // unless no other operation began or ended from the first try's begin to the
                    // second one's end.
                    let is_alone = ended == first + 3 && self.running.get() == 0;
                    self.saw_partial.set(self.saw_partial.get() || !is_alone);
                    begun = first;
                }
                self.resume_faults(paused);
            }
            match reply {
                Ok(reply) => {
                    let reply = format!("{reply:?}");
                    self.log.borrow_mut().done[thread].push(CompletedOp {
                        nth,
                        begun,
                        ended,
                        reply,
                    });
                }
                Err(error) => {
                    self.log.borrow_mut().not_recovered.push(still_fails(op, error));
                    break;
                }
            }
        }
    }

    /// Checks that an atomic operation that failed has changed nothing: some order of the
    /// operations that succeeded before explains the state. Can be checked only while no other
    /// operation is running.
    fn expect_unchanged(&self, thread: usize, nth: usize) {
        let Some(state) = self.snapshot() else { return };
        if self.saw_partial.get() {
            return;
        }
        let mut log = self.log.borrow_mut();
        let explained = linearizability::explain::<S>(self.threads, &log.done, &state, &self.world);
        if let Err(NoOrder::End { diff }) = explained {
            let what = self.describe(thread, nth);
            let note =
                format!("{what}: the state after the error is not the state before:\n{diff}");
            log.not_recovered.push(note);
        }
    }
}

impl<S: System> Subject for ConcurrentScript<S> {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        assert!(
            rt::engine() == CurrentEngine::Shuttle,
            "[mallory bug] a concurrent script runs without shuttle's scheduler"
        );
        let heap = stage.heap.clone();
        let world = World::new(stage.input, stage.scratch());
        let mut progress = ScriptProgress::default();
        stage.arm();
        if self.keeps_failing {
            heap.with(|state| state.wants_latest = true);
        }
        let system = match open::<S>(self.keeps_failing, &world, &mut progress, stage) {
            Ok(system) => system,
            Err(ended) => return ended,
        };
        let done = self.threads.iter().map(|_| Vec::new()).collect();
        let starts = self.threads.iter().map(|_| Vec::new()).collect();
        let shared_run = SharedRun {
            threads: &self.threads,
            world,
            heap: heap.clone(),
            keeps_failing: self.keeps_failing,
            apply_shared: S::shared(),
            lock: Mutex::new(()),
            system: UnsafeCell::new(system),
            clock: Cell::new(0),
            running: Cell::new(0),
            pauses: Cell::new(0),
            armed: Cell::new(false),
            saw_partial: Cell::new(false),
            log: RefCell::new(Log { progress, done, starts, not_recovered: Vec::new() }),
        };
        let access = ThreadAccess(&shared_run);
        let work = |nth: usize| move || { access }.0.work(nth);
        thread::scope(|scope| {
            let others: Vec<_> =
                (1..self.threads.len()).map(|nth| scope.spawn(work(nth))).collect();
            shared_run.work(0);
            // A panic of one of them is recorded as the run's own.
            others.into_iter().for_each(|other| drop(other.join()));
        });
        stage.disarm();
        let SharedRun { system, saw_partial, log, .. } = shared_run;
        let (system, log) = (system.into_inner(), log.into_inner());
        let Log { mut progress, done, starts, not_recovered } = log;
        if let Some(wanted) = &mut stage.starts {
            *wanted = starts;
        }
        for note in not_recovered {
            stage.not_recovered(note);
        }
        stage.set_metrics(system.metrics());
        let is_whole = self.threads.iter().zip(&done).all(|(ops, done)| ops.len() == done.len());
        if is_whole && !saw_partial.get() {
            let world = World::new(stage.input, stage.scratch());
            let state = system.snapshot();
            match linearizability::explain::<S>(&self.threads, &done, &state, &world) {
                Ok(()) => {}
                Err(NoOrder::Reply { thread, nth, diff }) => {
                    let op = &self.threads[thread][nth];
                    let note = format!(
                        "no order of the operations explains the reply of operation {} of thread \
                         {thread} ({}):\n{diff}",
                        nth + 1,
                        printable::debug(op)
                    );
                    progress.differs(&name_of(op), note, &heap);
                }
                Err(NoOrder::End { diff }) => {
                    let what = "no order of the operations explains the end state";
                    progress.differs("the end", format!("{what}:\n{diff}"), &heap);
                }
            }
        }
        ours(|| drop(system));
        progress.end(stage)
    }
}
