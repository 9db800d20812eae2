//! The system `lfs-batch` takes no memory but the heap's: every allocation of the process is
//! looked at while it works. The heap's own bookkeeping is not the system's, and is told apart by
//! whose function asked.
#![allow(unsafe_code)]

#[path = "lfs/session.rs"]
mod session;

use std::alloc::{GlobalAlloc, Layout, System as Malloc};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::path::Path;

use mallory::system::World;
use mallory::{Options, System as _};
use mallory_scenarios::lfs_batch::LfsBatch;

struct Watching;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static FOUND: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Off meanwhile: looking at the stack allocates as well.
        if WATCHED.replace(false) {
            let stack = Backtrace::force_capture().to_string();
            if is_the_systems(&stack) {
                FOUND.with_borrow_mut(|found| found.push(stack));
            }
            WATCHED.set(true);
        }
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Malloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Malloc.dealloc(block, layout) }
    }
}

#[global_allocator]
static GLOBAL: Watching = Watching;

/// Whether the innermost function of ours on the stack is a system's, and not the harness's.
fn is_the_systems(stack: &str) -> bool {
    let functions = stack.lines().filter_map(|line| line.split_once(": "));
    let mut names = functions.map(|(_, name)| name.trim_start_matches('<'));
    let ours = names.find(|name| name.starts_with("mallory"));
    ours.is_some_and(|name| name.starts_with("mallory_scenarios::"))
}

/// The stacks of the allocations outside the heap that this work makes.
fn allocations(work: impl FnOnce()) -> Vec<String> {
    WATCHED.set(true);
    work();
    WATCHED.set(false);
    FOUND.take()
}

#[test]
fn nothing_is_allocated_outside_the_heap() {
    let world = World::new(session::REQUESTS, Path::new("/nonexistent"));
    let ops = session::session();
    for bypass in [false, true] {
        let heap = Options::new().bypass(bypass).heap();
        let mut system = LfsBatch::open(&heap, &world).unwrap();
        for op in &ops {
            let found = allocations(|| drop(system.apply(op, &world).unwrap()));
            assert!(found.is_empty(), "{op:?}, bypass {bypass}: {}", found[0]);
        }
        // A snapshot is made of std's collections, so it has to show.
        let found = allocations(|| drop(system.snapshot()));
        assert!(!found.is_empty(), "the watch sees nothing");
    }
}
