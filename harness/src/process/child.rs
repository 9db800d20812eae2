//! Starts child processes. Runs that may die happen in a child, so that the parent survives them.
//!
//! A child is a fork of the process as it is, so the subject's closure needs no transport. The
//! parent is one loop over its children and starts no thread, which keeps forking safe.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::memory::preloaded::is_preloaded;
use crate::process::child_handle::{Child, POLL_INTERVAL, wait};
use crate::process::codec;
use crate::process::exit::{Death, DeathRecord};
#[cfg(target_os = "linux")]
use crate::process::leftovers::{self, Adopting};
use crate::process::pipe::{Pipe, pipe};
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::signal_handlers;
use crate::process::status;
use crate::process::watchdog::Watchdog;
use crate::process::{file_lock, output_capture, scratch_dir, shared_log};
use crate::report::format::panic_message;

/// What a child sends first ("hello" in ASCII).
const HELLO: u64 = 0x6865_6C6C_6F00;
/// How long a child may take to send it, in milliseconds.
const HELLO_MILLIS: i32 = 500;
/// How many children are forked until one sends it.
const FORKS_MAX: u32 = 20;

/// Forks. The child runs `work` and exits; it never returns to the caller's code. It writes what it
/// knows of its own death to `status`, with `reports_aborts` also the call stack of an abort.
///
/// A lock that another thread holds at the moment of the fork is never released in the child. Those
/// of std's streams and of the crate that takes backtraces are held by this thread meanwhile. The
/// one with which std prints a panic can't be: the parent takes and releases it right before the
/// fork, when it is likely to be free afterwards. The child takes it before it sends [`HELLO`], and so
/// it does with that of the environment: a child that blocks is noticed after [`HELLO_MILLIS`], and
/// another one is forked.
///
/// # Errors
/// The system's error if it can't fork, or that none of [`FORKS_MAX`] children sent [`HELLO`].
pub(crate) fn fork<'a>(
    status: &'a ChildStatus,
    reports_aborts: bool,
    work: &dyn Fn(&Rc<Pipe>),
) -> io::Result<Child<'a>> {
    let parent = std::process::id();
    shared_log::open();
    scratch_dir::choose_names();
    for _ in 0..FORKS_MAX {
        let (read, write) = pipe()?;
        let has_other_threads = has_other_threads();
        #[cfg(target_os = "linux")]
        let adopting = Adopting::begin();
        status.reset();
        // Held across the fork, so that no other thread holds them: the subject may print.
        let streams = (io::stdout().lock(), io::stderr().lock());
        if has_other_threads {
            drop(std::backtrace::Backtrace::force_capture());
        }
        let pid = match fork_with_backtraces() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                let pipe = Pipe::new(write, parent, read.as_raw_fd());
                drop((read, streams));
                isolate(parent);
                file_lock::close_in_child();
                if !is_preloaded() {
                    silence();
                    output_capture::remove();
                }
                #[cfg(target_os = "linux")]
                leftovers::mark(!is_preloaded());
                status::attach(status);
                signal_handlers::watch_bad_accesses();
                signal_handlers::watch_stalls();
                drop((std::backtrace::Backtrace::force_capture(), std::env::var_os("PATH")));
                if reports_aborts {
                    signal_handlers::watch_aborts();
                }
                pipe.send(&HELLO);
                let work = std::panic::AssertUnwindSafe(|| work(&Rc::new(pipe)));
                if let Err(payload) = std::panic::catch_unwind(work) {
                    status::report_bug(&panic_message(&*payload));
                }
                #[cfg(target_os = "linux")]
                leftovers::end_own();
                // SAFETY: `_exit` has no precondition; it ends this process at once.
                unsafe { libc::_exit(0) }
            }
            pid => pid,
        };
        drop((write, streams));
        let mut child = Child::new(pid, read, status, has_other_threads);
        #[cfg(target_os = "linux")]
        child.end_leftovers(adopting);
        if child.first_message::<u64>(HELLO_MILLIS) == Some(HELLO) {
            return Ok(child);
        }
    }
    Err(io::Error::other(format!(
        "none of {FORKS_MAX} child processes started; do other threads panic all the time?"
    )))
}

/// Forks while this thread holds the lock of the crate that takes backtraces.
/// Parent and child release it, each its own.
fn fork_with_backtraces() -> libc::pid_t {
    let mut pid = None;
    backtrace::trace(|_| {
        // SAFETY: only this thread continues in the child. `malloc` is usable there (the C library
        // sees to it), the panic hook was set before, and the child leaves by `_exit`, so none of
        // the test runner's exit handlers runs twice.
        pid = Some(unsafe { libc::fork() });
        false
    });
    // SAFETY: as above. There is a frame, except where nothing can be unwound.
    pid.unwrap_or_else(|| unsafe { libc::fork() })
}

/// Whether other threads may be running: a lock that one of them holds at a fork stays locked in
/// the child. Under nextest a second thread doesn't count, since it only waits for the test's
/// thread.
fn has_other_threads() -> bool {
    if cfg!(not(target_os = "linux")) {
        return true;
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    let is_nextest = || std::env::var_os("NEXTEST").is_some_and(|set| set == "1");
    threads > 2 || (threads == 2 && !is_nextest())
}

/// Makes a new child die with its parent, and without a core dump.
fn isolate(parent: u32) {
    #[cfg(target_os = "linux")]
    // SAFETY: the arguments are plain numbers. The parent may have ended before the first call
    // takes effect, hence the check after it.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(0);
        }
        // A process group of its own, so that what the subject starts can be killed with it.
        libc::setpgid(0, 0);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    // SAFETY: `no_core` outlives the call.
    unsafe {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
    }
}

/// Makes a new child silent: the subject's output would appear thousands of times, mixed with the
/// report.
fn silence() {
    // SAFETY: the path is a C string, `dup2` and `close` get open descriptors, and `setenv` runs on
    // the child's only thread.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null >= 0 {
            for stream in [0, 1, 2] {
                libc::dup2(null, stream);
            }
            if null > 2 {
                libc::close(null);
            }
        }
        // std would take about 200 ms to print a backtrace before it aborts for want of memory, and
        // nobody reads it.
        libc::setenv(c"RUST_BACKTRACE".as_ptr(), c"0".as_ptr(), 1);
    }
}

/// Whether there is a process with this id.
pub(crate) fn is_alive(process: u32) -> bool {
    // SAFETY: signal 0 only checks whether the process exists.
    let exists = unsafe { libc::kill(process as libc::pid_t, 0) == 0 };
    exists || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The id of the process that this child was forked from.
pub(crate) fn parent() -> u32 {
    // SAFETY: `getppid` has no precondition.
    unsafe { libc::getppid() as u32 }
}

/// What a single child sent, and how it died if it did.
pub(crate) struct ChildAnswer<T> {
    pub(crate) messages: Vec<T>,
    pub(crate) death: Option<DeathRecord>,
    /// The preemptions of the schedule that was running, packed; empty where they didn't fit.
    #[cfg(feature = "proptest")]
    pub(crate) preemptions: Vec<u64>,
}

impl<T> ChildAnswer<T> {
    /// How it died before its work was done, by the status that `work` keeps. A subject that ends the
    /// process died as well if its exit code says that all is well.
    pub(crate) fn early_death(&mut self, status: &ChildStatus) -> Option<DeathRecord> {
        let died = || Death::Exit(0).without_trace();
        (!status.is_done()).then(|| self.death.take().unwrap_or_else(died))
    }
}

/// Runs `work` in one child and returns all that it sent, with its death if it died. A child that
/// seems to wait for a lock that another thread held at the fork is killed and replaced.
///
/// # Errors
/// The system's error if memory can't be shared, or as of [`fork`].
pub(crate) fn ask<T: codec::Codec>(
    patience: Duration,
    work: &dyn Fn(&Rc<Pipe>),
) -> io::Result<ChildAnswer<T>> {
    ask_while(patience, &mut || {}, work)
}

/// As [`ask`]; the parent calls `tick` about every [`POLL_INTERVAL`] meanwhile.
pub(crate) fn ask_while<T: codec::Codec>(
    patience: Duration,
    tick: &mut dyn FnMut(),
    work: &dyn Fn(&Rc<Pipe>),
) -> io::Result<ChildAnswer<T>> {
    let memory = SharedMemory::new(1, 0)?;
    let status = memory.status(0);
    let mut attempt = 0;
    loop {
        let mut child = fork(status, true, work)?;
        let mut watchdog = Watchdog::new(status, child.had_other_threads, attempt, patience);
        let mut messages = Vec::new();
        let mut last_tick = Instant::now();
        let death = loop {
            wait(&[&child], POLL_INTERVAL);
            // A tick may look at every item, and messages may come faster than that.
            if last_tick.elapsed() >= POLL_INTERVAL {
                tick();
                last_tick = Instant::now();
            }
            let ended = child.check(&mut watchdog);
            while let Some(message) = child.next() {
                messages.push(message);
            }
            if let Some(death) = ended {
                break death;
            }
        };
        if death == Death::Stall && messages.is_empty() && watchdog.may_retry(status) {
            attempt += 1;
            continue;
        }
        let death = Some(death).filter(|death| *death != Death::Exit(0));
        return Ok(ChildAnswer {
            messages,
            death: death.map(|death| DeathRecord::read(death, status)),
            #[cfg(feature = "proptest")]
            preemptions: status.preemptions().unwrap_or_default(),
        });
    }
}
