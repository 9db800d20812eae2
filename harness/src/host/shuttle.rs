//! Shuttle as a host: its engine runs the threads, our searches say whose turn it is.
//!
//! Shuttle gives up an execution by a panic out of its runner (a deadlock), or by being told that
//! nobody goes on (too many steps). The stacks of such an execution are given up as they are, so
//! what has to be known of a run lies outside of them: a [`ScheduledRun`] is made ready before and looked
//! at after.
//!
//! Else one execution is many runs: see `model/crew.rs`.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use ::shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use ::shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::host::{Host, RehearsedRun, ScheduledRun};
use crate::process::status;
use crate::report::format::said;
use crate::rt;
use crate::rt::thread_set::{THREADS_MAX, ThreadSet, bit};
use crate::rt::{NextTask, TaskPool};
use crate::run::outcome::{Cue, ScheduledEnd, Stopped, ThreadScheduler};
use crate::schedule::Preemption;
use crate::schedule::search::Search;

/// Threads that make requests under an unwinder, and tests that print, fit in this. It is mapped and
/// not touched, so it costs little.
const STACK: usize = 1 << 20;

/// Shuttle writes down whose turn it was as long as an execution goes on: so many times at the most,
/// about.
const ASKED_MAX: u32 = 2_000;

/// The host.
#[derive(Debug)]
pub(crate) struct Shuttle;

/// What the scheduler and the loop around it share: a scheduler is the runner's own.
struct ShuttleShared {
    search: Rc<RefCell<Search>>,
    piece: *mut (dyn ScheduledRun + 'static),
    /// How often shuttle has asked in the present execution.
    asked: Cell<u32>,
    /// Whether a schedule has begun that nobody has looked at yet.
    going: Cell<bool>,
    /// Whether the piece has had enough.
    enough: Cell<bool>,
    stopped: RefCell<Option<Stopped>>,
    threads: Cell<usize>,
    /// How many points each thread has come to beside those that the model counts: where it ends,
    /// there are some that no operation stands at.
    more: [Cell<u32>; THREADS_MAX],
}

thread_local! {
    /// What this OS thread's runner runs at present.
    static SHARED: RefCell<Option<Rc<ShuttleShared>>> = const { RefCell::new(None) };
}

fn shared() -> Rc<ShuttleShared> {
    let shared = SHARED.with(|shared| shared.borrow().clone());
    shared.expect("[mallory bug] a runner has a piece to run")
}

impl ShuttleShared {
    fn new(search: Rc<RefCell<Search>>, piece: *mut (dyn ScheduledRun + 'static)) -> ShuttleShared {
        ShuttleShared {
            search,
            piece,
            asked: Cell::new(0),
            going: Cell::new(false),
            enough: Cell::new(false),
            stopped: RefCell::new(None),
            threads: Cell::new(1),
            more: [const { Cell::new(0) }; THREADS_MAX],
        }
    }

    /// Calls the present piece.
    fn with_piece<R>(&self, call: impl FnOnce(&mut dyn ScheduledRun) -> R) -> R {
        // SAFETY: `Host::search` borrows the piece mutably for as long as a runner gets at this, and
        // calls of it don't nest: `begin` and `end` come between runs, and `body` in one. A `body`
        // whose stack was given up never goes on.
        call(unsafe { &mut *self.piece })
    }

    /// The number of the point that a thread asks at.
    fn point(&self, thread: u16) -> u32 {
        let more = &self.more[usize::from(thread)];
        if !rt::take_asks() {
            more.set(more.get() + 1);
        }
        rt::points(thread) + more.get()
    }

    /// The first point, as the model counts, at which a thread has to ask again.
    fn until(&self, thread: u16, search: &Search) -> u32 {
        let more = self.more[usize::from(thread)].get();
        search.until(thread, rt::points(thread) + more).saturating_sub(more)
    }

    /// Looks at the run that has ended, if there is one.
    fn settle(&self) {
        if !self.going.replace(false) {
            return;
        }
        let mut search = self.search.borrow_mut();
        let conducted = ScheduledEnd {
            stopped: self.stopped.take(),
            diverged: search.diverged(),
            threads: self.threads.get(),
            panicked: rt::panicked().map(|(_, said)| said),
        };
        rt::end();
        search.end();
        if !self.with_piece(|piece| piece.end(conducted, &search)) {
            self.enough.set(true);
        }
    }

    /// Looks at the last run, and begins the next one.
    fn next(&self) -> bool {
        self.settle();
        if self.enough.get() || !self.search.borrow_mut().next() {
            self.enough.set(true);
            return false;
        }
        status::begin_schedule();
        let threads = self.threads.get();
        for more in &self.more[..threads] {
            more.set(0);
        }
        rt::begin(rt::CurrentEngine::Shuttle);
        self.threads.set(1);
        self.with_piece(|piece| piece.begin());
        self.going.set(true);
        true
    }
}

/// What an execution's first thread does: one run after the other.
fn runs() {
    let shared = shared();
    loop {
        shared.with_piece(|piece| piece.body());
        rt::leave();
        if !rt::gather() {
            return;
        }
        shared.settle();
        if shared.asked.get() > ASKED_MAX || !shared.next() {
            rt::dismiss();
            return;
        }
    }
}

/// Shuttle's view of a search.
struct Asked(Rc<ShuttleShared>);

impl Scheduler for Asked {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.asked.set(0);
        TaskPool::new().replace();
        self.0.next().then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let next = self.choose(runnable, current, is_yielding)?;
        // Also where threads change places past us.
        rt::go_on_as(usize::from(next) as u16);
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

impl Asked {
    fn choose(
        &self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let shared = &self.0;
        shared.asked.set(shared.asked.get() + 1);
        let is_there = |task: &TaskId| runnable.iter().any(|other| other.id() == *task);
        let first = runnable.first().map(|task| task.id());
        let Some(current) = current else { return first };
        match rt::next() {
            NextTask::Scheduled => {}
            NextTask::First => return first,
            NextTask::Same | NextTask::Any => return Some(current).filter(is_there).or(first),
        }
        let mut threads: ThreadSet = 0;
        for task in runnable {
            let thread = usize::from(task.id());
            if thread >= THREADS_MAX {
                shared.stopped.replace(Some(Stopped::Crowd));
                return None;
            }
            threads |= bit(thread as u16);
            shared.threads.set(shared.threads.get().max(thread + 1));
        }
        let mut search = shared.search.borrow_mut();
        if search.is_too_long() {
            shared.stopped.replace(Some(Stopped::Endless));
            return None;
        }
        let made = search.turns().len();
        let thread = usize::from(current) as u16;
        let to = search.decide(threads, thread, shared.point(thread), is_yielding);
        rt::go_until(shared.until(to, &search));
        if let Some(turn) = search.turns().get(made) {
            status::add_preemption(turn.pack());
        }
        Some(TaskId::from(usize::from(to)))
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.failure_persistence = FailurePersistence::None;
    // Ours counts from the search, and ends a run without a panic.
    config.max_steps = MaxSteps::None;
    config.silence_warnings = true;
    config
}

impl Host for Shuttle {
    fn search(&self, search: Rc<RefCell<Search>>, piece: &mut dyn ScheduledRun) {
        // SAFETY: only the lifetime changes; nobody gets at it when this has come back.
        let piece = unsafe {
            std::mem::transmute::<*mut (dyn ScheduledRun + '_), *mut (dyn ScheduledRun + 'static)>(
                piece,
            )
        };
        let shared = Rc::new(ShuttleShared::new(search, piece));
        let before = (SHARED.replace(Some(Rc::clone(&shared))), TaskPool::new().replace());
        loop {
            let runner = Runner::new(Asked(Rc::clone(&shared)), config());
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runner.run(runs)));
            let Err(payload) = ended else {
                break;
            };
            if !shared.going.get() {
                // It came out of a piece, between two runs.
                std::panic::resume_unwind(payload);
            }
            let text = said(&*payload);
            let is_deadlock = text.starts_with("deadlock!");
            let stopped = if is_deadlock {
                Stopped::Deadlock
            } else {
                Stopped::Panicked(format!("panicked: {text}"))
            };
            shared.stopped.replace(Some(stopped));
            shared.settle();
        }
        SHARED.set(before.0);
        before.1.replace();
    }
}

impl ThreadScheduler for Shuttle {
    fn conduct(&self, turns: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd {
        let mut once = RehearsedRun::at(1, cue);
        self.search(Rc::new(RefCell::new(Search::given(turns))), &mut once);
        once.conducted()
    }
}

/// Keeps shuttle's panic hook out: it would print about every panic of the process. It puts it in
/// place once, at its first execution, which is made here.
pub(crate) fn settle() {
    static SETTLED: std::sync::Once = std::sync::Once::new();
    SETTLED.call_once(|| {
        let before = std::panic::take_hook();
        Shuttle.conduct(&[], &mut |_| {});
        std::panic::set_hook(before);
    });
}

#[cfg(test)]
#[path = "shuttle_tests.rs"]
mod tests;
