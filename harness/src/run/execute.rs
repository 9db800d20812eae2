//! Executes a subject once, as its job says.

#[cfg(mallory_model)]
use std::cell::RefCell;
#[cfg(mallory_model)]
use std::collections::BTreeSet;
#[cfg(mallory_model)]
use std::rc::Rc;

use crate::global::{Armed, GlobalEnd};
use crate::heap::Heap;
use crate::heap::thread_context::ThreadContext;
use crate::process::randomness::SeededRandomness;
use crate::process::status;
use crate::process::thread_births::{self, Wait};
use crate::report::evidence::Moment;
use crate::report::kind::Kind;
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
    /// While this lives the C library's random numbers come from the seed.
    _seeded: Option<SeededRandomness>,
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
        let seeded = job.seeds_randomness.then(|| SeededRandomness::begin(job.plan.seed()));
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
            _seeded: seeded,
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

    /// Judges the run, which a global heap has ended if it was armed.
    fn end_with(self, conducted: ScheduledEnd, global: Option<GlobalEnd>) -> Run {
        let RunInProgress { heap, stage, caught, .. } = self;
        #[cfg(mallory_model)]
        let RecordedEvents { mut operations, waiting, taken } = match self.recorded {
            Some(recorded) => {
                rt::listen(None);
                recorded.take()
            }
            None => RecordedEvents::default(),
        };
        #[cfg(mallory_model)]
        operations.extend(waiting);
        let Stage { evidence: oracles, text, starts, heap: stage_heap, .. } = stage;
        drop(stage_heap);
        let threads = heap.threads();
        let is_global = global.is_some();
        let GlobalEnd { mut survived, unattributed, running } = global.unwrap_or_else(|| {
            heap.disarm();
            let running = thread_births::wait_for_ends(Wait::Dropped);
            heap.close(conducted.stopped.is_none());
            GlobalEnd { survived: (0, 0), unattributed: 0, running }
        });
        let caught = caught.unwrap_or_else(panic_capture::abandoned);
        let mut run = heap.with(|state| Run::judge(state, caught, oracles, text, &conducted));
        if running > 0 {
            // Nobody knows which of the blocks these threads hold.
            run.evidence.retain(|evidence| evidence.kind != Kind::Leak);
            survived = (0, 0);
        }
        let leaked = if is_global { survived.1.max(0) as usize } else { run.leaked };
        #[cfg(mallory_model)]
        let run = {
            run.taken.extend(taken);
            Run { operations, ..run }
        };
        let starts = starts.unwrap_or_default();
        Run { survived, unattributed, running, leaked, threads, conducted, starts, ..run }
    }

    /// Judges a run without a global heap.
    pub(crate) fn end(self, conducted: ScheduledEnd) -> Run {
        self.end_with(conducted, None)
    }
}

/// Runs the subject once.
pub(crate) fn execute(subject: &dyn Subject, job: Job<'_>) -> Run {
    let _context = ThreadContext::passing();
    let (global, owns_all_threads, waits) = (job.global, job.owns_all_threads, job.waits);
    let (scheduler, preemptions, scratch) = (job.scheduler, job.preemptions, job.scratch);
    let rehearsal_job = scheduler.map(|_| job.rehearsal());
    let mut run = RunInProgress::new(job);
    let heap = run.heap.clone();
    let births = owns_all_threads && scheduler.is_none();
    let _counted = births.then(|| thread_births::begin(heap.core().run, waits));
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
    let global = armed.map(Armed::end);
    drop(heap);
    run.end_with(conducted, global)
}
