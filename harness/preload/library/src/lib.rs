//! The library that `mallory exec` preloads into programs. Here are only the names under which C
//! finds its functions: what they do is in `mallory`.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code, non_camel_case_types)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use mallory::preload::{
    self, OwnMemory, before_quick_exit, c_calls, descriptors_kept, entry, exit_at_once, move_apart,
};

/// The memory of the harness's own.
#[global_allocator]
static OWN: OwnMemory = OwnMemory;

/// Runs when the library is loaded, before anything asks for memory through it.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = {
    extern "C" fn loaded() {
        move_apart();
    }
    loaded
};

/// See `malloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    c_calls::malloc(size)
}

/// See `calloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    c_calls::calloc(count, size)
}

/// See `free(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(start: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free(start) }
}

/// See `cfree(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(start: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_calls::free(start) }
}

/// See `realloc(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(start: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_calls::realloc(start, size) }
}

/// See `reallocarray(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    start: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_calls::reallocarray(start, count, size) }
}

/// See `memalign(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    c_calls::memalign(align, size)
}

/// See `aligned_alloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    c_calls::aligned_alloc(align, size)
}

/// See `posix_memalign(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { c_calls::posix_memalign(place, align, size) }
}

/// See `valloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    c_calls::valloc(size)
}

/// See `pvalloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    c_calls::pvalloc(size)
}

/// See `malloc_usable_size(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(start: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_calls::malloc_usable_size(start) }
}

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

/// The C library's definition of a function that this library takes the place of.
fn next(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// What a program's first instructions call: it prepares the C library and calls `main`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(
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
        let start = std::mem::transmute::<*mut c_void, StartMain>(next(c"__libc_start_main"));
        let main = match entry::takes_over(main, argc, argv) {
            true => entry::stop_at_main,
            false => main,
        };
        start(main, argc, argv, init, fini, rtld_fini, stack_end)
    }
}

/// See `_exit(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    exit_at_once(status)
}

/// See `_Exit(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    exit_at_once(status)
}

/// See `quick_exit(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn quick_exit(status: c_int) -> ! {
    before_quick_exit(status);
    let quick_exit = next(c"quick_exit");
    if !quick_exit.is_null() {
        // SAFETY: the C library's function of this name has this type.
        unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(c_int)>(quick_exit)(status) };
    }
    exit_at_once(status)
}

/// See `sigaction(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    type Action =
        unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    // SAFETY: the caller's promise.
    if let Some(answer) = unsafe { preload::sigaction(signal, new, old) } {
        return answer;
    }
    let mut action = NEXT.load(Ordering::Relaxed);
    if action.is_null() {
        action = next(c"sigaction");
        NEXT.store(action, Ordering::Relaxed);
    }
    // SAFETY: the C library's function of this name has this type; the caller's promise.
    unsafe { std::mem::transmute::<*mut c_void, Action>(action)(signal, new, old) }
}

/// See `signal(2)`, as glibc has it: interrupted calls go on, and the handler stays.
#[unsafe(no_mangle)]
pub extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: zeroed is a valid action; both are on this function's stack.
    unsafe {
        let (mut new, mut old): (libc::sigaction, libc::sigaction) =
            (std::mem::zeroed(), std::mem::zeroed());
        new.sa_sigaction = handler;
        new.sa_flags = libc::SA_RESTART;
        match sigaction(signal, &raw const new, &raw mut old) {
            0 => old.sa_sigaction,
            _ => libc::SIG_ERR,
        }
    }
}

/// The C library's function of this name as a value of its type, looked up once.
macro_rules! next {
    ($name:literal as $type:ty) => {{
        static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
        let mut known = NEXT.load(Ordering::Relaxed);
        if known.is_null() {
            known = next($name);
            NEXT.store(known, Ordering::Relaxed);
        }
        // SAFETY: the C library's function of this name has this type.
        unsafe { std::mem::transmute::<*mut c_void, $type>(known) }
    }};
}

/// See `pthread_create(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    routine: preload::Routine,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { preload::mallory_pthread_create(thread, attributes, routine, argument) }
}

/// See `clock_gettime(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    type Clock = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;
    match preload::fixed_time() {
        // SAFETY: the caller's promise.
        Some(fixed) if !time.is_null() => unsafe { time.write(fixed) },
        // SAFETY: the caller's promise.
        _ => return unsafe { next!(c"clock_gettime" as Clock)(clock, time) },
    }
    0
}

/// See `gettimeofday(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, zone: *mut c_void) -> c_int {
    type Clock = unsafe extern "C" fn(*mut libc::timeval, *mut c_void) -> c_int;
    match preload::fixed_time() {
        Some(fixed) if !time.is_null() => {
            let micros = fixed.tv_nsec / 1_000;
            // SAFETY: the caller's promise.
            unsafe { time.write(libc::timeval { tv_sec: fixed.tv_sec, tv_usec: micros }) };
        }
        // SAFETY: the caller's promise.
        _ => return unsafe { next!(c"gettimeofday" as Clock)(time, zone) },
    }
    0
}

/// See `time(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(place: *mut libc::time_t) -> libc::time_t {
    type Clock = unsafe extern "C" fn(*mut libc::time_t) -> libc::time_t;
    let Some(fixed) = preload::fixed_time() else {
        // SAFETY: the caller's promise.
        return unsafe { next!(c"time" as Clock)(place) };
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
        pub unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
            type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
            // SAFETY: the caller's promise.
            unsafe {
                match preload::random_device(path) {
                    Some(device) => device,
                    None => next!($text as Open)(path, flags, mode),
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
        pub unsafe extern "C" fn $name(path: *const c_char, flags: c_int) -> c_int {
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
        pub unsafe extern "C" fn $name(
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
                    None => next!($text as Open)(folder, path, flags, mode),
                }
            }
        }
    )*};
}
opens_at! {
    openat, c"openat";
    openat64, c"openat64";
}

/// Vectors of C strings.
type Words = *const *const c_char;

/// See `execve(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execve(path: *const c_char, words: Words, variables: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(path, || next!(c"execve" as Exec)(path, words, variables)) }
}

/// See `execv(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execv(path: *const c_char, words: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(path, || next!(c"execv" as Exec)(path, words)) }
}

/// See `execvp(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvp(file: *const c_char, words: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(file, || next!(c"execvp" as Exec)(file, words)) }
}

/// See `execvpe(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvpe(file: *const c_char, words: Words, variables: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(file, || next!(c"execvpe" as Exec)(file, words, variables)) }
}

/// Calls a function that returns only where the system refuses the other program.
///
/// # Safety
/// - `path` is null or a C string.
unsafe fn becoming(path: *const c_char, exec: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { preload::before_exec(path) };
    let refused = exec();
    preload::after_exec();
    refused
}

/// See `close(2)`. A descriptor of the harness's is none that the program has opened.
#[unsafe(no_mangle)]
pub extern "C" fn close(descriptor: c_int) -> c_int {
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
pub extern "C" fn close_range(first: u32, last: u32, flags: c_int) -> c_int {
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
pub extern "C" fn closefrom(first: c_int) {
    close_range(first.max(0).cast_unsigned(), u32::MAX, 0);
}

/// A function with its argument, as C++ and Rust register destructors of thread-locals.
type Destructor = unsafe extern "C" fn(*mut c_void);
type Register = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;

unsafe extern "C" {
    /// The first and the last byte of this library, which the linker defines.
    static __ehdr_start: u8;
    static _end: u8;
}

/// Registers the destructor of a thread-local, unless that is the harness's own: its thread-locals are
/// needed after the program's exit.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cxa_thread_atexit_impl(
    call: Destructor,
    object: *mut c_void,
    library: *mut c_void,
) -> c_int {
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let own = (&raw const __ehdr_start as usize)..(&raw const _end as usize);
    if own.contains(&(library as usize)) {
        return 0;
    }
    let mut register = NEXT.load(Ordering::Relaxed);
    if register.is_null() {
        register = next(c"__cxa_thread_atexit_impl");
        NEXT.store(register, Ordering::Relaxed);
    }
    if register.is_null() {
        return -1;
    }
    // SAFETY: the C library's function of this name has this type.
    unsafe { std::mem::transmute::<*mut c_void, Register>(register)(call, object, library) }
}
