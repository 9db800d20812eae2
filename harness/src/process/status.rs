//! What a child still says while it dies: marks on the board, left by handlers of signals.
//!
//! A handler runs in whatever state the subject is in, so it calls nothing that allocates or
//! locks. It leaves its mark, puts back the handler that was there before (std's, or one of the
//! subject's process), and lets the signal come again: what the process dies of stays its own.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use libc::{c_int, c_void, siginfo_t};

use crate::process::guard_pages;
use crate::process::heartbeat::Lifeline;
use crate::process::shared_memory::{ChildStatus, Mark};

/// Where this process's marks go, and which process that is: one that the subject forks has the
/// first from its parent, and must keep quiet.
static LIFE: AtomicPtr<ChildStatus> = AtomicPtr::new(std::ptr::null_mut());
static OWNER: AtomicI32 = AtomicI32::new(0);

/// This process's life on the board, if it is a child of a harness.
fn own() -> Option<&'static ChildStatus> {
    // SAFETY: `adopt` was given a life on a board that the child never gives back: it leaves by
    // `_exit`. Asking for the process's number has no effect.
    unsafe {
        let life = LIFE.load(Ordering::Relaxed).as_ref()?;
        (libc::getpid() == OWNER.load(Ordering::Relaxed)).then_some(life)
    }
}

/// Makes the marks of this process, which was just forked, go here.
pub(crate) fn adopt(life: &ChildStatus) {
    // SAFETY: asks for a number.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    LIFE.store(std::ptr::from_ref(life).cast_mut(), Ordering::Relaxed);
}

/// By what a run reaches its child's parent.
pub(crate) const LIFELINE: Lifeline = Lifeline { beat, stuck };

/// A sign of life.
pub(crate) fn beat() {
    // SAFETY: as in `own`. A process of the subject's own may beat as well: it is finite, too.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.live();
    }
}

/// Says that the first run without a fault is done, so that the subject's own hangs begin.
pub(crate) fn begun() {
    if let Some(life) = own() {
        life.stand(Some(0));
    }
}

/// Says that another schedule begins, and by which deviations it goes: what a death came of.
pub(crate) fn schedule() {
    // SAFETY: as in `own`; asking whose process this is would cost more than all of it.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.schedule();
    }
}

pub(crate) fn turn(word: u64) {
    // SAFETY: as in `schedule`.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.turn(word);
    }
}

/// Says how a schedule's run ended.
pub(crate) fn ended(outcome: usize) {
    // SAFETY: as in `schedule`.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() }
        && let Some(end) = life.ends.get(outcome)
    {
        end.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says that all that was to be done is done.
pub(crate) fn finished() {
    if let Some(life) = own() {
        life.stand(None);
    }
}

/// Ends a child from within, as one whose subject asks for memory without end. Comes back where
/// this process is no child.
fn stuck() {
    end_strangers();
    if let Some(life) = own() {
        life.set_mark(Mark::Stuck);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Ends this process if the subject forked it off a child: what it came back into is not its.
pub(crate) fn end_strangers() {
    if !LIFE.load(Ordering::Relaxed).is_null() && own().is_none() {
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Writes down that the harness panicked, not the subject.
pub(crate) fn bug(text: &str) {
    if let Some(life) = own() {
        life.set_mark(Mark::Bug);
        for bytes in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            life.say(u64::from_ne_bytes(word));
        }
    }
}

/// Whether an address lies in the same program or library as this code. What lies elsewhere, such
/// as the C library, may have debug information that takes longer to read than all the rest.
pub(crate) fn is_at_home(address: usize) -> bool {
    let base = |address: *const c_void| {
        // SAFETY: zeroed is a good `Dl_info`, which is filled in where the address is known.
        unsafe {
            let mut info: libc::Dl_info = MaybeUninit::zeroed().assume_init();
            (libc::dladdr(address, &raw mut info) != 0).then_some(info.dli_fbase)
        }
    };
    base(address as *const c_void) == base(is_at_home as *const c_void)
}

/// What a child's harness panicked with.
pub(crate) fn bug_text(life: &ChildStatus) -> String {
    let bytes: Vec<u8> = life.said().flat_map(u64::to_ne_bytes).filter(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

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
    // (`worker::fork`), so that it has nothing to load.
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
