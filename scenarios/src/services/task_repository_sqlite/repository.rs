//! A repository of tasks with optimistic versions, with its memory from the heap of its library.
//!
//! Each change is one statement, which SQLite does wholly or not at all, also where memory ends; so
//! nothing is to be rolled back, and no lock stays.

use std::ffi::CStr;
use std::rc::Rc;

use crate::foreign::sqlite::library::{Bound, Connection, Library, SqliteFailure};
use crate::services::state_listener::TaskState;

/// One worker's connection to the tasks.
#[derive(Debug)]
pub struct TaskRepository {
    connection: Connection,
}

/// A task as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task<'r> {
    /// Its key.
    pub key: &'r str,
    /// How it is doing.
    pub state: TaskState,
    /// Goes up with each update.
    pub version: i64,
    /// What it is about.
    pub payload: &'r str,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The task has this version now.
    Updated(i64),
    /// The task has this version already, so nothing was changed.
    Conflict(i64),
    /// There is no such task.
    Unknown,
}

/// Run when a file is opened. The scenario is about killed processes, not about power failures, so
/// nothing waits for the disk.
const OPENING: [&str; 4] = [
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = MEMORY",
    "CREATE TABLE IF NOT EXISTS task (key TEXT PRIMARY KEY, state INTEGER NOT NULL,
       version INTEGER NOT NULL, payload TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS by_state ON task (state, key)",
];

const STATES: [TaskState; 4] =
    [TaskState::Pending, TaskState::Running, TaskState::Succeeded, TaskState::Failed];

fn number(state: TaskState) -> i64 {
    STATES.iter().zip(0..).find(|(known, _)| **known == state).map_or(0, |(_, number)| number)
}

impl TaskRepository {
    /// Opens the tasks in this file, which is made where it is missing.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn open(library: &Rc<Library>, file: &CStr) -> Result<Self, SqliteFailure> {
        let connection = Connection::open(library, file)?;
        for sql in OPENING {
            connection.run(sql, &[])?;
        }
        Ok(TaskRepository { connection })
    }

    /// Adds a task that is pending, of version 1. Returns whether the key was free.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says. Nothing is added then.
    pub fn insert(&self, key: &str, payload: &str) -> Result<bool, SqliteFailure> {
        let sql = "INSERT INTO task VALUES (?1, 0, 1, ?2) ON CONFLICT DO NOTHING";
        self.connection.run(sql, &[key.into(), payload.into()])?;
        Ok(self.connection.changes() == 1)
    }

    /// Calls `see` with a task, if there is one with this key.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn load(&self, key: &str, see: impl FnMut(Task<'_>)) -> Result<(), SqliteFailure> {
        self.tasks("SELECT * FROM task WHERE key = ?1", Some(key.into()), see)
    }

    /// Calls `see` with each task of a state, in the order of the keys.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn in_state(
        &self,
        state: TaskState,
        see: impl FnMut(Task<'_>),
    ) -> Result<(), SqliteFailure> {
        let sql = "SELECT * FROM task WHERE state = ?1 ORDER BY key";
        self.tasks(sql, Some(number(state).into()), see)
    }

    /// Calls `see` with every task, in the order of the keys.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn all(&self, see: impl FnMut(Task<'_>)) -> Result<(), SqliteFailure> {
        self.tasks("SELECT * FROM task ORDER BY key", None, see)
    }

    /// Gives a task this state, and this payload if there is one, if it still has this version.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says. Nothing is changed then.
    pub fn update(
        &self,
        key: &str,
        version: i64,
        state: TaskState,
        payload: Option<&str>,
    ) -> Result<Update, SqliteFailure> {
        let sql = "UPDATE task SET state = ?3, payload = coalesce(?4, payload),
                     version = version + 1 WHERE key = ?1 AND version = ?2";
        let values = [key.into(), version.into(), number(state).into(), payload.into()];
        self.connection.run(sql, &values)?;
        if self.connection.changes() == 1 {
            return Ok(Update::Updated(version + 1));
        }
        let mut found = Update::Unknown;
        self.load(key, |task| found = Update::Conflict(task.version))?;
        Ok(found)
    }

    /// Checks that the file is whole; `see` is called with each complaint, or with `ok`.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn check(&self, mut see: impl FnMut(&str)) -> Result<(), SqliteFailure> {
        self.connection.each("PRAGMA integrity_check", &[], |row| {
            see(row.text(0)?.unwrap_or("null"));
            Ok::<(), SqliteFailure>(())
        })
    }

    fn tasks(
        &self,
        sql: &str,
        value: Option<Bound<'_>>,
        mut see: impl FnMut(Task<'_>),
    ) -> Result<(), SqliteFailure> {
        self.connection.each(sql, value.as_slice(), |row| {
            let state = usize::try_from(row.number(1)).ok().and_then(|number| STATES.get(number));
            let state = state.copied().ok_or_else(|| {
                SqliteFailure::Code(-1, format!("there is no state {}", row.number(1)))
            })?;
            let text = |column| row.text(column).map(Option::unwrap_or_default);
            see(Task { key: text(0)?, state, version: row.number(2), payload: text(3)? });
            Ok(())
        })
    }
}
