//! Loom's objects, made at their first use in each run: so that what holds one may stand in a
//! static, and may be made outside of a model.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::rt;

/// One of loom's objects for each run in which it was used.
pub(crate) struct Lazy<T> {
    /// The first run's. What a run makes for itself is used in no other one.
    first: OnceLock<(u64, T)>,
    /// Those of later runs. They stay where they are, for whoever holds a guard of one still.
    later: Mutex<BTreeMap<u64, Box<T>>>,
}

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Self {
        Lazy { first: OnceLock::new(), later: Mutex::new(BTreeMap::new()) }
    }

    /// The present run's.
    pub(crate) fn get(&self, make: fn() -> T) -> &T {
        let run = rt::run();
        let (made_in, first) = self.first.get_or_init(|| (run, make()));
        if *made_in == run { first } else { self.again(run, make) }
    }

    /// That of a run which isn't the first.
    fn again(&self, run: u64, make: fn() -> T) -> &T {
        let mut all = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let made: *const T = &raw const **all.entry(run).or_insert_with(|| Box::new(make()));
        // SAFETY: it stands in a box of its own, which is neither taken out of the map nor touched
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
