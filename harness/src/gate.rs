//! Who may touch a run's state: marks of threads, and the gate through which they come where
//! there are several.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Whoever comes through the gate may touch the state: a parallel run.
pub(crate) const SHARED: usize = 0;
/// As long as the process has one thread it may touch the state, and then whoever comes through
/// the gate: the run of a global heap.
pub(crate) const SOLO: usize = 1;

/// The C library's own note that this process has never had a second thread. It is cleared before
/// one is made, and never set again.
static SINGLE: AtomicPtr<AtomicU8> = AtomicPtr::new((&raw const SEVERAL).cast_mut());
/// Where there is no such note: perhaps there are several.
static SEVERAL: AtomicU8 = AtomicU8::new(0);

/// Looks for the note.
pub(crate) fn look_for_threads() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: a name with its zero.
        let note = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
        if !note.is_null() {
            SINGLE.store(note.cast(), Ordering::Relaxed);
        }
    }
}

#[inline]
pub(crate) fn is_single_threaded() -> bool {
    // SAFETY: a byte that lives as long as the process: ours, or the C library's.
    unsafe { &*SINGLE.load(Ordering::Relaxed) }.load(Ordering::Relaxed) != 0
}

/// A mark of the present OS thread: the address of a thread-local, cheaper than a thread id.
#[inline]
pub(crate) fn mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// The mutex of a parallel run: entered again by the thread that holds it, since a port may come
/// back to a heap of the same run.
#[derive(Default)]
pub(crate) struct Gate {
    holder: AtomicUsize,
    depth: AtomicUsize,
    busy: Mutex<bool>,
    free: Condvar,
    /// Marks in the order in which the threads came: their logical numbers.
    threads: Mutex<Vec<usize>>,
}

impl Gate {
    /// A gate that knows this thread as its first.
    pub(crate) fn of_this_thread() -> Gate {
        Gate { threads: Mutex::new(vec![mark()]), ..Gate::default() }
    }

    /// How many threads came through it.
    pub(crate) fn threads(&self) -> usize {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for the state, and answers the logical number of this thread.
    pub(crate) fn enter(&self) -> u16 {
        let me = mark();
        if self.holder.load(Ordering::Acquire) != me {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            while *busy {
                busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            *busy = true;
            self.holder.store(me, Ordering::Release);
        }
        self.depth.fetch_add(1, Ordering::Relaxed);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = threads.iter().position(|thread| *thread == me);
        known.unwrap_or_else(|| {
            threads.push(me);
            threads.len() - 1
        }) as u16
    }

    pub(crate) fn leave(&self) {
        if self.depth.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.holder.store(0, Ordering::Release);
            *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
            self.free.notify_one();
        }
    }
}
