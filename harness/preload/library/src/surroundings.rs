//! What a program sees of its surroundings, and does to them: signals, the clock, random devices and
//! descriptors.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};

use mallory::preload::{self, descriptors_kept};

use crate::real::real;

/// See `sigaction(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    type Action =
        unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    // SAFETY: the caller's promise.
    if let Some(answer) = unsafe { preload::sigaction(signal, new, old) } {
        return answer;
    }
    // SAFETY: the caller's promise.
    unsafe { real!(c"sigaction" as Action)(signal, new, old) }
}

/// Sets a handler with these flags, and returns the one before it.
fn handle(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> libc::sighandler_t {
    // SAFETY: zeroed is a valid action; both are on this function's stack.
    unsafe {
        let (mut new, mut old): (libc::sigaction, libc::sigaction) =
            (std::mem::zeroed(), std::mem::zeroed());
        new.sa_sigaction = handler;
        new.sa_flags = flags;
        match sigaction(signal, &raw const new, &raw mut old) {
            0 => old.sa_sigaction,
            _ => libc::SIG_ERR,
        }
    }
}

/// The C library's names of `signal`, each with the flags that it sets.
macro_rules! signals {
    ($($name:ident $flags:expr;)*) => {$(
        /// See `signal(2)`.
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(
            signal: c_int,
            handler: libc::sighandler_t,
        ) -> libc::sighandler_t {
            handle(signal, handler, $flags)
        }
    )*};
}

signals! {
    // Interrupted calls go on, and the handler stays.
    signal libc::SA_RESTART;
    bsd_signal libc::SA_RESTART;
    ssignal libc::SA_RESTART;
    // What `signal` means in a program that asks for a strict standard: neither.
    sysv_signal libc::SA_NODEFER | libc::SA_RESETHAND;
    __sysv_signal libc::SA_NODEFER | libc::SA_RESETHAND;
}

/// See `clock_gettime(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> c_int {
    type Clock = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;
    match preload::fixed_time() {
        // SAFETY: the caller's promise.
        Some(fixed) if !time.is_null() => unsafe { time.write(fixed) },
        // SAFETY: the caller's promise.
        _ => return unsafe { real!(c"clock_gettime" as Clock)(clock, time) },
    }
    0
}

/// See `gettimeofday(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, zone: *mut c_void) -> c_int {
    type Clock = unsafe extern "C" fn(*mut libc::timeval, *mut c_void) -> c_int;
    match preload::fixed_time() {
        Some(fixed) if !time.is_null() => {
            let micros = fixed.tv_nsec / 1_000;
            // SAFETY: the caller's promise.
            unsafe { time.write(libc::timeval { tv_sec: fixed.tv_sec, tv_usec: micros }) };
        }
        // SAFETY: the caller's promise.
        _ => return unsafe { real!(c"gettimeofday" as Clock)(time, zone) },
    }
    0
}

/// See `time(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn time(place: *mut libc::time_t) -> libc::time_t {
    type Clock = unsafe extern "C" fn(*mut libc::time_t) -> libc::time_t;
    let Some(fixed) = preload::fixed_time() else {
        // SAFETY: the caller's promise.
        return unsafe { real!(c"time" as Clock)(place) };
    };
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(fixed.tv_sec) };
    }
    fixed.tv_sec
}

/// The functions that open a file by its path, whose last argument is only there for some flags. The
/// callers of a variadic function pass it as those of this one do.
macro_rules! opens {
    ($($name:ident, $text:literal;)*) => {$(
        /// See `open(2)`.
        ///
        /// # Safety
        /// - As for the C library's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
            type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
            // SAFETY: the caller's promise.
            unsafe {
                match preload::random_device(path) {
                    Some(device) => device,
                    None => real!($text as Open)(path, flags, mode),
                }
            }
        }
    )*};
}
opens! {
    open, c"open";
    open64, c"open64";
}

/// The same, as programs call them whose headers check arguments.
macro_rules! checked_opens {
    ($($name:ident, $open:ident;)*) => {$(
        /// See `open(2)`.
        ///
        /// # Safety
        /// - As for the C library's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(path: *const c_char, flags: c_int) -> c_int {
            // SAFETY: the caller's promise: the flags need no mode.
            unsafe { $open(path, flags, 0) }
        }
    )*};
}
checked_opens! {
    __open_2, open;
    __open64_2, open64;
}

/// The same for paths that are relative to a folder.
macro_rules! opens_at {
    ($($name:ident, $text:literal;)*) => {$(
        /// See `openat(2)`.
        ///
        /// # Safety
        /// - As for the C library's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            folder: c_int,
            path: *const c_char,
            flags: c_int,
            mode: c_int,
        ) -> c_int {
            type Open = unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;
            // SAFETY: the caller's promise.
            unsafe {
                match preload::random_device(path) {
                    Some(device) => device,
                    None => real!($text as Open)(folder, path, flags, mode),
                }
            }
        }
    )*};
}
opens_at! {
    openat, c"openat";
    openat64, c"openat64";
}

/// See `close(2)`. A descriptor of the harness's is none that the program has opened.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn close(descriptor: c_int) -> c_int {
    // SAFETY: plain numbers.
    unsafe {
        if descriptors_kept().is_some_and(|(from, to)| (from..to).contains(&descriptor)) {
            *libc::__errno_location() = libc::EBADF;
            return -1;
        }
        libc::syscall(libc::SYS_close, descriptor) as c_int
    }
}

/// See `close_range(2)`: what is the harness's is left out.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn close_range(first: u32, last: u32, flags: c_int) -> c_int {
    let close = |first: u32, last: u32| match first <= last {
        // SAFETY: plain numbers.
        true => unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) as c_int },
        false => 0,
    };
    let Some((from, to)) = descriptors_kept() else { return close(first, last) };
    let (from, to) = (from.cast_unsigned(), to.cast_unsigned());
    let below = close(first, last.min(from.saturating_sub(1)));
    if below != 0 {
        return below;
    }
    close(first.max(to), last)
}

/// See `closefrom(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn closefrom(first: c_int) {
    close_range(first.max(0).cast_unsigned(), u32::MAX, 0);
}
