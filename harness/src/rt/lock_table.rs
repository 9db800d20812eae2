//! What each thread of a model's run waits for, and whether it can go on.
//!
//! Under shuttle this table *is* the locks, channels and barriers: it decides which threads are
//! ready, and the engine is told. A thread that wants a lock is ready exactly while the lock is
//! free, so no schedule is spent on a futile attempt. Under loom the locks are loom's own, because
//! they carry which writes a thread can see; the table is kept beside them, for reports.
//!
//! Whatever a thread waits for is one of six things ([`WaitsFor`]). Channels are counts of permits,
//! barriers are phases.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::current::current_thread;
use crate::rt::own_choice::{Offers, OwnChoice};
use crate::rt::run_log::{Choices, RunLog};
use crate::rt::thread_set::ThreadSet;
use crate::rt::yields::Yields;

/// The number of a lock, an atomic or a condition variable in the present run. It is given at the
/// first use in each run, so that a static has one, too.
#[derive(Debug, Default)]
pub(crate) struct ObjectId {
    run: AtomicU64,
    number: AtomicU64,
}

impl ObjectId {
    pub(crate) const fn new() -> ObjectId {
        ObjectId { run: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    /// The number in the present run, from 0 in the order of first use.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        let run = run();
        if self.run.load(Ordering::Relaxed) != run {
            self.number.store(u64::from(with_table(LockTable::add_object)), Ordering::Relaxed);
            self.run.store(run, Ordering::Relaxed);
        }
        self.number.load(Ordering::Relaxed) as u32
    }

    /// The object in a log.
    #[inline]
    pub(crate) fn object(&self) -> Object {
        Object::Shared(self.number())
    }
}

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
struct Notification {
    /// Its number among the notifications of its condition variable.
    number: u64,
    /// The threads of which it may wake one.
    wakes: ThreadSet,
}

#[derive(Default)]
struct SharedObject {
    /// The threads that hold it, each with the operation at which it took it, in that order.
    taken: Vec<(u16, u64)>,
    exclusive: bool,
    notifications: Vec<Notification>,
    notified: u64,
    permits: u64,
    is_closed: bool,
    /// Threads that have arrived in the present phase.
    arrived: u64,
    phase: u64,
}

#[derive(Default)]
struct ThreadState {
    points: u32,
    /// The number of its latest operation in the run.
    last: u64,
    want: Option<WaitsFor>,
    since: u64,
    /// When its wait is over in any case, in nanoseconds of the simulated time.
    deadline: Option<u64>,
    /// What it chose by itself at its latest point.
    own: OwnChoice,
    /// When its task is to be woken at the latest.
    wake_at: Option<u64>,
    /// What its next operation accesses, where it waits for that.
    pending: Option<(Object, AccessKind)>,
    ended: bool,
}

#[derive(Default)]
pub(crate) struct LockTable {
    threads: Vec<ThreadState>,
    /// The threads that could go on with their next operation.
    ready: ThreadSet,
    /// The threads that wait for something, ready or not.
    waiting: ThreadSet,
    /// The threads with a deadline, or whose wait may end without a reason.
    special: ThreadSet,
    /// What the thread that reaches a point may choose by itself there.
    offers: Offers,
    yields: Yields,
    /// The objects of the run are the first `used` ones. The rest is kept for later runs.
    objects: Vec<SharedObject>,
    used: usize,
    steps: u64,
    /// The number of scheduling points that the threads have reached.
    points: u64,
    /// Threads that were started past our facade.
    foreign: ThreadSet,
    /// The simulated time since the beginning of the run, in nanoseconds.
    now: u64,
    deadlock: Option<Vec<BlockedThread>>,
    /// The threads whose names say that they may wait for ever.
    daemons: ThreadSet,
    /// The blocks of memory that are watched for data races, by their addresses: size and number.
    watched: BTreeMap<usize, (usize, u64)>,
    watched_count: u64,
    log: RunLog,
    /// Whether the choices have changed since the last step of the log.
    choices_changed: bool,
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
    fn add_object(&mut self) -> u32 {
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

    fn is_free(&self, lock: u32, mode: LockMode) -> bool {
        let object = &self.objects[lock as usize];
        object.taken.is_empty() || (mode == LockMode::Shared && !object.exclusive)
    }

    /// Whether a thread has locked this for reading already, and another thread waits to write. With
    /// std's lock the reader may then wait for the writer, and so for itself: what std documents as
    /// a possible deadlock.
    fn reads_behind_writer(&self, thread: u16, lock: u32) -> bool {
        let reads = self.objects[lock as usize].taken.iter().any(|(holder, _)| *holder == thread);
        let write = Some(WaitsFor::Lock(lock, LockMode::Exclusive));
        reads && self.waiting.iter().any(|other| self.threads[usize::from(other)].want == write)
    }

    /// Whether a thread would get what it waits for now.
    fn is_available(&self, thread: u16, want: WaitsFor) -> bool {
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
    fn is_late(&self, thread: u16) -> bool {
        let deadline = self.threads[usize::from(thread)].deadline;
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    /// Whether a wait could end now although what it waits for is not there.
    fn can_end_early(&self, thread: u16) -> bool {
        match self.threads[usize::from(thread)].want {
            Some(WaitsFor::Notification { lock, .. }) => self.is_free(lock, LockMode::Exclusive),
            want => want.is_some(),
        }
    }

    /// Checks again which of the threads are ready whose waits `concerns` selects.
    fn recheck(&mut self, concerns: impl Fn(WaitsFor) -> bool) {
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

    fn recheck_lock(&mut self, lock: u32) {
        self.recheck(|want| match want {
            WaitsFor::Lock(wanted, _) | WaitsFor::Notification { lock: wanted, .. } => {
                wanted == lock
            }
            _ => false,
        });
    }

    fn recheck_object(&mut self, object: u32) {
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
    fn find_deadlock(&mut self) -> Option<Vec<BlockedThread>> {
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

    fn is_notified(&self, condvar: u32, thread: u16) -> bool {
        let notifications = &self.objects[condvar as usize].notifications;
        notifications.iter().any(|one| one.wakes.contains(thread))
    }

    /// Adds an access of the present step to the log.
    #[inline]
    pub(crate) fn access(&mut self, object: Object, kind: AccessKind) {
        self.ordering_access(object, kind, Orders::of(kind));
    }

    #[inline]
    fn ordering_access(&mut self, object: Object, kind: AccessKind, orders: Orders) {
        let thread = current_thread();
        let operation = self.threads.get(usize::from(thread)).map_or(0, |of| of.last);
        self.log.add_access((thread, operation), object, kind, orders);
    }

    /// Counts an operation of a thread. Returns its number in the run, from 1, and the number of
    /// scheduling points that the thread has reached.
    #[inline]
    fn count_operation(&mut self, thread: u16) -> (u64, u32) {
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
    fn begin_step(&mut self, thread: u16, own: OwnChoice, choices: Option<Choices>) {
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
    fn note_step_of_yielders(&mut self, thread: u16) {
        self.yields.note_step(thread, self.ready);
        self.recheck(|want| want == WaitsFor::Turn);
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
        table.watched_count = 0;
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

/// Takes the log of the run that has ended.
pub(crate) fn take_log() -> RunLog {
    with_table(|table| {
        for (number, thread) in (0..).zip(&table.threads) {
            if let Some((object, kind)) = thread.pending.filter(|_| !thread.ended) {
                table.log.pending.push((number, object, kind));
            }
        }
        std::mem::take(&mut table.log)
    })
}

/// Gives a log back, so that its memory is used again.
pub(crate) fn return_log(mut log: RunLog) {
    log.clear();
    with_table(|table| table.log = log);
}

/// Counts an operation of a thread. Returns its number in the run, from 1, and the number of
/// scheduling points that the thread has reached.
pub(crate) fn count_operation(thread: u16) -> (u64, u32) {
    with_table(|table| table.count_operation(thread))
}

/// Notes that a thread reaches a scheduling point.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) {
    with_table(|table| {
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else { return };
        thread.points += 1;
        table.points += 1;
    });
}

/// Begins the step with which a thread goes on after the decision of the scheduler, which had these
/// choices.
#[cfg(feature = "shuttle")]
pub(crate) fn begin_step(thread: u16, own: OwnChoice, choices: Choices) {
    with_table(|table| {
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.own = own;
        }
        table.begin_step(thread, own, Some(choices));
    });
}

/// Whether a thread passes its next point, if that is one before the point `until`.
#[cfg(feature = "shuttle")]
pub(crate) fn passes(thread: u16, until: u32) -> bool {
    with_table(|table| {
        let points = table.threads.get(usize::from(thread)).map_or(u32::MAX - 1, |of| of.points);
        points + 1 < until && table.foreign.is_empty()
    })
}

/// Counts a scheduling point of a thread. If it comes before the point `until`, begins the step,
/// counts an operation as well, and returns the operation's number and the point's.
#[cfg(feature = "shuttle")]
#[inline]
pub(crate) fn pass_point(thread: u16, until: u32) -> Option<(u64, u32)> {
    with_table(|table| {
        let state = table.threads.get_mut(usize::from(thread))?;
        state.points += 1;
        table.points += 1;
        (state.points < until && table.foreign.is_empty()).then(|| {
            table.begin_step(thread, OwnChoice::Nothing, None);
            table.count_operation(thread)
        })
    })
}

/// The number of scheduling points that a thread has reached.
#[cfg(feature = "shuttle")]
pub(crate) fn points(thread: u16) -> u32 {
    with_table(|table| table.threads.get(usize::from(thread)).map_or(0, |thread| thread.points))
}

/// The number of threads that the run has had so far.
pub(crate) fn thread_count() -> usize {
    with_table(|table| table.threads.len())
}

/// Whether all threads have ended.
#[cfg(feature = "shuttle")]
pub(crate) fn all_ended() -> bool {
    with_table(|table| table.threads.iter().all(|thread| thread.ended))
}

/// Whether all threads that have not ended may wait for ever.
#[cfg(feature = "shuttle")]
pub(crate) fn only_daemons_are_left() -> bool {
    with_table(|table| {
        let mut alive = (0..).zip(&table.threads).filter(|(_, thread)| !thread.ended);
        alive.all(|(number, _)| table.daemons.contains(number))
    })
}

/// Says that a thread may wait for ever.
pub(crate) fn set_daemon(thread: u16) {
    with_table(|table| table.daemons.insert(thread));
}

/// The number of scheduling points that all threads together have reached.
#[cfg(feature = "shuttle")]
pub(crate) fn steps() -> u64 {
    with_table(|table| table.points)
}

/// The threads about which the engine knows more than the table: those that were started past our
/// facade, and those that have ended, on whose stacks it may still have something to do.
#[cfg(feature = "shuttle")]
pub(crate) fn foreign_threads() -> ThreadSet {
    with_table(|table| {
        let ended = (0..).zip(&table.threads).filter(|(_, thread)| thread.ended);
        table.foreign | ended.map(|(number, _)| number).collect()
    })
}

/// Adds threads that were started past our facade, so that there are as many as this.
#[cfg(feature = "shuttle")]
pub(crate) fn add_foreign_threads(threads: usize) {
    with_table(|table| {
        while table.threads.len() < threads {
            table.log.is_partial = true;
            table.foreign.insert(table.threads.len() as u16);
            table.threads.push(ThreadState::default());
        }
    });
}

/// Adds the thread with this number.
pub(crate) fn add_thread(thread: u16) {
    with_table(|table| {
        while table.threads.len() < usize::from(thread) {
            table.foreign.insert(table.threads.len() as u16);
            table.threads.push(ThreadState::default());
        }
        if table.threads.len() == usize::from(thread) {
            table.threads.push(ThreadState::default());
        }
        table.foreign.remove(thread);
        table.ready.insert(thread);
        table.choices_changed = true;
        table.access(Object::Thread(thread), AccessKind::Give);
    });
}

/// Notes that a thread has ended. Returns the blocked threads if none of those that are left can
/// continue.
pub(crate) fn end_thread(thread: u16) -> Option<Vec<BlockedThread>> {
    with_table(|table| {
        table.access(Object::Thread(thread), AccessKind::Give);
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.ended = true;
        }
        table.ready.remove(thread);
        table.choices_changed = true;
        table.recheck(|want| want == WaitsFor::End(thread));
        if table.threads.iter().all(|thread| thread.ended) { None } else { table.find_deadlock() }
    })
}

/// Whether a thread has ended.
pub(crate) fn has_ended(thread: u16) -> bool {
    with_table(|table| {
        table.access(Object::Thread(thread), AccessKind::Peek);
        table.is_available(0, WaitsFor::End(thread))
    })
}

/// Whether a thread would get this now.
#[cfg(feature = "shuttle")]
pub(crate) fn is_available(thread: u16, want: WaitsFor) -> bool {
    with_table(|table| match want {
        // Whoever sleeps or yields asks the scheduler.
        WaitsFor::Time | WaitsFor::Turn | WaitsFor::Notification { .. } => false,
        want => table.is_available(thread, want),
    })
}

/// How long a thread waits at most, and how else its wait may end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitLimits {
    /// In nanoseconds from now.
    pub(crate) time: Option<u64>,
    /// Whether it may end without a reason.
    pub(crate) may_wake: bool,
    /// A bit for each future of the task that may be dropped instead.
    pub(crate) drops: u64,
    /// What the operation after the wait accesses, if it is known.
    pub(crate) pending: Option<(Object, AccessKind)>,
}

/// Notes that a thread waits. Returns the blocked threads if none can continue.
pub(crate) fn begin_wait(
    thread: u16,
    want: WaitsFor,
    limits: WaitLimits,
) -> Option<Vec<BlockedThread>> {
    with_table(|table| {
        let deadline = limits.time.map(|time| table.now.saturating_add(time));
        let state = table.threads.get_mut(usize::from(thread))?;
        (state.want, state.since, state.deadline) = (Some(want), state.last, deadline);
        state.pending = limits.pending;
        table.waiting.insert(thread);
        if deadline.is_some() || limits.may_wake {
            table.special.insert(thread);
        }
        if want == WaitsFor::Turn {
            table.yields.begin(thread, table.ready);
        }
        if let WaitsFor::Lock(lock, LockMode::Exclusive) = want
            && !table.is_free(lock, LockMode::Exclusive)
        {
            // A thread that reads and is about to read again waits for this one from now on.
            table.recheck_lock(lock);
        }
        if table.is_available(thread, want) {
            return None;
        }
        table.ready.remove(thread);
        table.choices_changed = true;
        table.find_deadlock()
    })
}

/// How a thread's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// What it waited for is there.
    Ready,
    /// Its time was up.
    TimedOut,
    /// For no reason.
    Spurious,
    /// The future with this number is dropped instead.
    Cancelled(u8),
}

/// Notes that a thread has ceased to wait, and how its wait ended. If its time was up, time passes
/// until then.
pub(crate) fn end_wait(thread: u16) -> WaitEnd {
    with_table(|table| {
        let Some(state) = table.threads.get(usize::from(thread)) else { return WaitEnd::Ready };
        let (want, deadline) = (state.want, state.deadline);
        let end = match (want, deadline) {
            _ if let OwnChoice::Drop(nth) = state.own => WaitEnd::Cancelled(nth),
            (Some(want), _) if table.is_available(thread, want) => {
                if want == WaitsFor::Time {
                    table.access(Object::Clock, AccessKind::Read);
                }
                WaitEnd::Ready
            }
            (Some(_), Some(deadline)) => {
                if deadline > table.now {
                    table.now = deadline;
                    table.access(Object::Clock, AccessKind::Write);
                } else {
                    table.access(Object::Clock, AccessKind::Read);
                }
                WaitEnd::TimedOut
            }
            (Some(WaitsFor::Turn) | None, _) => WaitEnd::Ready,
            (Some(_), None) => WaitEnd::Spurious,
        };
        let state = &mut table.threads[usize::from(thread)];
        (state.want, state.deadline, state.pending) = (None, None, None);
        state.own = OwnChoice::Nothing;
        table.waiting.remove(thread);
        table.special.remove(thread);
        table.yields.end(thread);
        table.ready.insert(thread);
        table.choices_changed = true;
        if end == WaitEnd::TimedOut {
            table.recheck(|_| true);
        }
        end
    })
}

/// Lets the present thread choose by itself at the point that it reaches next.
#[cfg(feature = "shuttle")]
pub(crate) fn offer(offers: Offers) {
    with_table(|table| {
        table.choices_changed |= offers != table.offers;
        table.offers = offers;
    });
}

/// What a thread chose by itself at its latest point. It is asked once.
#[cfg(feature = "shuttle")]
pub(crate) fn take_own_choice(thread: u16) -> OwnChoice {
    with_table(|table| {
        // It is left where the point was passed without a step.
        table.offers = Offers::NONE;
        let state = table.threads.get_mut(usize::from(thread));
        state.map_or(OwnChoice::Nothing, |state| std::mem::take(&mut state.own))
    })
}

/// Notes that what the present thread was offered at the step with this number made no difference.
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) fn withdraw_offer(step: usize) {
    with_table(|table| {
        let Some(step) = table.log.steps.get(step) else { return };
        if let Some(choices) = table.log.choices.get_mut(step.choices as usize) {
            choices.offers = Offers::NONE;
        }
    });
}

/// The number of the present step in the log.
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) fn present_step() -> usize {
    with_table(|table| table.log.steps.len().saturating_sub(1))
}

/// Wakes the task of a thread at this time, if it waits then.
#[cfg(feature = "tokio")]
pub(crate) fn wake_at(thread: u16, time: u64) {
    with_table(|table| {
        if let Some(state) = table.threads.get_mut(usize::from(thread)) {
            state.wake_at = Some(state.wake_at.map_or(time, |earlier| earlier.min(time)));
        }
    });
}

/// How long the task of a thread waits at most, in nanoseconds. It is asked once for each wait.
#[cfg(feature = "shuttle")]
pub(crate) fn take_wake_time(thread: u16) -> Option<u64> {
    with_table(|table| {
        let at = table.threads.get_mut(usize::from(thread))?.wake_at.take()?;
        Some(at.saturating_sub(table.now))
    })
}

/// The simulated time since the beginning of the run, in nanoseconds.
pub(crate) fn now() -> u64 {
    with_table(|table| {
        table.access(Object::Clock, AccessKind::Read);
        table.now
    })
}

/// Lets simulated time pass.
#[cfg(feature = "loom")]
pub(crate) fn advance(nanoseconds: u64) {
    with_table(|table| table.now = table.now.saturating_add(nanoseconds));
}

/// The threads that can go on.
#[cfg(feature = "shuttle")]
pub(crate) fn choices() -> Choices {
    with_table(|table| table.choices())
}

/// The blocked threads, if the run reached a deadlock.
pub(crate) fn deadlock() -> Option<Vec<BlockedThread>> {
    with_table(|table| table.deadlock.clone())
}

/// Takes a lock. Returns whether it was free.
pub(crate) fn acquire(lock: u32, thread: u16, mode: LockMode, waits: bool) -> bool {
    with_table(|table| {
        let is_shared = mode == LockMode::Shared;
        let object = Object::Shared(lock);
        if !table.is_free(lock, mode) {
            table.access(object, AccessKind::TryFail);
            return false;
        }
        table.access(
            object,
            match (waits, is_shared) {
                (true, false) => AccessKind::Acquire,
                (true, true) => AccessKind::AcquireShared,
                (false, false) => AccessKind::TryAcquire,
                (false, true) => AccessKind::TryAcquireShared,
            },
        );
        // The thread's own latest operation is the one that asked for the lock; other threads may
        // have performed some since then.
        let step = table.threads.get(usize::from(thread)).map_or(table.steps, |of| of.last);
        let object = &mut table.objects[lock as usize];
        object.exclusive = !is_shared;
        object.taken.push((thread, step));
        table.recheck_lock(lock);
        true
    })
}

/// Releases a lock.
pub(crate) fn release(lock: u32, thread: u16) {
    with_table(|table| {
        let object = &mut table.objects[lock as usize];
        let last = object.taken.iter().rposition(|(holder, _)| *holder == thread);
        // Another thread than the one that took the lock may drop the guard.
        let last = last.or_else(|| object.taken.len().checked_sub(1));
        if let Some(last) = last {
            object.taken.remove(last);
        }
        let kind = if object.exclusive { AccessKind::Release } else { AccessKind::ReleaseShared };
        table.access(Object::Shared(lock), kind);
        table.recheck_lock(lock);
    });
}

/// Notes that a thread is about to wait for a notification.
#[cfg(feature = "shuttle")]
pub(crate) fn log_wait(condvar: u32) {
    with_table(|table| table.access(Object::Shared(condvar), AccessKind::Wait));
}

/// Sends a notification to one or all of the threads that wait for one now.
pub(crate) fn notify(condvar: u32, all: bool) {
    with_table(|table| {
        table.access(Object::Shared(condvar), AccessKind::Notify);
        let waits = |thread: &u16| {
            let want = table.threads[usize::from(*thread)].want;
            matches!(want, Some(WaitsFor::Notification { condvar: wanted, .. }) if wanted == condvar)
        };
        let waiting: ThreadSet = table.waiting.iter().filter(waits).collect();
        if waiting.is_empty() {
            return;
        }
        let sets: Vec<ThreadSet> =
            if all { waiting.iter().map(ThreadSet::of).collect() } else { vec![waiting] };
        for wakes in sets {
            let object = &mut table.objects[condvar as usize];
            let number = object.notified;
            object.notified += 1;
            object.notifications.push(Notification { number, wakes });
            // The lock orders what threads do, not the notification.
            table.ordering_access(Object::Slot(condvar, number), AccessKind::Give, Orders::NOTHING);
        }
        table.recheck_object(condvar);
    });
}

/// Lets a notification wake this thread and no other: among those that can wake it, the one that
/// can wake the fewest threads, so that the others keep the most choice. If there is none, no
/// notification can wake the thread from here on.
pub(crate) fn consume_notification(condvar: u32, thread: u16) {
    with_table(|table| {
        let notifications = &mut table.objects[condvar as usize].notifications;
        let consumed = (0..notifications.len())
            .filter(|at| notifications[*at].wakes.contains(thread))
            .min_by_key(|at| notifications[*at].wakes.len());
        let consumed = consumed.map(|consumed| notifications.remove(consumed));
        for notification in notifications.iter_mut() {
            notification.wakes.remove(thread);
        }
        notifications.retain(|notification| !notification.wakes.is_empty());
        if let Some(Notification { number, mut wakes }) = consumed {
            table.ordering_access(Object::Slot(condvar, number), AccessKind::Take, Orders::NOTHING);
            wakes.remove(thread);
            table.add_rivals(wakes);
        }
        table.recheck_object(condvar);
    });
}

impl LockTable {
    /// Notes threads whose next operation the present step makes impossible.
    fn add_rivals(&mut self, rivals: ThreadSet) {
        if let Some(step) = self.log.steps.last_mut() {
            step.rivals |= rivals;
        }
    }
}

/// Sets the number of permits that an object has, and whether all waits for one end in any case.
#[cfg(feature = "shuttle")]
pub(crate) fn set_permits(object: u32, permits: u64, is_closed: bool) {
    with_table(|table| {
        let shared = &mut table.objects[object as usize];
        if (shared.permits, shared.is_closed) != (permits, is_closed) {
            (shared.permits, shared.is_closed) = (permits, is_closed);
            table.recheck_object(object);
        }
    });
}

/// The phase that an object is in.
#[cfg(feature = "shuttle")]
pub(crate) fn phase(object: u32) -> u64 {
    with_table(|table| table.objects[object as usize].phase)
}

/// Notes that a thread arrives at a barrier for this many threads. Returns whether it is the last
/// one, which lets the barrier reach its next phase.
#[cfg(feature = "shuttle")]
pub(crate) fn arrive(barrier: u32, threads: u64) -> bool {
    with_table(|table| {
        let object = &mut table.objects[barrier as usize];
        object.arrived += 1;
        let is_last = object.arrived >= threads;
        if is_last {
            object.arrived = 0;
            object.phase += 1;
            table.recheck_object(barrier);
        }
        is_last
    })
}

/// Adds an access of the present step to the log.
#[inline]
pub(crate) fn log_access(object: Object, kind: AccessKind) {
    with_table(|table| table.access(object, kind));
}

/// Adds an access that orders what the thread did before it, or does after it, in another way than
/// its kind says.
#[inline]
pub(crate) fn log_ordering_access(object: Object, kind: AccessKind, orders: Orders) {
    with_table(|table| table.ordering_access(object, kind, orders));
}

/// Adds what the latest access of an atomic saw, and what the atomic holds now.
#[cfg(feature = "loom")]
pub(crate) fn log_value(seen: Option<u64>, latest: u64) {
    with_table(|table| table.log.add_value(seen, latest));
}

/// Watches a block of memory for data races, until it is freed.
pub(crate) fn watch_block(address: usize, size: usize) {
    with_table(|table| {
        table.watched_count += 1;
        // Blocks that were freed are watched until their memory is given out again.
        let end = address + size.max(1);
        let before = table.watched.range(..address).next_back();
        let overlaps = before.filter(|(start, (size, _))| *start + size > address);
        let mut gone: Vec<usize> = overlaps.map(|(start, _)| *start).into_iter().collect();
        gone.extend(table.watched.range(address..end).map(|(start, _)| *start));
        table.watched.retain(|start, _| !gone.contains(start));
        table.watched.insert(address, (size, table.watched_count));
    });
}

/// Notes that a watched block is freed.
pub(crate) fn note_block_free(address: usize) {
    with_table(|table| {
        if let Some((_, number)) = table.watched.get(&address).copied() {
            table.access(Object::Watched(number), AccessKind::BlockFree);
        }
    });
}

/// Adds an access of what is at this address to the log, if it is in a watched block.
pub(crate) fn log_block_access(address: usize, kind: AccessKind) {
    with_table(|table| {
        if table.watched.is_empty() {
            return;
        }
        if let Some((start, (size, number))) = table.watched.range(..=address).next_back()
            && address < start + size
        {
            let number = *number;
            table.access(Object::Watched(number), kind);
        }
    });
}

/// Notes that the subject sees in which order an object's accesses of the kind `Give` came.
#[cfg(feature = "shuttle")]
pub(crate) fn log_ordered(object: Object) {
    with_table(|table| {
        if !table.log.ordered.contains(&object) {
            table.log.ordered.push(object);
        }
    });
}

/// Notes that the log lacks switches, since the subject uses the engine past our facade.
#[cfg(feature = "shuttle")]
pub(crate) fn set_log_partial() {
    with_table(|table| table.log.is_partial = true);
}
