//! Loom as a host: it chooses the orders itself, all those that differ for what it knows of, up to a
//! bound of preemptions. We count its iterations, and stop it where that is enough.
//!
//! A schedule of loom's is the number of its iteration and the bound: to come back to it, loom runs
//! to it again. What we and the subject do happens on stacks of ours: see `model/wide.rs`.
//!
//! Whatever loom says by a panic ends its search: it can't be told to go on with the next one. The
//! stacks of such a run are given up as they are.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use ::loom::model::Builder;

use crate::host::{Host, RehearsedRun, ScheduledRun};
use crate::process::status;
use crate::report::format::said;
use crate::rt;
use crate::rt::AbandonedRun;
use crate::run::outcome::{Cue, ScheduledEnd, Stopped, ThreadScheduler};
use crate::schedule::Preemption;
use crate::schedule::search::Search;

/// Points of a run after which it is one that never ends.
const BRANCHES_MAX: usize = 50_000;

/// The host.
#[derive(Debug)]
pub(crate) struct Loom;

/// Thrown by us out of loom where its search has gone far enough.
struct StopSearch;

struct LoomShared {
    search: Rc<RefCell<Search>>,
    piece: *mut (dyn ScheduledRun + 'static),
    /// Whether an iteration has begun that nobody has looked at yet.
    going: Cell<bool>,
    enough: Cell<bool>,
    stopped: RefCell<Option<Stopped>>,
}

thread_local! {
    /// What this OS thread's loom runs at present.
    static SHARED: RefCell<Option<Rc<LoomShared>>> = const { RefCell::new(None) };
}

impl LoomShared {
    /// Calls the present piece.
    fn with_piece<R>(&self, call: impl FnOnce(&mut dyn ScheduledRun) -> R) -> R {
        // SAFETY: `Host::search` borrows the piece mutably for as long as this lives, and calls of
        // it don't nest: `begin` and `end` come between iterations, and `body` in one. A `body`
        // whose stack was given up never goes on.
        call(unsafe { &mut *self.piece })
    }

    /// Looks at the run that has ended, if there is one.
    fn settle(&self) {
        if !self.going.replace(false) {
            return;
        }
        let conducted = ScheduledEnd {
            stopped: self.stopped.take(),
            diverged: None,
            threads: rt::threads(),
            panicked: rt::panicked().map(|(_, said)| said),
        };
        rt::end();
        let search = self.search.borrow();
        if !self.with_piece(|piece| piece.end(conducted, &search)) {
            self.enough.set(true);
        }
    }

    /// Looks at the last iteration, and begins the next one.
    fn next(&self) -> bool {
        self.settle();
        if self.enough.get() || !self.search.borrow_mut().next() {
            return false;
        }
        status::begin_schedule();
        for turn in self.search.borrow().turns() {
            status::add_preemption(turn.pack());
        }
        rt::begin(rt::CurrentEngine::Loom);
        self.with_piece(|piece| piece.begin());
        self.going.set(true);
        true
    }
}

/// An iteration: what loom's first thread does.
fn iteration() {
    rt::on_large_stack(Box::new(work));
    let is_enough = SHARED.with(|shared| shared.borrow().as_ref().is_some_and(|s| !s.going.get()));
    if is_enough {
        std::panic::resume_unwind(Box::new(StopSearch));
    }
}

/// The same, where there is room for it.
fn work() {
    let shared = SHARED.with(|shared| shared.borrow().clone());
    let shared = shared.expect("[mallory bug] loom runs what it was given");
    if !shared.next() {
        return;
    }
    shared.with_piece(|piece| piece.body());
    if rt::is_over() {
        std::panic::resume_unwind(Box::new(AbandonedRun));
    }
    rt::leave();
}

/// Loom without what its environment variables say.
fn builder(preemptions: u32) -> Builder {
    let mut builder = Builder::new();
    builder.max_threads = rt::LOOM_THREADS_MAX;
    builder.max_branches = BRANCHES_MAX;
    // It looks at these every so many iterations only: we count ourselves.
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder.checkpoint_interval = usize::MAX;
    // It can't count any further: beyond that it is told of no bound.
    builder.preemption_bound = u8::try_from(preemptions).ok().map(usize::from);
    builder.expect_explicit_explore = false;
    builder.location = false;
    builder.log = false;
    builder
}

/// Why loom gave up, by what it threw.
fn reason(payload: &(dyn std::any::Any + Send)) -> Stopped {
    if rt::is_crowd() {
        return Stopped::Crowd;
    }
    if rt::stuck().is_some() {
        return Stopped::Deadlock;
    }
    if let Some((_, said)) = rt::panicked() {
        return Stopped::Panicked(format!("panicked: {said}"));
    }
    let text = said(payload);
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

    fn bounded(&self, preemptions: u32, limit: u64) -> Search {
        Search::loom(preemptions, limit)
    }

    fn search(&self, search: Rc<RefCell<Search>>, piece: &mut dyn ScheduledRun) {
        // SAFETY: only the lifetime changes; `LoomShared` is gone when this comes back.
        let piece = unsafe {
            std::mem::transmute::<*mut (dyn ScheduledRun + '_), *mut (dyn ScheduledRun + 'static)>(
                piece,
            )
        };
        let shared = Rc::new(LoomShared {
            search: Rc::clone(&search),
            piece,
            going: Cell::new(false),
            enough: Cell::new(false),
            stopped: RefCell::new(None),
        });
        let before = SHARED.replace(Some(Rc::clone(&shared)));
        let preemptions = search.borrow().preemptions();
        let check = AssertUnwindSafe(|| builder(preemptions).check(iteration));
        let ended = std::panic::catch_unwind(check);
        match ended {
            Ok(()) => {
                shared.settle();
                search.borrow_mut().exhaust();
            }
            Err(payload) if payload.is::<StopSearch>() => {}
            Err(payload) if !shared.going.get() => {
                // It came out of a piece, between two iterations.
                std::panic::resume_unwind(payload);
            }
            Err(payload) => {
                shared.stopped.replace(Some(reason(&*payload)));
                shared.settle();
            }
        }
        SHARED.set(before);
    }
}

impl ThreadScheduler for Loom {
    fn conduct(&self, turns: &[Preemption], cue: &mut dyn FnMut(Cue)) -> ScheduledEnd {
        let (preemptions, at) = Preemption::loom_of(turns).unwrap_or((0, 1));
        let search = Rc::new(RefCell::new(Search::loom(preemptions, u64::from(at))));
        let mut once = RehearsedRun::at(u64::from(at), cue);
        self.search(Rc::clone(&search), &mut once);
        let mut conducted = once.conducted();
        if search.borrow().begun() < u64::from(at) {
            conducted.diverged = turns.first().copied();
        }
        conducted
    }
}

/// Makes generators' panic hook known, which they put in place at the first of them.
pub(crate) fn settle() {
    static SETTLED: std::sync::Once = std::sync::Once::new();
    SETTLED.call_once(|| {
        Loom.conduct(&[], &mut |_| {});
    });
}
