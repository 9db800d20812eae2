//! Mallory: the adversary in your allocator.

mod adapters;
mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod detect;
mod env;
mod error;
mod explore;
mod finding;
mod heap;
#[cfg(feature = "json")]
mod json;
mod ledger;
mod node;
mod options;
mod plan;
mod port;
mod redzone;
mod report;
mod run;
mod scenario;
mod site;
mod state;
mod subject;
mod sweep;
mod system;
mod token;
mod trace;
mod wire;
mod worker;

pub use error::Error;
pub use explore::{Faults, Progress};
pub use finding::Kind;
pub use heap::Heap;
pub use options::Options;
pub use plan::{Plan, Request};
pub use port::{Port, Refused, SystemPort};
pub use report::{Coverage, Finding, Report, Verdict};
pub use run::Outcome;
pub use scenario::Scenario;
pub use subject::{Classify, Observe};
pub use sweep::{Setup, Sweep};
pub use system::{Guarantee, System, World};
pub use token::Token;
pub use trace::{Coordinate, Op};
