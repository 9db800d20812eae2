//! A few words that each thread has of its own, on the way of every request.
//!
//! In a preloaded library they lie in the thread's static block, at a distance from its start that the
//! loader knows once and for all, so that two instructions find them. A thread-local of Rust's is found
//! by a call there, several of which each request would make.
#![allow(unsafe_code)]

/// How many words there are.
const COUNT: usize = 10;

/// One of the words. It is 0 in a new thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadWord(usize);

impl ThreadWord {
    /// What the thread is doing (`heap/thread_context`).
    pub(crate) const PLACE: ThreadWord = ThreadWord(0);
    /// Whether it belongs to an armed run.
    pub(crate) const ATTRIBUTED: ThreadWord = ThreadWord(1);
    /// Its unique number (`heap/run_lock`), and the run whose lock it took last, with its number in that.
    pub(crate) const THREAD: ThreadWord = ThreadWord(2);
    pub(crate) const LAST_RUN: ThreadWord = ThreadWord(3);
    pub(crate) const LAST_NUMBER: ThreadWord = ThreadWord(4);
    /// Its birth (`process/thread_births`): the run, its number in that, and its place from 1.
    pub(crate) const BIRTH_RUN: ThreadWord = ThreadWord(5);
    pub(crate) const BIRTH_NUMBER: ThreadWord = ThreadWord(6);
    pub(crate) const BIRTH_PLACE: ThreadWord = ThreadWord(7);
    /// The logical thread that it runs (`rt/current`).
    pub(crate) const LOGICAL: ThreadWord = ThreadWord(8);
    /// Where its backtraces end (`rt/backtrace_end`), inverted.
    pub(crate) const BACKTRACE_END: ThreadWord = ThreadWord(9);

    #[inline(always)]
    pub(crate) fn get(self) -> u64 {
        words::get(self.0)
    }

    #[inline(always)]
    pub(crate) fn set(self, value: u64) {
        words::set(self.0, value);
    }

    #[inline(always)]
    pub(crate) fn replace(self, value: u64) -> u64 {
        let before = self.get();
        self.set(value);
        before
    }
}

/// The address of the current thread's words, which no other living thread has.
#[inline(always)]
pub(crate) fn mark() -> usize {
    words::address()
}

#[cfg(not(all(
    feature = "preload",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod words {
    use std::cell::Cell;

    thread_local! {
        static WORDS: [Cell<u64>; super::COUNT] = const { [const { Cell::new(0) }; super::COUNT] };
    }

    #[inline(always)]
    pub(super) fn get(word: usize) -> u64 {
        WORDS.with(|words| words[word].get())
    }

    #[inline(always)]
    pub(super) fn set(word: usize, value: u64) {
        WORDS.with(|words| words[word].set(value));
    }

    #[inline(always)]
    pub(super) fn address() -> usize {
        WORDS.with(|words| std::ptr::from_ref(words) as usize)
    }
}

#[cfg(all(
    feature = "preload",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod words {
    use std::arch::{asm, global_asm};

    global_asm!(
        ".pushsection .tbss.mallory_thread_words,\"awT\",@nobits",
        ".p2align 3",
        ".hidden mallory_thread_words",
        ".globl mallory_thread_words",
        ".type mallory_thread_words, @object",
        ".size mallory_thread_words, {size}",
        "mallory_thread_words:",
        ".zero {size}",
        ".popsection",
        size = const super::COUNT * 8,
    );

    #[inline(always)]
    pub(super) fn address() -> usize {
        let address: usize;
        // SAFETY: it reads where the static block of this thread is, and at which distance from that
        // the loader has put the words.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!(
                "mov {address}, qword ptr fs:[0]",
                "add {address}, qword ptr [rip + mallory_thread_words@GOTTPOFF]",
                address = out(reg) address,
                options(pure, readonly, nostack)
            );
            #[cfg(target_arch = "aarch64")]
            asm!(
                "mrs {address}, tpidr_el0",
                "adrp {distance}, :gottprel:mallory_thread_words",
                "ldr {distance}, [{distance}, :gottprel_lo12:mallory_thread_words]",
                "add {address}, {address}, {distance}",
                address = out(reg) address,
                distance = out(reg) _,
                options(pure, readonly, nostack)
            );
        }
        address
    }

    fn place(word: usize) -> *mut u64 {
        (address() + word * 8) as *mut u64
    }

    #[inline(always)]
    pub(super) fn get(word: usize) -> u64 {
        // SAFETY: one of this thread's words, which only it reads and writes, one at a time.
        unsafe { place(word).read() }
    }

    #[inline(always)]
    pub(super) fn set(word: usize, value: u64) {
        // SAFETY: as above.
        unsafe { place(word).write(value) }
    }
}
