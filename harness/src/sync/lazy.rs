//! Objects that are made at their first use in each run, such as loom's. So whatever holds one may be
//! a static, and may be made outside of a model.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::rt;

/// One object for each run in which it was used.
pub(crate) struct Lazy<T> {
    /// The object of the first run. It is kept apart since most locks are made in a run and used in
    /// no other one: those need no map.
    first: OnceLock<(u64, T)>,
    /// The objects of later runs. They are never moved or removed, since guards may still refer to
    /// them.
    later: Mutex<BTreeMap<u64, Box<T>>>,
}

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Self {
        Lazy { first: OnceLock::new(), later: Mutex::new(BTreeMap::new()) }
    }

    /// The object of the present run.
    pub(crate) fn get(&self, make: fn() -> T) -> &T {
        let run = rt::run();
        let (made_in, first) = self.first.get_or_init(|| (run, make()));
        if *made_in == run { first } else { self.get_later(run, make) }
    }

    /// The object of the present run, to be changed, if there is one.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        let run = rt::run();
        if let Some((made_in, first)) = self.first.get_mut()
            && *made_in == run
        {
            return Some(first);
        }
        let later = self.later.get_mut().unwrap_or_else(PoisonError::into_inner);
        later.get_mut(&run).map(|made| &mut **made)
    }

    /// The object of a run that isn't the first.
    fn get_later(&self, run: u64, make: fn() -> T) -> &T {
        let mut all = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let made: *const T = &raw const **all.entry(run).or_insert_with(|| Box::new(make()));
        // SAFETY: the object is in a box of its own. No method removes a box from the map or
        // borrows its content mutably, so the object stays valid and shared until `self` is
        // dropped.
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
