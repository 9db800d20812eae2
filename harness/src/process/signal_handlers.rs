//! Signal handlers of a child process: they write a mark to shared memory when the process dies of
//! a bad memory access or an abort, so that the parent learns why and where.
//!
//! A handler may interrupt the subject anywhere, so it calls nothing that allocates or locks. It
//! writes the mark, restores the previous handler (std's, or one of the subject's), and lets the
//! signal come again: the process still dies of its own signal.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use libc::{c_int, c_void, siginfo_t};

use crate::memory::preloaded::is_preloaded;
use crate::process::shared_memory::{ChildStatus, Mark};
use crate::process::stalls::{self, SampledFrame};
use crate::process::status::own;
use crate::process::wild_jump::WildJump;
use crate::process::{descriptors, forked_call, guard_pages, guard_region};

/// The handlers that ours replaced, by signal.
struct PreviousHandlers([(c_int, UnsafeCell<MaybeUninit<libc::sigaction>>); 7]);

// SAFETY: `install` writes each entry once, on the only thread of a new child, before the handler
// that reads it can run.
unsafe impl Sync for PreviousHandlers {}

static PREVIOUS: PreviousHandlers = PreviousHandlers([
    (libc::SIGSEGV, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGBUS, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGABRT, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGILL, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGFPE, UnsafeCell::new(MaybeUninit::zeroed())),
    (libc::SIGTRAP, UnsafeCell::new(MaybeUninit::zeroed())),
    (STALL_SIGNAL, UnsafeCell::new(MaybeUninit::zeroed())),
]);

/// Asks a child that hangs where it is. By default it is ignored, so it harms no child that has no
/// handler yet.
pub(crate) const STALL_SIGNAL: c_int = libc::SIGURG;

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

#[cfg(all(feature = "preload", target_env = "gnu"))]
unsafe extern "C" {
    /// The C library's `sigaction`, by the name that a preloaded library doesn't take the place of.
    #[link_name = "__sigaction"]
    pub(crate) fn set_action(
        signal: c_int,
        new: *const libc::sigaction,
        old: *mut libc::sigaction,
    ) -> c_int;
}
#[cfg(not(all(feature = "preload", target_env = "gnu")))]
pub(crate) use libc::sigaction as set_action;

fn install(signal: c_int, handler: Handler, flags: c_int) {
    let Some((_, previous)) = PREVIOUS.0.iter().find(|(known, _)| *known == signal) else { return };
    // SAFETY: zeroed is a valid `sigaction`; the handler has the signature that SA_SIGINFO asks
    // for; and only this thread accesses `previous` (see `PreviousHandlers`).
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        libc::sigemptyset(&raw mut action.sa_mask);
        set_action(signal, &raw const action, previous.get().cast());
    }
}

/// Restores the handler that ours replaced.
fn restore(signal: c_int) {
    if let Some((_, previous)) = PREVIOUS.0.iter().find(|(known, _)| *known == signal) {
        // SAFETY: `install` filled the entry in, or it is zeroed, which is the default action.
        unsafe { set_action(signal, previous.get().cast(), std::ptr::null_mut()) };
    }
}

/// The signal whose handler has run; 0 if none has.
static HANDLED: AtomicI32 = AtomicI32::new(0);

/// That signal.
#[cfg(feature = "preload")]
pub(crate) fn handled() -> c_int {
    HANDLED.load(Ordering::Relaxed)
}

/// The action that follows ours at a signal: the program's.
#[cfg(feature = "preload")]
pub(crate) fn next_action(signal: c_int) -> Option<*mut libc::sigaction> {
    let (_, next) =
        PREVIOUS.0.iter().find(|(known, _)| *known == signal && signal != STALL_SIGNAL)?;
    Some(next.get().cast())
}

/// Bytes of the stack on which a handler runs when the thread's own stack has overflowed.
const STACK: usize = 1 << 16;

/// Makes bad memory accesses leave a mark from here on.
pub(crate) fn watch_bad_accesses() {
    // SAFETY: reads this thread's alternate stack, and sets one in newly mapped memory if there is
    // none (std's threads have one).
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
    install(libc::SIGSEGV, on_bad_access, libc::SA_ONSTACK);
    install(libc::SIGBUS, on_bad_access, libc::SA_ONSTACK);
}

/// Makes an abort leave its call stack from here on, and a trap or an impossible operation as well.
pub(crate) fn watch_aborts() {
    find_abort_message();
    for signal in [libc::SIGABRT, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP] {
        install(signal, on_abort, 0);
    }
}

/// Makes [`STALL_SIGNAL`] write where the child is.
pub(crate) fn watch_stalls() {
    install(STALL_SIGNAL, on_stall, libc::SA_RESTART);
}

/// Where the C library keeps the message of its last abort, as far as it says.
static ABORT_MESSAGE: AtomicPtr<*const AbortMessage> = AtomicPtr::new(std::ptr::null_mut());

/// The message, as glibc lays it out.
#[repr(C)]
struct AbortMessage {
    size: u32,
    text: [u8; 0],
}

/// Looks up `__abort_msg`, which glibc provides for debuggers.
fn find_abort_message() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both names are C strings. The symbol has the type of `ABORT_MESSAGE`.
    unsafe {
        let found =
            libc::dlvsym(libc::RTLD_DEFAULT, c"__abort_msg".as_ptr(), c"GLIBC_PRIVATE".as_ptr());
        ABORT_MESSAGE.store(found.cast(), Ordering::Relaxed);
    }
}

/// Keeps the message of the C library's abort, if there is one.
fn keep_abort_message(status: &ChildStatus) {
    const LENGTH_MAX: usize = 200;
    let place = ABORT_MESSAGE.load(Ordering::Relaxed);
    // SAFETY: the place is glibc's variable (`find_abort_message`), which is null or points to a
    // mapped message of `size` bytes, text and size together.
    unsafe {
        let Some(message) = place.as_ref().and_then(|place| place.as_ref()) else {
            let mut said = [0; LENGTH_MAX];
            let length = descriptors::last_said(&mut said);
            if length > 0 {
                status.set_last_words(last_statement(&said[..length]));
            }
            return;
        };
        let length = (message.size as usize).min(LENGTH_MAX);
        let text = std::slice::from_raw_parts((&raw const message.text).cast::<u8>(), length);
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(length);
        status.set_last_words(&text[..end]);
    }
}

/// The last line that is not indented: the others explain it.
fn last_statement(text: &[u8]) -> &[u8] {
    let is_statement =
        |line: &&[u8]| line.first().is_some_and(|first| !first.is_ascii_whitespace());
    text.split(|byte| *byte == b'\n').rfind(is_statement).unwrap_or_default()
}

extern "C" fn on_bad_access(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with SA_SIGINFO.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Another process or thread sent the signal: there was no bad access.
    let is_sent = code <= 0;
    let interrupted = program_counter(context);
    let frames = |push: &mut dyn FnMut(usize)| push_frames(interrupted, 1, push);
    if !is_sent && guard_region::record_hit(address, is_write(context), frames) {
        return;
    }
    if let Some(status) = own()
        && status.mark() != Some(Mark::Aborting)
    {
        status.set_mark(match stack_pointer(context) {
            _ if is_sent => Mark::BadAccess,
            Some(stack) if is_overflow(address, stack) => Mark::StackOverflow,
            _ if guard_pages::describe(address, is_write(context), &mut |word| {
                status.push_word(word);
            }) =>
            {
                Mark::GuardPage
            }
            Some(_) => Mark::BadAccess,
            None => Mark::BadAccessOrOverflow,
        });
        HANDLED.store(signal, Ordering::Relaxed);
        let has_stack = matches!(status.mark(), Some(Mark::GuardPage | Mark::BadAccess));
        if has_stack || is_preloaded() {
            let jump = (!is_sent).then(|| WildJump::of(context, address, is_readable)).flatten();
            push_call_stack(status, program_counter(context), u64::from(jump.is_none()));
        }
    }
    restore(signal);
    // After a real bad access the instruction is repeated, and so is the signal.
    if is_sent {
        // SAFETY: sends a signal to this thread; it is delivered when this handler returns.
        unsafe { libc::raise(signal) };
    }
}

/// How many bytes below the stack pointer an access may be and still belong to the frame that is
/// being set up.
const FRAME: usize = 1 << 16;
/// How many bytes above it may be touched while it still points to readable memory.
const SLACK: usize = 1 << 10;

/// Whether this access failed because the stack overflowed.
fn is_overflow(address: usize, stack: usize) -> bool {
    if address.abs_diff(stack) > FRAME {
        return false;
    }
    // An access further up touched other memory that borders on the stack, unless the whole frame
    // lies beyond the stack's end.
    address <= stack.saturating_add(SLACK) || !is_readable(stack)
}

fn is_readable(address: usize) -> bool {
    // SAFETY: the kernel reads the memory as a path and reports EFAULT if it can't; if there is a
    // file of that name, nothing is done to it.
    let exists = unsafe { libc::access(address as *const libc::c_char, libc::F_OK) } == 0;
    exists || std::io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT)
}

/// The stack pointer at the access.
fn stack_pointer(context: *mut c_void) -> Option<usize> {
    registers(context).map(|(stack, _)| stack)
}

/// The instruction that made the access.
fn program_counter(context: *mut c_void) -> Option<usize> {
    registers(context).map(|(_, instruction)| instruction)
}

/// The stack pointer and the program counter at the access; `None` on machines that are not known
/// here.
fn registers(context: *mut c_void) -> Option<(usize, usize)> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    // SAFETY: the kernel passes a valid `ucontext_t` to a handler with SA_SIGINFO.
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

/// Writes the present call stack to the status. Its readers take every address for one behind a
/// call, so to that of the interrupted instruction `add` is added: 1, unless it is one itself.
fn push_call_stack(status: &ChildStatus, interrupted: Option<usize>, add: u64) {
    if is_preloaded() {
        // The frame of the signal is the C library's, and not to be told from the program's.
        return push_frames(interrupted, add as usize, &mut |address| {
            status.push_word(address as u64);
        });
    }
    // SAFETY: this system's unwinder may be used by several threads at once. It was used once
    // before (`child::fork`), so it loads nothing now.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            let added = if interrupted == Some(address) { add } else { 0 };
            status.push_word(address as u64 + added)
        });
    }
}

/// Passes on the call stack of the interrupted instruction, without the handler's own frames.
fn push_frames(interrupted: Option<usize>, add: usize, push: &mut dyn FnMut(usize)) {
    let mut is_subject = interrupted.is_none();
    // SAFETY: as in `push_call_stack`.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            let is_it = interrupted == Some(address);
            is_subject |= is_it;
            if is_subject {
                push(address + if is_it { add } else { 0 });
            }
            true
        });
    }
}

/// Whether the access was a write; `None` where the machine doesn't say.
fn is_write(context: *mut c_void) -> Option<bool> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        /// The bit of a page fault's error code that says it was a write.
        const WRITE: i64 = 2;
        // SAFETY: as in `registers`.
        let code = unsafe {
            (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_ERR as usize]
        };
        Some(code & WRITE != 0)
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        let _ = context;
        None
    }
}

/// Writes a sample of the call stack, as [`stalls::common_stack`] reads it.
extern "C" fn on_stall(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    if forked_call::forward(signal) {
        return;
    }
    let Some(status) = own() else { return };
    if status.mark().is_some_and(|mark| mark != Mark::Stalled) {
        return;
    }
    status.set_mark(Mark::Stalled);
    let interrupted = program_counter(context);
    let mut frames = [SampledFrame { address: 0, function: 0, place: 0 }; stalls::FRAMES_MAX];
    let mut count = 0;
    let mut is_subject = interrupted.is_none();
    // SAFETY: as in `push_call_stack`.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            // The handler's own frames come first.
            is_subject |= interrupted == Some(address);
            if is_subject && count < frames.len() {
                let address = address + usize::from(interrupted == Some(address));
                let (function, place) = (frame.symbol_address() as usize, frame.sp() as usize);
                frames[count] = SampledFrame { address, function, place };
                count += 1;
            }
            count < stalls::FRAMES_MAX
        });
    }
    status.push_word(count as u64);
    for frame in &frames[..count] {
        for word in [frame.address, frame.function, frame.place] {
            status.push_word(word as u64);
        }
    }
}

extern "C" fn on_abort(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    if let Some(status) = own()
        && status.mark().is_none_or(|mark| mark != Mark::StackOverflow)
    {
        if signal == libc::SIGABRT {
            // Set first: if the unwinder crashes, it is still reported as an abort.
            status.set_mark(Mark::Aborting);
            keep_abort_message(status);
        }
        let is_known = |_: &usize| signal != libc::SIGABRT || is_preloaded();
        HANDLED.store(signal, Ordering::Relaxed);
        push_call_stack(status, program_counter(context).filter(is_known), 1);
    }
    restore(signal);
    // SAFETY: sends a signal to this thread; it is delivered when this handler returns.
    unsafe { libc::raise(signal) };
}
