//! Sweeps: what is counted and failed, how a run with a fault may end, what is reported, and how a
//! finding is replayed. `../PITFALLS.md` lists the pitfalls that the tests cite by number.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod options;
mod outcomes;
mod recovery;
mod replay_lines;
mod replays;
mod runs;
mod safe_scripts;
mod safe_text;
mod strategies;
mod vacuous;
