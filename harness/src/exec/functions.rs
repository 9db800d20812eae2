//! The functions of a test program, from its file: which are the test's, and which are libtest's or the
//! standard library's (see `process/test_scope`). Whether its tests can be watched at all, too.

use std::path::Path;

use object::{Object, ObjectSymbol, SymbolKind};

use crate::error::Error;
use crate::process::test_scope::{FunctionRange, FunctionRole, TestProgram};
use crate::run::function_name::{is_left_out, plain};

/// The static in which the standard library counts panics.
const PANICS: &str = "std::panicking::panic_count::GLOBAL_PANIC_COUNT";
/// libtest's function that calls a test, and std's that calls the first function of a thread.
const TEST_ENTRY: &str = "test::__rust_begin_short_backtrace";
const THREAD_ENTRY: &str = "std::sys::backtrace::__rust_begin_short_backtrace";
/// The functions through which Rust code reaches the global allocator.
const ALLOCATOR: [&str; 4] =
    ["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc", "__rust_dealloc"];
/// How the paths of functions begin that print, unwind or abort.
const MACHINERY: [&str; 12] = [
    "std::io::stdio::",
    "std::panicking::",
    "std::alloc::rust_oom",
    "std::alloc::default_alloc_error_hook",
    "alloc::alloc::handle_alloc_error",
    "std::sys::backtrace::",
    "std::sys::thread",
    "std::sys::thread_local::",
    "panic_unwind::",
    "rust_panic",
    "rust_begin_unwind",
    "__rust_start_panic",
];
/// What the path of a function of `std::thread` contains that starts threads, or names them.
const THREADS: [&str; 6] =
    ["spawn", "::lifecycle::", "::current::", "::thread::Thread", "::id::", "::JoinInner"];
/// Allocators that have memory of their own, by a function of each.
const ALLOCATORS: [(&str, &str); 5] = [
    ("mi_malloc", "mimalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("_rjem_mallocx", "jemalloc"),
    ("sn_rust_alloc", "snmalloc"),
    ("tc_malloc", "tcmalloc"),
];

/// What a test program's file says.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) program: TestProgram,
    /// Whether its tests are run by libtest.
    pub(crate) has_libtest: bool,
    /// The allocator that it brings, which hides its requests.
    pub(crate) allocator: Option<&'static str>,
}

/// Reads the functions of a program.
///
/// # Errors
/// The file can't be read, or has no names of functions.
pub(crate) fn read(path: &Path) -> Result<Functions, Error> {
    let wrong = |what: String| Error::new(what).at(path.display().to_string());
    let bytes = std::fs::read(path)
        .map_err(|error| wrong(format!("cannot read the test program: {error}")))?;
    let file = object::File::parse(&*bytes)
        .map_err(|error| wrong(format!("the test program is no ELF file: {error}")))?;
    let mut functions = Functions {
        program: TestProgram { entry: file.entry(), ..TestProgram::default() },
        has_libtest: false,
        allocator: None,
    };
    let mut ranges = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.is_definition()) {
        let Ok(name) = symbol.name() else { continue };
        match symbol.kind() {
            SymbolKind::Text if symbol.size() > 0 => {
                let (start, end) = (symbol.address(), symbol.address() + symbol.size());
                let role = role(&demangled(name));
                functions.has_libtest |= role == FunctionRole::TestEntry;
                let known = ALLOCATORS.into_iter().find(|(function, _)| *function == name);
                functions.allocator = functions.allocator.or(known.map(|(_, allocator)| allocator));
                ranges.push(FunctionRange { start, end, role });
            }
            SymbolKind::Data
                if name.contains("GLOBAL_PANIC_COUNT") && demangled(name) == PANICS =>
            {
                functions.program.panics = Some(symbol.address());
            }
            _ => {}
        }
    }
    if ranges.is_empty() {
        return Err(wrong("the test program has no names of functions".to_owned())
            .help("set `strip = \"none\"` in the profile that its tests are built with"));
    }
    functions.program.functions = joined(ranges);
    Ok(functions)
}

/// The path of a function, without generic arguments.
fn demangled(name: &str) -> String {
    plain(&format!("{:#}", rustc_demangle::demangle(name)))
}

/// The role of a function.
fn role(function: &str) -> FunctionRole {
    let last = function.rsplit("::").next().unwrap_or(function);
    let is_thread =
        function.starts_with("std::thread::") && THREADS.iter().any(|part| function.contains(part));
    let is_main = last == "main" && function.matches("::").count() <= 1;
    match function {
        TEST_ENTRY => FunctionRole::TestEntry,
        THREAD_ENTRY => FunctionRole::ThreadEntry,
        _ if ALLOCATOR.contains(&last) => FunctionRole::Allocator,
        _ if is_thread || MACHINERY.iter().any(|start| function.starts_with(start)) => {
            FunctionRole::Machinery
        }
        // The program's own, which libtest starts from.
        _ if is_main => FunctionRole::Library,
        _ if is_left_out(function, None) => FunctionRole::Library,
        _ => FunctionRole::Test,
    }
}

/// The ranges in order, those of one role that follow each other as one. Of functions at one address,
/// which the linker has found to be equal, the first by role counts.
fn joined(mut ranges: Vec<FunctionRange>) -> Vec<FunctionRange> {
    ranges.sort_unstable();
    let mut joined: Vec<FunctionRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start < last.end => {}
            // What is between two functions is padding.
            Some(last) if range.role == last.role && range.start - last.end < 16 => {
                last.end = range.end;
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_path_tells_its_role() {
        use FunctionRole::{Allocator, Library, Machinery, Test, TestEntry, ThreadEntry};
        for (name, expected) in [
            ("fixture::tests::clean", Test),
            ("<fixture::list::List as core::ops::drop::Drop>::drop", Test),
            ("sqlite3_open", Test),
            ("alloc::vec::Vec<T,A>::push", Library),
            ("test::run_test_in_process", Library),
            ("fixture::main", Library),
            ("fixture::cli::main", Test),
            ("test::__rust_begin_short_backtrace", TestEntry),
            ("std::sys::backtrace::__rust_begin_short_backtrace", ThreadEntry),
            ("__rustc::__rust_alloc", Allocator),
            ("__rust_realloc", Allocator),
            ("std::io::stdio::_print", Machinery),
            ("std::thread::builder::Builder::spawn_unchecked", Machinery),
            ("std::thread::local::LocalKey<T>::with", Library),
            ("std::thread::scoped::scope", Library),
            ("std::panicking::rust_panic_with_hook", Machinery),
        ] {
            assert_eq!(role(&plain(name)), expected, "{name}");
        }
    }

    #[test]
    fn neighbours_of_one_role_are_one_range() {
        let range = |start, end, role| FunctionRange { start, end, role };
        let (test, library) = (FunctionRole::Test, FunctionRole::Library);
        let ranges = vec![
            range(32, 40, library),
            range(16, 30, test),
            range(0, 16, test),
            range(32, 40, test),
            range(48, 64, library),
            range(128, 140, library),
        ];
        let expected = [range(0, 40, test), range(48, 64, library), range(128, 140, library)];
        assert_eq!(joined(ranges), expected);
    }

    #[test]
    fn this_test_program_is_libtests() {
        let own = std::env::current_exe().expect("known");
        let functions = read(&own).expect("read");
        assert!(functions.has_libtest && functions.program.panics.is_some());
        assert_eq!(functions.allocator, None);
    }
}
