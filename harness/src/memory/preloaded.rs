//! Whether this code is a library that was preloaded into a program, which is swept as a whole. Its
//! runs are forks of the program at its entry, and the program must see nothing of the harness: no
//! variable, no descriptor, no output.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_PRELOADED: AtomicBool = AtomicBool::new(false);

/// Says so, once and for all.
pub(crate) fn set() {
    IS_PRELOADED.store(true, Ordering::Relaxed);
}

/// Whether this is a preloaded library.
pub(crate) fn is_preloaded() -> bool {
    IS_PRELOADED.load(Ordering::Relaxed)
}
