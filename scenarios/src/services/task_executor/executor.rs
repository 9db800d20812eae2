//! The executor: runs tasks in contexts from its pool, for any number of threads.

use mallory::{Heap, Refused};

use super::changes::Changes;
use super::context::TaskExecutionContext;
use super::operation::{Failure, KEY_MAX, Op, Output, Reply, STEPS_MAX, Step, Stopped};
use super::template::expand;
use super::values::{Compensation, Entry, Values};
use crate::memory::bytes::{Appending, Bytes, Text, refused, try_copy};
use crate::memory::{Pool, PoolStats, RequestArena};
use crate::services::json_writer::JsonWriter;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The most contexts that wait for a task.
pub const CONTEXTS: usize = 4;

/// How many tasks there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Tasks that were done.
    pub(super) done: usize,
    /// Tasks of which a step failed.
    pub(super) rolled_back: usize,
    /// Changes that were taken back, because a later step failed by a rule.
    pub(super) undone: usize,
}

/// What tasks change. A task has it to itself from its first step to its last.
pub(super) struct Workspace {
    pub(super) values: Values,
    pub(super) tally: Tally,
}

/// Runs tasks.
pub struct TaskExecutor {
    contexts: Pool<TaskExecutionContext>,
    workspace: Mutex<Workspace>,
    heap: Heap,
}

impl TaskExecutor {
    /// An executor on this heap, without values; takes no memory of it yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let workspace = Workspace { values: Values::new(heap), tally: Tally::default() };
        TaskExecutor {
            contexts: Pool::new(heap, CONTEXTS),
            workspace: Mutex::new(workspace),
            heap: heap.clone(),
        }
    }

    /// What became of the contexts. A diagnostic, not part of the state: under the kill switch
    /// nothing is used again.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.contexts.stats()
    }

    /// Performs one operation.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the values are then as before.
    pub fn handle(&self, op: &Op) -> Result<Reply<Output>, Refused> {
        Ok(match op {
            Op::Run(steps) if steps.len() > STEPS_MAX => Reply::TooManySteps,
            Op::Run(steps) => self.run(steps)?,
            Op::Get(key) => {
                let workspace = self.workspace();
                Reply::Value(match workspace.values.get(key) {
                    Ok(value) => Some(Bytes(try_copy(value, self.heap.clone())?)),
                    Err(_) => None,
                })
            }
            Op::Report => Reply::Report(self.report()?),
            Op::Count => Reply::Counted(self.workspace().values.entries().len()),
        })
    }

    /// Runs a task. Its changes are taken back unless the reply says that it is done; also if there is
    /// no memory for the reply.
    fn run(&self, steps: &[Step]) -> Result<Reply<Output>, Refused> {
        let mut context = self.contexts.take_or(|heap| Ok(TaskExecutionContext::new(heap)))?;
        let TaskExecutionContext { arena, compensations, output } = &mut *context;
        let mut workspace = self.workspace();
        let Workspace { values, tally } = &mut *workspace;
        let mut changes = Changes::begin(values, compensations, steps.len())?;
        for (nth, step) in steps.iter().enumerate() {
            match perform(step, changes.values, arena, output) {
                Ok(change) => change.into_iter().for_each(|change| changes.note(change)),
                Err(Stopped::Memory) => return Err(Refused),
                Err(Stopped::Rule(why)) => {
                    let undone = changes.take_back();
                    tally.rolled_back += 1;
                    tally.undone += undone;
                    return Ok(Reply::RolledBack { step: nth, why, undone });
                }
            }
            arena.reset();
        }
        let emitted = try_copy(output, self.heap.clone())?;
        changes.keep();
        tally.done += 1;
        Ok(Reply::Done(Bytes(emitted)))
    }

    fn report(&self) -> Result<Output, Refused> {
        let workspace = self.workspace();
        let Workspace { values, tally } = &*workspace;
        let mut text = allocator_api2::vec::Vec::new_in(self.heap.clone());
        let mut json = JsonWriter::new(Appending(&mut text));
        let written = json.object(|json| {
            json.key("done")?;
            json.literal(tally.done)?;
            json.key("rolled_back")?;
            json.literal(tally.rolled_back)?;
            json.key("undone")?;
            json.literal(tally.undone)?;
            json.key("values")?;
            json.array(|json| {
                values.entries().iter().try_for_each(|Entry { key, value }| {
                    json.object(|json| {
                        json.key("key")?;
                        json.string(as_text(key))?;
                        json.key("value")?;
                        json.string(as_text(value))
                    })
                })
            })
        });
        written.map_err(refused)?;
        Ok(Bytes(text))
    }

    /// A task that fails leaves nothing half changed, so poison means nothing.
    pub(super) fn workspace(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key or a value as text: it was stored as text.
pub(super) fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Does one step; returns what takes its change back, if it makes one. A step that fails has changed
/// nothing.
fn perform(
    step: &Step,
    values: &mut Values,
    arena: &RequestArena,
    output: &mut Text<Heap>,
) -> Result<Option<Compensation>, Stopped> {
    let is_key = |key: &str| if key.len() > KEY_MAX { Err(Failure::TooLong) } else { Ok(()) };
    match step {
        Step::Set { key, value } => {
            is_key(key)?;
            let value = expand(value, values, arena.scope())?;
            values.set(key, &value).map(Some)
        }
        Step::Remove { key } => values.remove(key).map(Some),
        Step::Rename { from, to } => {
            is_key(to)?;
            values.rename(from, to).map(Some)
        }
        Step::Require { key, value } => {
            let value = expand(value, values, arena.scope())?;
            if *value == *values.get(key)? { Ok(None) } else { Err(Failure::Differs.into()) }
        }
        Step::Emit { text } => {
            let text = expand(text, values, arena.scope())?;
            output.push(&text)?;
            Ok(None)
        }
    }
}
