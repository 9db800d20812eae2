//! Nested monitors: a thread waits in an inner monitor, which unlocks that one, but not the outer
//! monitor that it came through. Andrew Lister, The Problem of Nested Monitor Calls, 1977.
//!
//! The bug: whoever could end the wait has to come through the outer monitor as well.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "nested-monitor",
    about: "a thread waits in an inner monitor with the outer one locked",
    source: "Lister, The Problem of Nested Monitor Calls, 1977",
    threads: 3,
    bug: || take_and_put(true),
    corrected: || take_and_put(false),
};

#[derive(Default)]
struct Monitors {
    outer: Mutex<()>,
    has_item: Mutex<bool>,
    put: Condvar,
}

fn take_and_put(waits_inside: bool) {
    let monitors = Arc::new(Monitors::default());
    together(&monitors, 2, move |monitors, number| {
        let outer = lock(&monitors.outer);
        if number == 0 {
            *lock(&monitors.has_item) = true;
            monitors.put.notify_all();
            return;
        }
        let _outer = waits_inside.then_some(outer);
        let has_none = |has_item: &bool| !has_item;
        *wait_while(&monitors.put, lock(&monitors.has_item), has_none) = false;
    });
    assert!(!*lock(&monitors.has_item), "the item is taken");
}
