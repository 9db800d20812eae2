//! Signals that both the harness and a program handle. The program's action follows the harness's, which
//! has then written down what happened: a program that turns a crash into an exit has crashed all the
//! same.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use libc::c_int;

use crate::process::signal_handlers::{handled, next_action, set_action};
use crate::process::status::own;

/// Sets what a program wants to be done at a signal that the harness handles: its action follows ours.
/// `None` if the harness doesn't handle the signal.
///
/// # Safety
/// - `new` and `old` are null or as for `sigaction(2)`.
pub(crate) unsafe fn set_next(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> Option<c_int> {
    let next = next_action(signal)?;
    // SAFETY: the caller's promise. A zeroed entry is the default action. A program that sets handlers
    // on several threads at once has the same race without us.
    unsafe {
        let before = next.read();
        if !new.is_null() {
            next.write(new.read());
        }
        if !old.is_null() {
            old.write(before);
        }
    }
    Some(0)
}

/// Dies of the signal that this process has handled, if the program's own handler went on to end it
/// with an error. A program that has dealt with the signal goes on as if there had been none.
pub(crate) fn die_of_handled(has_failed: bool) {
    let signal = handled();
    if signal == 0 {
        return;
    }
    if !has_failed {
        if let Some(status) = own() {
            status.forget_mark();
        }
        return;
    }
    // SAFETY: plain numbers and a set of signals that is initialised before it is used.
    unsafe {
        let by_default: libc::sigaction = MaybeUninit::zeroed().assume_init();
        set_action(signal, &raw const by_default, std::ptr::null_mut());
        let mut only: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigaddset(&raw mut only, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
}
