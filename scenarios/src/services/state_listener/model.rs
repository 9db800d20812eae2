//! The plain model: std's collections, and serde's JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::operation::{INBOX_MAX, LISTENERS_MAX, NAME_MAX, NOTE_MAX, Op, Reply, TaskState};
use crate::memory::bytes::Bytes;

/// A listener: reports wait or were received, and are known once they are acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Listens for this state only.
    pub only: Option<TaskState>,
    /// Reports that were received.
    pub in_flight: Vec<(String, TaskState, String)>,
    /// Reports that wait.
    pub waiting: Vec<(String, TaskState, String)>,
    /// What is known of each task, in the order in which it was first heard of.
    pub known: Vec<(String, TaskState)>,
}

/// The listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The listeners by name.
    pub listeners: BTreeMap<String, Listening>,
    /// How often each string is used.
    pub references: BTreeMap<String, u32>,
}

#[derive(Serialize)]
struct Row {
    task: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

fn json(rows: Vec<Row>) -> Bytes<Vec<u8>> {
    Bytes(serde_json::to_vec(&rows).unwrap_or_default())
}

fn row(task: &str, state: TaskState, note: Option<&String>) -> Row {
    Row { task: task.to_owned(), state: format!("{state:?}").to_lowercase(), note: note.cloned() }
}

impl Model {
    /// Performs an operation.
    pub(super) fn handle(&mut self, op: &Op) -> Reply<Bytes<Vec<u8>>> {
        let reply = self.reply(op);
        let strings = self.listeners.values().flat_map(|listener| {
            let reports = listener.in_flight.iter().chain(&listener.waiting);
            let reports = reports.flat_map(|(task, _, note)| [task, note]);
            reports.chain(listener.known.iter().map(|(task, _)| task))
        });
        let mut references = BTreeMap::new();
        for string in strings {
            *references.entry(string.clone()).or_default() += 1;
        }
        self.references = references;
        reply
    }

    fn reply(&mut self, op: &Op) -> Reply<Bytes<Vec<u8>>> {
        let full = self.listeners.len() >= LISTENERS_MAX;
        match op {
            Op::Listen { listener, .. } if listener.len() > NAME_MAX => Reply::TooLong,
            Op::Listen { listener, .. } if full && !self.listeners.contains_key(listener) => {
                Reply::TooMany
            }
            Op::Listen { listener, only } => {
                self.listeners.entry(listener.clone()).or_default().only = *only;
                Reply::Listening(self.listeners.len())
            }
            Op::Leave(listener) => self.listeners.remove(listener).map_or(Reply::Unknown, |gone| {
                Reply::Left(gone.in_flight.len() + gone.waiting.len())
            }),
            Op::Report { task, state, note } => self.report(task, *state, note),
            Op::Count => {
                let count =
                    |listener: &Listening| listener.in_flight.len() + listener.waiting.len();
                Reply::Counted(self.listeners.values().map(count).sum())
            }
            Op::Receive { listener, .. }
            | Op::Acknowledge(listener)
            | Op::Reject(listener)
            | Op::Known(listener) => match self.listeners.get_mut(listener) {
                Some(listening) => listening.reply(op),
                None => Reply::Unknown,
            },
        }
    }

    fn report(&mut self, task: &str, state: TaskState, note: &str) -> Reply<Bytes<Vec<u8>>> {
        if task.len() > NAME_MAX || note.len() > NOTE_MAX {
            return Reply::TooLong;
        }
        let listeners = self.listeners.values_mut();
        let mut listeners: Vec<_> =
            listeners.filter(|listener| [None, Some(state)].contains(&listener.only)).collect();
        let room = |listener: &&mut Listening| {
            INBOX_MAX.saturating_sub(listener.in_flight.len() + listener.waiting.len())
        };
        if listeners.iter().map(room).min() == Some(0) {
            return Reply::Full;
        }
        for listener in &mut listeners {
            listener.waiting.push((task.to_owned(), state, note.to_owned()));
        }
        Reply::Reported(listeners.len())
    }
}

impl Listening {
    fn reply(&mut self, op: &Op) -> Reply<Bytes<Vec<u8>>> {
        match op {
            Op::Receive { limit, .. } => {
                let rest = self.waiting.split_off(self.waiting.len().min(*limit));
                let next = std::mem::replace(&mut self.waiting, rest);
                let rows = next.iter().map(|(task, state, note)| row(task, *state, Some(note)));
                let rows = rows.collect();
                self.in_flight.extend(next);
                Reply::Reports(json(rows))
            }
            Op::Acknowledge(_) => {
                let done = std::mem::take(&mut self.in_flight);
                let count = done.len();
                for (task, state, _) in done {
                    match self.known.iter().position(|(known, _)| *known == task) {
                        Some(at) => self.known[at].1 = state,
                        None => self.known.push((task, state)),
                    }
                }
                Reply::Acknowledged(count)
            }
            Op::Reject(_) => {
                let mut again = std::mem::take(&mut self.in_flight);
                let count = again.len();
                again.append(&mut self.waiting);
                self.waiting = again;
                Reply::Rejected(count)
            }
            _ => Reply::Known(json(
                self.known.iter().map(|(task, state)| row(task, *state, None)).collect(),
            )),
        }
    }
}
