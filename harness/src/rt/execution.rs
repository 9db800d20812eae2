//! The run on this OS thread: which engine drives it, which logical thread runs, what happens at a
//! scheduling point, who listens to the threads' operations, and how a run is abandoned.

use std::cell::{Cell, RefCell};

use crate::rt::access::AccessKind;
use crate::rt::backtrace_end::{backtrace_end, set_backtrace_end};
use crate::rt::current::{current_thread, set_current_thread};
#[cfg(feature = "shuttle")]
use crate::rt::lock_table::WaitsFor;
use crate::rt::lock_table::{self, BlockedThread};
use crate::rt::object_id::ObjectId;
#[cfg(feature = "shuttle")]
use crate::rt::own_choice::Offers;
use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind};
#[cfg(feature = "shuttle")]
use crate::rt::waits::{self, WaitEnd, WaitLimits};
use crate::rt::{access_log, run_threads};

thread_local! {
    static ENGINE: Cell<CurrentEngine> = const { Cell::new(CurrentEngine::None) };
    /// Whether scheduling points are off: the present thread runs code of the harness.
    static POINTS_OFF: Cell<bool> = const { Cell::new(false) };
    /// Whether the run is being abandoned: no thread waits for anything from then on.
    static ABANDONED: Cell<bool> = const { Cell::new(false) };
    /// Whether the scheduler's next decision belongs to a point that the lock table counted.
    static POINT_COUNTED: Cell<bool> = const { Cell::new(false) };
    /// The present thread passes its points before this one without asking the scheduler.
    static PASS_UNTIL: Cell<u32> = const { Cell::new(0) };
    /// Whether the run started more threads than loom can have.
    #[cfg(feature = "loom")]
    static EXCEEDED_THREAD_LIMIT: Cell<bool> = const { Cell::new(false) };
    /// Whether there is a listener; a fast check before `LISTENER` is borrowed.
    static HAS_LISTENER: Cell<bool> = const { Cell::new(false) };
    static LISTENER: RefCell<Option<Box<dyn ThreadListener>>> = const { RefCell::new(None) };
    /// The names of threads that may wait for ever.
    static DAEMONS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static FIRST_PANIC: RefCell<Option<(u16, String)>> = const { RefCell::new(None) };
}

/// Is told what the threads of a run do, in the order in which they do it.
pub(crate) trait ThreadListener {
    /// `thread`, which has reached `point` scheduling points so far, performs `operation`, the
    /// `step`th one of the run. Called on the thread's own stack, just before the operation takes
    /// effect.
    fn on_operation(&mut self, step: u64, thread: u16, point: u32, operation: SharedOp);

    /// `thread`, which is about to reach scheduling point `point`, asks for what it needs for
    /// `operation`, for which it may have to wait, as the `step`th operation of the run. Called on
    /// the thread's own stack.
    fn on_wait(&mut self, step: u64, thread: u16, point: u32, operation: SharedOp);

    /// No thread can continue.
    fn on_deadlock(&mut self, blocked: &[BlockedThread]);
}

/// The panic payload with which a run that can't continue is abandoned, through the model's stacks.
pub(crate) struct AbandonedRun;

/// The engine that drives this OS thread.
///
/// A thread that panics under loom abandons the run as soon as it touches anything that loom knows:
/// loom's own locks can't be unlocked by a panicking thread.
#[inline]
pub(crate) fn engine() -> CurrentEngine {
    #[cfg(feature = "loom")]
    if ENGINE.get() == CurrentEngine::Loom && std::thread::panicking() {
        mark_abandoned();
    }
    ENGINE.get()
}

/// Begins a run of `engine` on this OS thread, as logical thread 0.
pub(crate) fn begin_run(engine: CurrentEngine) {
    ENGINE.set(engine);
    set_current_thread(0);
    POINTS_OFF.set(false);
    PASS_UNTIL.set(0);
    POINT_COUNTED.set(false);
    ABANDONED.set(false);
    #[cfg(feature = "loom")]
    EXCEEDED_THREAD_LIMIT.set(false);
    FIRST_PANIC.take();
    lock_table::begin_run();
}

/// Counts a scheduling point of `thread`, at which the scheduler is about to decide.
#[cfg(feature = "shuttle")]
pub(crate) fn count_point(thread: u16) {
    POINT_COUNTED.set(true);
    run_threads::count_point(thread);
}

/// Whether the scheduler's present decision belongs to a point that was counted. Where the subject
/// uses shuttle past our facade, shuttle asks for decisions of its own.
#[cfg(feature = "shuttle")]
pub(crate) fn take_counted_point() -> bool {
    POINT_COUNTED.replace(false)
}

/// Lets the thread that continues pass all its points before `point` without asking the scheduler.
#[cfg(feature = "shuttle")]
pub(crate) fn pass_points_until(point: u32) {
    PASS_UNTIL.set(point);
}

/// Sets the names of threads that may wait for ever, for all runs from here on.
pub(crate) fn set_daemon_names(names: &[String]) {
    DAEMONS.set(names.to_vec());
}

/// Whether a thread with this name may wait for ever.
pub(crate) fn is_daemon_name(name: Option<&str>) -> bool {
    name.is_some_and(|name| DAEMONS.with_borrow(|names| names.iter().any(|one| one == name)))
}

/// Ends the run, also an abandoned one.
pub(crate) fn end_run() {
    ENGINE.set(CurrentEngine::None);
    set_current_thread(0);
    set_backtrace_end(usize::MAX);
}

/// Replaces the listener. Returns the former one.
pub(crate) fn listen(listener: Option<Box<dyn ThreadListener>>) -> Option<Box<dyn ThreadListener>> {
    HAS_LISTENER.set(listener.is_some());
    LISTENER.replace(listener)
}

/// Whether the run is being abandoned.
pub(crate) fn is_abandoned() -> bool {
    ABANDONED.get()
}

/// Marks the run as abandoned: from then on no thread waits, and the facade's types act as std's.
fn mark_abandoned() {
    ABANDONED.set(true);
    ENGINE.set(CurrentEngine::None);
}

/// Abandons the run: unwinds through all that is on the stack.
pub(crate) fn abandon() -> ! {
    mark_abandoned();
    std::panic::resume_unwind(Box::new(AbandonedRun))
}

/// Notes that the present thread panicked. Only a run's first panic is kept.
pub(crate) fn note_panic(message: String) {
    FIRST_PANIC.with(|first| {
        first.borrow_mut().get_or_insert_with(|| (current_thread(), message));
    });
}

/// The first thread of the run that panicked, and its message.
pub(crate) fn first_panic() -> Option<(u16, String)> {
    FIRST_PANIC.with(|first| first.borrow().clone())
}

/// Runs code of the harness, which is no part of what the subject does, without scheduling points.
pub(crate) fn without_points<R>(work: impl FnOnce() -> R) -> R {
    struct RestorePoints(bool);
    impl Drop for RestorePoints {
        fn drop(&mut self) {
            POINTS_OFF.set(self.0);
        }
    }
    let _before = RestorePoints(POINTS_OFF.replace(true));
    work()
}

/// Makes a call in which other threads may run, and restores the present thread's number and
/// backtrace end after it.
#[inline]
pub(crate) fn across_switch<R>(call: impl FnOnce() -> R) -> R {
    struct RestoreThread(u16, usize);
    impl Drop for RestoreThread {
        #[inline]
        fn drop(&mut self) {
            set_current_thread(self.0);
            set_backtrace_end(self.1);
        }
    }
    let _current = RestoreThread(current_thread(), backtrace_end());
    call()
}

/// Begins a thread's work on a fresh stack.
pub(crate) fn begin_thread(thread: u16) {
    set_current_thread(thread);
    set_backtrace_end(usize::MAX);
}

/// Whether the present thread passes its points without letting others run. A thread that unwinds
/// does: std counts panics per OS thread, so while it unwinds, the locks of any other logical
/// thread would be poisoned, and a panic of another one would abort the process.
#[cfg(feature = "shuttle")]
fn suppresses_points() -> bool {
    POINTS_OFF.get() || std::thread::panicking()
}

/// A scheduling point: other threads may run before the present one performs `operation`.
#[inline]
pub(crate) fn scheduling_point(operation: SharedOp) {
    if engine() != CurrentEngine::None {
        reach_point(operation);
    }
}

/// A scheduling point before an operation on an object that has a number of its own.
#[inline]
pub(crate) fn scheduling_point_on(id: &ObjectId, what: SharedOpKind) {
    if engine() != CurrentEngine::None {
        reach_point(SharedOp { what, object: id.number() });
    }
}

#[inline(never)]
fn reach_point(operation: SharedOp) {
    #[cfg(feature = "shuttle")]
    if ENGINE.get() == CurrentEngine::Shuttle && !suppresses_points() {
        // At most points there is nothing to decide: the scheduler has said how far this thread
        // continues.
        if let Some((step, point)) = run_threads::pass_point(current_thread(), PASS_UNTIL.get()) {
            if HAS_LISTENER.get() {
                tell_listener(step, point, operation);
            }
            return;
        }
        POINT_COUNTED.set(true);
        across_switch(shuttle_engine::runtime::thread::switch);
    }
    record_operation(operation);
}

/// A scheduling point before an operation for which the present thread may have to wait. Returns how
/// the wait ended. Then the operation is possible, and has to be performed at once.
#[cfg(feature = "shuttle")]
pub(crate) fn wait_at_point(operation: SharedOp, want: WaitsFor, limits: WaitLimits) -> WaitEnd {
    let thread = current_thread();
    let (step, points) = run_threads::count_operation(thread);
    if HAS_LISTENER.get() && !POINTS_OFF.get() {
        LISTENER.with(|listener| {
            if let Some(listener) = listener.borrow_mut().as_mut() {
                listener.on_wait(step, thread, points + 1, operation);
            }
        });
    }
    let suppresses_points = suppresses_points();
    if limits.drops != 0 && !suppresses_points {
        waits::offer(Offers { drops: limits.drops, branches: 0 });
    }
    let passes = suppresses_points || run_threads::passes(thread, PASS_UNTIL.get());
    if passes && waits::is_available(thread, want) {
        if suppresses_points {
            record_operation(operation);
        } else if let Some((step, point)) = run_threads::pass_point(thread, PASS_UNTIL.get())
            && HAS_LISTENER.get()
        {
            tell_listener(step, point, operation);
        }
        return WaitEnd::Ready;
    }
    count_point(thread);
    if let Some(blocked) = waits::begin_wait(thread, want, limits) {
        report_deadlock(&blocked);
    }
    across_switch(shuttle_engine::runtime::thread::switch);
    let end = waits::end_wait(thread);
    record_operation(operation);
    end
}

#[cold]
fn tell_listener(step: u64, point: u32, operation: SharedOp) {
    LISTENER.with(|listener| {
        if let Some(listener) = listener.borrow_mut().as_mut() {
            listener.on_operation(step, current_thread(), point, operation);
        }
    });
}

/// Counts an operation that the present thread performs now, and tells the listener.
pub(crate) fn record_operation(operation: SharedOp) {
    let (step, point) = run_threads::count_operation(current_thread());
    if HAS_LISTENER.get() && !POINTS_OFF.get() {
        tell_listener(step, point, operation);
    }
}

/// Notes that the present thread accesses memory at this address.
pub(crate) fn note_block_access(address: usize, is_write: bool) {
    if engine() == CurrentEngine::None {
        return;
    }
    let (what, kind) = match is_write {
        true => (SharedOpKind::CellWrite, AccessKind::CellWrite),
        false => (SharedOpKind::CellRead, AccessKind::CellRead),
    };
    record_operation(own_operation(what));
    access_log::log_block_access(address, kind);
}

/// An operation on the present thread itself.
pub(crate) fn own_operation(what: SharedOpKind) -> SharedOp {
    SharedOp { what, object: u32::from(current_thread()) }
}

/// Tells the listener that no thread can continue.
pub(crate) fn report_deadlock(blocked: &[BlockedThread]) {
    LISTENER.with(|listener| {
        if let Some(listener) = listener.borrow_mut().as_mut() {
            listener.on_deadlock(blocked);
        }
    });
}

/// Notes that a thread has ended.
pub(crate) fn end_thread(thread: u16) {
    if let Some(blocked) = run_threads::end_thread(thread) {
        report_deadlock(&blocked);
    }
}

/// The blocked threads, if the last run ended because none could continue.
pub(crate) fn deadlock() -> Option<Vec<BlockedThread>> {
    run_threads::deadlock()
}

/// Whether the run was abandoned because it started more threads than loom can have.
#[cfg(feature = "loom")]
pub(crate) fn exceeded_thread_limit() -> bool {
    EXCEEDED_THREAD_LIMIT.get()
}

/// Abandons the run because it starts more threads than loom can have.
#[cfg(feature = "loom")]
pub(crate) fn abandon_at_thread_limit() -> ! {
    EXCEEDED_THREAD_LIMIT.set(true);
    abandon()
}
