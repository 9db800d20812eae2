//! Who holds what and who waits for what, in the run of a model.
//!
//! Under shuttle this table *is* the locks: a thread goes on when the table says so, and the engine
//! is told. A thread that waits for a lock can run just as long as the lock is free, so whoever is
//! let go on takes it at once, and no schedule is spent on waking up in vain. Under loom, whose own
//! locks carry what one thread may know of another's writes, it is kept beside them, for reports.

use crate::rt::thread_set::{ThreadSet, bit, each};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

/// What has a number in each run, given at its first use there: so that a static has one, too.
#[derive(Debug, Default)]
pub(crate) struct ObjectId {
    run: AtomicU64,
    number: AtomicU64,
}

impl ObjectId {
    pub(crate) const fn new() -> ObjectId {
        ObjectId { run: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    /// Its number in the present run.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        let run = run();
        if self.run.load(Ordering::Relaxed) != run {
            self.number.store(u64::from(with(LockTable::add)), Ordering::Relaxed);
            self.run.store(run, Ordering::Relaxed);
        }
        self.number.load(Ordering::Relaxed) as u32
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockMode {
    Alone,
    Shared,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Lock(u32, LockMode),
    /// A notice of this condition variable.
    Notice(u32),
    /// The end of a thread.
    End(u16),
}

/// A thread that can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockedThread {
    pub(crate) thread: u16,
    pub(crate) want: WaitsFor,
    /// At which of the run's operations it began to wait.
    pub(crate) since: u64,
    /// Who has what it wants, and at which operation that was taken.
    pub(crate) holders: Vec<(u16, u64)>,
}

#[derive(Default)]
struct SharedObject {
    /// Who holds it, and whether that is one alone.
    holders: ThreadSet,
    alone: bool,
    /// When each of the holders took it.
    taken: Vec<(u16, u64)>,
    /// Notices on their way: each wakes one of these.
    notices: Vec<ThreadSet>,
}

#[derive(Default)]
struct ThreadState {
    points: u32,
    /// The run's operation that is its last so far.
    last: u64,
    want: Option<WaitsFor>,
    since: u64,
    /// Whether it may go on although it waits: what it waits for is there.
    awake: bool,
    ended: bool,
}

#[derive(Default)]
struct LockTable {
    threads: Vec<ThreadState>,
    objects: Vec<SharedObject>,
    used: usize,
    steps: u64,
    stuck: Option<Vec<BlockedThread>>,
}

/// Who can go on now, and who can't any more.
#[must_use]
pub(crate) struct WakeChanges {
    awake: ThreadSet,
    asleep: ThreadSet,
}

impl WakeChanges {
    const NOTHING: WakeChanges = WakeChanges { awake: 0, asleep: 0 };

    #[cfg(feature = "shuttle")]
    pub(crate) fn is_nothing(&self) -> bool {
        self.awake | self.asleep == 0
    }

    #[cfg(feature = "shuttle")]
    pub(crate) fn awake(&self) -> impl Iterator<Item = u16> {
        each(self.awake)
    }

    #[cfg(feature = "shuttle")]
    pub(crate) fn asleep(&self) -> impl Iterator<Item = u16> {
        each(self.asleep)
    }
}

thread_local! {
    /// The number of the current run, which no other run of this process has.
    static RUN: Cell<u64> = const { Cell::new(0) };
    static TABLE: RefCell<LockTable> = RefCell::default();
}

/// Runs a step on the table. No step changes threads.
fn with<R>(step: impl FnOnce(&mut LockTable) -> R) -> R {
    TABLE.with(|table| step(&mut table.borrow_mut()))
}

impl LockTable {
    fn add(&mut self) -> u32 {
        if self.used == self.objects.len() {
            self.objects.push(SharedObject::default());
        }
        let object = &mut self.objects[self.used];
        (object.holders, object.alone) = (0, false);
        object.taken.clear();
        object.notices.clear();
        self.used += 1;
        (self.used - 1) as u32
    }

    /// Whether a thread could have this now.
    fn is_there(&self, thread: u16, want: WaitsFor) -> bool {
        match want {
            WaitsFor::Lock(lock, mode) => {
                let object = &self.objects[lock as usize];
                object.holders == 0 || (mode == LockMode::Shared && !object.alone)
            }
            WaitsFor::Notice(notices) => {
                let object = &self.objects[notices as usize];
                object.notices.iter().any(|notice| notice & bit(thread) != 0)
            }
            WaitsFor::End(other) => self.threads.get(usize::from(other)).is_none_or(|t| t.ended),
        }
    }

    /// Looks again whether those who wait for what `concerns` tells can go on.
    fn review(&mut self, concerns: impl Fn(WaitsFor) -> bool) -> WakeChanges {
        let mut changed = WakeChanges::NOTHING;
        for thread in 0..self.threads.len() {
            let Some(want) = self.threads[thread].want.filter(|want| concerns(*want)) else {
                continue;
            };
            let is_there = self.is_there(thread as u16, want);
            if is_there != self.threads[thread].awake {
                self.threads[thread].awake = is_there;
                let side = if is_there { &mut changed.awake } else { &mut changed.asleep };
                *side |= bit(thread as u16);
            }
        }
        changed
    }

    fn review_lock(&mut self, lock: u32) -> WakeChanges {
        self.review(|want| matches!(want, WaitsFor::Lock(wanted, _) if wanted == lock))
    }

    /// Where all threads stand, if none of them can go on.
    fn look_for_end(&mut self) -> Option<Vec<BlockedThread>> {
        let alive = || self.threads.iter().enumerate().filter(|(_, thread)| !thread.ended);
        let waits = |(number, thread): (usize, &ThreadState)| {
            thread.want.is_some_and(|want| !self.is_there(number as u16, want))
        };
        if !alive().all(waits) {
            return None;
        }
        let blocked = alive().filter_map(|(number, thread)| {
            let want = thread.want?;
            let holders = match want {
                WaitsFor::Lock(lock, _) => self.objects[lock as usize].taken.clone(),
                WaitsFor::Notice(_) | WaitsFor::End(_) => Vec::new(),
            };
            Some(BlockedThread { thread: number as u16, want, since: thread.since, holders })
        });
        let blocked: Vec<BlockedThread> = blocked.collect();
        self.stuck = Some(blocked.clone());
        Some(blocked)
    }
}

/// The number of the current run, which no other run of this process has.
pub(crate) fn run() -> u64 {
    RUN.get()
}

/// Starts a new run: forgets everything but thread 0.
pub(crate) fn begin() {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    RUN.set(RUNS.fetch_add(1, Ordering::Relaxed));
    with(|table| {
        table.threads.clear();
        table.threads.push(ThreadState::default());
        (table.used, table.steps, table.stuck) = (0, 0, None);
    });
}

/// Counts an operation: its number in the run, and how many points its thread has come to.
pub(crate) fn step(thread: u16) -> (u64, u32) {
    with(|table| {
        table.steps += 1;
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else {
            return (table.steps, 0);
        };
        thread.last = table.steps;
        (table.steps, thread.points)
    })
}

/// Counts a point of a thread, and answers its number.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) -> u32 {
    with(|table| {
        let Some(thread) = table.threads.get_mut(usize::from(thread)) else { return 0 };
        thread.points += 1;
        thread.points
    })
}

/// Counts a point of a thread, and with it an operation if the point comes before this one: both
/// numbers.
#[cfg(feature = "shuttle")]
#[inline]
pub(crate) fn pass(thread: u16, until: u32) -> Option<(u64, u32)> {
    with(|table| {
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

/// The points that a thread has come to.
#[cfg(feature = "shuttle")]
pub(crate) fn points(thread: u16) -> u32 {
    with(|table| table.threads.get(usize::from(thread)).map_or(0, |thread| thread.points))
}

/// ThreadSet that there were in the run so far.
pub(crate) fn threads() -> usize {
    with(|table| table.threads.len())
}

/// Whether all of them have ended.
#[cfg(feature = "shuttle")]
pub(crate) fn have_ended() -> bool {
    with(|table| table.threads.iter().all(|thread| thread.ended))
}

/// There is another thread.
pub(crate) fn born(thread: u16) {
    with(|table| {
        while table.threads.len() <= usize::from(thread) {
            table.threads.push(ThreadState::default());
        }
    });
}

/// A thread has ended.
pub(crate) fn end(thread: u16) -> WakeChanges {
    with(|table| {
        if let Some(thread) = table.threads.get_mut(usize::from(thread)) {
            thread.ended = true;
        }
        table.review(|want| want == WaitsFor::End(thread))
    })
}

#[cfg(feature = "shuttle")]
pub(crate) fn has_ended(thread: u16) -> bool {
    with(|table| table.is_there(0, WaitsFor::End(thread)))
}

/// A thread waits. Answers where all stand if none can go on.
pub(crate) fn wait(thread: u16, want: WaitsFor) -> Option<Vec<BlockedThread>> {
    with(|table| {
        let entry = table.threads.get_mut(usize::from(thread))?;
        (entry.want, entry.since, entry.awake) = (Some(want), entry.last, false);
        if table.is_there(thread, want) { None } else { table.look_for_end() }
    })
}

/// A thread waits no more.
pub(crate) fn go_on(thread: u16) {
    with(|table| {
        if let Some(thread) = table.threads.get_mut(usize::from(thread)) {
            (thread.want, thread.awake) = (None, false);
        }
    });
}

/// Where all threads stood when none could go on.
pub(crate) fn stuck() -> Option<Vec<BlockedThread>> {
    with(|table| table.stuck.clone())
}

/// Takes a lock; `None` where it can't be had.
pub(crate) fn take(lock: u32, thread: u16, mode: LockMode) -> Option<WakeChanges> {
    with(|table| {
        if !table.is_there(thread, WaitsFor::Lock(lock, mode)) {
            return None;
        }
        // Others may have done something since it asked for it.
        let step = table.threads.get(usize::from(thread)).map_or(table.steps, |of| of.last);
        let object = &mut table.objects[lock as usize];
        object.holders |= bit(thread);
        object.alone = mode == LockMode::Alone;
        object.taken.push((thread, step));
        Some(table.review_lock(lock))
    })
}

/// Gives a lock back.
pub(crate) fn give(lock: u32, thread: u16) -> WakeChanges {
    with(|table| {
        let object = &mut table.objects[lock as usize];
        let last = object.taken.iter().rposition(|(holder, _)| *holder == thread);
        // A guard may be dropped by another thread than the one that took the lock.
        let last = last.or_else(|| object.taken.len().checked_sub(1));
        if let Some(last) = last {
            object.taken.remove(last);
        }
        object.holders = object.taken.iter().fold(0, |all, (holder, _)| all | bit(*holder));
        table.review_lock(lock)
    })
}

/// Sends a notice to one or all of those who wait for it now.
pub(crate) fn notify(notices: u32, all: bool) -> WakeChanges {
    with(|table| {
        let waits = |thread: &ThreadState| thread.want == Some(WaitsFor::Notice(notices));
        let waiting = table.threads.iter().enumerate().filter(|(_, thread)| waits(thread));
        let waiting = waiting.fold(0, |all, (number, _)| all | bit(number as u16));
        if waiting == 0 {
            return WakeChanges::NOTHING;
        }
        let object = &mut table.objects[notices as usize];
        if all {
            object.notices.extend(each(waiting).map(bit));
        } else {
            object.notices.push(waiting);
        }
        table.review(|want| want == WaitsFor::Notice(notices))
    })
}

/// A thread goes on by a notice: the one that can wake the fewest others, of which none is left.
pub(crate) fn noticed(notices: u32, thread: u16) -> WakeChanges {
    with(|table| {
        let object = &mut table.objects[notices as usize];
        let mine = (0..object.notices.len())
            .filter(|at| object.notices[*at] & bit(thread) != 0)
            .min_by_key(|at| object.notices[*at].count_ones());
        if let Some(mine) = mine {
            object.notices.remove(mine);
        }
        for notice in &mut object.notices {
            *notice &= !bit(thread);
        }
        object.notices.retain(|notice| *notice != 0);
        table.review(|want| want == WaitsFor::Notice(notices))
    })
}
