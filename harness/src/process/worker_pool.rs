//! Workers: child processes that take items from shared memory until none are left. One that dies
//! is replaced, and the parent learns at which item it died.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::process::child::fork;
use crate::process::child_handle::{Child, POLL_INTERVAL, wait};
use crate::process::codec;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::watchdog::Watchdog;

/// A worker, as the parent's loop keeps it.
pub(crate) struct PoolMember<'a> {
    child: Child<'a>,
    watchdog: Watchdog,
    attempt: u32,
}

/// What the pool reports to its caller while it works.
pub(crate) enum WorkerEvent<T> {
    /// A worker sent this.
    Message(T),
    /// A worker died at this item; and whether other threads ran beside the one that forked it.
    Death(usize, Death, bool),
    /// A worker died before its first item, and another one is forked.
    FalseStart(Death),
    /// Nothing in particular: time to look at shared memory.
    Tick,
}

/// After this many workers in a row that die before their first item, the pool gives up.
pub(crate) const FALSE_STARTS_MAX: u32 = 3;

/// Runs all items of `memory` in `memory.jobs` workers, and replaces each worker that dies. Returns
/// `None` when all items are done, or the death of a worker before its first item if
/// [`FALSE_STARTS_MAX`] workers in a row died so.
///
/// # Errors
/// The system's error if a worker can't be forked.
pub(crate) fn run_workers<T: codec::Codec>(
    memory: &SharedMemory,
    patience: Duration,
    work: &dyn Fn(&ChildStatus, &Rc<Pipe>),
    mut hear: impl FnMut(WorkerEvent<T>),
) -> io::Result<Option<Death>> {
    let start = |job: usize, attempt: u32| {
        let status = memory.status(job);
        let child = fork(status, false, &|pipe| work(status, pipe))?;
        let watchdog = Watchdog::new(status, child.had_other_threads, attempt, patience);
        Ok(PoolMember { child, watchdog, attempt })
    };
    let mut members: Vec<Option<PoolMember>> =
        (0..memory.jobs).map(|job| start(job, 0).map(Some)).collect::<io::Result<_>>()?;
    let mut false_starts = 0;
    while members.iter().any(Option::is_some) {
        let children: Vec<&Child> = members.iter().flatten().map(|member| &member.child).collect();
        wait(&children, POLL_INTERVAL);
        for (job, place) in members.iter_mut().enumerate() {
            let Some(PoolMember { child, watchdog, attempt }) = place else { continue };
            let status = memory.status(job);
            let ended = child.check(watchdog);
            while let Some(message) = child.next() {
                hear(WorkerEvent::Message(message));
            }
            let Some(death) = ended else { continue };
            let attempt = *attempt;
            if death == Death::Stall && watchdog.may_retry(status) {
                let attempt = attempt + 1;
                *place = None;
                *place = Some(start(job, attempt)?);
                continue;
            }
            let had_other_threads = child.had_other_threads;
            *place = None;
            match status.current_item() {
                Some(item) => {
                    false_starts = 0;
                    hear(WorkerEvent::Death(item, death, had_other_threads));
                }
                // It was done, so its death says nothing about an item: threads that the subject
                // left running may have caused it.
                None if status.is_done() => {}
                None => {
                    false_starts += 1;
                    if false_starts >= FALSE_STARTS_MAX {
                        return Ok(Some(death));
                    }
                    hear(WorkerEvent::FalseStart(death));
                }
            }
            // A worker also ends early, with items left, when it has lost too much memory.
            if memory.has_more() {
                *place = Some(start(job, attempt)?);
            }
        }
        hear(WorkerEvent::Tick);
    }
    Ok(None)
}

/// A worker that has lost this many bytes to its subject's leaks ends, and a fresh one takes over.
const LEAKED_MAX: usize = 64 << 20;

/// How one item ended in a worker.
pub(crate) struct ItemEnd {
    /// The item's byte in shared memory from now on; never 0, which means that it is still to do.
    pub(crate) status: u8,
    /// What it adds to the work done: requests, or schedules.
    pub(crate) effort: u64,
    /// Bytes that the subject leaked.
    pub(crate) leaked: usize,
}

/// The loop of a worker: takes items until none are left, or until it has lost [`LEAKED_MAX`]
/// bytes.
pub(crate) fn take_items(
    memory: &SharedMemory,
    status: &ChildStatus,
    mut run: impl FnMut(usize) -> ItemEnd,
) {
    let mut leaked = 0;
    while let Some(item) = memory.claim() {
        if memory.outcome(item).load(Ordering::Relaxed) != 0 {
            continue;
        }
        status.set_item(Some(item));
        let end = run(item);
        memory.count(end.effort);
        memory.outcome(item).store(end.status, Ordering::Relaxed);
        status.heartbeat();
        leaked += end.leaked;
        if leaked > LEAKED_MAX {
            break;
        }
    }
    status.set_item(None);
}
