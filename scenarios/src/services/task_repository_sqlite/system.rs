//! The system `task-repository-sqlite`: two workers, each with a repository over the same file.
//!
//! Its state is what another process would find after this one was killed, so an update that was
//! confirmed must be there whatever fails after it, and one that failed must not.

use std::fmt::Debug;
use std::path::PathBuf;
use std::rc::Rc;

use mallory::system::World;
use mallory::{Heap, System};
use serde::{Deserialize, Serialize};

use super::model::{Model, Row};
use super::repository::{Task, TaskRepository, Update};
use crate::foreign::sqlite::killed::{copied, name};
use crate::foreign::sqlite::library::{Library, SqliteFailure};
use crate::services::state_listener::TaskState;

/// Two workers' repositories.
#[derive(Debug)]
pub struct TaskRepositories {
    workers: [TaskRepository; 2],
    library: Rc<Library>,
    scratch: PathBuf,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Worker {
    /// The first worker.
    One,
    /// The second worker.
    Two,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Adds a task.
    Insert {
        /// Who does it.
        by: Worker,
        /// Its key.
        key: String,
        /// What it is about.
        payload: String,
    },
    /// Reads a task.
    Load {
        /// Who does it.
        by: Worker,
        /// Its key.
        key: String,
    },
    /// Updates a task that has this version.
    Update {
        /// Who does it.
        by: Worker,
        /// Its key.
        key: String,
        /// The version that the update is based on.
        version: i64,
        /// The new state.
        state: TaskState,
        /// The new payload, if it changes.
        payload: Option<String>,
    },
    /// Reads the tasks of a state.
    InState {
        /// Who does it.
        by: Worker,
        /// The state.
        state: TaskState,
    },
    /// A worker closes the file and opens it again.
    Reopen(Worker),
}

/// What an operation returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Whether the key was free.
    Inserted(bool),
    /// Tasks by key.
    Tasks(Vec<(String, Row)>),
    /// What became of the update.
    Update(Update),
    /// The file is open again.
    Reopened,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Out of memory.
    OutOfMemory,
    /// The repository failed for another reason.
    Store(SqliteFailure),
}

impl From<SqliteFailure> for Error {
    fn from(failure: SqliteFailure) -> Self {
        if failure.is_oom() { Error::OutOfMemory } else { Error::Store(failure) }
    }
}

const FILE: &str = "tasks.db";

fn owned(task: Task<'_>) -> (String, Row) {
    let Task { key, state, version, payload } = task;
    (key.to_owned(), Row { state, version, payload: payload.to_owned() })
}

impl TaskRepositories {
    fn open_one(library: &Rc<Library>, folder: &std::path::Path) -> Result<TaskRepository, Error> {
        Ok(TaskRepository::open(library, &name(&folder.join(FILE)))?)
    }

    /// Reads the state from a copy of the file, or says what is wrong with it.
    fn look(&self) -> Result<Model, String> {
        let file = copied(&self.scratch, FILE)?;
        let mut model = Model::default();
        let mut complaints = String::new();
        let mut look = || {
            let found = TaskRepository::open(&self.library, &file)?;
            found.all(|task| model.tasks.extend([owned(task)]))?;
            found.check(|said| complaints.push_str(said))
        };
        look().map_err(|failure: SqliteFailure| format!("{failure:?}"))?;
        if complaints == "ok" { Ok(model) } else { Err(complaints) }
    }
}

impl System for TaskRepositories {
    const NAME: &'static str = "task-repository-sqlite";

    type Op = Op;
    type Reply = Reply;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Error> {
        let library = Library::begin(&heap.named("sqlite"))?;
        let one = TaskRepositories::open_one(&library, world.scratch)?;
        let two = TaskRepositories::open_one(&library, world.scratch)?;
        Ok(TaskRepositories { workers: [one, two], library, scratch: world.scratch.to_owned() })
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply, Error> {
        let mut tasks = Vec::new();
        let see = |task: Task<'_>| tasks.push(owned(task));
        Ok(match op {
            Op::Insert { by, key, payload } => {
                Reply::Inserted(self.workers[*by as usize].insert(key, payload)?)
            }
            Op::Load { by, key } => {
                self.workers[*by as usize].load(key, see)?;
                Reply::Tasks(tasks)
            }
            Op::Update { by, key, version, state, payload } => {
                let worker = &self.workers[*by as usize];
                Reply::Update(worker.update(key, *version, *state, payload.as_deref())?)
            }
            Op::InState { by, state } => {
                self.workers[*by as usize].in_state(*state, see)?;
                Reply::Tasks(tasks)
            }
            Op::Reopen(by) => {
                self.workers[*by as usize] = Self::open_one(&self.library, &self.scratch)?;
                Reply::Reopened
            }
        })
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        self.look().unwrap_or_else(|what| {
            let row = Row { state: TaskState::Failed, version: -1, payload: what };
            Model { tasks: [("the file is damaged".to_owned(), row)].into() }
        })
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
