//! Hosts: model checkers whose loop calls the subject once for each schedule, and asks which of its
//! threads continues. They adapt shuttle and loom to our searches and our runs.
//!
//! | question | file |
//! |---|---|
//! | What does a caller give to a host, and what does it get? | `scheduled_run` |
//! | Which engines does this build have, and what if one is missing? | `engine` |
//! | How do our searches decide for shuttle, and how are its executions run? | `shuttle` |
//! | How are loom's iterations counted, repeated and stopped? | `loom` |

pub(crate) mod engine;
#[cfg(feature = "loom")]
pub(crate) mod loom;
pub(crate) mod scheduled_run;
#[cfg(feature = "shuttle")]
pub(crate) mod shuttle;
#[cfg(all(test, mallory_model))]
mod tests;

pub(crate) use crate::host::engine::{Engine, loom, prepare_process, shuttle};
pub(crate) use crate::host::scheduled_run::{Host, ScheduledRun};
