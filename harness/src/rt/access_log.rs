//! What is added to the log of a run: accesses, the values that loom's atomics hold, and the accesses
//! of memory that is watched for data races.

use crate::rt::access::{AccessKind, Object, Orders};
use crate::rt::lock_table::with_table;
use crate::rt::run_log::RunLog;

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
    with_table(|table| table.watched.add(address, size));
}

/// Notes that a watched block is freed.
pub(crate) fn note_block_free(address: usize) {
    with_table(|table| {
        if let Some(number) = table.watched.starting_at(address) {
            table.access(Object::Watched(number), AccessKind::BlockFree);
        }
    });
}

/// Adds an access of what is at this address to the log, if it is in a watched block.
pub(crate) fn log_block_access(address: usize, kind: AccessKind) {
    with_table(|table| {
        if let Some(number) = table.watched.containing(address) {
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
