//! A script of operations on a system as a subject: each reply and each state is compared with the
//! plain model, and after an error the system is held to what the operation promises.

use crate::heap::Heap;
use crate::heap::thread_context::ours;
use crate::report::format::diff;
use crate::report::format::difference;
use crate::report::kind::Kind;
use crate::run::Stage;
use crate::run::Subject;
use crate::run::outcome::ModelMismatch;
use crate::run::outcome::SubjectEnd;
use crate::run::subject::is_faultless;
use crate::system::Guarantee;
use crate::system::System;
use crate::system::World;
use std::fmt;
use std::fmt::Debug;

/// A script of operations on a system, and what the plain model makes of them.
pub(crate) struct ScriptSubject<S: System> {
    ops: Vec<S::Op>,
    /// What the model replied to each operation, its state before each, if they are kept, and at
    /// the end.
    replies: Vec<String>,
    states: Vec<S::Model>,
    end: S::Model,
    /// Whether requests go on failing after the first error: each operation that fails is
    /// repeated in peace. Otherwise the first error ends the shortage.
    insists: bool,
}

impl<S: System> ScriptSubject<S> {
    /// For many runs of the same operations: the model's states are kept.
    pub(crate) fn new(ops: &[S::Op], world: &World<'_>, insists: bool) -> Self {
        Self::with(ops, world, insists, true)
    }

    /// For a run or two: the few states that are asked for are made anew.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    pub(crate) fn once(ops: &[S::Op], world: &World<'_>, insists: bool) -> Self {
        Self::with(ops, world, insists, false)
    }

    fn with(ops: &[S::Op], world: &World<'_>, insists: bool, keeps: bool) -> Self {
        let (mut end, mut states) = (S::Model::default(), Vec::new());
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            states.extend(keeps.then(|| end.clone()));
            replies.push(format!("{:?}", S::model(&mut end, op, world)));
        }
        ScriptSubject { ops: ops.to_vec(), replies, states, end, insists }
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
        let mut course = ScriptProgress::default();
        stage.arm();
        if self.insists {
            heap.with(|state| state.wants_latest = true);
        }
        let mut system = match open::<S>(self.insists, &world, &mut course, stage) {
            Ok(system) => system,
            Err(ended) => return ended,
        };
        for (nth, op) in self.ops.iter().enumerate() {
            stage.begins();
            let mut reply = ours(|| system.apply(op, &world));
            if let Err(error) = &reply {
                let what = format!("operation {} ({op:?})", nth + 1);
                let note = format!("{what}: {error:?}");
                course.failed(S::is_oom(error), &name_of(op), note, &heap);
                let shortage = stage.relieve(self.insists);
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
                stage.resume(shortage);
            }
            match reply {
                Ok(reply) => {
                    let show = |out: &mut dyn fmt::Write| write!(out, "{reply:?}");
                    if let Some(diff) = difference(&self.replies[nth], &show) {
                        let note = format!(
                            "operation {} ({op:?}) replied otherwise than the model:\n{diff}",
                            nth + 1
                        );
                        course.differs(&name_of(op), note, &heap);
                    }
                }
                Err(error) => {
                    stage.not_recovered(format!("with memory again {op:?} fails: {error:?}"));
                    break;
                }
            }
        }
        stage.rest();
        let state = system.snapshot();
        if course.wrong.is_none() && state != self.end {
            let diff = diff_models(&self.end, &state);
            course.differs("the end", format!("the end state is not the model's:\n{diff}"), &heap);
        }
        ours(|| drop(system));
        course.end(stage)
    }
}

/// What comes of a script on its way.
#[derive(Default)]
pub(crate) struct ScriptProgress {
    error: Option<SubjectEnd>,
    wrong: Option<(String, ModelMismatch)>,
    /// Whether that was before any request failed.
    wrong_by_itself: bool,
}

impl ScriptProgress {
    /// An operation answered an error.
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
            // Out of memory is what was to be expected: anything else says more.
            None | Some(SubjectEnd::Oom) if ended != SubjectEnd::Oom => self.error = Some(ended),
            None => self.error = Some(ended),
            Some(_) => {}
        }
    }

    /// An operation, or the end, is not as the model has it.
    pub(crate) fn differs(&mut self, name: &str, note: String, heap: &Heap) {
        if self.wrong.is_none() {
            let (kind, operation) = (Kind::SilentWrong, name.to_owned());
            self.wrong_by_itself = is_faultless(heap);
            self.wrong = Some((note.clone(), ModelMismatch { kind, operation, note }));
        }
    }

    pub(crate) fn end(self, stage: &mut Stage<'_>) -> SubjectEnd {
        match (self.error, self.wrong) {
            (Some(ended @ SubjectEnd::Mismatch(_)), _) => ended,
            (_, Some((_, unlike))) if self.wrong_by_itself => SubjectEnd::Mismatch(unlike),
            (Some(ended), None) => ended,
            (Some(ended), Some((wrong, _))) => {
                stage.not_recovered(wrong);
                ended
            }
            (None, None) => SubjectEnd::Ok { differs: None },
            (None, Some((wrong, _))) => SubjectEnd::Ok { differs: Some(wrong) },
        }
    }
}

/// An operation's name: its `Debug` text up to what it holds.
pub(crate) fn name_of(op: &impl Debug) -> String {
    let text = format!("{op:?}");
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Opens a system: again with memory, where it fails.
pub(crate) fn open<S: System>(
    insists: bool,
    world: &World<'_>,
    course: &mut ScriptProgress,
    stage: &mut Stage<'_>,
) -> Result<S, SubjectEnd> {
    let heap = stage.heap.clone();
    let mut opened = ours(|| S::open(&heap, world));
    if let Err(error) = &opened {
        course.failed(S::is_oom(error), "open", format!("open: {error:?}"), &heap);
        let shortage = stage.relieve(insists);
        opened = ours(|| S::open(&heap, world));
        stage.resume(shortage);
    }
    opened.map_err(|error| {
        stage.not_recovered(format!("with memory again it does not open: {error:?}"));
        course.error.take().unwrap_or(SubjectEnd::Oom)
    })
}

pub(crate) fn diff_models(expected: &impl Debug, found: &impl Debug) -> String {
    diff(&format!("{expected:#?}"), &format!("{found:#?}"))
}
