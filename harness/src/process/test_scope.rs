//! Which requests of a test program are those of its test. A program that libtest runs makes many more:
//! libtest's own, and those of the standard library that start threads, print, and unwind panics. What
//! they do without memory says nothing about the code under test, so they are neither counted nor made
//! to fail.
//!
//! The call stack of a request tells. Its innermost function that is neither the standard library's nor
//! libtest's decides: the test's code, or one of the standard library's that is known for such work
//! (*machinery*). Where the compiler has put the test's code into a function of the standard library,
//! the function that runs a test decides, which is never inlined.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::codec::{by_index, codec_struct};

/// What a function of a test program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FunctionRole {
    /// The test's code, its crate's or that of a dependency.
    Test,
    /// A function of the standard library's or of libtest's: its caller decides.
    Library,
    /// A function of the standard library's that starts threads, prints, or unwinds.
    Machinery,
    /// The way into the global allocator: what is further in is the allocator's own.
    Allocator,
    /// libtest's function that calls a test.
    TestEntry,
    /// The standard library's function that calls the first function of a thread.
    ThreadEntry,
}

impl FunctionRole {
    const ALL: [FunctionRole; 6] = [
        FunctionRole::Test,
        FunctionRole::Library,
        FunctionRole::Machinery,
        FunctionRole::Allocator,
        FunctionRole::TestEntry,
        FunctionRole::ThreadEntry,
    ];
}

by_index!(FunctionRole);

/// Functions of one role that follow each other, by their addresses in the program's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) role: FunctionRole,
}

codec_struct!(FunctionRange { start, end, role });

/// The functions of a test program.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestProgram {
    /// Where the program begins, in its file.
    pub(crate) entry: u64,
    /// All functions, sorted by address.
    pub(crate) functions: Vec<FunctionRange>,
    /// The standard library's count of panics that unwind.
    pub(crate) panics: Option<u64>,
    /// The name of the test's own function, without its path.
    pub(crate) test: String,
}

codec_struct!(TestProgram { entry, functions, panics, test });

/// Why the tests of a program can't be watched whose own requests, libtest's too, never come here.
pub(crate) const HIDDEN: &str =
    "its requests don't reach the C library: it has an allocator of its own";

/// The program that this library was preloaded into, if it is a test program, and by how much its
/// addresses differ from those in the file.
static PROGRAM: OnceLock<(TestProgram, usize)> = OnceLock::new();

/// The thread that libtest starts for a test: the first one that the program starts.
const TESTS_THREAD: u16 = 1;

/// Says that this process is a test program, once and for all.
#[cfg(all(feature = "preload", target_os = "linux"))]
pub(crate) fn set(program: TestProgram) {
    // SAFETY: asks for a number.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
    let shift = (entry as usize).wrapping_sub(program.entry as usize);
    let _ = PROGRAM.set((program, shift));
}

/// Whether this process is a test program.
pub(crate) fn is_set() -> bool {
    PROGRAM.get().is_some()
}

/// Whether a request of this thread with this call stack, innermost first, is the test's.
pub(crate) fn is_tests(thread: u16, stack: &[usize]) -> bool {
    let Some((program, shift)) = PROGRAM.get() else { return true };
    if thread < TESTS_THREAD || is_unwinding(program, *shift) {
        return false;
    }
    let roles = stack.iter().filter_map(|address| program.role(address.wrapping_sub(*shift)));
    is_tests_by_roles(thread, roles)
}

/// Whether there is a function of the test's on this call stack. Without a test program there may be.
pub(crate) fn mentions_test(stack: &[usize]) -> bool {
    let Some((program, shift)) = PROGRAM.get() else { return true };
    let mut roles = stack.iter().filter_map(|address| program.role(address.wrapping_sub(*shift)));
    roles.any(|role| matches!(role, FunctionRole::Test | FunctionRole::TestEntry))
}

/// The same by the roles of the functions on the stack, innermost first.
fn is_tests_by_roles(thread: u16, roles: impl Iterator<Item = FunctionRole>) -> bool {
    let mut decided = None;
    for role in roles {
        match role {
            FunctionRole::Library => {}
            FunctionRole::Allocator => decided = None,
            FunctionRole::ThreadEntry if thread == TESTS_THREAD => {}
            role => decided = decided.or(Some(role)),
        }
    }
    matches!(
        decided,
        Some(FunctionRole::Test | FunctionRole::TestEntry | FunctionRole::ThreadEntry)
    )
}

/// Whether a panic unwinds in some thread.
fn is_unwinding(program: &TestProgram, shift: usize) -> bool {
    /// Set in the count where a panic aborts at once.
    const ABORTS: usize = 1 << (usize::BITS - 1);
    let Some(count) = program.panics else { return false };
    let address = (count as usize).wrapping_add(shift);
    // SAFETY: the standard library's static of this name is an atomic number, which lives as long as
    // the process.
    let count = unsafe { &*(address as *const AtomicUsize) };
    count.load(Ordering::Relaxed) & !ABORTS != 0
}

impl TestProgram {
    /// The role of the function in which a call at this return address was made. `None` if it is not of
    /// the program, but of a shared library.
    fn role(&self, address: usize) -> Option<FunctionRole> {
        let call = (address as u64).wrapping_sub(1);
        let after = self.functions.partition_point(|range| range.start <= call);
        let range = self.functions.get(after.checked_sub(1)?)?;
        (call < range.end).then_some(range.role)
    }
}

#[cfg(test)]
mod tests {
    use super::FunctionRole::{Allocator, Library, Machinery, Test, TestEntry, ThreadEntry};
    use super::*;

    #[test]
    fn the_innermost_function_that_is_not_the_librarys_decides() {
        for (thread, stack, is_tests) in [
            (1, &[Allocator, Library, Test, TestEntry, Library, ThreadEntry][..], true),
            // Started, reported and printed by libtest.
            (1, &[Allocator, Library, ThreadEntry], false),
            (1, &[Library, Machinery, Library, ThreadEntry], false),
            // The test prints, and what it prints has a method of its own.
            (1, &[Library, Machinery, Test, TestEntry, ThreadEntry], false),
            (1, &[Library, Test, Machinery, Test, TestEntry, ThreadEntry], true),
            // The test was inlined into what calls it.
            (1, &[Library, TestEntry, Library, ThreadEntry], true),
            // A thread of the test's, and its start.
            (2, &[Library, Test, ThreadEntry], true),
            (2, &[Library, ThreadEntry, Machinery], true),
            (2, &[Library, Machinery], false),
            // The global allocator is the test's code, and what it serves is libtest's.
            (1, &[Test, Allocator, Library, ThreadEntry], false),
            (1, &[Test, Allocator, Library, Test, TestEntry], true),
            (1, &[], false),
        ] {
            let found = is_tests_by_roles(thread, stack.iter().copied());
            assert_eq!(found, is_tests, "{thread} {stack:?}");
        }
    }

    #[test]
    fn a_return_address_belongs_to_the_call_before_it() {
        let range = |start, end, role| FunctionRange { start, end, role };
        let functions = vec![range(16, 32, Test), range(32, 48, Library), range(64, 80, Machinery)];
        let program = TestProgram { functions, ..TestProgram::default() };
        let roles = [16, 17, 32, 33, 48, 49, 65, 81].map(|address| program.role(address));
        let (test, library) = (Some(Test), Some(Library));
        assert_eq!(roles, [None, test, test, library, library, None, Some(Machinery), None]);
    }
}
