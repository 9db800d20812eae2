//! Mallory: the adversary in your allocator.

mod adapters;
mod capture;
mod detect;
mod finding;
mod heap;
mod ledger;
mod options;
mod plan;
mod port;
mod redzone;
mod state;
mod system;
mod trace;

pub use finding::Kind;
pub use heap::Heap;
pub use options::Options;
pub use plan::{Plan, Request};
pub use port::{Port, Refused, SystemPort};
pub use system::{Guarantee, System, World};
pub use trace::{Coordinate, Op};
