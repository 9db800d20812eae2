//! Workers: child processes that take items from shared memory until none are left. One that dies is
//! replaced, and the parent learns at which item it died.

use crate::process::child::Child;
use crate::process::child::GLANCE;
use crate::process::child::Watch;
use crate::process::child::fork;
use crate::process::child::wait;
use crate::process::codec;
use crate::process::exit::Death;
use crate::process::pipe::Pipe;
use crate::process::shared_memory::ChildStatus;
use crate::process::shared_memory::SharedMemory;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A worker's part in a crew.
pub(crate) struct PoolMember<'a> {
    child: Child<'a>,
    watch: Watch,
    attempt: u32,
}

/// What a crew tells while it works.
pub(crate) enum WorkerEvent<T> {
    /// A worker sent this.
    Message(T),
    /// A worker died at this point; and whether other threads ran beside the one that forked it.
    Death(usize, Death, bool),
    /// A worker died before its first point, and is followed by another.
    FalseStart(Death),
    /// Nothing in particular: time to look at the board.
    Glance,
}

/// So many workers in a row that die before their first point are not followed by another.
pub(crate) const FALSE_STARTS_MAX: u32 = 3;

/// Runs all points of a board in `jobs` children, started again whenever one dies. Answers the
/// death of a worker that was at no point, where others would die so as well.
pub(crate) fn run_workers<T: codec::Codec>(
    board: &SharedMemory,
    patience: Duration,
    work: &dyn Fn(&ChildStatus, &Rc<Pipe>),
    mut hear: impl FnMut(WorkerEvent<T>),
) -> io::Result<Option<Death>> {
    let start = |job: usize, attempt: u32| {
        let life = board.life(job);
        let child = fork(life, false, |pipe| work(life, pipe))?;
        Ok(PoolMember { watch: Watch::new(&child, attempt, patience), child, attempt })
    };
    let mut members: Vec<Option<PoolMember>> =
        (0..board.jobs).map(|job| start(job, 0).map(Some)).collect::<io::Result<_>>()?;
    let mut false_starts = 0;
    while members.iter().any(Option::is_some) {
        let children: Vec<&Child> = members.iter().flatten().map(|member| &member.child).collect();
        wait(&children, GLANCE);
        for (job, place) in members.iter_mut().enumerate() {
            let Some(PoolMember { child, watch, attempt }) = place else { continue };
            let life = board.life(job);
            let ended = child.look(watch);
            while let Some(message) = child.next() {
                hear(WorkerEvent::Message(message));
            }
            let Some(death) = ended else { continue };
            let attempt = *attempt;
            if death == Death::Stall && watch.was_early(life) {
                let attempt = attempt + 1;
                *place = None;
                *place = Some(start(job, attempt)?);
                continue;
            }
            let had_company = child.had_company;
            *place = None;
            match life.standing() {
                Some(point) => {
                    false_starts = 0;
                    hear(WorkerEvent::Death(point, death, had_company));
                }
                // It stepped down: what threads it leaves do to it is nobody's outcome.
                None if life.is_done() => {}
                None => {
                    false_starts += 1;
                    if false_starts >= FALSE_STARTS_MAX {
                        return Ok(Some(death));
                    }
                    hear(WorkerEvent::FalseStart(death));
                }
            }
            // One that stepped down before the end is followed by a fresh one, too.
            if board.has_more() {
                *place = Some(start(job, attempt)?);
            }
        }
        hear(WorkerEvent::Glance);
    }
    Ok(None)
}

/// A worker that has lost this many bytes to its subject's leaks is replaced by a fresh one.
const LEAKED_MAX: usize = 64 << 20;

/// How one item ended in a worker.
pub(crate) struct ItemEnd {
    /// What shared memory says of the item from now on; never 0, which means that it is still to do.
    pub(crate) status: u8,
    /// What it adds to the work done: requests, or schedules.
    pub(crate) effort: u64,
    /// Bytes that the subject leaked.
    pub(crate) leaked: usize,
}

/// The loop of a worker: takes items until there are none left, or it has lost too much memory.
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
        status.stand(Some(item));
        let end = run(item);
        memory.count(end.effort);
        memory.outcome(item).store(end.status, Ordering::Relaxed);
        status.live();
        leaked += end.leaked;
        if leaked > LEAKED_MAX {
            break;
        }
    }
    status.stand(None);
}
