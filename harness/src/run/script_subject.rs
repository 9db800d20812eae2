//! A script of operations on a system, as a subject. Each reply and the end state are compared with
//! the plain model, and after an error the state is compared with what the operation guarantees.

use std::fmt::{self, Debug};

use crate::heap::Heap;
use crate::heap::thread_context::ours;
use crate::printable;
use crate::report::format::{diff, difference};
use crate::report::kind::Kind;
use crate::run::outcome::{ModelMismatch, SubjectEnd};
use crate::run::stage::{Stage, Subject, is_faultless};
use crate::system::{Guarantee, System, World};

/// A script of operations on a system, with what the plain model replies.
pub(crate) struct ScriptSubject<S: System> {
    ops: Vec<S::Op>,
    /// The `Debug` text of the model's reply to each operation.
    replies: Vec<String>,
    /// The model's state before each operation, if the states are kept.
    states: Vec<S::Model>,
    /// The model's state at the end.
    end: S::Model,
    /// Whether the plan stays active after the first error: then faults are only paused while a
    /// failed operation is repeated. Otherwise the first error ends the plan.
    keeps_failing: bool,
}

impl<S: System> ScriptSubject<S> {
    /// For many runs of the same operations: keeps the model's states.
    pub(crate) fn new(ops: &[S::Op], world: &World<'_>, keeps_failing: bool) -> Self {
        Self::with(ops, world, keeps_failing, true)
    }

    /// For a run or two: computes the few states that are needed again.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    pub(crate) fn once(ops: &[S::Op], world: &World<'_>, keeps_failing: bool) -> Self {
        Self::with(ops, world, keeps_failing, false)
    }

    fn with(ops: &[S::Op], world: &World<'_>, keeps_failing: bool, keeps_states: bool) -> Self {
        let (mut end, mut states) = (S::Model::default(), Vec::new());
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            states.extend(keeps_states.then(|| end.clone()));
            replies.push(format!("{:?}", S::model(&mut end, op, world)));
        }
        ScriptSubject { ops: ops.to_vec(), replies, states, end, keeps_failing }
    }

    /// The model's state before an operation.
    fn before(&self, nth: usize, world: &World<'_>) -> S::Model {
        self.states.get(nth).cloned().unwrap_or_else(|| {
            let mut state = S::Model::default();
            for op in &self.ops[..nth] {
                let _ = S::model(&mut state, op, world);
            }
            state
        })
    }
}

impl<S: System> Subject for ScriptSubject<S> {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        let heap = stage.heap.clone();
        let world = World::new(stage.input, stage.scratch());
        let mut progress = ScriptProgress::default();
        stage.arm();
        if self.keeps_failing {
            heap.with(|state| state.wants_latest = true);
        }
        let mut system = match open::<S>(self.keeps_failing, &world, &mut progress, stage) {
            Ok(system) => system,
            Err(ended) => return ended,
        };
        for (nth, op) in self.ops.iter().enumerate() {
            stage.begin_operation();
            let mut reply = ours(|| system.apply(op, &world));
            if let Err(error) = &reply {
                let what = format!("operation {} ({})", nth + 1, printable::debug(op));
                let note = format!("{what}: {}", printable::debug(error));
                progress.failed(S::is_oom(error), &name_of(op), note, &heap);
                let paused = stage.pause_faults(self.keeps_failing);
                if S::guarantee(op) == Guarantee::Atomic {
                    let state = system.snapshot();
                    let before = self.before(nth, &world);
                    if state != before {
                        let diff = diff_models(&before, &state);
                        stage.not_recovered(format!(
                            "{what}: the state after the error is not the state before:\n{diff}"
                        ));
                    }
                }
                reply = ours(|| system.apply(op, &world));
                stage.resume_faults(paused);
            }
            match reply {
                Ok(reply) => {
                    let show = |out: &mut dyn fmt::Write| write!(out, "{reply:?}");
                    if let Some(diff) = difference(&self.replies[nth], &show) {
                        let note = format!(
                            "operation {} ({}): the reply differs from the model's:\n{diff}",
                            nth + 1,
                            printable::debug(op)
                        );
                        progress.differs(&name_of(op), note, &heap);
                    }
                }
                Err(error) => {
                    stage.not_recovered(still_fails(op, error));
                    break;
                }
            }
        }
        stage.disarm();
        stage.set_metrics(system.metrics());
        let state = system.snapshot();
        if progress.difference.is_none() && state != self.end {
            let note = diff_models(&self.end, &state);
            let note = format!("the end state differs from the model's:\n{note}");
            progress.differs("the end", note, &heap);
        }
        ours(|| drop(system));
        progress.end(stage)
    }
}

/// The errors and differences of a script's run so far.
#[derive(Default)]
pub(crate) struct ScriptProgress {
    /// The first error that is not out of memory, otherwise the first error.
    error: Option<SubjectEnd>,
    /// The first difference to the model.
    difference: Option<ModelMismatch>,
    /// Whether that was before any request failed.
    differs_without_fault: bool,
}

impl ScriptProgress {
    /// An operation returned an error.
    pub(crate) fn failed(&mut self, is_oom: bool, name: &str, note: String, heap: &Heap) {
        let ended = if is_faultless(heap) {
            let (kind, operation) = (Kind::WrongError, name.to_owned());
            SubjectEnd::Mismatch(ModelMismatch { kind, operation, note })
        } else if is_oom {
            SubjectEnd::Oom
        } else {
            SubjectEnd::Err(note)
        };
        match self.error {
            // Out of memory is the expected error, so any other one is more telling.
            None | Some(SubjectEnd::Oom) if ended != SubjectEnd::Oom => self.error = Some(ended),
            None => self.error = Some(ended),
            Some(_) => {}
        }
    }

    /// A reply, or the end state, differs from the model's.
    pub(crate) fn differs(&mut self, name: &str, note: String, heap: &Heap) {
        if self.difference.is_none() {
            let (kind, operation) = (Kind::SilentWrong, name.to_owned());
            self.differs_without_fault = is_faultless(heap);
            self.difference = Some(ModelMismatch { kind, operation, note });
        }
    }

    /// How the script as a whole ended.
    pub(crate) fn end(self, stage: &mut Stage<'_>) -> SubjectEnd {
        match (self.error, self.difference) {
            (Some(ended @ SubjectEnd::Mismatch(_)), _) => ended,
            (_, Some(mismatch)) if self.differs_without_fault => SubjectEnd::Mismatch(mismatch),
            (Some(ended), None) => ended,
            (Some(ended), Some(mismatch)) => {
                stage.not_recovered(mismatch.note);
                ended
            }
            (None, None) => SubjectEnd::Ok { differs: None },
            (None, Some(mismatch)) => SubjectEnd::Ok { differs: Some(mismatch.note) },
        }
    }
}

/// An operation's name: its `Debug` text up to the first field.
pub(crate) fn name_of(op: &impl Debug) -> String {
    let text = printable::debug(op);
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Opens a system. If that fails, opens it again while no request fails.
///
/// # Errors
/// The script's end, if it doesn't open then either.
pub(crate) fn open<S: System>(
    keeps_failing: bool,
    world: &World<'_>,
    progress: &mut ScriptProgress,
    stage: &mut Stage<'_>,
) -> Result<S, SubjectEnd> {
    let heap = stage.heap.clone();
    let mut opened = ours(|| S::open(&heap, world));
    if let Err(error) = &opened {
        progress.failed(
            S::is_oom(error),
            "open",
            format!("open: {}", printable::debug(error)),
            &heap,
        );
        let paused = stage.pause_faults(keeps_failing);
        opened = ours(|| S::open(&heap, world));
        stage.resume_faults(paused);
    }
    opened.map_err(|error| {
        stage.not_recovered(format!(
            "it still does not open when memory is available again: {}",
            printable::debug(&error)
        ));
        progress.error.take().unwrap_or(SubjectEnd::Oom)
    })
}

/// The note of an operation that fails though no request fails.
pub(crate) fn still_fails(op: &impl Debug, error: impl Debug) -> String {
    let (op, error) = (printable::debug(op), printable::debug(&error));
    format!("{op} still fails when memory is available again: {error}")
}

/// The lines in which two states differ.
pub(crate) fn diff_models(expected: &impl Debug, found: &impl Debug) -> String {
    diff(&format!("{expected:#?}"), &format!("{found:#?}"))
}
