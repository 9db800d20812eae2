//! The tables: layers, and the exceptions that have a reason. And the rules that are about one file.

use crate::files::File;

/// The folders and files of `src` from the top down. Imports point to a lower row; inside of a folder
/// they may go anywhere but in a circle. Folders of one row know nothing of each other.
pub(crate) const LAYERS: &[(&str, &[&str])] = &[
    ("the crate's root", &["lib"]),
    ("the tests of a crate", &["cargo"]),
    ("command line and C", &["cli", "c"]),
    ("named subjects", &["scenario"]),
    ("programs that were never built for it", &["exec"]),
    ("scripts, and the contract of a port", &["script", "conformance"]),
    ("faults crossed with schedules", &["explore"]),
    ("every request in turn", &["sweep"]),
    ("model checkers, which own the loop", &["host"]),
    ("one run", &["run"]),
    ("a system under test", &["system"]),
    ("tokio's names", &["tokio"]),
    ("tasks that poll a future", &["future"]),
    ("ways into a heap", &["global", "thread", "adapters"]),
    ("the heap", &["heap"]),
    ("detectors, and child processes", &["detect", "process"]),
    ("settings", &["env", "launch", "options"]),
    ("what is reported, what fails, what threads share", &["report", "plan", "sync"]),
    ("which thread continues, and when", &["schedule", "time"]),
    ("words that everything uses", &["port", "trace", "error", "rt"]),
    ("text that can be printed, memory that is never watched", &["printable", "memory"]),
];

/// How many files may lie flat in `src`.
pub(crate) const ROOT_FILES_MAX: usize = 9;
/// How many names users find at the crate's root, macros included.
pub(crate) const ROOT_NAMES_MAX: usize = 20;
/// A file with more lines gives its reason in [`LONG`].
pub(crate) const LINES_MAX: usize = 400;

/// The folder of a file, or its own name if it lies flat.
pub(crate) fn folder(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The row of a file in [`LAYERS`]: 0 is the top.
pub(crate) fn layer(path: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, folders)| folders.contains(&folder(path)))
}

/// Folders whose types have the names of another crate's, for which they are used instead.
pub(crate) const TWINS: &[&str] = &["future", "tokio"];

/// Files over [`LINES_MAX`] lines, and why each is one file.
pub(crate) const LONG: &[(&str, &str)] = &[
    (
        "src/global/mod.rs",
        "one `GlobalAlloc`: its four calls share the lock and the thread's place",
    ),
    ("src/heap/fast_path.rs", "the map of the routes, and the routes that it describes"),
    ("src/heap/ledger.rs", "one index over two stores, each operation tries both; its model test"),
    ("src/heap/mod.rs", "the four steps of request, free and resize share their helpers"),
    ("src/heap/node.rs", "`Core` and `Node` refer to each other: two files would form a circle"),
    ("src/heap/state.rs", "its counters, stops and fingerprint change together at each event"),
    ("src/schedule/search_tests.rs", "a small interpreter, and the searches compared on it"),
    ("src/sync/mpsc.rs", "the twin and its operations under shuttle share the channel's state"),
    ("src/system/script.rs", "the script, its text form, and the errors of reading it"),
];

/// Inherent `impl`s that are not in their type's file, and why.
pub(crate) const SECOND_IMPLS: &[(&str, &str, &str)] = &[
    ("GlobalHeap", "global/c_calls.rs", "C's calls, which only a preloaded library has"),
    ("Heap", "adapters/c_heap.rs", "public methods that need C's tables, a layer above heaps"),
    ("Heap", "heap/fast_path.rs", "the short and the full routes call each other"),
    ("Heap", "heap/lifecycle.rs", "how a heap is made and how a run ends, apart from its calls"),
    (
        "Options",
        "heap/lifecycle.rs",
        "the last step makes a heap, which options, below, don't know",
    ),
    ("Sweep", "sweep/program.rs", "for whole programs, which only a preloaded library has"),
    ("State", "heap/detection.rs", "recording may find something, and finding records an event"),
];

/// The only files with `unsafe` in them.
pub(crate) const UNSAFE: &[&str] = &[
    "adapters/adversarial.rs",
    "adapters/allocator_trait.rs",
    "adapters/arena.rs",
    "adapters/c_heap.rs",
    "adapters/c_memory.rs",
    "adapters/c_slot.rs",
    "adapters/c_table.rs",
    "adapters/global_alloc.rs",
    "adapters/guarded.rs",
    "adapters/region.rs",
    "adapters/region_memory.rs",
    "c/conformance.rs",
    "c/mod.rs",
    "conformance/call.rs",
    "conformance/contract.rs",
    "conformance/stress.rs",
    "exec/c_calls.rs",
    "exec/entry.rs",
    "exec/exits.rs",
    "exec/inspect.rs",
    "exec/stacks.rs",
    "exec/start.rs",
    "exec/traced.rs",
    "exec/tree.rs",
    "exec/world.rs",
    "global/c_calls.rs",
    "global/inner_port.rs",
    "global/mod.rs",
    "global/survivors.rs",
    "global/wild.rs",
    "heap/fast_path.rs",
    "heap/freed_ring.rs",
    "heap/ledger.rs",
    "heap/lifecycle.rs",
    "heap/mod.rs",
    "heap/node.rs",
    "heap/pool.rs",
    "heap/pool_memory.rs",
    "heap/record_table.rs",
    "heap/redzone.rs",
    "heap/run_lock.rs",
    "host/loom.rs",
    "host/shuttle.rs",
    "memory/c_library.rs",
    "memory/own.rs",
    "memory/thread_words.rs",
    "port.rs",
    "process/access_size.rs",
    "process/backtrace.rs",
    "process/child.rs",
    "process/child_handle.rs",
    "process/descriptors.rs",
    "process/file_limit.rs",
    "process/file_lock.rs",
    "process/fork_pool.rs",
    "process/forked_call.rs",
    "process/guard_pages.rs",
    "process/guard_region.rs",
    "process/handled_signals.rs",
    "process/hit_list.rs",
    "process/leftovers.rs",
    "process/page_tables.rs",
    "process/pipe.rs",
    "process/randomness.rs",
    "process/reachability.rs",
    "process/shared_log.rs",
    "process/shared_memory.rs",
    "process/signal_handlers.rs",
    "process/status.rs",
    "process/test_scope.rs",
    "process/thread_births.rs",
    "process/wild_jump.rs",
    "run/concurrent_script.rs",
    "sweep/fork.rs",
    "sync/lazy.rs",
    "thread/scope.rs",
];

/// The paths of files over [`LINES_MAX`] lines.
pub(crate) fn long(files: &[File]) -> impl Iterator<Item = &str> {
    let is_long = |file: &&File| file.text.lines().count() > LINES_MAX;
    files.iter().filter(is_long).map(|file| file.path.as_str())
}

/// The lines of a file with an `unsafe` block or `impl` that no SAFETY comment precedes.
pub(crate) fn unsafe_without_reason(file: &File) -> Vec<String> {
    /// How far above the block the comment may begin.
    const LINES_ABOVE: usize = 8;
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (nth, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        if code.contains("unsafe {") || code.contains("unsafe impl") {
            let above = &lines[nth.saturating_sub(LINES_ABOVE)..=nth];
            if !above.iter().any(|line| line.contains("SAFETY:")) {
                found.push(format!("{}:{}: {}", file.path, nth + 1, line.trim()));
            }
        }
    }
    found
}
