//! The Bluetooth driver: requests count themselves in and out, and a stop flag keeps new ones out.
//! Whoever counts to zero signals that the driver may be stopped. Shaz Qadeer and Dinghao Wu, KISS:
//! Keep It Simple and Sequential, 2004.
//!
//! The bug: a request checks the flag and then counts itself in. The driver may be stopped in
//! between. The corrected one counts itself in first.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "bluetooth-driver",
    about: "a request checks the stop flag, and then counts itself in",
    source: "Qadeer and Wu, KISS: Keep It Simple and Sequential, 2004",
    threads: 3,
    bug: || request_and_stop(Driver::check_then_count),
    corrected: || request_and_stop(Driver::count_then_check),
};

struct Driver {
    is_stopping: AtomicBool,
    is_stopped: AtomicBool,
    /// The requests that are under way, and 1 for the driver until it is being stopped.
    pending: AtomicUsize,
    may_stop: Mutex<bool>,
    signalled: Condvar,
}

fn request_and_stop(begin: fn(&Driver) -> bool) {
    let driver = Arc::new(Driver {
        is_stopping: AtomicBool::new(false),
        is_stopped: AtomicBool::new(false),
        pending: AtomicUsize::new(1),
        may_stop: Mutex::new(false),
        signalled: Condvar::new(),
    });
    together(&driver, 2, move |driver, number| {
        if number != 0 {
            return driver.stop();
        }
        if begin(driver) {
            let is_stopped = driver.is_stopped.load(Ordering::SeqCst);
            driver.end();
            assert!(!is_stopped, "a request runs on a stopped driver");
        }
    });
}

impl Driver {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Returns whether the request may go on.
    fn check_then_count(&self) -> bool {
        if self.is_stopping() {
            return false;
        }
        self.pending.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Returns whether the request may go on.
    fn count_then_check(&self) -> bool {
        self.pending.fetch_add(1, Ordering::SeqCst);
        if self.is_stopping() {
            self.end();
            return false;
        }
        true
    }

    fn end(&self) {
        if self.pending.fetch_sub(1, Ordering::SeqCst) == 1 {
            *lock(&self.may_stop) = true;
            self.signalled.notify_all();
        }
    }

    fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.end();
        drop(wait_while(&self.signalled, lock(&self.may_stop), |may_stop| !may_stop));
        self.is_stopped.store(true, Ordering::SeqCst);
    }
}
