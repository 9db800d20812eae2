//! Mallory for C: a sweep and a conformance run that C can call, a heap for C libraries that take
//! their allocator as a parameter, and C allocators as ports.
//!
//! `mallory.h` is generated from this module (`cargo run -p ci -- header`), and the crate
//! `mallory-c` builds the static library. From Rust a C library is swept like this:
//!
//! - [`Heap::memory_table`](crate::Heap::memory_table) and
//!   [`Heap::port_table`](crate::Heap::port_table) hand a heap to a library that takes a table of
//!   functions with a context. `mallory_lua_alloc` and the other `mallory_*` functions fit into
//!   such tables as they are, with the heap as the context.
//! - [`c_slot!`] makes functions for a library whose functions get no context.
//! - [`TablePort`] and [`MemoryPort`] make a C allocator a [`Port`](crate::Port).
#![allow(unsafe_code)]

pub mod conformance;

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use crate::__c_slot as c_slot;
pub use crate::adapters::c_heap::{
    mallory_aligned_alloc, mallory_calloc, mallory_free, mallory_lua_alloc, mallory_malloc,
    mallory_posix_memalign, mallory_realloc, mallory_usable_size, mallory_zlib_alloc,
    mallory_zlib_free,
};
pub use crate::adapters::c_memory::{MAX_ALIGN, MemoryPort, MemoryTable};
pub use crate::adapters::c_slot::{InSlot, Occupied, Slot};
pub use crate::adapters::c_table::{PortTable, TablePort};
use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::aside;
use crate::launch::started;
use crate::report::Report;
use crate::report::rerun::Rerun;
use crate::sweep::builder::Sweep;

/// Makes a type whose functions are C's `malloc` and its relatives, for a library whose functions
/// get no context. They use the heap that occupies the type's slot.
///
/// A process has one slot per type, so a subject that uses one needs jobs that are processes, which
/// they are on Unix.
///
/// ```
/// use mallory::c::InSlot;
/// use mallory::{Heap, Sweep};
///
/// mallory::c::c_slot! {
///     /// The allocator of the library.
///     struct Library;
/// }
///
/// /// What a library does that is given these two functions.
/// fn use_library(malloc: unsafe extern "C" fn(usize) -> *mut std::ffi::c_void,
///                free: unsafe extern "C" fn(*mut std::ffi::c_void)) -> bool {
///     let block = unsafe { malloc(40) };
///     unsafe { free(block) };
///     !block.is_null()
/// }
///
/// Sweep::new("library").oom(|_: &&str| true).run(|heap: &Heap| {
///     let _stay = Library::slot().occupy(heap).map_err(|_| "taken")?;
///     use_library(Library::malloc, Library::free).then_some(()).ok_or("out of memory")
/// }).assert_clean();
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __c_slot {
    ($(#[$meta:meta])* $vis:vis struct $name:ident;) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name;

        impl $crate::c::InSlot for $name {
            fn slot() -> &'static $crate::c::Slot {
                static SLOT: $crate::c::Slot = $crate::c::Slot::new();
                &SLOT
            }
        }
    };
}

/// What a subject returns if it succeeded.
pub const OK: c_int = 0;
/// What a subject returns if it ran out of memory and freed what it had. Any other number is an
/// error that has nothing to do with memory, which is a finding if a request failed.
pub const NO_MEMORY: c_int = 1;

/// The code under test: takes its memory from the heap, and returns `MALLORY_OK`,
/// `MALLORY_NO_MEMORY` or another error. It is called many times, and must do the same each time.
pub type CSubject = Option<unsafe extern "C" fn(heap: *mut Heap, user_data: *mut c_void) -> c_int>;

/// The options of a sweep. All zeroes are the defaults, and so is a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of processes that share the work; 0 is one.
    pub jobs: usize,
    /// The largest number of faulted runs; 0 is no limit.
    pub limit: u64,
    /// Whether absorbing a failed request is a finding, too.
    pub strict: bool,
    /// The allocator below the heap; null is the system's.
    pub port: *const PortTable,
    /// The command that starts this program, for replay lines; null is the one that started it.
    pub program: *const c_char,
}

thread_local! {
    /// The result of the current run, as far as the subject has said it (`mallory_say`).
    static RESULT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Why a subject failed.
#[derive(Debug)]
enum Failed {
    NoMemory,
    /// The number that the subject returned. The report prints it by `Debug`.
    #[expect(dead_code, reason = "read by `Debug` alone")]
    Answered(c_int),
}

/// A C string; `None` if the pointer is null.
///
/// # Safety
/// - `text` is null or a C string.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Adds to the text that is the run's result. It is compared with the text of the fault-free run:
/// returning `MALLORY_OK` with another text is a finding.
///
/// # Safety
/// - `text` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_say(text: *const c_char) {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    aside(|| RESULT.with_borrow_mut(|result| result.push_str(&text)));
}

/// The heap as a table of functions with sizes and alignments. It is valid as long as the heap.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_port(heap: *mut Heap) -> PortTable {
    // SAFETY: the caller's promise.
    unsafe { &*heap }.port_table()
}

/// The heap as a table of `malloc`-like functions. It is valid as long as the heap.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_memory(heap: *mut Heap) -> MemoryTable {
    // SAFETY: the caller's promise.
    unsafe { &*heap }.memory_table()
}

/// A second heap of the same run, with this name. A block of one heap must not be freed through the
/// other. Drop it with `mallory_heap_drop`.
///
/// # Safety
/// - `heap` is a live heap; `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_named(heap: *mut Heap, name: *const c_char) -> *mut Heap {
    // SAFETY: the caller's promise.
    let (heap, name) = unsafe { (&*heap, CStr::from_ptr(name)) };
    // A heap's name is `'static`, so it is leaked: each run leaks the same few.
    aside(|| {
        let name = name.to_string_lossy().into_owned().leak();
        Box::into_raw(Box::new(heap.named(name)))
    })
}

/// Drops a heap that `mallory_heap_named` made.
///
/// # Safety
/// - `heap` was made there, and is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_drop(heap: *mut Heap) {
    // SAFETY: made by `Box::into_raw`.
    aside(|| drop(unsafe { Box::from_raw(heap) }));
}

/// Sweeps a subject: every request that it makes of the heap fails in turn, once alone and once
/// with all later requests. Prints the report, and returns the exit code: 0 clean, 1 findings, 2 a
/// mistake of the caller, 3 incomplete, 101 a bug of Mallory. `mallory_sweep` passes `__FILE__` as
/// `file`, by which the report makes its paths independent of the machine.
///
/// # Safety
/// - `file` and `name` are C strings.
/// - `options` is null or points to options whose port keeps its contract during the sweep.
/// - The subject may be called with the user data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_sweep_from(
    file: *const c_char,
    name: *const c_char,
    subject: CSubject,
    user_data: *mut c_void,
    options: *const SweepOptions,
) -> c_int {
    let sweep = AssertUnwindSafe(|| {
        // SAFETY: the caller's promises.
        let options = unsafe { options.as_ref() };
        // SAFETY: the caller's promises.
        match unsafe { prepare(file, name, options) } {
            Ok(sweep) => {
                let report = match subject {
                    // SAFETY: the caller's promise about the subject.
                    Some(subject) => unsafe { run(sweep, subject, user_data) },
                    None => sweep.failed(Error::new("the subject is null").help("give a function")),
                };
                show(&report)
            }
            Err(error) => {
                eprintln!("error: {error}");
                2
            }
        }
    });
    // A panic must not unwind into C.
    catch_unwind(sweep).unwrap_or(101)
}

/// The sweep with these options.
///
/// # Safety
/// - As for [`mallory_sweep_from`].
unsafe fn prepare(
    file: *const c_char,
    name: *const c_char,
    options: Option<&SweepOptions>,
) -> Result<Sweep, Error> {
    // SAFETY: the caller's promise.
    let (file, name) = unsafe { (CStr::from_ptr(file), CStr::from_ptr(name)) };
    let file: &'static str = file.to_string_lossy().into_owned().leak();
    let mut sweep = Sweep::new(name.to_string_lossy()).known_file(file);
    let mut program = std::ptr::null();
    if let Some(options) = options {
        program = options.program;
        if options.seed != 0 {
            sweep = sweep.seed(options.seed);
        }
        if options.jobs != 0 {
            sweep = sweep.jobs(options.jobs);
        }
        if options.limit != 0 {
            sweep = sweep.limit(options.limit);
        }
        if options.strict {
            sweep = sweep.strict();
        }
        // SAFETY: the caller's promise.
        if let Some(table) = unsafe { options.port.as_ref() } {
            let table = *table;
            // SAFETY: the caller's promise. Made here once, so that a missing function is an error.
            unsafe { TablePort::new(table) }.map(|_| ())?;
            sweep = sweep.port(move || {
                // SAFETY: as above.
                unsafe { TablePort::new(table) }.expect("[mallory bug] the same table as before")
            });
        }
    }
    // SAFETY: the caller's promise.
    let program = unsafe { text(program) }.unwrap_or_else(started);
    Ok(sweep.of_c().rerun_by(Rerun::Program(program)))
}

/// Sweeps the subject.
///
/// # Safety
/// - The subject may be called with the user data.
unsafe fn run(
    sweep: Sweep,
    subject: unsafe extern "C" fn(*mut Heap, *mut c_void) -> c_int,
    user_data: *mut c_void,
) -> Report {
    sweep.oom(|failed: &Failed| matches!(failed, Failed::NoMemory)).run_local(|heap| {
        RESULT.with_borrow_mut(String::clear);
        // SAFETY: the caller's promise; the heap lives during the call.
        match unsafe { subject(std::ptr::from_ref(heap).cast_mut(), user_data) } {
            OK => Ok(RESULT.with_borrow(String::clone)),
            NO_MEMORY => Err(Failed::NoMemory),
            other => Err(Failed::Answered(other)),
        }
    })
}

/// Prints a report as the command line does, and returns its exit code.
fn show(report: &Report) -> c_int {
    let mut out = std::io::stdout().lock();
    let written = match report.error() {
        Some(_) => {
            eprint!("{}", report.details());
            Ok(())
        }
        None => write!(out, "seed {}\n{report}", report.seed()),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            2
        }
        _ => report.exit_code().into(),
    }
}
