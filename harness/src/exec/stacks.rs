//! The two stacks of a preloaded library's process: the program's, and the harness's own, on which the
//! sweep is made. A run goes over to the program's stack, and comes back when the program ends.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use libc::{c_char, c_int, ucontext_t};

use crate::process::reachability;

/// A program's `main`.
pub type Main = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

/// The bytes of the harness's own stack.
const STACK_SIZE: usize = 16 << 20;

unsafe extern "C" {
    /// The first and the last byte of this library, which the linker defines.
    static __ehdr_start: u8;
    static _end: u8;
}

/// The state of a stack that is not running.
struct Resting(UnsafeCell<MaybeUninit<ucontext_t>>);

// SAFETY: only the first thread of the process uses it.
unsafe impl Sync for Resting {}

/// The program's stack, just before `main`; and the harness's, while `main` runs.
static PROGRAM: Resting = Resting(UnsafeCell::new(MaybeUninit::uninit()));
static HARNESS: Resting = Resting(UnsafeCell::new(MaybeUninit::uninit()));

/// Leaves the program's stack, where `main` is to be called, for the harness's, on which `call` begins.
/// Returns in a run, which has gone over to the program's stack. False if there is no memory for the
/// other stack.
///
/// # Safety
/// - It is called once, on the first thread, and `call` never returns.
pub(crate) unsafe fn leave_program(call: extern "C" fn()) -> bool {
    // SAFETY: new memory for a stack, which is never given back; both contexts are this thread's own.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let stack = libc::mmap(std::ptr::null_mut(), STACK_SIZE, access, flags, -1, 0);
        if stack == libc::MAP_FAILED {
            return false;
        }
        libc::mprotect(stack, 4096, libc::PROT_NONE);
        reachability::leave_out(stack as usize..stack as usize + STACK_SIZE);
        reachability::leave_out(&raw const __ehdr_start as usize..&raw const _end as usize);
        let harness = (*HARNESS.0.get()).as_mut_ptr();
        libc::getcontext(harness);
        (*harness).uc_stack.ss_sp = stack;
        (*harness).uc_stack.ss_size = STACK_SIZE;
        (*harness).uc_link = std::ptr::null_mut();
        libc::makecontext(harness, call, 0);
        libc::swapcontext((*PROGRAM.0.get()).as_mut_ptr(), harness);
    }
    true
}

/// The bytes below a program's stack that its loader and this library may have written to.
const USED: i64 = 32 << 10;
/// What is written in place of what they left: no address.
const LEFT: i64 = 0xA5A5_A5A5_A5A5_A5A5_u64.cast_signed();

/// Enters a program's `main`. What earlier calls have left below the stack is overwritten: a program that
/// reads a variable before it sets it would else find addresses, which differ from process to process.
///
/// # Safety
/// - As for calling `main`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter_main(
    main: Main,
    argc: c_int,
    argv: *mut *mut c_char,
    environment: *mut *mut c_char,
) -> c_int {
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!(
        "mov r8, rdi",
        "mov edi, esi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "lea rax, [rsp - 8]",
        "lea rcx, [rsp - {used}]",
        "movabs r9, {left}",
        "2:",
        "mov qword ptr [rax], r9",
        "sub rax, 8",
        "cmp rax, rcx",
        "jae 2b",
        "jmp r8",
        used = const USED,
        left = const LEFT,
    );
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!(
        "mov x8, x0",
        "mov w0, w1",
        "mov x1, x2",
        "mov x2, x3",
        "sub x9, sp, 8",
        "sub x10, sp, {used}",
        "ldr x11, ={left}",
        "2:",
        "str x11, [x9]",
        "sub x9, x9, 8",
        "cmp x9, x10",
        "b.hs 2b",
        "br x8",
        used = const USED,
        left = const LEFT,
    );
}

/// Goes over to the program's stack. Returns when the program has ended ([`back_to_harness`]).
pub(crate) fn enter_program() {
    // SAFETY: this process, a fork for one run, has not left the program's stack since `leave_program`;
    // the context is written before anything can return to it.
    unsafe {
        libc::swapcontext((*HARNESS.0.get()).as_mut_ptr(), (*PROGRAM.0.get()).as_ptr());
    }
}

/// Leaves the program's stack for the harness's, on the first thread: [`enter_program`] returns.
pub(crate) fn back_to_harness() -> ! {
    // SAFETY: the context was written by `enter_program` on this thread, whose frames on the harness's
    // stack are still there.
    unsafe {
        libc::setcontext((*HARNESS.0.get()).as_ptr());
    }
    std::process::abort()
}
