//! After `open`, no operation of a service allocates outside its heap, with a fault or without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System as Malloc};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

use mallory::{Options, Plan, System};
use mallory_scenarios::services::cache_rebuild::CacheRebuild;
use mallory_scenarios::services::circuit_breaker::Gateway;
use mallory_scenarios::services::config_cache::ConfigCache;
use mallory_scenarios::services::container_memory::MemoryManager;
use mallory_scenarios::services::fixture::{GIT_ANSWERS, SAMPLE};
use mallory_scenarios::services::git_command::GitCommand;
use mallory_scenarios::services::journal_intern::JournalIntern;
use mallory_scenarios::services::lfs_batch::{LfsBatch, LfsBatchArena};
use mallory_scenarios::services::request_context::Board;
use mallory_scenarios::services::state_listener::StateHub;
use mallory_scenarios::services::task_executor::TaskExecutor;

use crate::by_hand::Stage;
use crate::lfs_batch::session;
use crate::operations;

/// Passes every call to the system's allocator. While a thread is [watched](watch), it also notes
/// who on that thread asked for memory.
struct Watched;

#[global_allocator]
static GLOBAL: Watched = Watched;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    /// The backtraces of allocations that were not the harness's own bookkeeping.
    static OUTSIDE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Off meanwhile, because a backtrace allocates as well.
        if WATCHING.replace(false) {
            let backtrace = format!("{:#}", Backtrace::force_capture());
            if !is_the_harness(&backtrace) {
                OUTSIDE.with_borrow_mut(|outside| outside.push(backtrace));
            }
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

/// Whether the innermost frame that belongs to a service or to the harness is the harness's. A
/// backtrace with neither counts as a service's.
fn is_the_harness(backtrace: &str) -> bool {
    let files = backtrace.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    let owner = files.filter(|file| !file.contains("/scenarios/tests/")).find_map(|file| {
        let is_harness = file.contains("harness/src/");
        (is_harness || file.contains("scenarios/src/")).then_some(is_harness)
    });
    owner == Some(true)
}

/// What `work` returns, and the backtraces of its allocations outside the heap.
fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    OUTSIDE.take();
    WATCHING.set(true);
    let result = work();
    WATCHING.set(false);
    (result, OUTSIDE.take())
}

/// Runs the operations, with the kill switch off and on and with failures at chosen requests. Shows
/// the system at the end of each run to `end`.
fn stays_inside<S: System>(ops: &[S::Op], input: &[u8], end: impl Fn(&S)) {
    for bypass in [false, true] {
        for n in [0, 1, 3, 7, 37, 101] {
            let stage = Stage::new(input);
            let heap = Options::new().bypass(bypass).heap();
            let mut system = S::open(&heap, &stage.world()).unwrap_or_else(|e| panic!("{e:?}"));
            heap.arm(if n == 0 { Plan::none() } else { Plan::nth(n) });
            for op in ops {
                let (result, outside) = watch(|| system.apply(op, &stage.world()));
                assert!(n != 0 || result.is_ok(), "{op:?} fails without a fault");
                drop(result);
                assert_eq!(outside, [""; 0], "{op:?}, bypass {bypass}");
            }
            end(&system);
        }
    }
}

#[test]
fn no_operation_allocates_outside_its_heap() {
    let (_, outside) = watch(|| String::from("seen"));
    assert_eq!(outside.len(), 1, "the watch itself works");
    stays_inside::<CacheRebuild>(&operations::cache_rebuild(), SAMPLE, |_| ());
    stays_inside::<JournalIntern>(&operations::journal_intern(), SAMPLE, |_| ());
    stays_inside::<Board>(&operations::request_context(), &[], |_| ());
    stays_inside::<MemoryManager>(&operations::container_memory(), &[], |_| ());
    stays_inside::<ConfigCache>(&operations::config_cache(), &[], |_| ());
    stays_inside::<Gateway>(&operations::circuit_breaker(), &[], |_| ());
    stays_inside::<GitCommand>(&operations::git_command(), GIT_ANSWERS, |_| ());
    stays_inside::<TaskExecutor>(&operations::task_executor(), &[], |_| ());
    stays_inside::<StateHub>(&operations::state_listener(), &[], |_| ());
}

#[test]
fn no_call_of_the_lfs_server_allocates_outside_its_heap() {
    stays_inside::<LfsBatch>(&session::session(), session::REQUESTS, |system| {
        // A snapshot is made of std's collections, so it has to show.
        let (_, outside) = watch(|| drop(system.snapshot()));
        assert!(!outside.is_empty(), "the watch sees nothing");
    });
    stays_inside::<LfsBatchArena>(&session::session(), session::REQUESTS, |_| ());
}
