//! The lost wake-up: a thread checks whether an event has happened before it locks and waits. Eitan
//! Farchi, Yarden Nir and Shmuel Ur, Concurrent Bug Patterns and How to Test Them, 2003 (losing a
//! notify).
//!
//! The bug: the event happens and is notified between the check and the wait, which never ends.

use super::Classic;
use super::shared::{lock, together, wait, wait_while};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "lost-wake-up",
    about: "a thread checks a flag, and then locks and waits for it",
    source: "Farchi, Nir and Ur, Concurrent Bug Patterns and How to Test Them, 2003",
    threads: 3,
    bug: || wait_and_notify(Event::wait_after_check),
    corrected: || wait_and_notify(Event::check_and_wait),
};

#[derive(Default)]
struct Event {
    has_happened: AtomicBool,
    waiting: Mutex<()>,
    notified: Condvar,
}

fn wait_and_notify(wait: fn(&Event)) {
    let event = Arc::new(Event::default());
    together(
        &event,
        2,
        move |event, number| if number == 0 { wait(event) } else { event.happen() },
    );
}

impl Event {
    fn happen(&self) {
        let _waiting = lock(&self.waiting);
        self.has_happened.store(true, Ordering::SeqCst);
        self.notified.notify_all();
    }

    fn wait_after_check(&self) {
        if !self.has_happened.load(Ordering::SeqCst) {
            drop(wait(&self.notified, lock(&self.waiting)));
        }
    }

    fn check_and_wait(&self) {
        let is_open = |(): &()| !self.has_happened.load(Ordering::SeqCst);
        drop(wait_while(&self.notified, lock(&self.waiting), is_open));
    }
}
