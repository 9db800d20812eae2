//! Other programs that a program becomes: the family of `exec`.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

use mallory::preload;

use crate::real::real;

/// Vectors of C strings.
type Words = *const *const c_char;

/// See `execve(2)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn execve(
    path: *const c_char,
    words: Words,
    variables: Words,
) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(path, || real!(c"execve" as Exec)(path, words, variables)) }
}

/// See `execv(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn execv(path: *const c_char, words: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(path, || real!(c"execv" as Exec)(path, words)) }
}

/// See `execvp(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn execvp(file: *const c_char, words: Words) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(file, || real!(c"execvp" as Exec)(file, words)) }
}

/// See `execvpe(3)`.
///
/// # Safety
/// - As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn execvpe(
    file: *const c_char,
    words: Words,
    variables: Words,
) -> c_int {
    type Exec = unsafe extern "C" fn(*const c_char, Words, Words) -> c_int;
    // SAFETY: the caller's promise.
    unsafe { becoming(file, || real!(c"execvpe" as Exec)(file, words, variables)) }
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

/// The words of a call that lists them: those in registers, then those on the stack, up to a null. Also
/// returns where on the stack the next argument is.
///
/// # Safety
/// - The lists are those of such a call.
unsafe fn listed(registers: Words, stack: Words) -> (Vec<*const c_char>, Words) {
    let mut words = Vec::new();
    // SAFETY: the arguments go on up to a null (the caller's promise).
    unsafe {
        let next = |nth: usize| match nth.checked_sub(REGISTERS) {
            None => registers.add(nth),
            Some(nth) => stack.add(nth),
        };
        loop {
            let at = next(words.len());
            words.push(*at);
            if (*at).is_null() {
                return (words.clone(), next(words.len()));
            }
        }
    }
}

/// What `execl` does with its arguments.
///
/// # Safety
/// - As for the C library's.
unsafe extern "C" fn list(path: *const c_char, registers: Words, stack: Words) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { execv(path, listed(registers, stack).0.as_ptr()) }
}

/// What `execlp` does with its arguments.
///
/// # Safety
/// - As for the C library's.
unsafe extern "C" fn list_in_path(file: *const c_char, registers: Words, stack: Words) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { execvp(file, listed(registers, stack).0.as_ptr()) }
}

/// What `execle` does with its arguments, of which the last one is the environment.
///
/// # Safety
/// - As for the C library's.
unsafe extern "C" fn list_and_variables(
    path: *const c_char,
    registers: Words,
    stack: Words,
) -> c_int {
    // SAFETY: the caller's promise: behind the null is a vector of C strings.
    unsafe {
        let (words, environment) = listed(registers, stack);
        execve(path, words.as_ptr(), (*environment).cast())
    }
}

/// How many words of a call are in registers, behind the path.
#[cfg(target_arch = "x86_64")]
const REGISTERS: usize = 5;
#[cfg(target_arch = "aarch64")]
const REGISTERS: usize = 7;

/// Functions with a list of words. Rust has no functions with a variable number of arguments of its own:
/// each puts its registers next to each other, and calls one that takes them by their address.
macro_rules! lists {
    ($($name:ident, $inner:ident;)*) => {$(
        /// See `exec(3)`.
        ///
        /// # Safety
        /// - As for the C library's.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            std::arch::naked_asm!(
                "sub rsp, 40",
                "mov [rsp], rsi",
                "mov [rsp + 8], rdx",
                "mov [rsp + 16], rcx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                "mov rsi, rsp",
                // The caller's address is between the two.
                "lea rdx, [rsp + 48]",
                "call {inner}",
                "add rsp, 40",
                "ret",
                inner = sym $inner,
            );
            #[cfg(target_arch = "aarch64")]
            std::arch::naked_asm!(
                "sub sp, sp, 80",
                "stp x1, x2, [sp]",
                "stp x3, x4, [sp, 16]",
                "stp x5, x6, [sp, 32]",
                "stp x7, x30, [sp, 48]",
                "mov x1, sp",
                "add x2, sp, 80",
                "bl {inner}",
                "ldr x30, [sp, 56]",
                "add sp, sp, 80",
                "ret",
                inner = sym $inner,
            );
        }
    )*};
}

lists! {
    execl, list;
    execlp, list_in_path;
    execle, list_and_variables;
}
