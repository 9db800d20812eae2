//! The plain model: a map.

use std::collections::BTreeMap;

use super::repository::Update;
use super::system::{Op, Reply};
use crate::services::state_listener::TaskState;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How it is doing.
    pub state: TaskState,
    /// Goes up with each update.
    pub version: i64,
    /// What it is about.
    pub payload: String,
}

/// The tasks by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Each task.
    pub tasks: BTreeMap<String, Row>,
}

impl Model {
    /// Performs an operation; all workers see the same tasks.
    pub(super) fn handle(&mut self, op: &Op) -> Reply {
        match op {
            Op::Insert { key, payload, .. } => {
                let is_new = !self.tasks.contains_key(key);
                let payload = payload.clone();
                let row = Row { state: TaskState::Pending, version: 1, payload };
                self.tasks.entry(key.clone()).or_insert(row);
                Reply::Inserted(is_new)
            }
            Op::Load { key, .. } => {
                let found = self.tasks.get_key_value(key);
                Reply::Tasks(
                    found.map(|(key, row)| (key.clone(), row.clone())).into_iter().collect(),
                )
            }
            Op::InState { state, .. } => {
                let tasks = self.tasks.iter().filter(|(_, row)| row.state == *state);
                Reply::Tasks(tasks.map(|(key, row)| (key.clone(), row.clone())).collect())
            }
            Op::Update { key, version, state, payload, .. } => {
                Reply::Update(match self.tasks.get_mut(key) {
                    None => Update::Unknown,
                    Some(row) if row.version != *version => Update::Conflict(row.version),
                    Some(row) => {
                        row.version += 1;
                        row.state = *state;
                        row.payload = payload.clone().unwrap_or_else(|| row.payload.clone());
                        Update::Updated(row.version)
                    }
                })
            }
            Op::Reopen(_) => Reply::Reopened,
        }
    }
}
