//! The service circuit-breaker: calls to backends, of which one that fails too often is left alone
//! for a while.
//!
//! A `circuit` is a value: closed, open or half open, with what follows from a success or a
//! failure. The `breakers` keep one for each backend, beside the backend's name, which is copied
//! once, when the backend is registered. A call takes the work as a closure and clones nothing; what
//! it changes is written when the work is over. If the work has run out of memory, that is no
//! failure of the backend, and nothing is written. Time passes by the operation `Advance` only.
//!
//! The `gateway` calls simulated backends (`backend`) through the breakers, and writes a `report`.
//! `system` is the gateway as Mallory's `System`.

mod backend;
mod breakers;
mod circuit;
mod gateway;
mod model;
mod operation;
mod report;
mod system;

pub use backend::{Behaviour, Failure, Served, serve};
pub use breakers::{CircuitBreakers, Outcome, Trouble};
pub use circuit::{Circuit, Policy, State};
pub use gateway::Gateway;
pub use model::Model;
pub use operation::{BACKENDS_MAX, CHANGES_KEPT, NAME_MAX, Op, Refusal, Reply};
