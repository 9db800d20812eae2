//! Libraries that a program loads while it runs.
#![allow(unsafe_code)]

use crate::real::look_up;

/// The C library's `dlopen`.
extern "C" fn next() -> *mut std::ffi::c_void {
    look_up(c"dlopen")
}

/// See `dlopen(3)`, without `RTLD_DEEPBIND`: a library that is bound to its own libraries first would
/// use the C library's allocator, whose blocks nobody knows where they are freed.
///
/// It goes over to the C library's function instead of calling that one, which looks for libraries where
/// its caller's file says.
///
/// # Safety
/// - As for the C library's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dlopen() {
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {next}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "and esi, {kept}",
        "jmp rax",
        next = sym next,
        kept = const !libc::RTLD_DEEPBIND.cast_unsigned(),
    );
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!(
        "stp x0, x1, [sp, -32]!",
        "str x30, [sp, 16]",
        "bl {next}",
        "mov x16, x0",
        "ldr x30, [sp, 16]",
        "ldp x0, x1, [sp], 32",
        "and w1, w1, {kept}",
        "br x16",
        next = sym next,
        kept = const !libc::RTLD_DEEPBIND.cast_unsigned(),
    );
}
