//! A script with several threads on one system, as a subject whose threads take turns. What they
//! see has to be what the plain model shows in some order of their operations.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell, UnsafeCell};

use crate::heap::Heap;
use crate::heap::state::State;
use crate::heap::thread_context::ours;
use crate::rt;
use crate::rt::CurrentEngine;
use crate::run::linearizability;
use crate::run::linearizability::{CompletedOp, NoOrder};
use crate::run::outcome::SubjectEnd;
use crate::run::script_subject::{ScriptProgress, name_of, open};
use crate::run::{Stage, Subject};
use crate::sync::{Mutex, PoisonError};
use crate::system::{ApplyShared, Guarantee, System, World};
use crate::thread;

/// Operations for each thread: the first is the run's own, which opens the system and starts the
/// others.
pub(crate) struct ConcurrentScript<S: System> {
    threads: Vec<Vec<S::Op>>,
    /// As of a script with one thread: whether requests go on failing after the first error.
    insists: bool,
}

impl<S: System> ConcurrentScript<S> {
    pub(crate) fn new(threads: &[Vec<S::Op>], insists: bool) -> Self {
        ConcurrentScript { threads: threads.to_vec(), insists }
    }
}

/// What the threads have in common.
struct SharedRun<'a, S: System> {
    threads: &'a [Vec<S::Op>],
    world: World<'a>,
    heap: Heap,
    insists: bool,
    shared: Option<ApplyShared<S>>,
    /// Held by whoever changes a system that takes one operation at a time.
    lock: Mutex<()>,
    system: UnsafeCell<S>,
    clock: Cell<u64>,
    /// Operations that have begun and not ended.
    going: Cell<u64>,
    /// Threads that repeat an operation in peace, and whether requests failed before.
    at_peace: Cell<u64>,
    armed: Cell<bool>,
    /// Whether part of an operation was done while another one saw it, as it may be.
    unclear: Cell<bool>,
    log: RefCell<Log>,
}

/// What is written down on the way.
struct Log {
    course: ScriptProgress,
    done: Vec<Vec<CompletedOp>>,
    starts: Vec<Vec<u64>>,
    not_recovered: Vec<String>,
}

/// A thread's way to what it has in common with the others.
struct ThreadAccess<'c, 'a, S: System>(&'c SharedRun<'a, S>);

impl<S: System> Clone for ThreadAccess<'_, '_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: System> Copy for ThreadAccess<'_, '_, S> {}

// SAFETY: `call` makes these only where shuttle drives the threads (it asserts so), and then all of
// them are one OS thread that goes from stack to stack: nothing is ever touched by two at once.
unsafe impl<S: System> Send for ThreadAccess<'_, '_, S> {}

impl<S: System> SharedRun<'_, S> {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn begin(&self) -> u64 {
        self.going.set(self.going.get() + 1);
        self.tick()
    }

    fn end(&self) -> u64 {
        self.going.set(self.going.get() - 1);
        self.tick()
    }

    /// Applies an operation; answers when it began and when it ended as well.
    fn apply(&self, op: &S::Op) -> (u64, Result<S::Reply, S::Error>, u64) {
        if let Some(apply) = self.shared {
            let begun = self.begin();
            // SAFETY: where the system is shared nobody makes a reference that is not, as `shared`
            // is asked once, until the threads are done.
            let system = unsafe { &*self.system.get() };
            let reply = ours(|| apply(system, op, &self.world));
            return (begun, reply, self.end());
        }
        let _turn = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.begin();
        // SAFETY: the lock is held for as long as the reference is used, and `snapshot` looks only
        // where no operation has begun that has not ended.
        let system = unsafe { &mut *self.system.get() };
        let reply = ours(|| system.apply(op, &self.world));
        (begun, reply, self.end())
    }

    /// The state, where no thread is in the middle of anything.
    fn snapshot(&self) -> Option<S::Model> {
        // SAFETY: no operation is going on, so nobody has a reference that is not shared; and none
        // can begin before this is done, since there are no points.
        let look = || unsafe { &*self.system.get() }.snapshot();
        (self.going.get() == 0).then(|| rt::without_points(look))
    }

    fn what(&self, thread: usize, nth: usize) -> String {
        let op = &self.threads[thread][nth];
        match self.threads.len() {
            1 => format!("operation {} ({op:?})", nth + 1),
            _ => format!("operation {} of thread {thread} ({op:?})", nth + 1),
        }
    }

    /// Lets every request pass, until as many [`resume`](Self::resume).
    fn relieve(&self) -> (u64, bool) {
        if !self.insists {
            self.heap.disarm();
            return (0, false);
        }
        let before = self.heap.with(State::pause);
        if self.at_peace.get() == 0 {
            self.armed.set(before.1);
        }
        self.at_peace.set(self.at_peace.get() + 1);
        before
    }

    fn resume(&self, (requests, _): (u64, bool)) {
        if !self.insists {
            return;
        }
        self.at_peace.set(self.at_peace.get() - 1);
        let armed = self.armed.get() && self.at_peace.get() == 0;
        let thread = rt::current_thread();
        self.heap.with(|state| {
            state.switch_to(thread);
            state.go_on((requests, armed));
        });
        if !self.log.borrow().not_recovered.is_empty() {
            // The latest failure is what it comes of: no other is to take its place.
            self.heap.disarm();
        }
    }

    fn starts(&self, thread: usize) {
        let requests = self.heap.with(|state| {
            state.switch_to(thread as u16);
            state.requests
        });
        self.log.borrow_mut().starts[thread].push(requests);
    }

    /// What a thread does.
    fn work(&self, thread: usize) {
        for (nth, op) in self.threads[thread].iter().enumerate() {
            self.starts(thread);
            let (mut begun, mut reply, mut ended) = self.apply(op);
            if let Err(error) = &reply {
                let note = format!("{}: {error:?}", self.what(thread, nth));
                let (is_oom, name) = (S::is_oom(error), name_of(op));
                self.log.borrow_mut().course.failed(is_oom, &name, note, &self.heap);
                let before = self.relieve();
                let is_atomic = S::guarantee(op) == Guarantee::Atomic;
                if is_atomic {
                    self.expect_nothing(thread, nth);
                }
                let first = begun;
                (begun, reply, ended) = self.apply(op);
                if !is_atomic {
                    // Half of it may have come with the first try, and another thread seen that.
                    let is_alone = ended == first + 3 && self.going.get() == 0;
                    self.unclear.set(self.unclear.get() || !is_alone);
                    begun = first;
                }
                self.resume(before);
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
                    let note = format!("with memory again {op:?} fails: {error:?}");
                    self.log.borrow_mut().not_recovered.push(note);
                    break;
                }
            }
        }
    }

    /// An atomic operation that failed has done nothing: the state is that of an order of all
    /// that went through before. Told where no other thread is in the middle of something.
    fn expect_nothing(&self, thread: usize, nth: usize) {
        let Some(state) = self.snapshot() else { return };
        if self.unclear.get() {
            return;
        }
        let mut log = self.log.borrow_mut();
        let wrong = linearizability::explain::<S>(self.threads, &log.done, &state, &self.world);
        if let Err(NoOrder::End { diff }) = wrong {
            let what = self.what(thread, nth);
            let note =
                format!("{what}: the state after the error is not the state before:\n{diff}");
            log.not_recovered.push(note);
        }
    }
}

impl<S: System> Subject for ConcurrentScript<S> {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        assert!(rt::engine() == CurrentEngine::Shuttle, "[mallory bug] nobody gives threads turns");
        let heap = stage.heap.clone();
        let world = World::new(stage.input, stage.scratch());
        let mut course = ScriptProgress::default();
        stage.arm();
        if self.insists {
            heap.with(|state| state.wants_latest = true);
        }
        let system = match open::<S>(self.insists, &world, &mut course, stage) {
            Ok(system) => system,
            Err(ended) => return ended,
        };
        let none = || self.threads.iter().map(|_| Vec::new());
        let (done, starts) = (none().collect(), self.threads.iter().map(|_| Vec::new()).collect());
        let common = SharedRun {
            threads: &self.threads,
            world,
            heap: heap.clone(),
            insists: self.insists,
            shared: S::shared(),
            lock: Mutex::new(()),
            system: UnsafeCell::new(system),
            clock: Cell::new(0),
            going: Cell::new(0),
            at_peace: Cell::new(0),
            armed: Cell::new(false),
            unclear: Cell::new(false),
            log: RefCell::new(Log { course, done, starts, not_recovered: Vec::new() }),
        };
        let way = ThreadAccess(&common);
        let work = |nth: usize| move || { way }.0.work(nth);
        thread::scope(|scope| {
            let others: Vec<_> =
                (1..self.threads.len()).map(|nth| scope.spawn(work(nth))).collect();
            common.work(0);
            // What one threw is noted as the run's.
            others.into_iter().for_each(|other| drop(other.join()));
        });
        stage.rest();
        let SharedRun { system, unclear, log, .. } = common;
        let (system, log) = (system.into_inner(), log.into_inner());
        let Log { mut course, done, starts, not_recovered } = log;
        if let Some(told) = &mut stage.starts {
            *told = starts;
        }
        for note in not_recovered {
            stage.not_recovered(note);
        }
        let is_whole = self.threads.iter().zip(&done).all(|(ops, done)| ops.len() == done.len());
        if is_whole && !unclear.get() {
            let world = World::new(stage.input, stage.scratch());
            let state = system.snapshot();
            match linearizability::explain::<S>(&self.threads, &done, &state, &world) {
                Ok(()) => {}
                Err(NoOrder::Reply { thread, nth, diff }) => {
                    let op = &self.threads[thread][nth];
                    let note = format!(
                        "operation {} of thread {thread} ({op:?}) replied as the model does in no \
                         order of the operations:\n{diff}",
                        nth + 1
                    );
                    course.differs(&name_of(op), note, &heap);
                }
                Err(NoOrder::End { diff }) => {
                    let what = "the end state is the model's in no order of the operations";
                    course.differs("the end", format!("{what}:\n{diff}"), &heap);
                }
            }
        }
        ours(|| drop(system));
        course.end(stage)
    }
}
