//! Executes a subject once, as its job says.

#[cfg(mallory_model)]
use std::cell::RefCell;
#[cfg(mallory_model)]
use std::collections::BTreeSet;
#[cfg(mallory_model)]
use std::rc::Rc;

use crate::global::Armed;
use crate::heap::Heap;
use crate::heap::thread_context::ThreadContext;
use crate::process::randomness::SeededRandomness;
use crate::process::status;
use crate::report::evidence::Moment;
#[cfg(mallory_model)]
use crate::rt;
use crate::run::boundary;
#[cfg(mallory_model)]
use crate::run::event_recorder::{EventRecorder, RecordedEvents};
use crate::run::finished_run::Run;
use crate::run::job::Job;
use crate::run::outcome::{Cue, ScheduledEnd};
use crate::run::panic_capture::{self, CaughtCall, catch};
use crate::run::stage::{Stage, Subject};

/// A run that is ready: [`body`](Self::body) calls its subject, and [`end`](Self::end) judges it.
pub(crate) struct RunInProgress<'a> {
    heap: Heap,
    stage: Stage<'a>,
    wants_panic: bool,
    caught: Option<CaughtCall>,
    #[cfg(mallory_model)]
    recorded: Option<Rc<RefCell<RecordedEvents>>>,
}

impl<'a> RunInProgress<'a> {
    /// Makes a run ready, except that a global heap is not yet armed.
    pub(crate) fn new(job: Job<'a>) -> RunInProgress<'a> {
        let heap = match (job.global, job.port) {
            (Some(_), Some(port)) => port(job.options.apart()),
            (Some(global), None) => global.heap(job.options),
            (None, Some(port)) => port(job.options),
            (None, None) => job.options.heap(),
        };
        job.scratch.empty();
        let wants_panic = job.capture.as_ref().is_some_and(|c| c.moments.contains(&Moment::Panic));
        #[cfg(mallory_model)]
        let recorded = {
            let none = BTreeSet::new();
            let moments = job.capture.as_ref().map_or(&none, |capture| &capture.moments);
            EventRecorder::open(moments, job.record_operations)
        };
        let stage = Stage {
            heap: heap.clone(),
            input: job.input,
            scratch: job.scratch,
            plan: Some(job.plan),
            bound: job.bound,
            baseline: job.baseline,
            comparison: job.comparison,
            text: None,
            starts: job.record_starts.then(Vec::new),
            evidence: Vec::new(),
        };
        heap.with(|state| {
            if let Some(lifeline) = job.lifeline {
                state.hold(lifeline);
            }
            if let Some(sink) = job.sink {
                state.tell(sink);
            }
            if job.record {
                state.record();
            }
            if let Some(capture) = job.capture {
                state.look_for(capture);
            }
        });
        RunInProgress {
            heap,
            stage,
            wants_panic,
            caught: None,
            #[cfg(mallory_model)]
            recorded,
        }
    }

    /// Calls the subject, on the run's first thread.
    pub(crate) fn body(&mut self, subject: &dyn Subject) {
        let stage = &mut self.stage;
        self.caught = Some(catch(self.wants_panic, || boundary(subject, stage)));
        // A process that the subject forked returns here as well, with copies of all that its
        // parent has.
        status::exit_if_forked_by_subject();
    }

    /// Judges the run. `survived` is what a global heap counted: the blocks and bytes that are live
    /// now and weren't before, and the calls that belonged to no run.
    fn end_with(self, conducted: ScheduledEnd, survived: Option<((i64, i64), u64)>) -> Run {
        let RunInProgress { heap, stage, caught, .. } = self;
        #[cfg(mallory_model)]
        let RecordedEvents { operations, taken } = match self.recorded {
            Some(recorded) => {
                rt::listen(None);
                recorded.take()
            }
            None => RecordedEvents::default(),
        };
        let Stage { evidence: oracles, text, starts, heap: stage_heap, .. } = stage;
        drop(stage_heap);
        let threads = heap.threads();
        let is_global = survived.is_some();
        let (survived, unattributed) = survived.unwrap_or_else(|| {
            heap.disarm();
            heap.close(conducted.stopped.is_none());
            ((0, 0), 0)
        });
        let caught = caught.unwrap_or_else(panic_capture::abandoned);
        let run = heap.with(|state| Run::judge(state, caught, oracles, text, &conducted));
        let leaked = if is_global { survived.1.max(0) as usize } else { run.leaked };
        #[cfg(mallory_model)]
        let run = {
            let mut run = run;
            run.taken.extend(taken);
            Run { operations, ..run }
        };
        let starts = starts.unwrap_or_default();
        Run { survived, unattributed, leaked, threads, conducted, starts, ..run }
    }

    /// Judges a run without a global heap.
    pub(crate) fn end(self, conducted: ScheduledEnd) -> Run {
        self.end_with(conducted, None)
    }
}

/// Runs the subject once.
pub(crate) fn execute(subject: &dyn Subject, job: Job<'_>) -> Run {
    let _context = ThreadContext::passing();
    let _seeded = job.seeds_randomness.then(|| SeededRandomness::begin(job.plan.seed()));
    let (global, owns_all_threads) = (job.global, job.owns_all_threads);
    let (scheduler, preemptions, scratch) = (job.scheduler, job.preemptions, job.scratch);
    let rehearsal_job = scheduler.map(|_| job.rehearsal());
    let mut run = RunInProgress::new(job);
    let heap = run.heap.clone();
    let armed = global.map(|global| Armed::new(global, &heap, owns_all_threads));
    let conducted = match scheduler {
        None => {
            run.body(subject);
            ScheduledEnd::default()
        }
        Some(scheduler) => {
            let mut rehearsal = None;
            #[cfg(mallory_model)]
            let mut listener = rt::listen(None);
            scheduler.conduct(preemptions, &mut |cue| match cue {
                Cue::Rehearse => {
                    let job = rehearsal_job.as_ref();
                    rehearsal = job.map(|job| RunInProgress::new(job.rehearsal()));
                }
                Cue::Body => {
                    // The recorder must not see a rehearsal, whose operations have the same
                    // numbers.
                    #[cfg(mallory_model)]
                    if rehearsal.is_none() {
                        rt::listen(listener.take());
                    }
                    rehearsal.as_mut().unwrap_or(&mut run).body(subject);
                }
                Cue::Cut => {
                    drop(rehearsal.take().map(|run| run.end(ScheduledEnd::default())));
                    scratch.empty();
                }
            })
        }
    };
    let survived = armed.map(Armed::end);
    drop(heap);
    run.end_with(conducted, survived)
}
