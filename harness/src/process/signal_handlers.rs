//! Signal handlers of a child process: they leave a mark in shared memory when the process dies of a bad
//! access or an abort, so that the parent learns why and where.
//!
//! A handler runs in whatever state the subject is in, so it calls nothing that allocates or locks. It
//! leaves its mark, puts the former handler back (std's, or one of the subject's), and lets the signal
//! come again: the process still dies of its own signal.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use libc::{c_int, c_void, siginfo_t};

use crate::process::guard_pages;
use crate::process::shared_memory::{ChildStatus, Mark};
use crate::process::status::own;

/// The handlers that ours took the place of, by signal.
struct FormerHandlers([(c_int, UnsafeCell<MaybeUninit<libc::sigaction>>); 3]);

// SAFETY: each is written once, by the only thread of a new child, before its handler can run.
unsafe impl Sync for FormerHandlers {}

static BEFORE: FormerHandlers = FormerHandlers([
    (libc::SIGSEGV, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGBUS, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGABRT, UnsafeCell::new(MaybeUninit::zeroed())),
]);

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn handle(signal: c_int, handler: Handler, flags: c_int) {
    let Some((_, before)) = BEFORE.0.iter().find(|(known, _)| *known == signal) else { return };
    // SAFETY: zeroed is a good `sigaction`; the handler has the shape that SA_SIGINFO asks for;
    // `before` is this thread's alone (`FormerHandlers`).
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, before.get().cast());
    }
}

/// Puts the handler before ours back.
fn hand_back(signal: c_int) {
    if let Some((_, before)) = BEFORE.0.iter().find(|(known, _)| *known == signal) {
        // SAFETY: `handle` filled it in (or it is zeroed, which is the default action).
        unsafe { libc::sigaction(signal, before.get().cast(), std::ptr::null_mut()) };
    }
}

/// Room for a handler where the thread's own stack is used up.
const STACK: usize = 1 << 16;

/// From here on a bad memory access leaves a mark.
pub(crate) fn watch_faults() {
    // SAFETY: asks for this thread's alternate stack, and gives it fresh memory where there is
    // none; std's threads have one.
    unsafe {
        let mut stack: libc::stack_t = MaybeUninit::zeroed().assume_init();
        libc::sigaltstack(std::ptr::null(), &raw mut stack);
        if stack.ss_flags & libc::SS_DISABLE != 0 {
            let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
            let room = libc::mmap(std::ptr::null_mut(), STACK, prot, flags | libc::MAP_ANON, -1, 0);
            if room != libc::MAP_FAILED {
                let stack = libc::stack_t { ss_sp: room, ss_flags: 0, ss_size: STACK };
                libc::sigaltstack(&raw const stack, std::ptr::null_mut());
            }
        }
    }
    handle(libc::SIGSEGV, on_fault, libc::SA_ONSTACK);
    handle(libc::SIGBUS, on_fault, libc::SA_ONSTACK);
}

/// From here on an abort leaves its call stack.
pub(crate) fn watch_aborts() {
    handle(libc::SIGABRT, on_abort, 0);
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives both to a handler with SA_SIGINFO.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // A signal that somebody sent, and no access at all.
    let is_sent = code <= 0;
    if let Some(life) = own()
        && life.mark() != Some(Mark::Aborting)
    {
        life.set_mark(match stack_pointer(context) {
            _ if is_sent => Mark::Fault,
            Some(stack) if is_overflow(address, stack) => Mark::Overflow,
            _ if guard_pages::tell(address, &mut |word| {
                life.say(word);
            }) =>
            {
                Mark::Guard
            }
            Some(_) => Mark::Fault,
            None => Mark::Unsure,
        });
        if life.mark() == Some(Mark::Guard) {
            say_stack(life, program_counter(context));
        }
    }
    hand_back(signal);
    if is_sent {
        // SAFETY: sends a signal to this thread, which comes once this handler is left. An access
        // is simply made again.
        unsafe { libc::raise(signal) };
    }
}

/// How far from the stack pointer an access may be and belong to the frame being made.
const FRAME: usize = 1 << 16;
/// What may be touched above it while it still points to good memory.
const SLACK: usize = 1 << 10;

/// Whether this access failed because the stack has no room left.
fn is_overflow(address: usize, stack: usize) -> bool {
    if address.abs_diff(stack) > FRAME {
        return false;
    }
    // Further up it is another thing that ends where the stack begins, unless the whole frame
    // lies beyond the stack.
    address <= stack.saturating_add(SLACK) || !is_readable(stack)
}

fn is_readable(address: usize) -> bool {
    // SAFETY: the kernel looks at the memory, and answers EFAULT where there is none; there is no
    // file of such a name, and if there is one nothing is done to it.
    let there = unsafe { libc::access(address as *const libc::c_char, libc::F_OK) } == 0;
    there || std::io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT)
}

/// Where the stack was at the access.
fn stack_pointer(context: *mut c_void) -> Option<usize> {
    registers(context).map(|(stack, _)| stack)
}

/// The instruction that made the access.
fn program_counter(context: *mut c_void) -> Option<usize> {
    registers(context).map(|(_, instruction)| instruction)
}

/// The stack pointer and the program counter at the access.
fn registers(context: *mut c_void) -> Option<(usize, usize)> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    // SAFETY: the kernel gives it to a handler with SA_SIGINFO.
    return unsafe {
        let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let register = |number: c_int| registers[number as usize] as usize;
        Some((register(libc::REG_RSP), register(libc::REG_RIP)))
    };
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    // SAFETY: as above.
    return unsafe {
        let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext;
        Some((registers.sp as usize, registers.pc as usize))
    };
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = context;
        None
    }
}

/// Says the present stack. Addresses in it are taken for those behind a call, so that of the
/// instruction that came to no end is said with one more.
fn say_stack(life: &ChildStatus, interrupted: Option<usize>) {
    // SAFETY: the unwinder of this system takes care of threads by itself, and was used before
    // (`child::fork`), so that it has nothing to load.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            life.say(address as u64 + u64::from(interrupted == Some(address)))
        });
    }
}

extern "C" fn on_abort(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    if let Some(life) = own()
        && life.mark().is_none_or(|mark| mark != Mark::Overflow)
    {
        // Should the next step die: it is an abort all the same.
        life.set_mark(Mark::Aborting);
        say_stack(life, None);
    }
    hand_back(signal);
    // SAFETY: sends a signal to this thread, which comes once this handler is left.
    unsafe { libc::raise(signal) };
}
