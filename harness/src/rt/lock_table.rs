//! Which thread holds what and waits for what, in the run of a model.
//!
//! Under shuttle this table *is* the locks: it decides which threads are runnable, and the engine
//! is told. A thread that waits for a lock is runnable exactly while the lock is free. So a thread
//! that continues takes its lock at once, and no schedule is spent on a futile wake-up. Under loom
//! the locks are loom's own, because they carry which writes a thread can see; the table is kept
//! beside them, for reports.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rt::thread_set::{ThreadSet, bit, each};

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
    /// A notification of this condition variable.
    Notification(u32),
    /// The end of a thread.
    End(u16),
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

#[derive(Default)]
struct SharedObject {
    /// The threads that hold it, and whether they hold it exclusively.
    holders: ThreadSet,
    exclusive: bool,
    /// The holders once more, with the operation at which each took it, in that order.
    taken: Vec<(u16, u64)>,
    /// Notifications that have woken no thread so far: each may wake one thread of its set.
    notifications: Vec<ThreadSet>,
}

#[derive(Default)]
struct ThreadState {
    points: u32,
    /// The number of its latest operation in the run.
    last: u64,
    want: Option<WaitsFor>,
    since: u64,
    /// Whether it waits but is runnable: what it waits for is available.
    awake: bool,
    ended: bool,
}

#[derive(Default)]
struct LockTable {
    threads: Vec<ThreadState>,
    /// The objects of the run are the first `used` ones. The rest is kept for later runs.
    objects: Vec<SharedObject>,
    used: usize,
    steps: u64,
    deadlock: Option<Vec<BlockedThread>>,
}

/// The waiting threads that have become runnable, and those that no longer are.
#[must_use]
pub(crate) struct WakeChanges {
    runnable: ThreadSet,
    blocked: ThreadSet,
}

impl WakeChanges {
    const NONE: WakeChanges = WakeChanges { runnable: 0, blocked: 0 };

    #[cfg(feature = "shuttle")]
    pub(crate) fn is_empty(&self) -> bool {
        self.runnable | self.blocked == 0
    }

    #[cfg(feature = "shuttle")]
    pub(crate) fn runnable(&self) -> impl Iterator<Item = u16> {
        each(self.runnable)
    }

    #[cfg(feature = "shuttle")]
    pub(crate) fn blocked(&self) -> impl Iterator<Item = u16> {
        each(self.blocked)
    }
}

thread_local! {
    /// The number of the present run, unique in this process.
    static RUN: Cell<u64> = const { Cell::new(0) };
    static TABLE: RefCell<LockTable> = RefCell::default();
}

/// Runs a step on the table. No step may switch threads: the table stays borrowed.
fn with_table<R>(step: impl FnOnce(&mut LockTable) -> R) -> R {
    TABLE.with(|table| step(&mut table.borrow_mut()))
}

impl LockTable {
    fn add_object(&mut self) -> u32 {
        if self.used == self.objects.len() {
            self.objects.push(SharedObject::default());
        }
        let object = &mut self.objects[self.used];
        (object.holders, object.exclusive) = (0, false);
        object.taken.clear();
        object.notifications.clear();
        self.used += 1;
        (self.used - 1) as u32
    }

    /// Whether a thread would get what it waits for now.
    fn is_available(&self, thread: u16, want: WaitsFor) -> bool {
        match want {
            WaitsFor::Lock(lock, mode) => {
                let object = &self.objects[lock as usize];
                object.holders == 0 || (mode == LockMode::Shared && !object.exclusive)
            }
            WaitsFor::Notification(condvar) => {
                let object = &self.objects[condvar as usize];
                object.notifications.iter().any(|wakes| wakes & bit(thread) != 0)
            }
            WaitsFor::End(other) => self.threads.get(usize::from(other)).is_none_or(|t| t.ended),
        }
    }

    /// Checks again which of the threads are runnable whose waits `concerns` selects.
    fn recheck(&mut self, concerns: impl Fn(WaitsFor) -> bool) -> WakeChanges {
        let mut changes = WakeChanges::NONE;
        for thread in 0..self.threads.len() {
            let Some(want) = self.threads[thread].want.filter(|want| concerns(*want)) else {
                continue;
            };
            let is_available = self.is_available(thread as u16, want);
            if is_available != self.threads[thread].awake {
                self.threads[thread].awake = is_available;
                let side = if is_available { &mut changes.runnable } else { &mut changes.blocked };
                *side |= bit(thread as u16);
            }
        }
        changes
    }

    fn recheck_lock(&mut self, lock: u32) -> WakeChanges {
        self.recheck(|want| matches!(want, WaitsFor::Lock(wanted, _) if wanted == lock))
    }

    /// The blocked threads, if none can continue.
    fn find_deadlock(&mut self) -> Option<Vec<BlockedThread>> {
        let alive = || self.threads.iter().enumerate().filter(|(_, thread)| !thread.ended);
        let is_blocked = |(number, thread): (usize, &ThreadState)| {
            thread.want.is_some_and(|want| !self.is_available(number as u16, want))
        };
        if !alive().all(is_blocked) {
            return None;
        }
        let blocked = alive().filter_map(|(number, thread)| {
            let want = thread.want?;
            let holders = match want {
                WaitsFor::Lock(lock, _) => self.objects[lock as usize].taken.clone(),
                WaitsFor::Notification(_) | WaitsFor::End(_) => Vec::new(),
            };
            Some(BlockedThread { thread: number as u16, want, since: thread.since, holders })
        });
        let blocked: Vec<BlockedThread> = blocked.collect();
        self.deadlock = Some(blocked.clone());
        Some(blocked)
    }
}

/// The number of the present run, unique in this process.
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
        (table.used, table.steps, table.deadlock) = (0, 0, None);
    });
}

/// Counts an operation of a thread. Returns its number in the run, from 1, and the number of
/// scheduling points that the thread has reached.
pub(crate) fn count_operation(thread: u16) -> (u64, u32) {
    with_table(|table| {
        table.steps += 1;
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else {
            return (table.steps, 0);
        };
        thread.last = table.steps;
        (table.steps, thread.points)
    })
}

/// Counts a scheduling point of a thread. Returns its number, from 1.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) -> u32 {
    with_table(|table| {
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else { return 0 };
        thread.points += 1;
        thread.points
    })
}

/// Counts a scheduling point of a thread. If it comes before the point `until`, counts an operation
/// as well, and returns the operation's number and the point's.
#[cfg(feature = "shuttle")]
#[inline]
pub(crate) fn pass_point(thread: u16, until: u32) -> Option<(u64, u32)> {
    with_table(|table| {
        let thread = table.threads.get_mut(usize::from(thread))?;
        thread.points += 1;
        let point = thread.points;
        (point < until).then(|| {
            table.steps += 1;
            thread.last = table.steps;
            (table.steps, point)
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

/// Adds the thread with this number.
pub(crate) fn add_thread(thread: u16) {
    with_table(|table| {
        while table.threads.len() <= usize::from(thread) {
            table.threads.push(ThreadState::default());
        }
    });
}

/// Notes that a thread has ended.
pub(crate) fn end_thread(thread: u16) -> WakeChanges {
    with_table(|table| {
        if let Some(thread) = table.threads.get_mut(usize::from(thread)) {
            thread.ended = true;
        }
        table.recheck(|want| want == WaitsFor::End(thread))
    })
}

#[cfg(feature = "shuttle")]
pub(crate) fn has_ended(thread: u16) -> bool {
    with_table(|table| table.is_available(0, WaitsFor::End(thread)))
}

/// Notes that a thread waits. Returns the blocked threads if none can continue.
pub(crate) fn begin_wait(thread: u16, want: WaitsFor) -> Option<Vec<BlockedThread>> {
    with_table(|table| {
        let entry = table.threads.get_mut(usize::from(thread))?;
        (entry.want, entry.since, entry.awake) = (Some(want), entry.last, false);
        if table.is_available(thread, want) { None } else { table.find_deadlock() }
    })
}

/// Notes that a thread has ceased to wait.
pub(crate) fn end_wait(thread: u16) {
    with_table(|table| {
        if let Some(thread) = table.threads.get_mut(usize::from(thread)) {
            (thread.want, thread.awake) = (None, false);
        }
    });
}

/// The blocked threads, if the run reached a deadlock.
pub(crate) fn deadlock() -> Option<Vec<BlockedThread>> {
    with_table(|table| table.deadlock.clone())
}

/// Takes a lock. `None`: it is held in a way that forbids it.
pub(crate) fn acquire(lock: u32, thread: u16, mode: LockMode) -> Option<WakeChanges> {
    with_table(|table| {
        if !table.is_available(thread, WaitsFor::Lock(lock, mode)) {
            return None;
        }
        // The thread's own latest operation is the one that asked for the lock; other threads may
        // have performed some since then.
        let step = table.threads.get(usize::from(thread)).map_or(table.steps, |of| of.last);
        let object = &mut table.objects[lock as usize];
        object.holders |= bit(thread);
        object.exclusive = mode == LockMode::Exclusive;
        object.taken.push((thread, step));
        Some(table.recheck_lock(lock))
    })
}

/// Releases a lock.
pub(crate) fn release(lock: u32, thread: u16) -> WakeChanges {
    with_table(|table| {
        let object = &mut table.objects[lock as usize];
        let last = object.taken.iter().rposition(|(holder, _)| *holder == thread);
        // Another thread than the one that took the lock may drop the guard.
        let last = last.or_else(|| object.taken.len().checked_sub(1));
        if let Some(last) = last {
            object.taken.remove(last);
        }
        object.holders = object.taken.iter().fold(0, |all, (holder, _)| all | bit(*holder));
        table.recheck_lock(lock)
    })
}

/// Sends a notification to one or all of the threads that wait for one now.
pub(crate) fn notify(condvar: u32, all: bool) -> WakeChanges {
    with_table(|table| {
        let waits = |thread: &ThreadState| thread.want == Some(WaitsFor::Notification(condvar));
        let waiting = table.threads.iter().enumerate().filter(|(_, thread)| waits(thread));
        let waiting = waiting.fold(0, |all, (number, _)| all | bit(number as u16));
        if waiting == 0 {
            return WakeChanges::NONE;
        }
        let object = &mut table.objects[condvar as usize];
        if all {
            object.notifications.extend(each(waiting).map(bit));
        } else {
            object.notifications.push(waiting);
        }
        table.recheck(|want| want == WaitsFor::Notification(condvar))
    })
}

/// Lets a notification wake this thread and no other: among those that can wake it, the one that
/// can wake the fewest threads, so that the others keep the most choice.
pub(crate) fn consume_notification(condvar: u32, thread: u16) -> WakeChanges {
    with_table(|table| {
        let notifications = &mut table.objects[condvar as usize].notifications;
        let consumed = (0..notifications.len())
            .filter(|at| notifications[*at] & bit(thread) != 0)
            .min_by_key(|at| notifications[*at].count_ones());
        if let Some(consumed) = consumed {
            notifications.remove(consumed);
        }
        for wakes in notifications.iter_mut() {
            *wakes &= !bit(thread);
        }
        notifications.retain(|wakes| *wakes != 0);
        table.recheck(|want| want == WaitsFor::Notification(condvar))
    })
}
