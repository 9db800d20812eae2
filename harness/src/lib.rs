//! Mallory: the adversary in your allocator.

mod accuse;
mod adapters;
mod board;
mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod detect;
mod env;
mod error;
mod evidence;
mod explore;
mod finding;
mod handle;
mod heap;
#[cfg(feature = "json")]
mod json;
mod ledger;
mod node;
mod options;
mod panics;
mod plan;
mod port;
mod redzone;
mod report;
mod run;
mod scenario;
mod scratch;
#[cfg(feature = "ron")]
mod script;
mod site;
mod state;
mod subject;
mod sweep;
mod system;
mod text;
mod token;
mod trace;
mod wire;
mod worker;

pub use error::Error;
pub use explore::{Faults, Progress};
pub use finding::{Finding, Kind};
pub use heap::Heap;
pub use options::Options;
pub use plan::{Plan, Request};
pub use port::{Port, Refused, SystemPort};
pub use report::{Coverage, Report, Verdict};
pub use run::Outcome;
pub use scenario::Scenario;
#[cfg(feature = "ron")]
pub use script::{Allowed, Expect, Script};
pub use subject::{Classify, Observe};
pub use sweep::{Setup, Sweep};
pub use system::{Guarantee, System, World};
pub use token::Token;
pub use trace::{Coordinate, Op};
