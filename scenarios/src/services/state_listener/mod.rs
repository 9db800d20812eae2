//! The service state-listener: workers report how tasks are doing, and each listener gets each report
//! that it listens for once, in order.
//!
//! The `hub` keeps listeners, each with an inbox. The names of tasks and the notes of reports are in
//! an intern table, so a report is stored once, however many listeners it has. Making room for a report
//! in each inbox may fail, putting it there can't: so all listeners get a report, or none does, and its
//! sender knows. What a listener has received stays in its inbox until it is acknowledged, or rejected
//! and received once more. `system` is the hub as Mallory's `System`.
//!
//! For several threads there are the `broadcast`, which sends each report to all listeners, and the
//! `work_queue`, which hands each message to one of several workers. Both are made of the channels of
//! `crate::sync::mpsc`, and `crate::concurrent` has the subjects that explore them.

pub mod broadcast;
mod hub;
mod model;
mod operation;
mod system;
pub mod work_queue;

pub use hub::StateHub;
pub use model::Model;
pub use operation::{INBOX_MAX, LISTENERS_MAX, NAME_MAX, NOTE_MAX, Op, Reply, TaskState};
