//! The memory parts and services with several threads on them, each as small as it can be and still
//! meet: to be run by real threads, and explored in every order of threads and with every fault.
//!
//! Each subject says what has to hold, by `assert!`, once its threads are done, and answers what
//! doesn't depend on who was first.

pub mod cache_rebuild;
pub mod intern;
pub mod journal;
pub mod lfs_batch;
pub mod slab;
pub mod system_port;

use std::panic::resume_unwind;

use mallory::{Heap, Refused, Scenario};

use crate::thread::JoinHandle;

/// A subject: what it is called, what it is about, and what it does on a heap.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// Starts its threads, waits for them, and answers what came of it.
    pub run: fn(&Heap) -> Result<usize, Refused>,
}

/// Every subject, in the order of the names.
pub const SUBJECTS: [Subject; 7] = [
    Subject {
        name: "concurrent/cache-rebuild",
        about: "a cache is made anew while look-ups go on",
        run: cache_rebuild::rebuild_beside_look_ups,
    },
    Subject {
        name: "concurrent/intern",
        about: "two threads take, keep, compare and give up the same and different strings",
        run: intern::two,
    },
    Subject {
        name: "concurrent/intern-three",
        about: "the same with a third thread",
        run: intern::three,
    },
    Subject {
        name: "concurrent/journal",
        about: "a journal with a writer, a reader and a compactor",
        run: journal::write_read_compact,
    },
    Subject {
        name: "concurrent/lfs-batch",
        about: "two workers answer batches over one metadata store",
        run: lfs_batch::two_workers,
    },
    Subject {
        name: "concurrent/slab",
        about: "two threads with a slab each lend one another what is in it",
        run: slab::lend,
    },
    Subject {
        name: "concurrent/system-port",
        about: "the system port's counters while two threads take and give back",
        run: system_port::count,
    },
];

/// The subjects, as the command line has them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |Subject { name, about, run, .. }| {
        Scenario::threads(name, about, move |explore| explore.oom(|_: &Refused| true).run(run))
    };
    SUBJECTS.into_iter().map(scenario).collect()
}

/// Waits for a thread; its panic is the waiting one's as well.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
