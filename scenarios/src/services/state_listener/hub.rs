//! The hub: listeners and their inboxes.

use std::cmp::Ordering;
use std::fmt;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::operation::{INBOX_MAX, Json, LISTENERS_MAX, NAME_MAX, NOTE_MAX, Op, Reply, TaskState};
use crate::memory::bytes::{Appending, Bytes, refused, try_copy, try_push};
use crate::memory::{Handle, InternTable};
use crate::services::json_writer::JsonWriter;

/// A report in an inbox. It holds a reference to each of its strings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) task: Handle,
    pub(super) state: TaskState,
    pub(super) note: Handle,
}

/// Somebody who listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: Vec<u8, Heap>,
    pub(super) only: Option<TaskState>,
    /// The reports that are not acknowledged, oldest first.
    pub(super) inbox: Vec<Report, Heap>,
    /// How many of them were received: the first ones.
    pub(super) in_flight: usize,
    /// The latest state of each task that was acknowledged, with a reference to its name.
    pub(super) known: Vec<(Handle, TaskState), Heap>,
}

/// Passes reports on to listeners.
pub struct StateHub {
    pub(super) strings: InternTable,
    pub(super) listeners: Vec<Listener, Heap>,
    heap: Heap,
}

impl StateHub {
    /// A hub on this heap, without listeners; takes no memory of it yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let listeners = Vec::new_in(heap.clone());
        StateHub { strings: InternTable::new(heap), listeners, heap: heap.clone() }
    }

    /// Performs one operation.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the hub is then as before.
    pub fn handle(&mut self, op: &Op) -> Result<Reply<Json>, Refused> {
        let name = match op {
            Op::Listen { listener, only } => return self.listen(listener, *only),
            Op::Report { task, state, note } => return self.report(task, *state, note),
            Op::Count => {
                let inboxes = self.listeners.iter().map(|listener| listener.inbox.len());
                return Ok(Reply::Counted(inboxes.sum()));
            }
            Op::Leave(name) | Op::Acknowledge(name) | Op::Reject(name) | Op::Known(name) => name,
            Op::Receive { listener, .. } => listener,
        };
        let Some(at) = self.find(name) else { return Ok(Reply::Unknown) };
        Ok(match op {
            Op::Leave(_) => Reply::Left(self.leave(at)),
            Op::Receive { limit, .. } => Reply::Reports(self.receive(at, *limit)?),
            Op::Acknowledge(_) => Reply::Acknowledged(self.acknowledge(at)?),
            Op::Reject(_) => Reply::Rejected(std::mem::take(&mut self.listeners[at].in_flight)),
            _ => Reply::Known(self.known(at)?),
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.listeners.iter().position(|listener| *listener.name == *name.as_bytes())
    }

    fn listen(&mut self, name: &str, only: Option<TaskState>) -> Result<Reply<Json>, Refused> {
        if name.len() > NAME_MAX {
            return Ok(Reply::TooLong);
        }
        if let Some(at) = self.find(name) {
            self.listeners[at].only = only;
        } else if self.listeners.len() == LISTENERS_MAX {
            return Ok(Reply::TooMany);
        } else {
            let name = try_copy(name.as_bytes(), self.heap.clone())?;
            let (inbox, known) = (Vec::new_in(self.heap.clone()), Vec::new_in(self.heap.clone()));
            let listener = Listener { name, only, inbox, in_flight: 0, known };
            try_push(&mut self.listeners, listener)?;
        }
        Ok(Reply::Listening(self.listeners.len()))
    }

    fn leave(&mut self, at: usize) -> usize {
        let Listener { inbox, known, .. } = self.listeners.remove(at);
        for Report { task, note, .. } in &inbox {
            self.strings.release(*task);
            self.strings.release(*note);
        }
        for (task, _) in &known {
            self.strings.release(*task);
        }
        inbox.len()
    }

    /// Makes room in each inbox and takes the strings, which may fail, before the first listener gets
    /// the report.
    fn report(&mut self, task: &str, state: TaskState, note: &str) -> Result<Reply<Json>, Refused> {
        if task.len() > NAME_MAX || note.len() > NOTE_MAX {
            return Ok(Reply::TooLong);
        }
        let StateHub { strings, listeners, .. } = self;
        let listens = |listener: &&mut Listener| listener.only.is_none_or(|only| only == state);
        if listeners.iter_mut().filter(listens).any(|listener| listener.inbox.len() >= INBOX_MAX) {
            return Ok(Reply::Full);
        }
        let mut count = 0;
        for listener in listeners.iter_mut().filter(listens) {
            listener.inbox.try_reserve(1).map_err(refused)?;
            count += 1;
        }
        if count == 0 {
            return Ok(Reply::Reported(0));
        }
        let (task, note) = (strings.hold(task)?, strings.hold(note)?);
        let report = Report { task: task.handle(), state, note: note.handle() };
        for listener in listeners.iter_mut().filter(listens) {
            let is_kept = strings.retain(report.task) && strings.retain(report.note);
            debug_assert!(is_kept, "there are few enough inboxes for a count of 32 bits");
            listener.inbox.push(report);
        }
        Ok(Reply::Reported(count))
    }

    fn receive(&mut self, at: usize, limit: usize) -> Result<Json, Refused> {
        let Listener { inbox, in_flight, .. } = &self.listeners[at];
        let next = &inbox[*in_flight..];
        let count = next.len().min(limit);
        let row = |report: &Report| (report.task, report.state, Some(report.note));
        let text = self.json(next[..count].iter().map(row))?;
        self.listeners[at].in_flight += count;
        Ok(text)
    }

    /// Room for what the listener gets to know is made first.
    fn acknowledge(&mut self, at: usize) -> Result<usize, Refused> {
        let StateHub { strings, listeners, .. } = self;
        let Listener { inbox, in_flight, known, .. } = &mut listeners[at];
        known.try_reserve(*in_flight).map_err(refused)?;
        let count = std::mem::take(in_flight);
        for Report { task, state, note } in inbox.drain(..count) {
            strings.release(note);
            let is_it = |(known, _): &&mut (Handle, TaskState)| {
                strings.compare(*known, task) == Ordering::Equal
            };
            match known.iter_mut().find(is_it) {
                Some((_, latest)) => {
                    *latest = state;
                    strings.release(task);
                }
                None => known.push((task, state)),
            }
        }
        Ok(count)
    }

    fn known(&self, at: usize) -> Result<Json, Refused> {
        self.json(self.listeners[at].known.iter().map(|(task, state)| (*task, *state, None)))
    }

    fn json(
        &self,
        mut rows: impl Iterator<Item = (Handle, TaskState, Option<Handle>)>,
    ) -> Result<Json, Refused> {
        let mut text = Vec::new_in(self.heap.clone());
        let mut json = JsonWriter::new(Appending(&mut text));
        let written = json.array(|json| {
            rows.try_for_each(|(task, state, note)| {
                json.object(|json| {
                    json.key("task")?;
                    self.string(json, task)?;
                    json.key("state")?;
                    json.string(state.name())?;
                    let Some(note) = note else { return Ok(()) };
                    json.key("note")?;
                    self.string(json, note)
                })
            })
        });
        written.map_err(refused)?;
        Ok(Bytes(text))
    }

    fn string<W: fmt::Write>(&self, json: &mut JsonWriter<W>, handle: Handle) -> fmt::Result {
        let write = |bytes: &[u8]| json.string(std::str::from_utf8(bytes).unwrap_or_default());
        self.strings.resolve(handle, write).unwrap_or(Ok(()))
    }
}
