//! Data races: two accesses of a cell or a block of memory by different threads, one of them to write
//! or to free, which nothing orders.
//!
//! What orders operations is found from the log of a run, by vector clocks: each thread has one, and
//! whatever threads synchronise by carries one from who releases to who acquires. A cell keeps the
//! latest access of each thread as an epoch, a thread and its time (FastTrack, Flanagan and Freund,
//! 2009). The orderings of atomics count as they are written, although under shuttle they all act as
//! sequentially consistent ones.

use std::collections::BTreeMap;

use crate::rt::access::{AccessKind, Object};
use crate::rt::run_log::{Access, RunLog};

/// For each thread how much of what it did is ordered before something.
#[derive(Clone, Debug, Default)]
struct VectorClock(Vec<u32>);

impl VectorClock {
    fn at(&self, thread: u16) -> u32 {
        self.0.get(usize::from(thread)).copied().unwrap_or(0)
    }

    fn advance(&mut self, thread: u16) {
        let index = usize::from(thread);
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] += 1;
    }

    fn join(&mut self, other: &VectorClock) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own = (*own).max(*other));
    }
}

/// One side of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RacingAccess {
    pub(crate) thread: u16,
    /// The number of the operation in the run.
    pub(crate) operation: u64,
    pub(crate) kind: AccessKind,
}

/// A data race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataRace {
    pub(crate) object: Object,
    /// In the order of the run.
    pub(crate) accesses: [RacingAccess; 2],
    /// What would have to order them.
    pub(crate) missing: String,
}

/// The most races of one run that are reported.
const RACES_MAX: usize = 8;

/// An access of a cell or a block, with the thread's time and the locks that it held.
#[derive(Clone, Debug)]
struct CellAccess {
    side: RacingAccess,
    time: u32,
    held: Vec<u32>,
}

#[derive(Default)]
struct RacingThread {
    clock: VectorClock,
    /// What a release fence has published.
    released: Option<VectorClock>,
    /// What relaxed loads have seen, for an acquire fence.
    seen: VectorClock,
    /// The locks that it holds.
    held: Vec<u32>,
}

#[derive(Default)]
struct SyncState {
    /// What those released that had it for themselves, and those that shared it.
    exclusive: VectorClock,
    shared: VectorClock,
    /// The threads that wrote it so far, each with its time.
    writers: BTreeMap<u16, u32>,
    /// The threads that read it.
    readers: BTreeMap<u16, u32>,
}

#[derive(Default)]
struct Detector {
    threads: Vec<RacingThread>,
    objects: BTreeMap<Object, SyncState>,
    /// The latest accesses of each cell, by thread and kind.
    cells: BTreeMap<Object, BTreeMap<(u16, AccessKind), CellAccess>>,
    races: Vec<DataRace>,
}

/// The data races of a run.
pub(crate) fn data_races(log: &RunLog) -> Vec<DataRace> {
    if !log.watches {
        return Vec::new();
    }
    let mut detector = Detector::default();
    for access in &log.accesses {
        if detector.races.len() >= RACES_MAX {
            break;
        }
        detector.add(access);
    }
    detector.races
}

fn conflict(one: AccessKind, other: AccessKind) -> bool {
    use AccessKind::{BlockFree, BlockUse, CellRead, CellWrite};
    match (one, other) {
        (BlockFree, _) | (_, BlockFree) => true,
        (CellRead, CellRead) | (BlockUse, BlockUse | CellRead) | (CellRead, BlockUse) => false,
        (CellRead | CellWrite | BlockUse, CellRead | CellWrite | BlockUse) => true,
        _ => false,
    }
}

impl Detector {
    fn thread(&mut self, thread: u16) -> &mut RacingThread {
        let index = usize::from(thread);
        while self.threads.len() <= index {
            let mut state = RacingThread::default();
            state.clock.advance(self.threads.len() as u16);
            self.threads.push(state);
        }
        &mut self.threads[index]
    }

    fn add(&mut self, access: &Access) {
        use AccessKind::{
            Acquire, AcquireShared, BlockFree, BlockUse, CellRead, CellWrite, Fence, Release,
            ReleaseShared, TryAcquire, TryAcquireShared,
        };
        let Access { thread, object, kind, .. } = *access;
        self.thread(thread);
        match (kind, object) {
            (CellRead | CellWrite | BlockUse | BlockFree, _) => {
                return self.add_cell_access(access);
            }
            (Fence, _) => return self.add_fence(access),
            (Acquire | TryAcquire | AcquireShared | TryAcquireShared, Object::Shared(lock)) => {
                self.thread(thread).held.push(lock);
            }
            (Release | ReleaseShared, Object::Shared(lock)) => {
                let held = &mut self.thread(thread).held;
                if let Some(last) = held.iter().rposition(|held| *held == lock) {
                    held.remove(last);
                }
            }
            _ => {}
        }
        self.synchronise(access);
    }

    fn synchronise(&mut self, access: &Access) {
        let Access { thread, object, kind, orders, .. } = *access;
        let state = &mut self.threads[usize::from(thread)];
        let sync = self.objects.entry(object).or_default();
        if orders.acquires {
            state.clock.join(&sync.exclusive);
            if !matches!(kind, AccessKind::AcquireShared | AccessKind::TryAcquireShared) {
                state.clock.join(&sync.shared);
            }
        } else {
            state.seen.join(&sync.exclusive);
        }
        let time = state.clock.at(thread);
        match kind {
            AccessKind::Read => {
                sync.readers.insert(thread, time);
            }
            AccessKind::Write => {
                sync.writers.insert(thread, time);
                if orders.continues {
                    sync.readers.insert(thread, time);
                }
            }
            _ => {}
        }
        let releases = orders.releases;
        let published = if releases { Some(&state.clock) } else { state.released.as_ref() };
        match kind {
            AccessKind::ReleaseShared => sync.shared.join(&state.clock),
            // A plain store ends what was released before; other accesses add to it.
            AccessKind::Write if !orders.continues => {
                sync.exclusive = published.cloned().unwrap_or_default();
            }
            AccessKind::Write => {
                if let Some(published) = published {
                    sync.exclusive.join(published);
                }
            }
            _ if releases => sync.exclusive.join(&state.clock),
            _ => {}
        }
        if releases {
            state.clock.advance(thread);
        }
    }

    fn add_fence(&mut self, access: &Access) {
        let state = self.thread(access.thread);
        if access.orders.acquires {
            let seen = std::mem::take(&mut state.seen);
            state.clock.join(&seen);
        }
        if access.orders.releases {
            state.released = Some(state.clock.clone());
            state.clock.advance(access.thread);
        }
    }

    fn add_cell_access(&mut self, access: &Access) {
        let Access { thread, object, kind, operation, .. } = *access;
        let state = &self.threads[usize::from(thread)];
        let side = RacingAccess { thread, operation, kind };
        let present = CellAccess { side, time: state.clock.at(thread), held: state.held.clone() };
        let accesses = self.cells.entry(object).or_default();
        let races = accesses.values().find(|before| {
            before.side.thread != thread
                && conflict(before.side.kind, kind)
                && before.time > state.clock.at(before.side.thread)
        });
        if let Some(before) = races.cloned() {
            let missing = self.missing(&before, &present);
            self.races.push(DataRace { object, accesses: [before.side, side], missing });
        }
        let accesses = self.cells.entry(object).or_default();
        if matches!(kind, AccessKind::CellWrite | AccessKind::BlockFree) {
            // Who is ordered behind this is ordered behind what came before it.
            accesses.retain(|_, before| before.side.thread == thread);
        }
        accesses.insert((thread, kind), present);
    }

    /// What would have to order two accesses.
    fn missing(&self, first: &CellAccess, second: &CellAccess) -> String {
        let [one, two] = [first.side.thread, second.side.thread];
        // An atomic that the first thread wrote since, and the second one has read.
        let clock = &self.threads[usize::from(two)].clock;
        let is_passed_on = |sync: &&SyncState| {
            sync.writers.get(&one).is_some_and(|time| *time >= first.time)
                && sync.readers.get(&two).is_some_and(|time| *time <= clock.at(two))
        };
        let passed_on = self.objects.iter().find(|(_, sync)| is_passed_on(sync));
        if let Some((Object::Shared(number), _)) = passed_on {
            return format!(
                "T{one} stores o{number} and T{two} loads it, but that orders nothing: store it with \
                 Release and load it with Acquire"
            );
        }
        let held = |of: &CellAccess| match of.held.as_slice() {
            [] => format!("T{} holds no lock", of.side.thread),
            locks => {
                let locks: Vec<String> = locks.iter().map(|lock| format!("o{lock}")).collect();
                format!("T{} holds {}", of.side.thread, locks.join(" and "))
            }
        };
        let (first, second) = (held(first), held(second));
        format!("nothing orders the two: {first}, {second}; both have to hold one lock")
    }
}

#[cfg(test)]
#[path = "data_races_tests.rs"]
mod tests;
