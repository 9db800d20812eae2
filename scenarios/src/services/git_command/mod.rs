//! The service git-command: runs git for a server, each command in an arena of its own.
//!
//! ```text
//!  arguments, settings ─▶ Invocation ─▶ Runner ─buffer by buffer─▶ output, digest or commits ─▶ reply
//!  └────────────────────── in the command's arena ───────────────────────┘
//! ```
//!
//! A [`Runner`] starts git: [`InstalledGit`] the one that is installed, whose process std makes by
//! memory of its own; [`RecordedGit`] answers from a recording, so that thousands of runs need no
//! process. A test records the installed git anew and compares. Output comes in buffers of a fixed
//! size and is limited; a git that fails, is killed or doesn't end is a reply that says so.
//! `system` is the executor as Mallory's `System`, over either runner.

mod executor;
pub mod fixture;
mod invocation;
mod model;
mod operation;
mod process;
mod recorded;
mod runner;
mod system;

pub use executor::{ARENA_CAP, BUFFER, Executor, OUTPUT_MAX, SAID_MAX};
pub use invocation::{FIXED, Invocation, Mistake};
pub use model::Model;
pub use operation::{Op, Reply};
pub use process::InstalledGit;
pub use recorded::RecordedGit;
pub use runner::{Ending, Runner, RunnerError, Stream};
pub use system::{Git, GitCommand, Installed, Recording};
