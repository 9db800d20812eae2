//! Deaths: how a child ended that was not meant to, and what its readers are told of it.

use crate::process::codec;
use crate::process::shared_memory::{ChildStatus, Mark};

/// How a child ended that was not meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Death {
    /// It ended itself, with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// A signal of a bad memory access ended it before any handler could run.
    Unhandled(i32),
    /// This signal of a bad memory access ended it, at a guard page that it told of.
    Guard(i32),
    /// Its stack had no room left.
    Overflow,
    /// It asked for memory without end.
    Endless,
    /// It stood still for too long, and was killed.
    Stall,
    /// It stopped itself by this signal, and was killed.
    Stopped(i32),
    /// It is gone, and somebody else was told how.
    Unseen,
}

impl Death {
    /// What a status means, as `waitpid` gives it, beside what the child left on the board.
    pub(crate) fn of(status: i32, life: &ChildStatus) -> Death {
        let mark = life.mark();
        if !libc::WIFSIGNALED(status) {
            return match mark {
                Some(Mark::Stuck) => Death::Endless,
                _ => Death::Exit(libc::WEXITSTATUS(status)),
            };
        }
        let signal = libc::WTERMSIG(status);
        let bad_access = [libc::SIGSEGV, libc::SIGBUS].contains(&signal);
        match mark {
            // std ends a program whose stack overflowed by an abort, other runtimes by the fault.
            Some(Mark::Overflow) if bad_access || signal == libc::SIGABRT => Death::Overflow,
            Some(Mark::Guard) if bad_access => Death::Guard(signal),
            Some(Mark::Unsure) if signal == libc::SIGABRT => Death::Overflow,
            // It stumbled while it looked where it aborted.
            Some(Mark::Aborting) => Death::Signal(libc::SIGABRT),
            None if bad_access => Death::Unhandled(signal),
            _ => Death::Signal(signal),
        }
    }

    /// A child that was killed because it gave no sign of life.
    pub(crate) fn silent(life: &ChildStatus) -> Death {
        match life.mark() {
            Some(Mark::Aborting) => Death::Signal(libc::SIGABRT),
            _ => Death::Stall,
        }
    }

    /// Whether what it said is more than its status.
    pub(crate) fn tells(self) -> bool {
        self.is_abort() || matches!(self, Death::Guard(_))
    }

    pub(crate) fn is_abort(self) -> bool {
        self == Death::Signal(libc::SIGABRT)
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
            Death::Endless => f.write_str("it went on asking, also when it got all it asked for"),
            Death::Stall => f.write_str("it stood still and made no request"),
            Death::Stopped(signal) => write!(f, "it stopped itself by {}", name(*signal)),
            Death::Unseen => f.write_str(
                "it ended, and how is not known: SIGCHLD is ignored, or somebody else waits",
            ),
        }
    }
}

/// A signal as a person says it. Numbers differ between systems, names don't.
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

/// Ways to abort that the call stack tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Abort {
    /// Memory ran out in code that can't say so.
    AllocError,
    /// A panic in a destructor, while another panic was on its way.
    Cleanup,
    /// A panic on its way out of a function that nothing may unwind out of.
    NoUnwind,
    /// A panic where panics abort.
    Panic,
}

impl Abort {
    pub(crate) const ALL: [Abort; 4] =
        [Abort::AllocError, Abort::Cleanup, Abort::NoUnwind, Abort::Panic];

    /// Functions by which it is told; what is listed first is looked for first, since a panic
    /// stands in the stack of the next two as well.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Abort::AllocError => &["handle_alloc_error", "rust_oom", "__rdl_oom"],
            Abort::Cleanup => &["panic_in_cleanup"],
            Abort::NoUnwind => &["panic_cannot_unwind", "panic_nounwind"],
            Abort::Panic => &["rust_panic_with_hook", "begin_panic_handler"],
        }
    }

    /// Which one a stack of these functions is, if it is one that has a name.
    pub(crate) fn of(functions: &[&str]) -> Option<Abort> {
        let last = |path: &&str| path.rsplit("::").next().unwrap_or("").to_owned();
        let last: Vec<String> = functions.iter().map(last).collect();
        let is_one = |abort: &Abort| {
            abort.functions().iter().any(|known| last.iter().any(|name| name == known))
        };
        Abort::ALL.into_iter().find(is_one)
    }

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
    fn aborts_are_told_by_the_functions_on_the_way() {
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
