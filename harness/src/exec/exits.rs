//! The ways out of a program: `exit` by its last handler, `_exit` and `quick_exit` by functions that
//! take the place of the C library's, each on the first thread or on another one. All lead back to the
//! harness's stack, on the first thread.
//!
//! The other threads are stopped first, so that what they hold can be looked at. Each stops in a signal
//! handler, which has put its registers onto its stack.
#![allow(unsafe_code)]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libc::{c_int, c_void};

use crate::exec::c_calls::HEAP;
use crate::exec::stacks;
use crate::heap::thread_context::{ThreadContext, aside, place};
use crate::process::{descriptors, handled_signals, reachability, status, thread_births};
use crate::rt::set_backtrace_end;

/// The signal that a thread is stopped by. Programs hardly ever use the last one.
fn stop_signal() -> c_int {
    libc::SIGRTMAX()
}

/// How long threads may take to stop.
const STOP_MAX: Duration = Duration::from_millis(500);
/// How long the first thread may take to notice that another one has ended the program.
const NOTICE_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(100);

unsafe extern "C" {
    fn on_exit(call: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    fn at_quick_exit(call: extern "C" fn()) -> c_int;
}

/// The kernel's number of the first thread, while the program runs; else 0.
static FIRST: AtomicI32 = AtomicI32::new(0);
/// The status with which the program ends.
static STATUS: AtomicI32 = AtomicI32::new(0);
/// Whether a thread is ending the program.
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// Whether the threads are to stop, and how many have.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// The kernel's number of this thread.
fn thread() -> c_int {
    // SAFETY: has no precondition.
    unsafe { libc::syscall(libc::SYS_gettid) as c_int }
}

/// Registers the last exit handlers. It is called before the C library notes down its own, which runs the
/// destructors of the program and its libraries: those are part of each run, and so is what C++ streams
/// still hold for the output.
pub(crate) fn register() {
    // SAFETY: the handlers have the right types.
    unsafe {
        on_exit(on_exit_handler, std::ptr::null_mut());
        at_quick_exit(on_quick_exit);
    }
}

/// Whether the C++ library is loaded: its programs have statics whose destructors free memory.
fn has_destructors() -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    ["/libstdc++", "/libc++"].iter().any(|library| maps.contains(library))
}

/// Prepares the ways out of a program that is about to begin, on this thread.
fn watch() {
    // What the C library requests for its list is no request of the program's.
    let _context = ThreadContext::passing();
    // SAFETY: the handlers have the right types, and `action` is a valid action for a signal that the
    // harness uses for nothing else.
    unsafe {
        on_exit(before_destructors, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_stop as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(stop_signal(), &raw const action, std::ptr::null_mut());
    }
    FIRST.store(thread(), Ordering::Relaxed);
}

/// Enters the program, and returns its exit status.
pub(crate) fn run_program() -> c_int {
    // Backtraces on the program's stack end at that stack's end.
    let end = set_backtrace_end(usize::MAX);
    watch();
    stacks::enter_program();
    set_backtrace_end(end);
    ended_with()
}

/// The status with which the program ended.
fn ended_with() -> c_int {
    FIRST.store(0, Ordering::Relaxed);
    STATUS.load(Ordering::Relaxed)
}

/// Whether this process is a run whose program has not ended. A process that the program forked is
/// none, and goes its own way.
fn is_run() -> bool {
    FIRST.load(Ordering::Relaxed) != 0 && status::is_owner()
}

/// Whether a program is running, in this process or in one that forked this one.
pub(crate) fn is_running() -> bool {
    FIRST.load(Ordering::Relaxed) != 0
}

/// The descriptors that the program must not close, from the first up to the one behind the last.
pub fn descriptors_kept() -> Option<(c_int, c_int)> {
    (is_running() && place() == 0).then(descriptors::own_range)
}

/// Runs when the handlers have that the program registered in `main`, before the destructors of statics.
extern "C" fn before_destructors(_: c_int, _: *mut c_void) {
    if !is_run() || place() != 0 {
        return;
    }
    let _context = ThreadContext::passing();
    if has_destructors() {
        let here = 0_u8;
        reachability::set_stack(std::ptr::from_ref(std::hint::black_box(&here)) as usize);
        reachability::note_held(&HEAP.live_blocks());
    }
}

/// The last of the program's exit handlers.
extern "C" fn on_exit_handler(status: c_int, _: *mut c_void) {
    if is_run() {
        // SAFETY: null stands for all streams.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        leave(status);
    }
}

/// The last handler of `quick_exit`, whose status is known already.
extern "C" fn on_quick_exit() {
    if is_run() {
        leave(STATUS.load(Ordering::Relaxed));
    }
}

/// See `quick_exit(3)`: notes the status before the handlers run.
pub fn before_quick_exit(status: c_int) {
    STATUS.store(status, Ordering::Relaxed);
}

/// See `_exit(2)`. Handlers and buffers are left as they are.
pub fn exit_at_once(status: c_int) -> ! {
    if is_run() {
        leave(status);
    }
    // SAFETY: ends the process, without a precondition.
    unsafe {
        libc::syscall(libc::SYS_exit_group, status);
    }
    std::process::abort()
}

/// See `sigaction(2)`: a program's action at a signal that the harness handles follows ours. `None` if
/// the C library is to be asked.
///
/// # Safety
/// - `new` and `old` are null or as for the C library's.
pub unsafe fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> Option<c_int> {
    if FIRST.load(Ordering::Relaxed) == 0 {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { handled_signals::set_next(signal, new, old) }
}

/// Goes back to the harness with this status, from whichever thread.
fn leave(status: c_int) -> ! {
    if thread() == FIRST.load(Ordering::Relaxed) {
        STATUS.store(status, Ordering::Relaxed);
        IS_ENDING.store(true, Ordering::Relaxed);
        come_back()
    }
    if !IS_ENDING.swap(true, Ordering::Relaxed) {
        STATUS.store(status, Ordering::Relaxed);
    }
    // The time is the system's, whatever the program's is.
    let _context = ThreadContext::passing();
    let deadline = Instant::now() + NOTICE_MAX;
    // The first thread comes back in its handler, unless it is inside of the heap just now.
    while Instant::now() < deadline {
        if IS_STOPPING.load(Ordering::Acquire) {
            stay()
        }
        signal(FIRST.load(Ordering::Relaxed));
        std::thread::sleep(PAUSE);
    }
    // It blocks the signal.
    // SAFETY: ends the process, without a precondition.
    unsafe {
        libc::syscall(libc::SYS_exit_group, status);
    }
    std::process::abort()
}

/// Goes back to the harness, on the first thread.
fn come_back() -> ! {
    let here = 0_u8;
    reachability::set_stack(std::ptr::from_ref(std::hint::black_box(&here)) as usize);
    if aside(stop_others) {
        thread_births::all_stopped();
    }
    stacks::back_to_harness()
}

/// Sends the signal that stops a thread.
fn signal(thread: c_int) {
    // SAFETY: plain numbers; a thread that has ended meanwhile is an error that changes nothing.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, stop_signal()) };
}

/// Stops all threads but this one. Returns whether all have stopped.
fn stop_others() -> bool {
    let own = thread();
    let others = || {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let numbers = tasks.filter_map(|task| task.file_name().to_str()?.parse::<c_int>().ok());
        numbers.filter(|number| *number != own).collect::<Vec<_>>()
    };
    IS_STOPPING.store(true, Ordering::Release);
    let deadline = Instant::now() + STOP_MAX;
    loop {
        let others = others();
        if STOPPED.load(Ordering::Acquire) >= others.len() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        others.into_iter().for_each(signal);
        std::thread::sleep(PAUSE);
    }
}

/// The handler of the signal. A thread that is inside of the heap holds its lock, and is asked again.
extern "C" fn on_stop(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    if place() != 0 || !is_run() {
        return;
    }
    if thread() == FIRST.load(Ordering::Relaxed) {
        if IS_ENDING.load(Ordering::Relaxed) {
            come_back()
        }
        return;
    }
    if IS_STOPPING.load(Ordering::Acquire) {
        stay()
    }
}

/// Stops this thread for good.
fn stay() -> ! {
    STOPPED.fetch_add(1, Ordering::Release);
    loop {
        std::thread::sleep(NOTICE_MAX);
    }
}
