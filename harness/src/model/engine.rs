//! The present engine, its points, and how threads leave and come back.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{self, Blocked, Id, Mode, Want};
use super::{Engine, Touch, What, outer, set_outer};

thread_local! {
    static ENGINE: Cell<Engine> = const { Cell::new(Engine::None) };
    static LOGICAL: Cell<u16> = const { Cell::new(0) };
    /// The present run's number.
    static RUN: Cell<u64> = const { Cell::new(0) };
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
    static LISTENER: RefCell<Option<Box<dyn Listen>>> = const { RefCell::new(None) };
    static PANICKED: RefCell<Option<(u16, String)>> = const { RefCell::new(None) };
}

/// Hears what threads do, in the order in which they do it.
pub(crate) trait Listen {
    /// `thread` does this, as the run's `step`th operation, having come to `point` points so far.
    /// Called on the thread's own stack, just before the operation takes effect.
    fn touched(&mut self, step: u64, thread: u16, point: u32, touch: Touch);

    /// No thread can go on.
    fn stuck(&mut self, blocked: &[Blocked]);
}

/// Thrown by us through a model's stacks to leave a run that can't go on.
pub(crate) struct Abandoned;

/// Who drives this OS thread.
///
/// A thread that panics under loom gives the run up where it touches anything that loom knows of:
/// loom's own locks don't survive being given back by it.
#[inline]
pub(crate) fn engine() -> Engine {
    #[cfg(feature = "loom")]
    if ENGINE.get() == Engine::Loom && std::thread::panicking() {
        give_up();
    }
    ENGINE.get()
}

/// The logical thread that runs.
#[inline]
pub(crate) fn logical() -> u16 {
    LOGICAL.get()
}

/// The number of the present run, which no other run of the process has.
pub(crate) fn run() -> u64 {
    RUN.get()
}

/// Begins a run: from here on the present OS thread is this engine's, and its logical thread 0.
pub(crate) fn begin(engine: Engine) {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    ENGINE.set(engine);
    LOGICAL.set(0);
    RUN.set(RUNS.fetch_add(1, Ordering::Relaxed));
    QUIET.set(false);
    UNTIL.set(0);
    OVER.set(false);
    #[cfg(feature = "loom")]
    CROWD.set(false);
    PANICKED.take();
    table::begin();
}

/// Counts a point of a thread, at which it is about to ask.
#[cfg(feature = "shuttle")]
fn count_point(thread: u16) -> u32 {
    ASKS.set(true);
    table::count_point(thread)
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
    ENGINE.set(Engine::None);
    LOGICAL.set(0);
    set_outer(usize::MAX);
}

/// Lets this one hear of everything from here on, or nobody.
pub(crate) fn listen(listener: Option<Box<dyn Listen>>) -> Option<Box<dyn Listen>> {
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
    ENGINE.set(Engine::None);
}

/// Leaves a run that was given up, through all that is on the stack.
pub(crate) fn abandon() -> ! {
    give_up();
    std::panic::resume_unwind(Box::new(Abandoned))
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
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _before = Before(QUIET.replace(true));
    work()
}

/// Calls what may let other threads run, and puts back what follows the present one.
#[inline]
pub(crate) fn away<R>(call: impl FnOnce() -> R) -> R {
    struct Me(u16, usize);
    impl Drop for Me {
        #[inline]
        fn drop(&mut self) {
            LOGICAL.set(self.0);
            set_outer(self.1);
        }
    }
    let _me = Me(LOGICAL.get(), outer());
    call()
}

/// Runs a thread's work, as this logical thread.
pub(crate) fn enter(thread: u16) {
    LOGICAL.set(thread);
    set_outer(usize::MAX);
}

/// Whether a point is none at present. A thread that unwinds is not left: panics are counted by OS
/// thread, so that another one's locks would be poisoned, and another one's panic the end.
fn is_still() -> bool {
    QUIET.get() || std::thread::panicking()
}

/// A scheduling point: other threads may run before the present one does this.
#[inline]
pub(crate) fn point(touch: Touch) {
    if engine() != Engine::None {
        turn(touch);
    }
}

/// A point at what has a number of its own.
#[inline]
pub(crate) fn point_at(id: &Id, what: What) {
    if engine() != Engine::None {
        turn(Touch { what, object: id.number() });
    }
}

#[inline(never)]
fn turn(touch: Touch) {
    #[cfg(feature = "shuttle")]
    if ENGINE.get() == Engine::Shuttle && !is_still() {
        // Most points are none of the scheduler's concern: it has said how far this thread goes on.
        if count_point(logical()) >= UNTIL.get() {
            away(shuttle_engine::runtime::thread::switch);
        } else {
            ASKS.set(false);
        }
    }
    touched(touch);
}

/// Tells whoever listens what the present thread does now.
pub(crate) fn touched(touch: Touch) {
    if LISTENS.get() && !QUIET.get() {
        let (step, point) = table::step(logical());
        LISTENER.with(|listener| {
            if let Some(listener) = listener.borrow_mut().as_mut() {
                listener.touched(step, logical(), point, touch);
            }
        });
    } else {
        table::step(logical());
    }
}

/// Lets the present thread give up its turn.
pub(crate) fn yield_now() {
    match engine() {
        Engine::None => std::thread::yield_now(),
        #[cfg(feature = "shuttle")]
        Engine::Shuttle if std::thread::panicking() => {}
        #[cfg(feature = "shuttle")]
        Engine::Shuttle => {
            use shuttle_engine::runtime::execution::ExecutionState;
            count_point(logical());
            ExecutionState::request_yield();
            away(shuttle_engine::runtime::thread::switch);
            touched(Touch { what: What::Yield, object: u32::from(logical()) });
        }
        #[cfg(feature = "loom")]
        Engine::Loom => {
            away(loom::thread::yield_now);
            touched(Touch { what: What::Yield, object: u32::from(logical()) });
        }
    }
}

/// Tells that no thread can go on.
fn tell_stuck(blocked: &[Blocked]) {
    LISTENER.with(|listener| {
        if let Some(listener) = listener.borrow_mut().as_mut() {
            listener.stuck(blocked);
        }
    });
}

/// Where the threads stand that can't go on, if that is why the last run ended.
pub(crate) fn stuck() -> Option<Vec<Blocked>> {
    table::stuck()
}

// ---- waiting, under shuttle: the table decides who can go on, the engine is told ----

/// Lets the present thread wait until [`wake`] names it.
#[cfg(feature = "shuttle")]
fn block(want: Want) {
    use shuttle_engine::runtime::execution::ExecutionState;
    let me = logical();
    if let Some(blocked) = table::wait(me, want) {
        tell_stuck(&blocked);
    }
    count_point(me);
    ExecutionState::with(|state| state.current_mut().block(false));
    away(shuttle_engine::runtime::thread::switch);
    table::go_on(me);
}

/// Tells the engine who can go on now, and who can't any more.
#[cfg(feature = "shuttle")]
fn settle(changed: table::Changed) {
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

/// Takes a lock, which shuttle's threads have by the table alone.
#[cfg(feature = "shuttle")]
pub(crate) fn acquire(id: &Id, mode: Mode) {
    point_at(id, What::Lock);
    take(id, mode);
}

/// Takes a lock without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn take(id: &Id, mode: Mode) {
    let lock = id.number();
    while !try_take(id, mode) {
        block(Want::Lock(lock, mode));
    }
}

/// Takes a lock if that is possible at once, without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn try_take(id: &Id, mode: Mode) -> bool {
    match table::take(id.number(), logical(), mode) {
        Some(changed) => {
            settle(changed);
            true
        }
        None => false,
    }
}

/// Gives a lock back, without a point before.
#[cfg(feature = "shuttle")]
pub(crate) fn give(id: &Id) {
    settle(table::give(id.number(), logical()));
}

/// Waits for a notice, and gives the lock back meanwhile, in one step.
#[cfg(feature = "shuttle")]
pub(crate) fn wait(notices: &Id, lock: &Id) {
    point_at(notices, What::Wait);
    settle(table::give(lock.number(), logical()));
    block(Want::Notice(notices.number()));
    settle(table::noticed(notices.number(), logical()));
    take(lock, Mode::Alone);
}

/// Wakes one thread that waits for a notice, whichever the scheduler likes, or all.
#[cfg(feature = "shuttle")]
pub(crate) fn notify(notices: &Id, all: bool) {
    point_at(notices, What::Notify);
    settle(table::notify(notices.number(), all));
}

// ---- threads ----

/// A thread of the model that was started.
pub(crate) struct Spawned {
    pub(crate) thread: u16,
    #[cfg(feature = "loom")]
    handle: Option<loom::thread::JoinHandle<()>>,
}

/// Starts a thread of the model.
pub(crate) fn spawn(at: &'static Location<'static>, work: Box<dyn FnOnce() + Send>) -> Spawned {
    /// More than shuttle's 60 KiB: whoever is in a thread may print, format and unwind. It is
    /// mapped and not touched, so it costs little.
    const STACK: usize = 1 << 20;
    let _ = at;
    match engine() {
        Engine::None => {
            unreachable!("[mallory bug] a model's thread is started outside of a model")
        }
        #[cfg(feature = "shuttle")]
        Engine::Shuttle => {
            use shuttle_engine::runtime::execution::ExecutionState;
            // The engine lets others go on before it starts a thread.
            count_point(logical());
            let work = Box::new(move || {
                // Tasks are numbered as threads are: nobody else starts any.
                enter(usize::from(ExecutionState::me()) as u16);
                work();
                settle(table::end(logical()));
            });
            let spawned = away(|| ExecutionState::spawn_thread(work, STACK, None, None, at));
            let thread = usize::from(spawned) as u16;
            table::born(thread);
            touched(Touch { what: What::Spawn, object: u32::from(thread) });
            Spawned {
                thread,
                #[cfg(feature = "loom")]
                handle: None,
            }
        }
        #[cfg(feature = "loom")]
        Engine::Loom => {
            let thread = table::threads() as u16;
            if usize::from(thread) == LOOM_THREADS_MAX {
                CROWD.set(true);
                abandon();
            }
            table::born(thread);
            // Loom's own are 32 KiB.
            let builder = loom::thread::Builder::new().stack_size(STACK / size_of::<usize>());
            let handle = away(|| {
                builder.spawn(move || {
                    enter(thread);
                    work();
                    let _ = table::end(thread);
                })
            });
            touched(Touch { what: What::Spawn, object: u32::from(thread) });
            Spawned { thread, handle: handle.ok() }
        }
    }
}

/// The subject's own thread has come to its end.
pub(crate) fn leave() {
    if engine() != Engine::None {
        touched(Touch { what: What::End, object: u32::from(logical()) });
        let _ = table::end(logical());
    }
}

/// Loom's most threads, the subject's own included.
#[cfg(feature = "loom")]
pub(crate) const LOOM_THREADS_MAX: usize = 5;

/// Whether the run was given up since loom can't have as many threads as it starts.
#[cfg(feature = "loom")]
pub(crate) fn is_crowd() -> bool {
    CROWD.get()
}

/// Threads that there were in the run so far.
#[cfg(feature = "loom")]
pub(crate) fn threads() -> usize {
    table::threads()
}

/// Waits until a thread has ended.
pub(crate) fn join(spawned: Spawned) {
    let thread = spawned.thread;
    point(Touch { what: What::Join, object: u32::from(thread) });
    #[cfg(feature = "loom")]
    if let Some(handle) = spawned.handle {
        if engine() == Engine::Loom {
            expect(Want::End(thread));
            // What the thread threw was caught in it.
            let _ = away(|| handle.join());
            table::go_on(logical());
        }
        return;
    }
    #[cfg(feature = "shuttle")]
    while engine() == Engine::Shuttle && !table::has_ended(thread) {
        block(Want::End(thread));
    }
}

// ---- waiting, under loom: loom decides, the table is told ----

/// Notes that the present thread is about to wait for this, if it has to. Where it would be the
/// last one that runs, the run is given up here: loom would panic on a stack that then has locks to
/// give back, and panic again.
#[cfg(feature = "loom")]
pub(crate) fn expect(want: Want) {
    if let Some(blocked) = table::wait(logical(), want) {
        tell_stuck(&blocked);
        abandon();
    }
}

/// Notes that it has what it waited for.
#[cfg(feature = "loom")]
pub(crate) fn got(id: &Id, mode: Mode) {
    table::go_on(logical());
    let _ = table::take(id.number(), logical(), mode);
}

/// Notes that it goes on after a notice.
#[cfg(feature = "loom")]
pub(crate) fn noticed(id: &Id) {
    table::go_on(logical());
    let _ = table::noticed(id.number(), logical());
}

/// Notes that it gives a lock back.
#[cfg(feature = "loom")]
pub(crate) fn gave(id: &Id) {
    let _ = table::give(id.number(), logical());
}

/// Notes a notice.
#[cfg(feature = "loom")]
pub(crate) fn notified(id: &Id, all: bool) {
    let _ = table::notify(id.number(), all);
}
