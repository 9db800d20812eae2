//! For C: a sweep and a conformance run that C can call, and what C's allocators and C's users of
//! allocators look like.
//!
//! `mallory.h` is made of this module (`cargo run -p ci -- header`), and the crate `mallory-c` makes
//! the static library. In Rust this is how to sweep a C library:
//!
//! - [`Heap::memory_table`](crate::Heap::memory_table) and [`Heap::port_table`](crate::Heap::port_table)
//!   hand a heap to one that takes a table with a context; `mallory_lua_alloc` and its neighbours
//!   stand in other tables as they are, with the heap as the context;
//! - [`c_slot!`] makes functions for one whose table has no context;
//! - [`TablePort`] and [`MemoryPort`] make a C allocator a [`Port`](crate::Port).
#![allow(unsafe_code)]

pub mod conformance;

use crate::report::rerun::Rerun;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use crate::__c_slot as c_slot;
pub use crate::adapters::c_memory::{
    MAX_ALIGN, MemoryPort, MemoryTable, mallory_aligned_alloc, mallory_calloc, mallory_free,
    mallory_lua_alloc, mallory_malloc, mallory_posix_memalign, mallory_realloc,
    mallory_usable_size, mallory_zlib_alloc, mallory_zlib_free,
};
pub use crate::adapters::c_slot::{InSlot, Occupied, Slot};
pub use crate::adapters::c_table::{PortTable, TablePort};
use crate::env::started;
use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::aside;
use crate::report::Report;
use crate::sweep::builder::Sweep;

/// Makes a type whose functions are C's `malloc` and its kin, for a library whose table of functions
/// has no context: they work on the heap that occupies the type's slot.
///
/// The slot is the process's, so a subject that uses one is swept with jobs that are processes,
/// which they are on Unix.
///
/// ```
/// use mallory::c::InSlot;
/// use mallory::{Heap, Sweep};
///
/// mallory::c::c_slot! {
///     /// Where the library's memory comes from.
///     struct Library;
/// }
///
/// /// As a library would do it that was given these two functions.
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

/// What a subject answers: all went well.
pub const OK: c_int = 0;
/// What a subject answers: it ran out of memory, and gave back what it had. Any other number is an
/// error that has nothing to do with memory, which under a fault is a finding.
pub const NO_MEMORY: c_int = 1;

/// The code under test: takes its memory from the heap, and answers `MALLORY_OK`,
/// `MALLORY_NO_MEMORY` or another error. It is called many times, and must do the same each time.
pub type CSubject = Option<unsafe extern "C" fn(heap: *mut Heap, user_data: *mut c_void) -> c_int>;

/// What is asked of a sweep. All zeroes asks for nothing in particular, and so does a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// The one number that all chance comes from.
    pub seed: u64,
    /// Processes that share the work; 0 is one.
    pub jobs: usize,
    /// Faulted runs at the most; 0 is as many as it takes.
    pub limit: u64,
    /// Whether absorbing a failed request is a finding, too.
    pub strict: bool,
    /// The allocator that the heap stands on; null is the system's.
    pub port: *const PortTable,
    /// How this program is started, for replay lines; null is as it was.
    pub program: *const c_char,
}

thread_local! {
    /// What the present run said that it came to.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// An error that is not out of memory: the number that the subject answered.
#[derive(Debug)]
enum Failed {
    NoMemory,
    #[expect(dead_code, reason = "read by `Debug` alone")]
    Answered(c_int),
}

/// A text of C's; none where the pointer is null.
///
/// # Safety
/// - `text` is null or a string.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Says part of what a run came to. All that was said is compared with what the fault-free run said:
/// an answer of `MALLORY_OK` with another text is a finding.
///
/// # Safety
/// - `text` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_say(text: *const c_char) {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    aside(|| SAID.with_borrow_mut(|said| said.push_str(&text)));
}

/// The heap as a table with sizes and alignments. It is good as long as the heap.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_port(heap: *mut Heap) -> PortTable {
    // SAFETY: the caller's promise.
    unsafe { &*heap }.port_table()
}

/// The heap as a table in the words of `malloc`. It is good as long as the heap.
///
/// # Safety
/// - `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_memory(heap: *mut Heap) -> MemoryTable {
    // SAFETY: the caller's promise.
    unsafe { &*heap }.memory_table()
}

/// A second heap of the same run with a name of its own: what one hands out the other may not take
/// back. To be given back with `mallory_heap_drop`.
///
/// # Safety
/// - `heap` is a live heap; `name` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_named(heap: *mut Heap, name: *const c_char) -> *mut Heap {
    // SAFETY: the caller's promise.
    let (heap, name) = unsafe { (&*heap, CStr::from_ptr(name)) };
    // Heaps are named for as long as the process lives; a run makes the same few each time.
    aside(|| {
        let name = name.to_string_lossy().into_owned().leak();
        Box::into_raw(Box::new(heap.named(name)))
    })
}

/// Gives back a heap that `mallory_heap_named` made.
///
/// # Safety
/// - `heap` came from there, and is used no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_heap_drop(heap: *mut Heap) {
    // SAFETY: made by `Box::into_raw`.
    aside(|| drop(unsafe { Box::from_raw(heap) }));
}

/// Sweeps a subject: every request that it makes of the heap fails in turn, once and for good.
/// Prints the report, and answers the exit code: 0 clean, 1 findings, 2 a mistake of the caller's,
/// 3 incomplete, 101 a bug of Mallory's own. `mallory_sweep` puts `__FILE__` in place of `file`,
/// by which paths in the report lose what belongs to the machine.
///
/// # Safety
/// - `file` and `name` are strings; `options` is null or points to some, whose port keeps what it
///   promises as long as the sweep goes; the subject may be called with the user data.
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
    // A panic would end in an abort at C's door.
    catch_unwind(sweep).unwrap_or(101)
}

/// The sweep that the options ask for.
///
/// # Safety
/// - as for [`mallory_sweep_from`].
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
    if let Some(asked) = options {
        program = asked.program;
        if asked.seed != 0 {
            sweep = sweep.seed(asked.seed);
        }
        if asked.jobs != 0 {
            sweep = sweep.jobs(asked.jobs);
        }
        if asked.limit != 0 {
            sweep = sweep.limit(asked.limit);
        }
        if asked.strict {
            sweep = sweep.strict();
        }
        // SAFETY: the caller's promise.
        if let Some(table) = unsafe { asked.port.as_ref() } {
            let table = *table;
            // SAFETY: the caller's promise. Made here once, to say what is missing.
            unsafe { TablePort::new(table) }.map(|_| ())?;
            sweep = sweep.port(move || {
                // SAFETY: as above.
                unsafe { TablePort::new(table) }.expect("[mallory bug] the same table as before")
            });
        }
    }
    // SAFETY: the caller's promise.
    let program = unsafe { text(program) }.unwrap_or_else(started);
    Ok(sweep.rerun_by(Rerun::Program(program)))
}

/// Sweeps the subject.
///
/// # Safety
/// - the subject may be called with the user data.
unsafe fn run(
    sweep: Sweep,
    subject: unsafe extern "C" fn(*mut Heap, *mut c_void) -> c_int,
    user_data: *mut c_void,
) -> Report {
    sweep.oom(|failed: &Failed| matches!(failed, Failed::NoMemory)).run_local(|heap| {
        SAID.with_borrow_mut(String::clear);
        // SAFETY: the caller's promise; the heap lives during the call.
        match unsafe { subject(std::ptr::from_ref(heap).cast_mut(), user_data) } {
            OK => Ok(SAID.with_borrow(String::clone)),
            NO_MEMORY => Err(Failed::NoMemory),
            other => Err(Failed::Answered(other)),
        }
    })
}

/// Prints a report as the command line does, and answers its exit code.
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
