//! The most bytes that a run of a whole program may write to one file, its standard output among them:
//! one that writes without end would fill the memory in which its output is kept.
//!
//! The system stops a program that goes beyond it by SIGXFSZ. The limit holds for the run's process
//! alone.
#![allow(unsafe_code)]

/// While this lives, files may not grow beyond the limit.
#[must_use]
pub(crate) struct FileLimit {
    before: libc::rlimit,
}

impl FileLimit {
    /// Sets the limit, unless there is a lower one.
    pub(crate) fn set(bytes: u64) -> FileLimit {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit is written, then read.
        unsafe {
            libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut before);
            let limit = libc::rlimit { rlim_cur: before.rlim_cur.min(bytes), ..before };
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
        }
        FileLimit { before }
    }
}

impl Drop for FileLimit {
    fn drop(&mut self) {
        // SAFETY: sets a limit that was there before.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const self.before) };
    }
}

/// Ends a run whose program ignored the signal, as the signal would have ended it.
pub(crate) fn end_by_limit() -> ! {
    // SAFETY: the default action of this signal ends the process.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
        let mut signals = std::mem::MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGXFSZ);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const signals, std::ptr::null_mut());
        libc::raise(libc::SIGXFSZ);
        libc::_exit(1)
    }
}
