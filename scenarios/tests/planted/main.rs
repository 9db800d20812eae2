//! The planted bugs: each is found as what it is, however it is looked for, and its near miss is
//! clean.

mod commands;
mod designs;
mod fuzz_targets;
mod kinds;
mod mistakes;
#[path = "../support/program.rs"]
mod program;
mod published;
mod script_files;
mod shelves;
