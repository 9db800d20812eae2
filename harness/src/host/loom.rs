//! Loom as a host. Loom chooses the schedules itself: all that make a difference to its objects, up
//! to a bound of preemptions. We count its iterations, and stop it after enough of them.
//!
//! A schedule of loom's is identified by the bound and the number of its iteration. To repeat it,
//! loom repeats all iterations before it. Our code and the subject's run on stacks of ours: see
//! `rt/stack.rs`.
//!
//! Anything that loom reports by a panic ends its search: it can't be told to continue with the
//! next iteration. Nothing on the stacks of such a run is dropped.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use ::loom::model::Builder;

use crate::host::scheduled_run::{Host, RehearsedRun, ScheduledRun};
use crate::process::status;
use crate::report::format::panic_message;
use crate::rt;
use crate::rt::AbandonedRun;
use crate::run::outcome::{Cue, ScheduledEnd, Stopped, ThreadScheduler};
use crate::schedule::Preemption;
use crate::schedule::data_races::data_races;
use crate::schedule::default_order::Bound;
use crate::schedule::search::{Search, SearchOptions};
use crate::thread::spawn::end_of_main_thread;

/// The number of loom's scheduling points in a run at which it counts as endless.
const BRANCHES_MAX: usize = 50_000;

/// The host.
#[derive(Debug)]
pub(crate) struct Loom;

/// The panic payload with which we end loom's search after enough iterations.
struct StopSearch;

struct LoomShared {
    search: Rc<RefCell<Search>>,
    run: *mut (dyn ScheduledRun + 'static),
    /// Whether an iteration has begun that was not evaluated so far.
    is_running: Cell<bool>,
    /// Whether no further iteration is to be made.
    is_finished: Cell<bool>,
    stopped: RefCell<Option<Stopped>>,
}

thread_local! {
    /// What loom runs on this OS thread at present.
    static SHARED: RefCell<Option<Rc<LoomShared>>> = const { RefCell::new(None) };
}

impl LoomShared {
    /// Calls a method of the present [`ScheduledRun`].
    fn with_run<R>(&self, call: impl FnOnce(&mut dyn ScheduledRun) -> R) -> R {
        // SAFETY: `Host::search` borrows the run mutably for as long as this lives, and its calls
        // don't nest: `begin` and `end` are called between iterations, and `body` within one. A
        // `body` whose stack was abandoned never continues.
        call(unsafe { &mut *self.run })
    }

    /// Evaluates the run that has ended, if there is one.
    fn evaluate(&self) {
        if !self.is_running.replace(false) {
            return;
        }
        let log = rt::take_log();
        let end = ScheduledEnd {
            stopped: self.stopped.take(),
            races: data_races(&log),
            cancelled: false,
            diverged: None,
            threads: rt::thread_count(),
            panicked: rt::first_panic().map(|(_, message)| message),
        };
        rt::end_run();
        self.with_run(|run| run.read_log(&log));
        rt::return_log(log);
        let search = self.search.borrow();
        if !self.with_run(|run| run.end(end, &search)) {
            self.is_finished.set(true);
        }
    }

    /// Evaluates the last iteration, and begins the next one. Returns whether there is one.
    fn begin_next(&self) -> bool {
        self.evaluate();
        if self.is_finished.get() || !self.search.borrow_mut().next() {
            return false;
        }
        status::begin_schedule();
        for preemption in self.search.borrow().preemptions() {
            status::add_preemption(preemption.pack());
        }
        rt::begin_run(rt::CurrentEngine::Loom);
        self.with_run(|run| run.begin());
        self.is_running.set(true);
        true
    }
}

/// What loom's first thread does in an iteration.
fn iteration() {
    rt::on_large_stack(Box::new(make_run));
    // No run was begun: the search is over.
    let is_over =
        SHARED.with(|shared| shared.borrow().as_ref().is_some_and(|s| !s.is_running.get()));
    if is_over {
        std::panic::resume_unwind(Box::new(StopSearch));
    }
}

/// Evaluates the last run and makes the next one, if there is one.
fn make_run() {
    let shared = SHARED.with(|shared| shared.borrow().clone());
    let shared = shared.expect("[mallory bug] loom runs without a search");
    if !shared.begin_next() {
        return;
    }
    shared.with_run(|run| run.body());
    if rt::is_abandoned() {
        std::panic::resume_unwind(Box::new(AbandonedRun));
    }
    end_of_main_thread();
    rt::end_main_thread();
}

/// Loom's settings, none of which is taken from its environment variables.
fn builder(bound: u32) -> Builder {
    let mut builder = Builder::new();
    builder.max_threads = rt::LOOM_THREADS_MAX;
    builder.max_branches = BRANCHES_MAX;
    // Loom checks these only once per checkpoint interval, so we count iterations ourselves.
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder.checkpoint_interval = usize::MAX;
    // Loom counts preemptions in a byte: above 255 it gets no bound.
    builder.preemption_bound = u8::try_from(bound).ok().map(usize::from);
    builder.expect_explicit_explore = false;
    builder.location = false;
    builder.log = false;
    builder
}

/// Why loom ended its search, by the payload of its panic.
fn stop_reason(payload: &(dyn std::any::Any + Send)) -> Stopped {
    if rt::exceeded_thread_limit() {
        return Stopped::Crowd;
    }
    if rt::deadlock().is_some() {
        return Stopped::Deadlock;
    }
    if let Some((_, message)) = rt::first_panic() {
        return Stopped::Panicked(format!("panicked: {message}"));
    }
    let text = panic_message(payload);
    if text.starts_with("deadlock;") {
        Stopped::Deadlock
    } else if text.contains("maximum number of branches") {
        Stopped::Endless
    } else {
        Stopped::Panicked(format!("panicked: {text}"))
    }
}

impl Host for Loom {
    fn is_weak(&self) -> bool {
        true
    }

    fn threads_max(&self) -> usize {
        rt::LOOM_THREADS_MAX
    }

    fn bounded(&self, bound: Bound, _: SearchOptions, limit: u64) -> Search {
        Search::loom(bound.limit(), limit)
    }

    fn search(&self, search: Rc<RefCell<Search>>, run: &mut dyn ScheduledRun) {
        // SAFETY: only the lifetime changes. The pointer is used only while `check` runs below,
        // which returns before this call does.
        let run = unsafe {
            std::mem::transmute::<*mut (dyn ScheduledRun + '_), *mut (dyn ScheduledRun + 'static)>(
                run,
            )
        };
        let shared = Rc::new(LoomShared {
            search: Rc::clone(&search),
            run,
            is_running: Cell::new(false),
            is_finished: Cell::new(false),
            stopped: RefCell::new(None),
        });
        let before = SHARED.replace(Some(Rc::clone(&shared)));
        let bound = search.borrow().loom_bound();
        let check = AssertUnwindSafe(|| builder(bound).check(iteration));
        let ended = std::panic::catch_unwind(check);
        match ended {
            Ok(()) => {
                shared.evaluate();
                search.borrow_mut().set_exhausted();
            }
            Err(payload) if payload.is::<StopSearch>() => {}
            Err(payload) if !shared.is_running.get() => {
                // The panic came out of `begin` or `end`, between two iterations.
                std::panic::resume_unwind(payload);
            }
            Err(payload) => {
                shared.stopped.replace(Some(stop_reason(&*payload)));
                shared.evaluate();
            }
        }
        SHARED.set(before);
    }
}

impl ThreadScheduler for Loom {
    fn conduct(&self, schedule: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd {
        // Loom can't follow any schedule but its own: for the default one it makes its first
        // iteration.
        let (bound, iteration) = Preemption::loom_iteration(schedule).unwrap_or((0, 1));
        let search = Rc::new(RefCell::new(Search::loom(bound, u64::from(iteration))));
        let mut run = RehearsedRun::new(u64::from(iteration), cue);
        self.search(Rc::clone(&search), &mut run);
        let mut end = run.into_end();
        if search.borrow().begun() < u64::from(iteration) {
            end.diverged = schedule.first().copied();
        }
        end
    }
}

/// Lets the crate `generator` install its panic hook, which it does with its first generator,
/// before any run.
pub(crate) fn prepare_process() {
    static PREPARED: std::sync::Once = std::sync::Once::new();
    PREPARED.call_once(|| {
        Loom.conduct(&[], &mut |_| {});
    });
}
