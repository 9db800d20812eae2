//! Programs that were never built for Mallory, in any language: `mallory exec`.
//!
//! ```text
//!  mallory exec ──order──▶ the program, with the library preloaded ──▶ the sweep, in the program's
//!       ▲                                                              own process before `main`
//!       └──────────────────── progress, report ────────────────────────────────┘
//! ```
//!
//! The command line starts the program once, with a library preloaded that takes the place of `malloc`
//! and its kin. The library stops the program at the entry of `main`, and makes the sweep right there:
//! each run is a fork of the process as it is then, so all runs have the same addresses, the same
//! random numbers of the kernel and the same environment. `main` never runs in the process itself.
//!
//! On the side of the program (feature `preload`):
//! - `c_calls` are the functions of the C library's allocator family, on the heap that they share;
//! - `entry` stops at `main`, enters it in each run, and comes back when the program exits;
//! - `stacks` are the two stacks between which a run goes;
//! - `exits` are the ways in which a program ends;
//! - `world` are the clock and the random numbers that the program sees;
//! - `program` is the subject: its output and its exit status are the result that is compared;
//! - `judge` asks a command of the user's whether two results mean the same;
//! - `traced` has a fork of a process sweep it, where a whole tree of processes is swept;
//! - `serve` makes the sweep that the order asks for.
//!
//! On the side of the command line (feature `exec`):
//! - `inspect` finds the program that a command names, and `elf` reads from its file whether it can be
//!   watched;
//! - `config` reads the options and the accepted findings that a project has committed;
//! - `functions` tells a test program's own functions from libtest's and the standard library's;
//! - `start` starts the program and hears what the library sends;
//! - `tree` does so for every process that it starts in turn;
//! - `folder` copies working folders, for both sides;
//! - `order` is what both say to each other.

#[cfg(feature = "preload")]
pub mod c_calls;
#[cfg(feature = "exec")]
pub(crate) mod config;
#[cfg(feature = "exec")]
pub(crate) mod elf;
#[cfg(feature = "preload")]
pub mod entry;
#[cfg(feature = "preload")]
pub(crate) mod exits;
#[cfg(any(feature = "exec", feature = "preload"))]
pub(crate) mod folder;
#[cfg(feature = "exec")]
pub(crate) mod functions;
#[cfg(feature = "exec")]
pub(crate) mod inspect;
#[cfg(any(test, feature = "preload"))]
pub(crate) mod judge;
pub(crate) mod order;
#[cfg(feature = "preload")]
pub(crate) mod program;
#[cfg(feature = "preload")]
pub(crate) mod serve;
#[cfg(feature = "preload")]
pub(crate) mod stacks;
#[cfg(feature = "exec")]
pub(crate) mod start;
#[cfg(feature = "preload")]
pub(crate) mod traced;
#[cfg(feature = "exec")]
pub(crate) mod tree;
#[cfg(feature = "preload")]
pub(crate) mod world;
