//! Deaths: how a child ended that was not meant to end, read from its wait status and from what it
//! wrote to shared memory, and the sentence that a report prints for it.

use crate::process::backtrace::Stack;
use crate::process::codec;
use crate::process::shared_memory::{ChildStatus, Mark};
use crate::process::stalls;

/// How a child ended that was not meant to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Death {
    /// It ended itself, with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// This signal of a bad memory access ended it before any handler could run.
    Unhandled(i32),
    /// This signal of a bad memory access ended it, at the guard page of a known block.
    Guard(i32),
    /// Its stack overflowed.
    Overflow,
    /// It made requests without end.
    Endless,
    /// It made no request for too long, and was killed.
    Stall,
    /// It was stopped by this signal, and was killed.
    Stopped(i32),
    /// It became another program (`exec`).
    Replaced,
    /// It is gone, and its wait status went to another waiter.
    Unseen,
}

impl Death {
    /// How a child died, by its status as `waitpid` returns it and by its mark in shared memory.
    pub(crate) fn of(wait_status: i32, status: &ChildStatus) -> Death {
        let mark = status.mark();
        if !libc::WIFSIGNALED(wait_status) {
            return match mark {
                Some(Mark::Endless) => Death::Endless,
                Some(Mark::Replaced) => Death::Replaced,
                _ => Death::Exit(libc::WEXITSTATUS(wait_status)),
            };
        }
        let signal = libc::WTERMSIG(wait_status);
        let bad_access = [libc::SIGSEGV, libc::SIGBUS].contains(&signal);
        match mark {
            // After a stack overflow std aborts; other runtimes let the signal end the process.
            Some(Mark::StackOverflow) if bad_access || signal == libc::SIGABRT => Death::Overflow,
            Some(Mark::GuardPage) if bad_access => Death::Guard(signal),
            Some(Mark::BadAccessOrOverflow) if signal == libc::SIGABRT => Death::Overflow,
            // Another signal came while the handler wrote the abort's call stack.
            Some(Mark::Aborting) => Death::Signal(libc::SIGABRT),
            None if bad_access => Death::Unhandled(signal),
            _ => Death::Signal(signal),
        }
    }

    /// A death without a trace, of a child that exited before its work was done.
    pub(crate) fn without_trace(self) -> DeathRecord {
        DeathRecord { death: self, stack: Stack::new(), last_words: String::new(), refused: 0 }
    }

    /// How a child died that was killed for its silence.
    pub(crate) fn of_silence(status: &ChildStatus) -> Death {
        match status.mark() {
            // It hung while the handler wrote the abort's call stack.
            Some(Mark::Aborting) => Death::Signal(libc::SIGABRT),
            _ => Death::Stall,
        }
    }

    /// The words in the child's status that describe this death: a call stack, or what
    /// [`guard_pages::read`](crate::process::guard_pages::read) decodes.
    pub(crate) fn words(self, status: &ChildStatus) -> Stack {
        let words = || status.words().map(|word| word as usize);
        match self {
            Death::Signal(_) | Death::Guard(_) => words().collect(),
            Death::Overflow => circle(words()),
            Death::Stall => stalls::common_stack(words()),
            _ => Stack::new(),
        }
    }

    pub(crate) fn is_abort(self) -> bool {
        self == Death::Signal(libc::SIGABRT)
    }
}

/// The longest circle of calls that is looked for.
const CIRCLE_MAX: usize = 64;

/// The calls that repeat at the end of a stack that overflowed; all of it if none do.
fn circle(stack: impl Iterator<Item = usize>) -> Stack {
    let mut stack: Stack = stack.collect();
    let repeats = |length: &usize| {
        let pairs = stack.iter().zip(&stack[*length..]);
        stack.len() >= 4 * length
            && pairs.clone().filter(|(one, next)| one == next).count() * 8 > pairs.count() * 7
    };
    if let Some(length) = (1..=CIRCLE_MAX.min(stack.len())).find(repeats) {
        // The innermost calls may be those to where it happened to end.
        let from = stack.len() / 2;
        stack = stack[from..from + length].to_vec();
        let first = stack.iter().enumerate().min_by_key(|(_, address)| **address);
        let first = first.map_or(0, |(index, _)| index);
        stack.rotate_left(first);
    }
    stack
}

/// A death, and what is left of the process to tell why.
#[derive(Clone, Debug)]
pub(crate) struct DeathRecord {
    pub(crate) death: Death,
    /// As of [`Death::words`].
    pub(crate) stack: Stack,
    /// What the C library or a panic said last; empty if it said nothing.
    pub(crate) last_words: String,
    /// The bytes of the last request that the allocator refused without a fault; 0 if none.
    pub(crate) refused: u64,
}

impl DeathRecord {
    /// Reads what a child that died like this wrote to its status.
    pub(crate) fn read(death: Death, status: &ChildStatus) -> DeathRecord {
        let (last_words, refused) = (status.last_words(), status.refused());
        DeathRecord { death, stack: death.words(status), last_words, refused }
    }
}

impl codec::Codec for Death {
    fn put(&self, out: &mut Vec<u8>) {
        let (kind, number) = match *self {
            Death::Exit(code) => (0, code),
            Death::Signal(signal) => (1, signal),
            Death::Unhandled(signal) => (2, signal),
            Death::Overflow => (3, 0),
            Death::Endless => (4, 0),
            Death::Stall => (5, 0),
            Death::Stopped(signal) => (6, signal),
            Death::Unseen => (7, 0),
            Death::Guard(signal) => (8, signal),
            Death::Replaced => (9, 0),
        };
        (u64::from(kind as u8), number as u32).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (kind, number) = <(u64, u32)>::get(from)?;
        let number = number as i32;
        Some(match kind {
            0 => Death::Exit(number),
            1 => Death::Signal(number),
            2 => Death::Unhandled(number),
            3 => Death::Overflow,
            4 => Death::Endless,
            5 => Death::Stall,
            6 => Death::Stopped(number),
            7 => Death::Unseen,
            8 => Death::Guard(number),
            9 => Death::Replaced,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Death::Exit(code) => write!(f, "it ended the process with exit code {code}"),
            Death::Signal(signal) => write!(f, "it died of {}", name(*signal)),
            Death::Guard(signal) => write!(f, "it died of {} at a guard page", name(*signal)),
            Death::Unhandled(signal) => write!(
                f,
                "it died of {}, and no handler could run: its stack may have overflowed",
                name(*signal)
            ),
            Death::Overflow => f.write_str("it died of a stack overflow"),
            Death::Endless => {
                f.write_str("it kept making requests, also when none of them failed any longer")
            }
            Death::Stall => f.write_str("it made no request for too long and was killed"),
            Death::Replaced => f.write_str("it became another program (exec)"),
            Death::Stopped(signal) => write!(f, "it stopped itself by {}", name(*signal)),
            Death::Unseen => f.write_str(
                "it ended, but how is unknown: SIGCHLD is ignored, or other code waited for it",
            ),
        }
    }
}

/// A signal's name. Numbers differ between systems, names don't.
fn name(signal: i32) -> String {
    #[cfg(target_os = "linux")]
    if signal >= libc::SIGRTMIN() {
        return match signal - libc::SIGRTMIN() {
            0 => "SIGRTMIN".to_owned(),
            above => format!("SIGRTMIN+{above}"),
        };
    }
    let named = NAMES.iter().find(|(number, _)| *number == signal);
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

macro_rules! names {
    ($($signal:ident)*) => {
        [$((libc::$signal, stringify!($signal))),*]
    };
}

/// Every signal of POSIX.
const NAMES: [(i32, &str); 28] = names!(
    SIGABRT SIGALRM SIGBUS SIGCHLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGKILL SIGPIPE SIGPROF
    SIGQUIT SIGSEGV SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2
    SIGVTALRM SIGXCPU SIGXFSZ SIGWINCH
);

/// Kinds of aborts that the call stack distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Abort {
    /// An allocation failed in code that can't return an error (`handle_alloc_error`).
    AllocError,
    /// A panic in a destructor that runs while another panic unwinds.
    Cleanup,
    /// A panic in a function that must not unwind.
    NoUnwind,
    /// A panic in a program that is built with `panic = "abort"`.
    Panic,
}

impl Abort {
    pub(crate) const ALL: [Abort; 4] =
        [Abort::AllocError, Abort::Cleanup, Abort::NoUnwind, Abort::Panic];

    /// The functions whose presence on the stack identifies it. The kinds are tried in the order of
    /// [`Abort::ALL`], since the functions of a plain panic are on the stack of the two before it
    /// as well.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Abort::AllocError => &["handle_alloc_error", "rust_oom", "__rdl_oom"],
            Abort::Cleanup => &["panic_in_cleanup"],
            Abort::NoUnwind => &["panic_cannot_unwind", "panic_nounwind"],
            Abort::Panic => &["rust_panic_with_hook", "begin_panic_handler"],
        }
    }

    /// The kind of an abort with these functions on its stack; `None` if it is none of these kinds.
    pub(crate) fn of(functions: &[&str]) -> Option<Abort> {
        let last = |path: &&str| path.rsplit("::").next().unwrap_or("").to_owned();
        let last: Vec<String> = functions.iter().map(last).collect();
        let is_one = |abort: &Abort| {
            abort.functions().iter().any(|known| last.iter().any(|name| name == known))
        };
        Abort::ALL.into_iter().find(is_one)
    }

    /// The sentence that a report prints.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Abort::AllocError => {
                "memory allocation failed and the program aborted (handle_alloc_error)"
            }
            Abort::Cleanup => "it panicked while a panic unwound, and the program aborted",
            Abort::NoUnwind => {
                "it panicked in a function that must not unwind, and the program aborted"
            }
            Abort::Panic => "it panicked, and the program aborted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(name(libc::SIGXFSZ), "SIGXFSZ");
        #[cfg(target_os = "linux")]
        assert_eq!(name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(name(0), "signal 0");
    }

    #[test]
    fn a_stack_that_overflowed_is_cut_to_its_circle() {
        let deep = [9, 8].into_iter().chain((0..300).map(|n| [3, 7, 5][n % 3])).chain([1, 2]);
        assert_eq!(circle(deep), [3, 7, 5]);
        assert_eq!(circle([4; 50].into_iter()), [4]);
        assert_eq!(circle([1, 2, 3].into_iter()), [1, 2, 3]);
        assert_eq!(circle([].into_iter()), Stack::new());
    }

    #[test]
    fn aborts_are_identified_by_the_functions_on_the_stack() {
        let of = |functions: &[&str]| Abort::of(functions);
        let oom = ["abort", "std::process::abort", "alloc::alloc::handle_alloc_error", "app::x"];
        assert_eq!(of(&oom), Some(Abort::AllocError));
        let panic = "std::panicking::rust_panic_with_hook";
        assert_eq!(of(&[panic, "core::panicking::panic_in_cleanup"]), Some(Abort::Cleanup));
        assert_eq!(of(&[panic, "core::panicking::panic_cannot_unwind"]), Some(Abort::NoUnwind));
        assert_eq!(of(&[panic, "app::x"]), Some(Abort::Panic));
        assert_eq!(of(&["abort", "std::process::abort", "app::on_handle_alloc_error_x"]), None);
    }
}
