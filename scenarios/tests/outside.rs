//! After `open`, no operation of a service allocates outside its heap, with a fault or without.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Malloc};
use std::cell::Cell;
use std::sync::Mutex;

use common::{SAMPLE, Stage, scripts};
use mallory::{Options, Plan, System};
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::journal_intern::JournalIntern;

/// The system's allocator; on a watched thread it notes who asked.
struct Watched;

#[global_allocator]
static GLOBAL: Watched = Watched;

thread_local!(static WATCHING: Cell<bool> = const { Cell::new(false) });

/// The stacks of allocations that were none of the harness's own bookkeeping.
static OUTSIDE: Mutex<Vec<String>> = Mutex::new(Vec::new());

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if WATCHING.replace(false) {
            note(&backtrace::Backtrace::new());
            WATCHING.set(true);
        }
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Malloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { Malloc.dealloc(block, layout) }
    }
}

/// Tells the harness's bookkeeping from the services by the innermost frame of either. What is
/// neither's counts as a service's.
fn note(stack: &backtrace::Backtrace) {
    let symbols = stack.frames().iter().flat_map(backtrace::BacktraceFrame::symbols);
    let files = symbols.filter_map(|symbol| Some(symbol.filename()?.to_str()?.replace('\\', "/")));
    let owner = files.filter(|file| !file.contains("/scenarios/tests/")).find_map(|file| {
        let is_harness = file.contains("harness/src/");
        (is_harness || file.contains("scenarios/src/")).then_some(is_harness)
    });
    if owner != Some(true) {
        OUTSIDE.lock().unwrap().push(format!("{stack:?}"));
    }
}

/// What `work` answers, and the stacks of its allocations outside.
fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    OUTSIDE.lock().unwrap().clear();
    WATCHING.set(true);
    let answer = work();
    WATCHING.set(false);
    (answer, std::mem::take(&mut OUTSIDE.lock().unwrap()))
}

fn stays_inside<S: System>(ops: &[S::Op]) {
    for bypass in [false, true] {
        for plan in [0, 1, 3, 7, 37, 101].map(|n| if n == 0 { Plan::none() } else { Plan::nth(n) })
        {
            let stage = Stage::new(SAMPLE);
            let heap = Options::new().bypass(bypass).heap();
            let mut system = S::open(&heap, &stage.world()).unwrap_or_else(|e| panic!("{e:?}"));
            heap.arm(plan);
            for op in ops {
                let (answer, outside) = watch(|| system.apply(op, &stage.world()));
                drop(answer);
                assert_eq!(outside, [""; 0], "{op:?}");
            }
        }
    }
}

/// One test, because the notes are shared.
#[test]
fn no_operation_allocates_outside_its_heap() {
    let (_, outside) = watch(|| String::from("seen"));
    assert_eq!(outside.len(), 1, "the watch itself works");
    stays_inside::<CacheRebuild>(&scripts::cache_rebuild());
    stays_inside::<JournalIntern>(&scripts::journal_intern());
}
