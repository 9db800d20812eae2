//! What a thread does at a scheduling point, and which engine decides whether it continues there.

/// What schedules the threads of this OS thread.
#[cfg(mallory_model)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CurrentEngine {
    /// The operating system: no model is running, and threads are ordinary ones.
    None,
    /// Shuttle, with our scheduler in it.
    #[cfg(feature = "shuttle")]
    Shuttle,
    /// Loom.
    #[cfg(feature = "loom")]
    Loom,
}

/// What a thread does at a scheduling point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SharedOpKind {
    Lock,
    Unlock,
    Load,
    Store,
    /// An atomic read-modify-write.
    Rmw,
    /// Waits for a condition variable's notification.
    Wait,
    Notify,
    /// Sends a value to a channel.
    Send,
    /// Receives a value from a channel.
    Receive,
    /// Drops a channel's end.
    Hangup,
    /// Arrives at a barrier.
    Arrive,
    /// Polls a future of an object, or waits until it is woken.
    Await,
    /// Chooses by itself: which branch of a `select!` is polled first, or whether a future is dropped.
    Choose,
    /// Parks itself.
    Park,
    Unpark,
    /// Reads or writes a cell that is watched for data races.
    CellRead,
    CellWrite,
    Request,
    Free,
    Spawn,
    Join,
    Yield,
    Sleep,
    /// Reads the simulated time.
    Clock,
    /// The thread ends.
    End,
}

/// One operation that other threads may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SharedOp {
    pub(crate) what: SharedOpKind,
    /// What it is done to. For locks, atomics, condition variables and the like: their number in the
    /// order of their first use in the run, from 0. For requests and frees: the heap's number.
    /// Otherwise: the thread's.
    pub(crate) object: u32,
}
