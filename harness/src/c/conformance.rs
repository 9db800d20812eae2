//! Conformance as C calls it: an allocator of C's, by its table, beside the model of its contract.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::c::{MemoryPort, MemoryTable, PortTable, TablePort, show, text};
use crate::conformance::{Conformance, conformance};
use crate::error::Error;
use crate::port::Port;
use crate::report::Report;

/// What is asked of a conformance run. All zeroes asks for nothing in particular, and so does a null
/// pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConformanceOptions {
    /// The one number that all chance comes from.
    pub seed: u64,
    /// Operations, in sequences of 512; 0 is 8,192.
    pub operations: usize,
    /// The largest size in bytes that is asked for in earnest; 0 is 64 KiB.
    pub max_size: usize,
    /// The largest alignment that is asked for in earnest, a power of two; 0 is 64 KiB.
    pub max_align: usize,
    /// Bytes of the region that the allocator stands on, which is filled up until it refuses: what
    /// was given back has to be there again. 0 is no such region. It takes `renew`.
    pub fixed: usize,
    /// Makes the allocator as new, with nothing in use; called with the table's context before each
    /// sequence. Null: blocks of the sequences before are never given back.
    pub renew: Option<unsafe extern "C" fn(context: *mut c_void)>,
    /// How many bytes the allocator holds of whatever it stands on: the same requests and frees again
    /// and again must not make it more. May be null.
    pub held: Option<unsafe extern "C" fn(context: *mut c_void) -> usize>,
    /// Runs these lines, as a finding printed them, in place of drawing any; null draws.
    pub sequence: *const c_char,
    /// How this program is started, for replay lines; null is as it was.
    pub program: *const c_char,
}

/// Holds an allocator to its contract: drives it with seeded sequences of requests and frees beside a
/// model, in child processes. Prints the report, each broken promise with the smallest sequence that
/// shows it, and answers the exit code: 0 clean, 1 findings, 2 a mistake of the caller's, 101 a bug
/// of Mallory's own. `MALLORY_SEQUENCE=FILE` runs a sequence again.
///
/// # Safety
/// - `name` is a string; `port` points to a table whose functions may be called with its context;
///   `options` is null or points to some, of which the same is true.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_conformance(
    name: *const c_char,
    port: *const PortTable,
    options: *const ConformanceOptions,
) -> c_int {
    // SAFETY: the caller's promises; the table is looked at here and copied.
    unsafe {
        held_to(name, port.as_ref(), |table| table.context, options, |table| TablePort::new(table))
    }
}

/// The same for an allocator that has only the words of `malloc`. A `calloc` is asked for products as
/// well that are larger than there can be.
///
/// # Safety
/// - as for [`mallory_conformance`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallory_conformance_memory(
    name: *const c_char,
    memory: *const MemoryTable,
    options: *const ConformanceOptions,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let table = memory.as_ref();
        held_to(name, table, |table| table.context, options, |table| MemoryPort::new(table))
    }
}

/// Holds a table to its contract, and prints what came of it.
///
/// # Safety
/// - as for [`mallory_conformance`].
unsafe fn held_to<T: Copy, P: Port>(
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
        let seed = options.map_or(0, |asked| asked.seed);
        // SAFETY: the caller's promise.
        let report = table
            .ok_or_else(|| Error::new("the table is null").help("give one with its functions"))
            .and_then(|table| unsafe { run(&name, *table, context(table), options, &port) });
        show(&report.unwrap_or_else(|error| Report::failed(&name, seed, error)))
    });
    // A panic would end in an abort at C's door.
    catch_unwind(run).unwrap_or(101)
}

/// The report of what the options ask for.
///
/// # Safety
/// - as for [`mallory_conformance`].
unsafe fn run<T: Copy, P: Port>(
    name: &str,
    table: T,
    context: *mut c_void,
    options: Option<&ConformanceOptions>,
    port: &dyn Fn(T) -> Result<P, Error>,
) -> Result<Report, Error> {
    // Made here once, to say what is missing.
    port(table)?;
    let renew = options.and_then(|asked| asked.renew);
    let mut suite: Conformance<'_, P> = conformance(|| {
        if let Some(renew) = renew {
            // SAFETY: the caller's promise about the options' functions.
            unsafe { renew(context) }
        }
        port(table).expect("[mallory bug] the same table as before")
    })
    .name(name);
    let Some(asked) = options else { return Ok(suite.run()) };
    if asked.seed != 0 {
        suite = suite.seed(asked.seed);
    }
    if asked.operations != 0 {
        suite = suite.operations(asked.operations);
    }
    if asked.max_size != 0 {
        suite = suite.max_size(asked.max_size);
    }
    if asked.max_align != 0 {
        suite = suite.max_align(asked.max_align);
    }
    if asked.fixed != 0 {
        if renew.is_none() {
            return Err(Error::new("a fixed region, and nothing that makes it as new")
                .help("give `renew` as well: each sequence begins on an empty region"));
        }
        suite = suite.fixed(asked.fixed);
    }
    if let Some(held) = asked.held {
        // SAFETY: the caller's promise about the options' functions.
        suite = suite.held(move |_| unsafe { held(context) });
    }
    // SAFETY: the caller's promise.
    if let Some(lines) = unsafe { text(asked.sequence) } {
        suite = suite.replay(lines);
    }
    // SAFETY: the caller's promise.
    if let Some(program) = unsafe { text(asked.program) } {
        suite = suite.program(program);
    }
    Ok(suite.run())
}
