//! How a program begins and ends: its `main`, its exits, its threads and their destructors.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};

use mallory::preload::{self, before_quick_exit, entry, exit_at_once};

use crate::real::{own_addresses, real};

/// The C library's function that calls `main`.
type StartMain = unsafe extern "C" fn(
    entry::Main,
    c_int,
    *mut *mut c_char,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    *mut c_void,
) -> c_int;

/// What a program's first instructions call: it prepares the C library and calls `main`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __libc_start_main(
    main: entry::Main,
    argc: c_int,
    argv: *mut *mut c_char,
    init: *mut c_void,
    fini: *mut c_void,
    rtld_fini: *mut c_void,
    stack_end: *mut c_void,
) -> c_int {
    // SAFETY: the function of this name has this type; the arguments are passed on, with another
    // `main` if there is an order, which nobody has seen yet.
    unsafe {
        let start = real!(c"__libc_start_main" as StartMain);
        let main = match entry::takes_over(main, argc, argv) {
            true => entry::stop_at_main,
            false => main,
        };
        start(main, argc, argv, init, fini, rtld_fini, stack_end)
    }
}

/// See `_exit(2)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _exit(status: c_int) -> ! {
    exit_at_once(status)
}

/// See `_Exit(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _Exit(status: c_int) -> ! {
    exit_at_once(status)
}

/// See `quick_exit(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn quick_exit(status: c_int) -> ! {
    before_quick_exit(status);
    type Exit = extern "C" fn(c_int);
    real!(c"quick_exit" as Exit)(status);
    exit_at_once(status)
}

/// See `pthread_create(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    routine: preload::Routine,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { preload::mallory_pthread_create(thread, attributes, routine, argument) }
}

/// A function with its argument, as C++ and Rust register destructors of thread-locals.
type Destructor = unsafe extern "C" fn(*mut c_void);
type Register = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;

/// Registers the destructor of a thread-local, unless that is the harness's own: its thread-locals are
/// needed after the program's exit.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __cxa_thread_atexit_impl(
    call: Destructor,
    object: *mut c_void,
    library: *mut c_void,
) -> c_int {
    if own_addresses().contains(&(library as usize)) {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { real!(c"__cxa_thread_atexit_impl" as Register)(call, object, library) }
}
