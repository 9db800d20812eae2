//! The memory parts and the services shared by several threads. Each subject is as small as it can
//! be while its threads still contend: it is run by real threads, and explored in every order of
//! threads with every fault.
//!
//! When its threads are done, each subject checks its invariants by `assert!`; it returns a value
//! that doesn't depend on the order of the threads.

pub mod cache_rebuild;
pub mod classics;
pub mod intern;
pub(crate) mod join;
pub mod journal;
pub mod lfs_batch;
pub mod message_queue;
pub mod pool;
#[cfg(feature = "shuttle")]
pub mod queue;
pub mod slab;
pub mod state_listener;
pub mod system_port;

use mallory::{Heap, Refused, Scenario};

/// A subject: what it is called, what it is about, and what it does on a heap.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// Starts its threads, waits for them, and returns their result.
    pub run: fn(&Heap) -> Result<usize, Refused>,
}

/// Every subject, in the order of the names.
pub const SUBJECTS: [Subject; 10] = [
    Subject {
        name: "concurrent/cache-rebuild",
        about: "a cache is rebuilt while look-ups go on",
        run: cache_rebuild::rebuild_beside_look_ups,
    },
    Subject {
        name: "concurrent/intern",
        about: "two threads acquire, retain, compare and release equal and different strings",
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
        name: "concurrent/message-queue",
        about: "two workers take messages from one queue, and put aside what they can't deal with",
        run: message_queue::two_workers,
    },
    Subject {
        name: "concurrent/pool",
        about: "two threads take from one pool, and give back",
        run: pool::lend,
    },
    Subject {
        name: "concurrent/slab",
        about: "two threads with a slab each read what is in the other's slab",
        run: slab::lend,
    },
    Subject {
        name: "concurrent/state-listener",
        about: "two threads send messages to two listeners, one of which leaves early",
        run: state_listener::two_listeners,
    },
    Subject {
        name: "concurrent/system-port",
        about: "the system port's counters while two threads allocate and free",
        run: system_port::count,
    },
];

/// The subjects whose threads are async tasks: no real threads run them.
#[cfg(feature = "shuttle")]
const TASKS: &[Subject] = &[Subject {
    name: "concurrent/queue",
    about: "a message queue of async tasks, whose supervisor replaces a worker that was dropped",
    run: queue::deliver,
}];
#[cfg(not(feature = "shuttle"))]
const TASKS: &[Subject] = &[];

/// The subjects, as the command line has them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |Subject { name, about, run, .. }| {
        Scenario::threads(name, about, move |explore| explore.oom(|_: &Refused| true).run(run))
    };
    SUBJECTS.into_iter().chain(TASKS.iter().copied()).map(scenario).collect()
}
