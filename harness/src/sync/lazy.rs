//! Loom's objects, made at their first use in each run: so that what holds one may stand in a
//! static, and may be made outside of a model.
#![allow(unsafe_code)]

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::model;

/// One of loom's objects for each run in which it was used.
pub(crate) struct Lazy<T> {
    /// By run. Those of former runs stay where they are, for whoever holds a guard of one still.
    made: Mutex<Vec<(u64, Box<T>)>>,
}

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Self {
        Lazy { made: Mutex::new(Vec::new()) }
    }

    /// The present run's.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> &T {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let run = model::run();
        let last = all.iter().rposition(|(made_in, _)| *made_in == run);
        let last = last.unwrap_or_else(|| {
            all.push((run, Box::new(make())));
            all.len() - 1
        });
        let made: *const T = &raw const *all[last].1;
        // SAFETY: it stands in a box of its own, which is neither taken out of the list nor touched
        // mutably before `self` goes.
        unsafe { &*made }
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Lazy::new()
    }
}

impl<T> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lazy")
    }
}
