//! Backtraces as raw return addresses. They are taken only in runs that are made for it, since that
//! is slow; `run/symbolizer.rs` turns them into call sites.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::codec::Codec;
use crate::process::test_scope;
use crate::report::evidence::Moment;
use crate::rt::{backtrace_end, set_backtrace_end};
use crate::trace::Op;

/// At most this many frames are taken of a stack.
const FRAMES_MAX: usize = 128;

/// In a census, the place of a request that is not of the test's (`test_scope`).
pub(crate) const LEFT_OUT: u32 = u32::MAX - 1;

/// A stack's raw return addresses, innermost first. They mean the same only in this process and its
/// forks.
pub(crate) type Stack = Vec<usize>;

/// Which moments of a run need a backtrace, and the backtraces taken so far.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub(crate) moments: BTreeSet<Moment>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
    /// The backtrace of every request, if that is wanted.
    pub(crate) census: Option<Census>,
}

/// The backtrace of every request of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    /// For each thread, the number of its first requests of which no backtrace is taken.
    known_requests: Vec<u64>,
    /// Each distinct backtrace once.
    pub(crate) stacks: Vec<Stack>,
    /// For each thread and request an index into `stacks`; `u32::MAX` if none was taken, and
    /// [`LEFT_OUT`].
    pub(crate) by_request: Vec<Vec<u32>>,
    /// For each thread and request its operation and size in bytes.
    pub(crate) asked: Vec<Vec<(Op, u64)>>,
    /// The index of each backtrace in `stacks`.
    known: BTreeMap<Stack, u32>,
}

/// A census that is over: nothing is added to it any more.
impl Codec for Census {
    fn put(&self, out: &mut Vec<u8>) {
        (self.stacks.clone(), self.by_request.clone()).put(out);
        self.asked.put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (stacks, by_request) = Codec::get(from)?;
        Some(Census { stacks, by_request, asked: Codec::get(from)?, ..Census::default() })
    }
}

impl Census {
    /// Forgets what was taken.
    pub(crate) fn restart(&mut self) {
        let known_requests = std::mem::take(&mut self.known_requests);
        *self = Census { known_requests, ..Census::default() };
    }
}

impl Capture {
    /// For the backtraces of these moments.
    pub(crate) fn of(moments: BTreeSet<Moment>) -> Self {
        Capture { moments, ..Capture::default() }
    }

    /// For the backtraces of all requests.
    pub(crate) fn census() -> Self {
        Capture { census: Some(Census::default()), ..Capture::default() }
    }

    /// For the backtraces of each thread's requests after its first `known_requests`.
    pub(crate) fn beyond(known_requests: Vec<u64>) -> Self {
        let census = Census { known_requests, ..Census::default() };
        Capture { census: Some(census), ..Capture::default() }
    }

    /// Takes the backtrace of this moment if it is wanted, and returns it.
    pub(crate) fn see(&mut self, moment: Moment) -> Option<&Stack> {
        let is_wanted = self.moments.contains(&moment);
        is_wanted.then(|| &*self.taken.entry(moment).or_insert_with(stack))
    }

    /// Takes the backtrace of a request if this is a census.
    pub(crate) fn request(&mut self, thread: u16, op: Op, size: usize) {
        let Some(census) = &mut self.census else {
            return;
        };
        let thread = usize::from(thread);
        if census.by_request.len() <= thread {
            census.by_request.resize(thread + 1, Vec::new());
            census.asked.resize(thread + 1, Vec::new());
        }
        let known = census.known_requests.get(thread).copied().unwrap_or(0);
        let index = if (census.asked[thread].len() as u64) < known {
            u32::MAX
        } else {
            let stack = stack();
            let next = census.stacks.len() as u32;
            if !test_scope::is_tests(thread as u16, &stack) {
                census.by_request[thread].push(LEFT_OUT);
                census.asked[thread].push((op, size as u64));
                return;
            }
            *census.known.entry(stack).or_insert_with_key(|stack| {
                census.stacks.push(stack.clone());
                next
            })
        };
        census.by_request[thread].push(index);
        census.asked[thread].push((op, size as u64));
    }
}

/// Runs `call`. Backtraces that are taken meanwhile on this thread end at this frame, which saves
/// most frames of most backtraces.
#[inline(always)]
pub(crate) fn within<R>(call: impl FnOnce() -> R) -> R {
    /// Restores the previous end, also if the call panics.
    struct RestoreEnd(usize);
    impl Drop for RestoreEnd {
        fn drop(&mut self) {
            set_backtrace_end(self.0);
        }
    }
    let here = 0_u8;
    let here = std::ptr::from_ref(std::hint::black_box(&here)) as usize;
    let _restore = RestoreEnd(set_backtrace_end(here));
    call()
}

/// Walks the present stack, without the lock of the `backtrace` crate, which only one platform's
/// library needs. A thread that held it and requested memory from a global heap would wait for that
/// heap's run lock, which this thread may hold: a deadlock.
#[inline(always)]
fn walk(frame: impl FnMut(&backtrace::Frame) -> bool) {
    #[cfg(unix)]
    // SAFETY: on Unix the unwinder may be used by several threads at once.
    unsafe {
        backtrace::trace_unsynchronized(frame);
    }
    #[cfg(not(unix))]
    backtrace::trace(frame);
}

/// The present backtrace.
#[inline(never)]
pub(crate) fn stack() -> Stack {
    let end = backtrace_end();
    let mut frames = Vec::with_capacity(32);
    walk(|frame| {
        // Stacks grow downwards. A frame without a known stack pointer has 0.
        if frame.sp() as usize > end {
            return false;
        }
        frames.push(frame.ip() as usize);
        frames.len() < FRAMES_MAX
    });
    frames
}

/// Whether the present request, of this thread of the run, is not the test's, in a test program.
pub(crate) fn is_outside_test(thread: u16) -> bool {
    test_scope::is_set() && !test_scope::is_tests(thread, &stack())
}

/// The start addresses of std's functions that are on the stack from the start of a panic until it
/// unwinds. They are learnt from a panic that is made for it, since their names may change with
/// std.
static MACHINERY: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];

/// The start addresses of the functions on the present stack, innermost first.
#[inline(never)]
pub(crate) fn functions() -> Vec<usize> {
    let mut starts = Vec::new();
    walk(|frame| {
        starts.push(frame.symbol_address() as usize);
        starts.len() < FRAMES_MAX
    });
    starts
}

/// Stores the start addresses of the panic machinery's functions.
pub(crate) fn note_machinery(starts: impl IntoIterator<Item = usize>) {
    for (place, start) in MACHINERY.iter().zip(starts) {
        place.store(start, Ordering::Relaxed);
    }
}

/// Whether the panic machinery itself made the present request.
pub(crate) fn is_machinery() -> bool {
    let known: Vec<usize> = MACHINERY.iter().map(|start| start.load(Ordering::Relaxed)).collect();
    functions().iter().any(|start| *start != 0 && known.contains(start))
}

/// Whether std is aborting the process because an infallible allocation failed
/// (`handle_alloc_error`).
pub(crate) fn is_dying() -> bool {
    functions().contains(&(std::alloc::handle_alloc_error as *const () as usize))
}
