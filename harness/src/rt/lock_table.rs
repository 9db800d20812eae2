//! What each thread of a model's run waits for, and whether it can go on.
//!
//! Under shuttle this table *is* the locks, channels and barriers: it decides which threads are
//! ready, and the engine is told. A thread that wants a lock is ready exactly while the lock is
//! free, so no schedule is spent on a futile attempt. Under loom the locks are loom's own, because
//! they carry which writes a thread can see; the table is kept beside them, for reports.
//!
//! What a thread can wait for is in [`WaitsFor`]. Channels are counts of permits, barriers are phases.
//! What threads do to the table is in `run_threads`, `waits` and `locks`.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::current::current_thread;
use crate::rt::own_choice::{Offers, OwnChoice};
use crate::rt::run_log::{Choices, RunLog};
use crate::rt::thread_set::ThreadSet;
use crate::rt::watched_blocks::WatchedBlocks;
use crate::rt::yields::Yields;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockMode {
    Exclusive,
    Shared,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Lock(u32, LockMode),
    /// A notification of this condition variable, and then this lock.
    Notification {
        condvar: u32,
        lock: u32,
    },
    /// The end of a thread.
    End(u16),
    /// A permit of an object, such as a value in a channel.
    Permit(u32),
    /// That an object, such as a barrier, reaches a phase after this one.
    Phase(u32, u64),
    /// The end of a sleep.
    Time,
    /// That others have gone on since it yielded.
    Turn,
}

/// A thread that can't continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockedThread {
    pub(crate) thread: u16,
    pub(crate) want: WaitsFor,
    /// The run's operation, by its number, at which it began to wait.
    pub(crate) since: u64,
    /// The threads that hold what it wants, and the operation at which each of them took it.
    pub(crate) holders: Vec<(u16, u64)>,
}

/// A notification that has woken no thread so far.
pub(super) struct Notification {
    /// Its number among the notifications of its condition variable.
    pub(super) number: u64,
    /// The threads of which it may wake one.
    pub(super) wakes: ThreadSet,
}

#[derive(Default)]
pub(super) struct SharedObject {
    /// The threads that hold it, each with the operation at which it took it, in that order.
    pub(super) taken: Vec<(u16, u64)>,
    pub(super) exclusive: bool,
    pub(super) notifications: Vec<Notification>,
    pub(super) notified: u64,
    pub(super) permits: u64,
    pub(super) is_closed: bool,
    /// Threads that have arrived in the present phase.
    pub(super) arrived: u64,
    pub(super) phase: u64,
}

#[derive(Default)]
pub(super) struct ThreadState {
    pub(super) points: u32,
    /// The number of its latest operation in the run.
    pub(super) last: u64,
    pub(super) want: Option<WaitsFor>,
    pub(super) since: u64,
    /// When its wait is over in any case, in nanoseconds of the simulated time.
    pub(super) deadline: Option<u64>,
    /// What it chose by itself at its latest point.
    pub(super) own: OwnChoice,
    /// When its task is to be woken at the latest.
    pub(super) wake_at: Option<u64>,
    /// What its next operation accesses, where it waits for that.
    pub(super) pending: Option<(Object, AccessKind)>,
    pub(super) ended: bool,
}

#[derive(Default)]
pub(crate) struct LockTable {
    pub(super) threads: Vec<ThreadState>,
    /// The threads that could go on with their next operation.
    pub(super) ready: ThreadSet,
    /// The threads that wait for something, ready or not.
    pub(super) waiting: ThreadSet,
    /// The threads with a deadline, or whose wait may end without a reason.
    pub(super) special: ThreadSet,
    /// What the thread that reaches a point may choose by itself there.
    pub(super) offers: Offers,
    pub(super) yields: Yields,
    /// The objects of the run are the first `used` ones. The rest is kept for later runs.
    pub(super) objects: Vec<SharedObject>,
    pub(super) used: usize,
    pub(super) steps: u64,
    /// The number of scheduling points that the threads have reached.
    pub(super) points: u64,
    /// Threads that were started past our facade.
    pub(super) foreign: ThreadSet,
    /// The simulated time since the beginning of the run, in nanoseconds.
    pub(super) now: u64,
    pub(super) deadlock: Option<Vec<BlockedThread>>,
    /// The threads whose names say that they may wait for ever.
    pub(super) daemons: ThreadSet,
    pub(super) watched: WatchedBlocks,
    pub(super) log: RunLog,
    /// Whether the choices have changed since the last step of the log.
    pub(super) choices_changed: bool,
}

thread_local! {
    /// The number of the present run, unique in this process.
    static RUN: Cell<u64> = const { Cell::new(0) };
    static TABLE: RefCell<LockTable> = RefCell::default();
}

/// Runs a step on the table. No step may switch threads: the table stays borrowed.
pub(crate) fn with_table<R>(step: impl FnOnce(&mut LockTable) -> R) -> R {
    TABLE.with(|table| step(&mut table.borrow_mut()))
}

impl LockTable {
    pub(super) fn add_object(&mut self) -> u32 {
        if self.used == self.objects.len() {
            self.objects.push(SharedObject::default());
        }
        let object = &mut self.objects[self.used];
        object.taken.clear();
        object.notifications.clear();
        *object = SharedObject {
            taken: std::mem::take(&mut object.taken),
            notifications: std::mem::take(&mut object.notifications),
            ..SharedObject::default()
        };
        self.used += 1;
        (self.used - 1) as u32
    }

    pub(super) fn is_free(&self, lock: u32, mode: LockMode) -> bool {
        let object = &self.objects[lock as usize];
        object.taken.is_empty() || (mode == LockMode::Shared && !object.exclusive)
    }

    /// Whether a thread has locked this for reading already, and another thread waits to write. With
    /// std's lock the reader may then wait for the writer, and so for itself: what std documents as
    /// a possible deadlock.
    pub(super) fn reads_behind_writer(&self, thread: u16, lock: u32) -> bool {
        let reads = self.objects[lock as usize].taken.iter().any(|(holder, _)| *holder == thread);
        let write = Some(WaitsFor::Lock(lock, LockMode::Exclusive));
        reads && self.waiting.iter().any(|other| self.threads[usize::from(other)].want == write)
    }

    /// Whether a thread would get what it waits for now.
    pub(super) fn is_available(&self, thread: u16, want: WaitsFor) -> bool {
        match want {
            WaitsFor::Lock(lock, mode) => {
                self.is_free(lock, mode)
                    && (mode == LockMode::Exclusive || !self.reads_behind_writer(thread, lock))
            }
            WaitsFor::Notification { condvar, lock } => {
                let notifications = &self.objects[condvar as usize].notifications;
                notifications.iter().any(|one| one.wakes.contains(thread))
                    && self.is_free(lock, LockMode::Exclusive)
            }
            WaitsFor::End(other) => self.threads.get(usize::from(other)).is_none_or(|t| t.ended),
            WaitsFor::Permit(object) => {
                let object = &self.objects[object as usize];
                object.permits > 0 || object.is_closed
            }
            WaitsFor::Phase(object, phase) => self.objects[object as usize].phase > phase,
            WaitsFor::Time => self.is_late(thread),
            WaitsFor::Turn => !self.yields.waits(thread, self.ready),
        }
    }

    /// Whether the time of a thread's wait is up.
    pub(super) fn is_late(&self, thread: u16) -> bool {
        let deadline = self.threads[usize::from(thread)].deadline;
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    /// Whether a wait could end now although what it waits for is not there.
    pub(super) fn can_end_early(&self, thread: u16) -> bool {
        match self.threads[usize::from(thread)].want {
            Some(WaitsFor::Notification { lock, .. }) => self.is_free(lock, LockMode::Exclusive),
            want => want.is_some(),
        }
    }

    /// Checks again which of the threads are ready whose waits `concerns` selects.
    pub(super) fn recheck(&mut self, concerns: impl Fn(WaitsFor) -> bool) {
        for thread in self.waiting.iter() {
            let Some(want) = self.threads[usize::from(thread)].want else { continue };
            if !concerns(want) {
                continue;
            }
            let is_ready = self.is_available(thread, want)
                || self.is_late(thread) && self.can_end_early(thread);
            if is_ready != self.ready.contains(thread) {
                self.choices_changed = true;
                if is_ready { self.ready.insert(thread) } else { self.ready.remove(thread) }
            }
        }
        // A lock decides whether a wait with a deadline can end.
        self.choices_changed |= !self.special.is_empty();
    }

    pub(super) fn recheck_lock(&mut self, lock: u32) {
        self.recheck(|want| match want {
            WaitsFor::Lock(wanted, _) | WaitsFor::Notification { lock: wanted, .. } => {
                wanted == lock
            }
            _ => false,
        });
    }

    pub(super) fn recheck_object(&mut self, object: u32) {
        self.recheck(|want| match want {
            WaitsFor::Permit(wanted)
            | WaitsFor::Phase(wanted, _)
            | WaitsFor::Notification { condvar: wanted, .. } => wanted == object,
            _ => false,
        });
    }

    /// The threads that can go on.
    pub(crate) fn choices(&self) -> Choices {
        let mut choices = Choices { ready: self.ready, ..Choices::default() };
        let mut earliest: Option<(u64, u16)> = None;
        for thread in (self.special - self.ready).iter().filter(|one| self.can_end_early(*one)) {
            let state = &self.threads[usize::from(thread)];
            if state.want == Some(WaitsFor::Time) {
                choices.idle.insert(thread);
            } else {
                choices.waking.insert(thread);
            }
            if let Some(deadline) = state.deadline
                && earliest.is_none_or(|earliest| (deadline, thread) < earliest)
            {
                earliest = Some((deadline, thread));
            }
        }
        choices.offers = self.offers;
        let yielded = self.yields.waiting() - self.ready;
        choices.idle |= yielded;
        choices.next = earliest.map(|(_, thread)| thread).or_else(|| yielded.first());
        choices
    }

    /// The blocked threads, if none can continue.
    pub(super) fn find_deadlock(&mut self) -> Option<Vec<BlockedThread>> {
        if !self.choices().is_stuck() {
            return None;
        }
        let alive = || (0..).zip(&self.threads).filter(|(_, thread)| !thread.ended);
        // A thread that waits for nothing we know of was started past our facade.
        if alive().any(|(_, thread)| thread.want.is_none())
            || alive().all(|(number, _)| self.daemons.contains(number))
        {
            return None;
        }
        let blocked = alive().filter_map(|(number, thread)| {
            let want = match thread.want? {
                // It was notified, and waits for the lock.
                WaitsFor::Notification { condvar, lock } if self.is_notified(condvar, number) => {
                    WaitsFor::Lock(lock, LockMode::Exclusive)
                }
                want => want,
            };
            let holders = match want {
                WaitsFor::Lock(lock, _) => self.objects[lock as usize].taken.clone(),
                _ => Vec::new(),
            };
            Some(BlockedThread { thread: number, want, since: thread.since, holders })
        });
        let blocked: Vec<BlockedThread> = blocked.collect();
        self.deadlock = Some(blocked.clone());
        Some(blocked)
    }

    pub(super) fn is_notified(&self, condvar: u32, thread: u16) -> bool {
        let notifications = &self.objects[condvar as usize].notifications;
        notifications.iter().any(|one| one.wakes.contains(thread))
    }

    /// Adds an access of the present step to the log.
    #[inline]
    pub(crate) fn access(&mut self, object: Object, kind: AccessKind) {
        self.ordering_access(object, kind, Orders::of(kind));
    }

    #[inline]
    pub(super) fn ordering_access(&mut self, object: Object, kind: AccessKind, orders: Orders) {
        let thread = current_thread();
        let operation = self.threads.get(usize::from(thread)).map_or(0, |of| of.last);
        self.log.add_access((thread, operation), object, kind, orders);
    }

    /// Counts an operation of a thread. Returns its number in the run, from 1, and the number of
    /// scheduling points that the thread has reached.
    #[inline]
    pub(super) fn count_operation(&mut self, thread: u16) -> (u64, u32) {
        self.steps += 1;
        let Some(state) = self.threads.get_mut(usize::from(thread)) else {
            return (self.steps, 0);
        };
        state.last = self.steps;
        (self.steps, state.points)
    }

    /// Begins a step of a thread, which goes on at its latest point. `choices` are those before it,
    /// if they are known.
    #[inline]
    pub(super) fn begin_step(&mut self, thread: u16, own: OwnChoice, choices: Option<Choices>) {
        let is_other = self.choices_changed || self.log.steps.is_empty();
        let choices = choices.or_else(|| is_other.then(|| self.choices()));
        let point = self.threads.get(usize::from(thread)).map_or(0, |state| state.points);
        self.log.add_step(thread, point, own, choices);
        // Offers are for one point.
        self.choices_changed = std::mem::take(&mut self.offers) != Offers::NONE;
        if self.yields.is_active() {
            self.note_step_of_yielders(thread);
        }
    }

    #[cold]
    pub(super) fn note_step_of_yielders(&mut self, thread: u16) {
        self.yields.note_step(thread, self.ready);
        self.recheck(|want| want == WaitsFor::Turn);
    }

    /// Notes threads whose next operation the present step makes impossible.
    pub(super) fn add_rivals(&mut self, rivals: ThreadSet) {
        if let Some(step) = self.log.steps.last_mut() {
            step.rivals |= rivals;
        }
    }
}

/// The number of the present run, unique in this process.
#[inline]
pub(crate) fn run() -> u64 {
    RUN.get()
}

/// Begins a run, with thread 0 alone.
pub(crate) fn begin_run() {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    RUN.set(RUNS.fetch_add(1, Ordering::Relaxed));
    with_table(|table| {
        table.threads.clear();
        table.threads.push(ThreadState::default());
        (table.used, table.steps, table.points, table.now) = (0, 0, 0, 0);
        table.deadlock = None;
        table.foreign = ThreadSet::EMPTY;
        table.watched.clear();
        table.ready = ThreadSet::of(0);
        table.waiting = ThreadSet::EMPTY;
        table.special = ThreadSet::EMPTY;
        table.offers = Offers::NONE;
        table.daemons = ThreadSet::EMPTY;
        table.yields.clear();
        table.log.clear();
        table.choices_changed = true;
        table.begin_step(0, OwnChoice::Nothing, None);
    });
}
