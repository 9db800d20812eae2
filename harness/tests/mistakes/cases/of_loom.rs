//! What loom has and std has not, and real time: each says what to use instead.
//@ feature shuttle
//~ `Notify` is of loom, and not here: std has no such type
//~ use `thread::park` and `Thread::unpark`, or a `Condvar`
//~ `unsync_load` and `with_mut` of atomics are of loom, and not here: std has neither
//~ use `into_inner`, or `load`
//~ `cell::Cell` is of loom, and not here
//~ use `sync::cell::UnsafeCell` where threads share it
use mallory::sync::Notify;
use mallory::sync::atomic::AtomicUsize;
use mallory::sync::cell::Cell;

struct Shared {
    notify: Notify,
    count: AtomicUsize,
}

fn main() {
    let mut shared = Shared { notify: Notify::new(), count: AtomicUsize::new(0) };
    shared.count.with_mut(|count| *count = 1);
    let _ = shared.count.unsync_load();
    let _ = Cell::new(shared.notify);
}
