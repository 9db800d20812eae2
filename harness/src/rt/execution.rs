//! The present engine, its points, and how threads leave and come back.

use std::cell::{Cell, RefCell};

use crate::rt::lock_table;
use crate::rt::lock_table::{BlockedThread, ObjectId};
use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind, outer, set_outer};

thread_local! {
    static ENGINE: Cell<CurrentEngine> = const { Cell::new(CurrentEngine::None) };
    static LOGICAL: Cell<u16> = const { Cell::new(0) };
    /// Whether points are left out at present: who runs is at work for the harness.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Whether the run is being given up: nothing waits any more.
    static OVER: Cell<bool> = const { Cell::new(false) };
    /// Whether the present thread asks at a point that was counted.
    static ASKS: Cell<bool> = const { Cell::new(false) };
    /// The first point at which the present thread has to ask whether it goes on.
    static UNTIL: Cell<u32> = const { Cell::new(0) };
    /// Whether it started more threads than loom can have.
    #[cfg(feature = "loom")]
    static CROWD: Cell<bool> = const { Cell::new(false) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static LISTENER: RefCell<Option<Box<dyn ThreadListener>>> = const { RefCell::new(None) };
    static PANICKED: RefCell<Option<(u16, String)>> = const { RefCell::new(None) };
}

/// Hears what threads do, in the order in which they do it.
pub(crate) trait ThreadListener {
    /// `thread` does this, as the run's `step`th operation, having come to `point` points so far.
    /// Called on the thread's own stack, just before the operation takes effect.
    fn touched(&mut self, step: u64, thread: u16, point: u32, touch: SharedOp);

    /// No thread can go on.
    fn stuck(&mut self, blocked: &[BlockedThread]);
}

/// Thrown by us through a model's stacks to leave a run that can't go on.
pub(crate) struct AbandonedRun;

/// Who drives this OS thread.
///
/// A thread that panics under loom gives the run up where it touches anything that loom knows of:
/// loom's own locks don't survive being given back by it.
#[inline]
pub(crate) fn engine() -> CurrentEngine {
    #[cfg(feature = "loom")]
    if ENGINE.get() == CurrentEngine::Loom && std::thread::panicking() {
        give_up();
    }
    ENGINE.get()
}

/// The logical thread that runs.
#[inline]
pub(crate) fn logical() -> u16 {
    LOGICAL.get()
}

/// Begins a run: from here on the present OS thread is this engine's, and its logical thread 0.
pub(crate) fn begin(engine: CurrentEngine) {
    ENGINE.set(engine);
    LOGICAL.set(0);
    QUIET.set(false);
    UNTIL.set(0);
    OVER.set(false);
    #[cfg(feature = "loom")]
    CROWD.set(false);
    PANICKED.take();
    lock_table::begin();
}

/// Counts a point of a thread, at which it is about to ask.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) -> u32 {
    ASKS.set(true);
    lock_table::count_point(thread)
}

/// Whether the thread that asks has come to a point that was counted: where one ends, the engine asks
/// on its own.
#[cfg(feature = "shuttle")]
pub(crate) fn take_asks() -> bool {
    ASKS.replace(false)
}

/// Lets the thread that goes on pass all points before this one without asking.
#[cfg(feature = "shuttle")]
pub(crate) fn go_until(point: u32) {
    UNTIL.set(point);
}

/// Ends the run, also one whose stacks were given up.
pub(crate) fn end() {
    ENGINE.set(CurrentEngine::None);
    LOGICAL.set(0);
    set_outer(usize::MAX);
}

/// Lets this one hear of everything from here on, or nobody.
pub(crate) fn listen(listener: Option<Box<dyn ThreadListener>>) -> Option<Box<dyn ThreadListener>> {
    LISTENS.set(listener.is_some());
    LISTENER.replace(listener)
}

/// Whether the run is being given up.
pub(crate) fn is_over() -> bool {
    OVER.get()
}

/// Gives the run up: from here on nothing waits, and what is shared is std's.
pub(crate) fn give_up() {
    OVER.set(true);
    ENGINE.set(CurrentEngine::None);
}

/// Leaves a run that was given up, through all that is on the stack.
pub(crate) fn abandon() -> ! {
    give_up();
    std::panic::resume_unwind(Box::new(AbandonedRun))
}

/// Notes that a thread panicked; the first one counts.
pub(crate) fn note_panic(message: String) {
    PANICKED.with(|panicked| {
        panicked.borrow_mut().get_or_insert_with(|| (logical(), message));
    });
}

/// The first thread that panicked, and what it said.
pub(crate) fn panicked() -> Option<(u16, String)> {
    PANICKED.with(|panicked| panicked.borrow().clone())
}

/// Runs something that is no part of what the subject does: without points.
pub(crate) fn quietly<R>(work: impl FnOnce() -> R) -> R {
    struct RestoreQuiet(bool);
    impl Drop for RestoreQuiet {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _before = RestoreQuiet(QUIET.replace(true));
    work()
}

/// Calls what may let other threads run, and puts back what follows the present one.
#[inline]
pub(crate) fn away<R>(call: impl FnOnce() -> R) -> R {
    struct RestoreThread(u16, usize);
    impl Drop for RestoreThread {
        #[inline]
        fn drop(&mut self) {
            LOGICAL.set(self.0);
            set_outer(self.1);
        }
    }
    let _me = RestoreThread(LOGICAL.get(), outer());
    call()
}

/// From here on this logical thread runs.
#[cfg(feature = "shuttle")]
pub(crate) fn go_on_as(thread: u16) {
    LOGICAL.set(thread);
}

/// Runs a thread's work, as this logical thread.
pub(crate) fn enter(thread: u16) {
    LOGICAL.set(thread);
    set_outer(usize::MAX);
}

/// Whether a point is none at present. A thread that unwinds is not left: panics are counted by OS
/// thread, so that another one's locks would be poisoned, and another one's panic the end.
#[cfg(feature = "shuttle")]
fn is_still() -> bool {
    QUIET.get() || std::thread::panicking()
}

/// A scheduling point: other threads may run before the present one does this.
#[inline]
pub(crate) fn point(touch: SharedOp) {
    if engine() != CurrentEngine::None {
        turn(touch);
    }
}

/// A point at what has a number of its own.
#[inline]
pub(crate) fn point_at(id: &ObjectId, what: SharedOpKind) {
    if engine() != CurrentEngine::None {
        turn(SharedOp { what, object: id.number() });
    }
}

#[inline(never)]
fn turn(touch: SharedOp) {
    #[cfg(feature = "shuttle")]
    if ENGINE.get() == CurrentEngine::Shuttle && !is_still() {
        // Most points are none of the scheduler's concern: it has said how far this thread goes on.
        if let Some((step, point)) = lock_table::pass(logical(), UNTIL.get()) {
            if LISTENS.get() {
                tell(step, point, touch);
            }
            return;
        }
        ASKS.set(true);
        away(shuttle_engine::runtime::thread::switch);
    }
    touched(touch);
}

/// Tells whoever listens what the present thread does.
#[cold]
fn tell(step: u64, point: u32, touch: SharedOp) {
    LISTENER.with(|listener| {
        if let Some(listener) = listener.borrow_mut().as_mut() {
            listener.touched(step, logical(), point, touch);
        }
    });
}

/// Tells whoever listens what the present thread does now.
pub(crate) fn touched(touch: SharedOp) {
    let (step, point) = lock_table::step(logical());
    if LISTENS.get() && !QUIET.get() {
        tell(step, point, touch);
    }
}

/// Lets the present thread give up its turn.
pub(crate) fn yield_now() {
    match engine() {
        CurrentEngine::None => std::thread::yield_now(),
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle if std::thread::panicking() => {}
        #[cfg(feature = "shuttle")]
        CurrentEngine::Shuttle => {
            use shuttle_engine::runtime::execution::ExecutionState;
            count_point(logical());
            ExecutionState::request_yield();
            away(shuttle_engine::runtime::thread::switch);
            touched(SharedOp { what: SharedOpKind::Yield, object: u32::from(logical()) });
        }
        #[cfg(feature = "loom")]
        CurrentEngine::Loom => {
            away(loom::thread::yield_now);
            touched(SharedOp { what: SharedOpKind::Yield, object: u32::from(logical()) });
        }
    }
}

/// Tells that no thread can go on.
pub(crate) fn tell_stuck(blocked: &[BlockedThread]) {
    LISTENER.with(|listener| {
        if let Some(listener) = listener.borrow_mut().as_mut() {
            listener.stuck(blocked);
        }
    });
}

/// Where the threads stand that can't go on, if that is why the last run ended.
pub(crate) fn stuck() -> Option<Vec<BlockedThread>> {
    lock_table::stuck()
}

/// Whether the run was given up since loom can't have as many threads as it starts.
#[cfg(feature = "loom")]
pub(crate) fn is_crowd() -> bool {
    CROWD.get()
}

/// Gives the run up since it starts more threads than loom can have.
#[cfg(feature = "loom")]
pub(crate) fn crowd() -> ! {
    CROWD.set(true);
    abandon()
}

/// Tells the engine who can go on now, and who can't any more.
#[cfg(feature = "shuttle")]
pub(crate) fn settle(changed: lock_table::WakeChanges) {
    use shuttle_engine::runtime::execution::ExecutionState;
    if changed.is_nothing() {
        return;
    }
    ExecutionState::with(|state| {
        for thread in changed.awake() {
            state.get_mut(usize::from(thread).into()).unblock();
        }
        for thread in changed.asleep() {
            state.get_mut(usize::from(thread).into()).block(false);
        }
    });
}
