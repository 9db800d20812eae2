//! The service task-executor: tasks of several steps that change named values, all of them or none.
//!
//! A task runs in a `context` from a pool, and a guard gives the context back, empty, however the task
//! ends. A step does its work in the context's arena, which is reset after it (`template` expands texts
//! there), and changes the `values` last, in a move that can't fail. What takes the change back goes
//! into the context's list of compensations (`changes`), for which there was room before the first step:
//! so if a step fails, by a rule or for want of memory, the steps before it are taken back, newest first,
//! without a request. `executor` puts this together, and `system` is the executor as Mallory's `System`.

mod changes;
mod context;
mod executor;
mod model;
mod operation;
mod system;
mod template;
mod values;

pub use context::TaskExecutionContext;
pub use executor::{CONTEXTS, TaskExecutor};
pub use model::Model;
pub use operation::{Failure, KEY_MAX, Op, Reply, STEPS_MAX, Step, VALUE_MAX, VALUES_MAX};
