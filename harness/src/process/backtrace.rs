//! Call stacks, taken only in the one run that looks for them: raw return addresses here, names
//! in `site.rs`.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::report::evidence::Moment;
use crate::rt::{backtrace_end, set_backtrace_end};
use crate::trace::Op;

/// Frames per stack that are looked at.
const FRAMES_MAX: usize = 128;

/// A stack's raw return addresses, innermost first. Only good inside this process image.
pub(crate) type Stack = Vec<usize>;

/// The moments whose stacks are wanted, and those taken.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub(crate) moments: BTreeSet<Moment>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
    /// In a census, the stack of every request: an index into `stacks`, by thread and ordinal.
    pub(crate) census: Option<Census>,
}

/// Where every request of a run comes from.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Of each thread so many requests stand for themselves: no stack is taken of them.
    known_requests: Vec<u64>,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) by_request: Vec<Vec<u32>>,
    pub(crate) asked: Vec<Vec<(Op, u64)>>,
    known: HashMap<Stack, u32>,
}

impl Census {
    /// Begins anew.
    pub(crate) fn restart(&mut self) {
        let known_requests = std::mem::take(&mut self.known_requests);
        *self = Census { known_requests, ..Census::default() };
    }
}

impl Capture {
    pub(crate) fn of(moments: BTreeSet<Moment>) -> Self {
        Capture { moments, ..Capture::default() }
    }

    pub(crate) fn census() -> Self {
        Capture { census: Some(Census::default()), ..Capture::default() }
    }

    /// A census of what each thread asks for beyond so many requests.
    pub(crate) fn beyond(known_requests: Vec<u64>) -> Self {
        let census = Census { known_requests, ..Census::default() };
        Capture { census: Some(census), ..Capture::default() }
    }

    /// Takes the stack of this moment if it is wanted.
    pub(crate) fn see(&mut self, moment: Moment) {
        if self.moments.contains(&moment) {
            self.taken.entry(moment).or_insert_with(stack);
        }
    }

    /// Takes the stack of a request if this is a census.
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
            *census.known.entry(stack).or_insert_with_key(|stack| {
                census.stacks.push(stack.clone());
                next
            })
        };
        census.by_request[thread].push(index);
        census.asked[thread].push((op, size as u64));
    }
}

/// Calls what stacks are wanted of: those taken meanwhile on this thread end with the caller, which
/// saves most of the frames of most stacks.
#[inline(always)]
pub(crate) fn within<R>(call: impl FnOnce() -> R) -> R {
    /// Puts the former end back, also where the call panics.
    struct RestoreEnd(usize);
    impl Drop for RestoreEnd {
        fn drop(&mut self) {
            set_backtrace_end(self.0);
        }
    }
    let here = 0_u8;
    let here = std::ptr::from_ref(std::hint::black_box(&here)) as usize;
    let _before = RestoreEnd(set_backtrace_end(here));
    call()
}

/// Walks the present stack. Without the lock of the crate: it stands for one platform's library,
/// and whoever holds it while it asks a global heap for memory would wait for this thread, which
/// may be behind that heap's gate.
#[inline(always)]
fn walk(frame: impl FnMut(&backtrace::Frame) -> bool) {
    #[cfg(unix)]
    // SAFETY: the unwinder may be used by several threads at once.
    unsafe {
        backtrace::trace_unsynchronized(frame);
    }
    #[cfg(not(unix))]
    backtrace::trace(frame);
}

/// The present stack.
#[inline(never)]
pub(crate) fn stack() -> Stack {
    let end = backtrace_end();
    let mut frames = Vec::with_capacity(32);
    walk(|frame| {
        // Stacks grow downwards; a frame that doesn't know its place says 0.
        if frame.sp() as usize > end {
            return false;
        }
        frames.push(frame.ip() as usize);
        frames.len() < FRAMES_MAX
    });
    frames
}

/// The functions of std that are on the stack from a panic's begin until it unwinds, by where they
/// start: learnt from a panic made for that, since their names are std's own business.
static MACHINERY: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];

/// Where the functions on the present stack start, innermost first.
#[inline(never)]
pub(crate) fn functions() -> Vec<usize> {
    let mut starts = Vec::new();
    walk(|frame| {
        starts.push(frame.symbol_address() as usize);
        starts.len() < FRAMES_MAX
    });
    starts
}

/// Notes functions as the panic machinery's.
pub(crate) fn note_machinery(starts: impl IntoIterator<Item = usize>) {
    for (place, start) in MACHINERY.iter().zip(starts) {
        place.store(start, Ordering::Relaxed);
    }
}

/// Whether the present request is the panic machinery's own.
pub(crate) fn is_machinery() -> bool {
    let known: Vec<usize> = MACHINERY.iter().map(|start| start.load(Ordering::Relaxed)).collect();
    functions().iter().any(|start| *start != 0 && known.contains(start))
}

/// Whether std is about to abort the process, since a request failed that can't be refused.
pub(crate) fn is_dying() -> bool {
    functions().contains(&(std::alloc::handle_alloc_error as *const () as usize))
}
