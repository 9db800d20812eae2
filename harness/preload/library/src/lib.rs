//! The library that `mallory exec` preloads into programs. Here are only the names under which C
//! finds its functions: what they do is in `mallory`.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code)]

mod allocation;
mod cxx;
mod exec;
mod loading;
mod program;
mod real;
mod surroundings;
mod thread_locals;

use mallory::preload::{OwnMemory, move_apart};

/// The memory of the harness's own.
#[global_allocator]
static OWN: OwnMemory = OwnMemory;

/// Runs when the library is loaded, before anything asks for memory through it.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = {
    extern "C" fn loaded() {
        move_apart();
    }
    loaded
};
