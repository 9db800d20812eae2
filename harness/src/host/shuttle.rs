//! Shuttle as a host: its engine runs the threads, our searches decide which one continues.
//!
//! Shuttle gives up an execution by a panic out of its runner (a deadlock), or because our
//! scheduler returns no thread (too many steps). Nothing on the stacks of such an execution is
//! dropped. So what has to be known of a run is kept outside of them: a [`ScheduledRun`] is
//! prepared before the run and evaluated after it.
//!
//! Apart from that, one execution makes many runs: see `rt/task_pool.rs`.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use ::shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use ::shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::host::scheduled_run::{Host, RehearsedRun, ScheduledRun};
use crate::process::status;
use crate::report::format::panic_message;
use crate::rt;
use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::Choices;
use crate::rt::thread_set::{THREADS_MAX, ThreadSet};
use crate::rt::{NextTask, TaskPool};
use crate::run::outcome::{Cue, ScheduledEnd, Stopped, ThreadScheduler};
use crate::schedule::Preemption;
use crate::schedule::data_races::data_races;
use crate::schedule::search::Search;
use crate::thread::spawn::end_of_main_thread;

/// The bytes of a task's stack: enough for an unwinder under a thread's requests, and for
/// tests that print. Pages that are never touched cost nothing but address space.
const STACK_BYTES: usize = 1 << 20;

/// The number of decisions after which an execution makes no further run: shuttle keeps a record of
/// them as long as the execution lasts.
const DECISIONS_MAX: u32 = 2_000;

/// The host.
#[derive(Debug)]
pub(crate) struct Shuttle;

/// What our scheduler, which shuttle's runner owns, and the loop around the runner share.
struct ShuttleShared {
    search: Rc<RefCell<Search>>,
    run: *mut (dyn ScheduledRun + 'static),
    /// How often shuttle has asked for a decision in the present execution.
    decisions: Cell<u32>,
    /// Whether a run has begun that was not evaluated so far.
    is_running: Cell<bool>,
    /// Whether no further run is to be made.
    is_finished: Cell<bool>,
    stopped: RefCell<Option<Stopped>>,
    threads: Cell<usize>,
}

thread_local! {
    /// What the runner on this OS thread runs at present.
    static SHARED: RefCell<Option<Rc<ShuttleShared>>> = const { RefCell::new(None) };
}

fn shared() -> Rc<ShuttleShared> {
    let shared = SHARED.with(|shared| shared.borrow().clone());
    shared.expect("[mallory bug] shuttle runs without a search")
}

impl ShuttleShared {
    fn new(search: Rc<RefCell<Search>>, run: *mut (dyn ScheduledRun + 'static)) -> ShuttleShared {
        ShuttleShared {
            search,
            run,
            decisions: Cell::new(0),
            is_running: Cell::new(false),
            is_finished: Cell::new(false),
            stopped: RefCell::new(None),
            threads: Cell::new(1),
        }
    }

    /// Calls a method of the present [`ScheduledRun`].
    fn with_run<R>(&self, call: impl FnOnce(&mut dyn ScheduledRun) -> R) -> R {
        // SAFETY: `Host::search` borrows the run mutably for as long as a runner can reach this,
        // and its calls don't nest: `begin` and `end` are called between runs, and `body` within
        // one. A `body` whose stack was abandoned never continues.
        call(unsafe { &mut *self.run })
    }

    /// Evaluates the run that has ended, if there is one.
    fn evaluate(&self) {
        if !self.is_running.replace(false) {
            return;
        }
        let mut search = self.search.borrow_mut();
        let log = rt::take_log();
        let end = ScheduledEnd {
            stopped: self.stopped.take(),
            races: data_races(&log),
            cancelled: log.steps.iter().any(|step| step.own.is_drop()),
            diverged: search.diverged(),
            threads: self.threads.get(),
            panicked: rt::first_panic().map(|(_, message)| message),
        };
        rt::end_run();
        search.end(&log);
        rt::return_log(log);
        if !self.with_run(|run| run.end(end, &search)) {
            self.is_finished.set(true);
        }
    }

    /// Evaluates the last run, and begins the next one. Returns whether there is one.
    fn begin_next(&self) -> bool {
        self.evaluate();
        if self.is_finished.get() || !self.search.borrow_mut().next() {
            self.is_finished.set(true);
            return false;
        }
        status::begin_schedule();
        rt::begin_run(rt::CurrentEngine::Shuttle);
        self.threads.set(1);
        self.with_run(|run| run.begin());
        self.is_running.set(true);
        true
    }
}

/// What an execution's first thread does: one run after the other.
fn make_runs() {
    let shared = shared();
    loop {
        shared.with_run(|run| run.body());
        end_of_main_thread();
        rt::end_main_thread();
        if !rt::wait_for_threads() {
            return;
        }
        shared.evaluate();
        if shared.decisions.get() > DECISIONS_MAX || !shared.begin_next() {
            rt::end_execution();
            return;
        }
    }
}

/// A search as a scheduler of shuttle's.
struct SearchScheduler(Rc<ShuttleShared>);

impl Scheduler for SearchScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.decisions.set(0);
        TaskPool::new().replace();
        self.0.begin_next().then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        _: bool,
    ) -> Option<TaskId> {
        let next = self.choose(runnable, current)?;
        // Also for switches that a subject causes by shuttle itself, past our facade.
        rt::set_current_thread(usize::from(next) as u16);
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

impl SearchScheduler {
    fn choose(&self, runnable: &[&Task], current: Option<TaskId>) -> Option<TaskId> {
        let shared = &self.0;
        shared.decisions.set(shared.decisions.get() + 1);
        let is_runnable = |task: &TaskId| runnable.iter().any(|other| other.id() == *task);
        let first = runnable.first().map(|task| task.id());
        let Some(current) = current else { return first };
        match rt::next_task() {
            NextTask::Scheduled => {}
            NextTask::First => {
                rt::take_counted_point();
                // Nobody else could go on.
                let ready = ThreadSet::of(0);
                rt::begin_step(0, OwnChoice::Nothing, Choices { ready, ..Choices::default() });
                return first;
            }
            NextTask::Same | NextTask::Any => return Some(current).filter(is_runnable).or(first),
        }
        let thread = usize::from(current) as u16;
        let mut engine_runnable = ThreadSet::EMPTY;
        for task in runnable {
            let number = usize::from(task.id());
            if number >= THREADS_MAX {
                shared.stopped.replace(Some(Stopped::Crowd));
                return None;
            }
            engine_runnable.insert(number as u16);
            shared.threads.set(shared.threads.get().max(number + 1));
        }
        rt::add_foreign_threads(shared.threads.get());
        if !rt::take_counted_point() {
            // The subject uses shuttle past our facade.
            rt::count_point(thread);
            rt::take_counted_point();
            rt::set_log_partial();
        }
        let mut choices = rt::choices();
        choices.ready = (choices.ready | rt::foreign_threads()) & engine_runnable;
        if choices.is_stuck() {
            let is_over = rt::only_daemons_are_left();
            shared.stopped.replace((!is_over).then_some(Stopped::Deadlock));
            return None;
        }
        let mut search = shared.search.borrow_mut();
        let steps = rt::steps();
        if search.is_too_long(steps) {
            shared.stopped.replace(Some(Stopped::Endless));
            return None;
        }
        let made = search.preemptions().len();
        let to = search.decide(&choices, thread, rt::points(thread), steps);
        let (to, own) = OwnChoice::split(to);
        rt::begin_step(to, own, choices);
        rt::pass_points_until(search.next_decision(to, rt::points(to)));
        if let Some(preemption) = search.preemptions().get(made) {
            status::add_preemption(preemption.pack());
        }
        Some(TaskId::from(usize::from(to)))
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.failure_persistence = FailurePersistence::None;
    // Our scheduler counts the steps itself, and ends a run without a panic.
    config.max_steps = MaxSteps::None;
    config.silence_warnings = true;
    config
}

impl Host for Shuttle {
    fn search(&self, search: Rc<RefCell<Search>>, run: &mut dyn ScheduledRun) {
        // SAFETY: only the lifetime changes. The pointer is used only by the runners of the loop
        // below, none of which outlives this call.
        let run = unsafe {
            std::mem::transmute::<*mut (dyn ScheduledRun + '_), *mut (dyn ScheduledRun + 'static)>(
                run,
            )
        };
        let shared = Rc::new(ShuttleShared::new(search, run));
        let before = (SHARED.replace(Some(Rc::clone(&shared))), TaskPool::new().replace());
        loop {
            let runner = Runner::new(SearchScheduler(Rc::clone(&shared)), config());
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runner.run(make_runs)));
            let Err(payload) = ended else {
                break;
            };
            if !shared.is_running.get() {
                // The panic came out of `begin` or `end`, between two runs.
                std::panic::resume_unwind(payload);
            }
            let text = panic_message(&*payload);
            let is_deadlock = text.starts_with("deadlock!");
            let stopped = if is_deadlock {
                Stopped::Deadlock
            } else {
                Stopped::Panicked(format!("panicked: {text}"))
            };
            shared.stopped.replace(Some(stopped));
            shared.evaluate();
        }
        SHARED.set(before.0);
        before.1.replace();
    }
}

impl ThreadScheduler for Shuttle {
    fn conduct(&self, schedule: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd {
        let mut run = RehearsedRun::new(1, cue);
        self.search(Rc::new(RefCell::new(Search::given(schedule))), &mut run);
        run.into_end()
    }
}

/// Removes shuttle's panic hook, which would print about every panic of the process. Shuttle
/// installs it once, at its first execution, which is made here.
pub(crate) fn prepare_process() {
    static PREPARED: std::sync::Once = std::sync::Once::new();
    PREPARED.call_once(|| {
        let before = std::panic::take_hook();
        Shuttle.conduct(&[], &mut |_| {});
        std::panic::set_hook(before);
    });
}

#[cfg(test)]
#[path = "shuttle_tests.rs"]
mod tests;
