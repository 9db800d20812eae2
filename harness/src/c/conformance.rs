//! Conformance runs for C: a C allocator, by its table, is compared with the model of its contract.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::c::{MemoryPort, MemoryTable, PortTable, TablePort, show, text};
use crate::conformance::{Conformance, conformance};
use crate::error::Error;
use crate::port::Port;
use crate::report::Report;

/// The options of a conformance run. All zeroes are the defaults, and so is a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConformanceOptions {
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of operations, in sequences of up to 512; 0 is 8,192.
    pub operations: usize,
    /// The largest size in bytes that the allocator has to serve; 0 is 64 KiB.
    pub max_size: usize,
    /// The largest alignment that it has to serve, a power of two; 0 is 64 KiB.
    pub max_align: usize,
    /// The size in bytes of the fixed region that the allocator manages; 0 if there is none. The
    /// region is filled until the allocator refuses, and what was freed has to be available again.
    /// Needs `renew`.
    pub fixed: usize,
    /// Makes the allocator as good as new, with nothing in use. Called with the table's context
    /// before each sequence. If it is null, blocks of earlier sequences are never freed.
    pub renew: Option<unsafe extern "C" fn(context: *mut c_void)>,
    /// The number of bytes that the allocator holds of the memory below it. Repeating the same
    /// requests and frees must not increase it. May be null.
    pub held: Option<unsafe extern "C" fn(context: *mut c_void) -> usize>,
    /// Runs this sequence, in lines as a finding prints them, instead of random ones; may be null.
    pub sequence: *const c_char,
    /// The command that starts this program, for replay lines; null is the one that started it.
    pub program: *const c_char,
}

/// Tests whether an allocator keeps its contract: runs seeded sequences of requests and frees on
/// it, in child processes, and compares it with a model. Prints the report, each broken promise
/// with the shortest sequence that shows it, and returns the exit code: 0 clean, 1 findings, 2 a
/// mistake of the caller, 101 a bug of Mallory. `MALLORY_SEQUENCE=FILE` runs a sequence again.
///
/// # Safety
/// - `name` is a C string.
/// - `port` points to a table whose functions may be called with its context.
/// - `options` is null or points to options whose functions may be called with that context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_conformance(
    name: *const c_char,
    port: *const PortTable,
    options: *const ConformanceOptions,
) -> c_int {
    // SAFETY: the caller's promises; the table is looked at here and copied.
    unsafe {
        test_table(
            name,
            port.as_ref(),
            |table| table.context,
            options,
            |table| TablePort::new(table),
        )
    }
}

/// The same for an allocator with `malloc`-like functions. A `calloc` is also given factors whose
/// product overflows.
///
/// # Safety
/// - As for [`mallory_conformance`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_conformance_memory(
    name: *const c_char,
    memory: *const MemoryTable,
    options: *const ConformanceOptions,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let table = memory.as_ref();
        test_table(name, table, |table| table.context, options, |table| MemoryPort::new(table))
    }
}

/// Tests the allocator of a table, prints the report and returns the exit code.
///
/// # Safety
/// - As for [`mallory_conformance`].
unsafe fn test_table<T: Copy, P: Port>(
    name: *const c_char,
    table: Option<&T>,
    context: fn(&T) -> *mut c_void,
    options: *const ConformanceOptions,
    port: impl Fn(T) -> Result<P, Error>,
) -> c_int {
    let run = AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }.unwrap_or_default();
        // SAFETY: the caller's promise.
        let options = unsafe { options.as_ref() };
        let seed = options.map_or(0, |options| options.seed);
        // SAFETY: the caller's promise.
        let report = table
            .ok_or_else(|| Error::new("the table is null").help("give one with its functions"))
            .and_then(|table| unsafe { run(&name, *table, context(table), options, &port) });
        show(&report.unwrap_or_else(|error| Report::failed(&name, seed, error)))
    });
    // A panic must not unwind into C.
    catch_unwind(run).unwrap_or(101)
}

/// The report of a conformance run with these options.
///
/// # Safety
/// - As for [`mallory_conformance`].
unsafe fn run<T: Copy, P: Port>(
    name: &str,
    table: T,
    context: *mut c_void,
    options: Option<&ConformanceOptions>,
    port: &dyn Fn(T) -> Result<P, Error>,
) -> Result<Report, Error> {
    // Made here once, so that a missing function is an error.
    port(table)?;
    let renew = options.and_then(|options| options.renew);
    let mut suite: Conformance<'_, P> = conformance(|| {
        if let Some(renew) = renew {
            // SAFETY: the caller's promise about the options' functions.
            unsafe { renew(context) }
        }
        port(table).expect("[mallory bug] the same table as before")
    })
    .name(name);
    let Some(options) = options else { return Ok(suite.run()) };
    if options.seed != 0 {
        suite = suite.seed(options.seed);
    }
    if options.operations != 0 {
        suite = suite.operations(options.operations);
    }
    if options.max_size != 0 {
        suite = suite.max_size(options.max_size);
    }
    if options.max_align != 0 {
        suite = suite.max_align(options.max_align);
    }
    if options.fixed != 0 {
        if renew.is_none() {
            return Err(Error::new("`fixed` is set, and `renew` is null")
                .help("give `renew` as well: each sequence begins on an empty region"));
        }
        suite = suite.fixed(options.fixed);
    }
    if let Some(held) = options.held {
        // SAFETY: the caller's promise about the options' functions.
        suite = suite.held(move |_| unsafe { held(context) });
    }
    // SAFETY: the caller's promise.
    if let Some(lines) = unsafe { text(options.sequence) } {
        suite = suite.replay(lines);
    }
    // SAFETY: the caller's promise.
    if let Some(program) = unsafe { text(options.program) } {
        suite = suite.program(program);
    }
    Ok(suite.run())
}
