//! Takes away the buffer into which a test runner has std capture the output of a thread. Std's
//! printing would make requests for it, which are not the subject's: the buffer grows with what is
//! printed, and would be reported as a leak.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Unwinds when it is printed.
struct Unwinds;

impl fmt::Display for Unwinds {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the panic hook, which prints.
        resume_unwind(Box::new(()))
    }
}

/// Takes the buffer away from this thread and those that it starts, in a child process, whose output
/// nobody sees. There is no stable function for it. But std takes the buffer out of its place while
/// it prints, and puts it back afterwards, unless it unwinds. Where nothing is captured, nothing
/// happens: the text is formatted before anything is written.
pub(crate) fn remove() {
    let printed = catch_unwind(AssertUnwindSafe(|| print!("{Unwinds}")));
    debug_assert!(printed.is_err(), "[mallory bug] printing did not unwind");
}
