//! The way into the program and back. The C library calls [`stop_at_main`] in place of `main`. It goes
//! over to a stack of the harness's own, on which the sweep is made. Each run, in a process of its own,
//! goes back to the program's stack and enters `main` there; when the program exits, the run goes on
//! on the harness's stack.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use libc::{c_char, c_int};

pub use crate::exec::stacks::Main;
use crate::exec::{exits, order, serve, stacks, traced};
use crate::memory::preloaded;

unsafe extern "C" {
    static environ: *mut *mut c_char;
}

/// The program's `main`.
static MAIN: AtomicUsize = AtomicUsize::new(0);
/// The socket to the command line.
static SOCKET: AtomicI32 = AtomicI32::new(-1);

/// Whether an order was given to this process, with `main` to be called later. Takes the order's
/// variable and this library out of the environment.
///
/// # Safety
/// - `argv` and what follows it are the vectors that the kernel gave to the process, and nobody else
///   uses them meanwhile.
pub unsafe fn takes_over(main: Main, argc: c_int, argv: *mut *mut c_char) -> bool {
    // SAFETY: the environment follows the arguments and a null (the caller's promise).
    let environment = unsafe { argv.add(argc as usize + 1) };
    // SAFETY: as above.
    let Some(number) = (unsafe { take_variable(environment, order::VARIABLE.as_bytes()) }) else {
        return false;
    };
    // SAFETY: as above.
    let preload = unsafe { restore_preload(environment) };
    exits::register();
    match std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()) {
        Some(number) => SOCKET.store(number, Ordering::Relaxed),
        None => traced::set(number, &preload),
    }
    MAIN.store(main as usize, Ordering::Relaxed);
    true
}

/// Takes a variable out of the environment. Returns its value.
///
/// # Safety
/// - `environment` is a vector of C strings that ends with a null.
unsafe fn take_variable(environment: *mut *mut c_char, name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: the entries up to the null are C strings, which live as long as the process.
    unsafe {
        let mut at = environment;
        while !(*at).is_null() {
            let entry: &'static [u8] = CStr::from_ptr(*at).to_bytes();
            if let Some(value) = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
                while !(*at).is_null() {
                    *at = *at.add(1);
                    at = at.add(1);
                }
                return Some(value);
            }
            at = at.add(1);
        }
    }
    None
}

/// Takes the first library, which is this one, out of `LD_PRELOAD`, and the variable if there is no
/// other. Returns what it was before.
///
/// # Safety
/// - As for [`take_variable`].
unsafe fn restore_preload(environment: *mut *mut c_char) -> Vec<u8> {
    const NAME: &[u8] = b"LD_PRELOAD=";
    // SAFETY: as in `take_variable`; the entry is shortened in place.
    unsafe {
        let mut at = environment;
        while !(*at).is_null() {
            let entry = CStr::from_ptr(*at).to_bytes();
            if let Some(libraries) = entry.strip_prefix(NAME) {
                let before = libraries.to_vec();
                let colon = libraries.iter().position(|byte| *byte == b':');
                let own = &libraries[..colon.unwrap_or(libraries.len())];
                let own = own.strip_prefix(order::PRELOADED.as_bytes()).unwrap_or_default();
                let number = std::str::from_utf8(own).ok().and_then(|number| number.parse().ok());
                // It is mapped by now.
                number.map(|number| libc::close(number));
                match colon {
                    Some(colon) => {
                        let rest = (*at).add(NAME.len() + colon + 1);
                        let length = libraries.len() - colon;
                        rest.copy_to((*at).add(NAME.len()), length);
                    }
                    None => {
                        take_variable(environment, &NAME[..NAME.len() - 1]);
                    }
                }
                return before;
            }
            at = at.add(1);
        }
    }
    Vec::new()
}

/// What the C library calls in place of the program's `main`.
///
/// # Safety
/// - It is called once, on the first thread, with what `main` is to be called with.
pub unsafe extern "C" fn stop_at_main(
    argc: c_int,
    argv: *mut *mut c_char,
    environment: *mut *mut c_char,
) -> c_int {
    serve::note_threads();
    let Some(socket) = traced::sweeper(SOCKET.load(Ordering::Relaxed)) else {
        // SAFETY: the caller's promise: this is the program's own beginning. Its environment is where
        // the C library has it.
        unsafe {
            let main = std::mem::transmute::<usize, Main>(MAIN.load(Ordering::Relaxed));
            libc::exit(main(argc, argv, environ))
        }
    };
    SOCKET.store(socket, Ordering::Relaxed);
    preloaded::set();
    // SAFETY: the caller's promise; what is called ends the process. `MAIN` holds the program's `main`.
    unsafe {
        if !stacks::leave_program(sweep_here) {
            libc::_exit(serve::NO_MEMORY);
        }
        // From here on this is a run, in a process of its own.
        let main = std::mem::transmute::<usize, Main>(MAIN.load(Ordering::Relaxed));
        libc::exit(stacks::enter_main(main, argc, argv, environment))
    }
}

/// What runs on the harness's stack: the whole sweep.
extern "C" fn sweep_here() {
    let socket: RawFd = SOCKET.load(Ordering::Relaxed);
    // SAFETY: the command line gave this descriptor to the library alone.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let code = serve::serve(socket);
    // SAFETY: `_exit` has no precondition: the program, which never began, has nothing to tidy.
    unsafe { libc::_exit(code) }
}
