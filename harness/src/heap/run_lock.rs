//! Which thread may touch a run's state: a mark for each OS thread, and a lock for runs in which
//! several threads take part.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::sync::Once;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use crate::memory::thread_words::{self, ThreadWord};
use crate::process::thread_births;

/// The owner of a parallel run: the thread that holds the lock may touch the state.
pub(crate) const SHARED: usize = 0;
/// The owner of a global heap's run: as in a [`SHARED`] one, but no lock is needed as long as the
/// process has one thread.
pub(crate) const SOLO: usize = 1;

/// The C library's flag that this process has never had a second thread
/// (`__libc_single_threaded`). It is cleared before a second one is made, and never set again.
static SINGLE: AtomicPtr<AtomicU8> = AtomicPtr::new((&raw const SEVERAL).cast_mut());
/// Used if there is no such flag: there may be several threads.
static SEVERAL: AtomicU8 = AtomicU8::new(0);

/// Looks up the C library's flag.
pub(crate) fn look_for_threads() {
    if !std::ptr::eq(SINGLE.load(Ordering::Relaxed), &raw const SEVERAL) {
        return;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the name is a C string.
        let flag = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
        if !flag.is_null() {
            SINGLE.store(flag.cast(), Ordering::Relaxed);
        }
    }
}

#[inline]
pub(crate) fn is_single_threaded() -> bool {
    // SAFETY: a byte that lives as long as the process: `SEVERAL`, or the C library's flag.
    unsafe { &*SINGLE.load(Ordering::Relaxed) }.load(Ordering::Relaxed) != 0
}

/// A mark of the current OS thread: the address of a thread-local, which is cheaper than its id.
#[inline]
pub(crate) fn mark() -> usize {
    thread_words::mark()
}

/// A unique number of this process, from 1, for runs and threads. Marks of threads are not unique:
/// a new thread may get the memory of one that has ended.
fn unique_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// The number of a new run.
pub(crate) fn new_run() -> u64 {
    unique_number()
}

/// The lock of a run in which several threads take part. It is reentrant, since a port may come
/// back to a heap of the same run.
///
/// Under a global heap every request of a process with threads takes it. So it neither allocates
/// nor unwinds, and costs one locked instruction while nobody else wants it. std's `Mutex` costs
/// two, and is neither reentrant nor held across a fork.
#[derive(Default)]
pub(crate) struct RunLock {
    word: AtomicU32,
    /// The number of threads that sleep because it is held.
    waiting: AtomicU32,
    /// The mark of the thread that holds it, or 0.
    holder: AtomicUsize,
    /// How many times the holder has acquired it. This field and those below are touched by the
    /// holder only.
    depth: Cell<u32>,
    run: Cell<u64>,
    /// The threads that have taken it in this run: their unique and their logical numbers.
    threads: UnsafeCell<Vec<(u64, u16)>>,
}

// SAFETY: the cells are touched only by the thread that holds the lock.
unsafe impl Sync for RunLock {}

/// The lock of global heaps' runs, of which a process has one at a time. It outlives them, since a
/// thread may wait for it while a run ends.
pub(crate) static GLOBAL_LOCK: RunLock = RunLock {
    word: AtomicU32::new(UNLOCKED),
    waiting: AtomicU32::new(0),
    holder: AtomicUsize::new(0),
    depth: Cell::new(0),
    run: Cell::new(0),
    threads: UnsafeCell::new(Vec::new()),
};

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;

/// How often a thread tries before it sleeps: the lock is held for short times.
const SPINS: u32 = 100;

impl RunLock {
    /// The lock of this run.
    pub(crate) fn of(run: u64) -> RunLock {
        RunLock { run: Cell::new(run), ..RunLock::default() }
    }

    /// Makes this the lock of another run, whose first thread is the current one.
    pub(crate) fn begin(&self, run: u64) {
        self.acquire();
        self.run.set(run);
        // SAFETY: this thread holds the lock, and `clear` calls nothing that takes it.
        unsafe { &mut *self.threads.get() }.clear();
        self.thread_number(run);
        self.release();
    }

    /// The number of threads that have taken it in this run.
    pub(crate) fn threads(&self) -> usize {
        self.acquire();
        // SAFETY: this thread holds the lock, and `len` calls nothing that takes it.
        let threads = unsafe { &*self.threads.get() }.len();
        self.release();
        threads
    }

    /// Waits until no other thread holds the lock, and takes it.
    #[inline]
    pub(crate) fn acquire(&self) {
        let me = mark();
        if self.holder.load(Ordering::Relaxed) != me {
            if !self.try_acquire() {
                self.wait();
            }
            self.holder.store(me, Ordering::Relaxed);
        }
        self.depth.set(self.depth.get() + 1);
    }

    /// Undoes one [`acquire`](Self::acquire) of this thread.
    #[inline]
    pub(crate) fn release(&self) {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            self.holder.store(0, Ordering::Relaxed);
            // The load may be executed before the store, and then miss a thread that goes to sleep
            // right now. That thread wakes up by itself after a millisecond (`sleep_while`). A swap
            // would prevent this, but is as expensive as the rest of a call.
            self.word.store(UNLOCKED, Ordering::Release);
            if self.waiting.load(Ordering::Relaxed) != 0 {
                wake_one(&self.word);
            }
        }
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        self.word.compare_exchange(UNLOCKED, LOCKED, success, failure).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        for _ in 0..SPINS {
            if self.word.load(Ordering::Relaxed) == UNLOCKED && self.try_acquire() {
                return;
            }
            spin_loop();
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.try_acquire() {
            sleep_while(&self.word, LOCKED);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// The logical number in this run of the current thread, which holds the lock.
    #[inline]
    pub(crate) fn thread_number(&self, run: u64) -> u16 {
        match ThreadWord::LAST_RUN.get() == run {
            true => ThreadWord::LAST_NUMBER.get() as u16,
            false => self.add_thread(run),
        }
    }

    #[cold]
    #[inline(never)]
    fn add_thread(&self, run: u64) -> u16 {
        if run != self.run.get() {
            // A global heap that is not armed: only the thread that made it uses it.
            return 0;
        }
        if ThreadWord::THREAD.get() == 0 {
            ThreadWord::THREAD.set(unique_number());
        }
        let me = ThreadWord::THREAD.get();
        // SAFETY: this thread holds the lock. Growing the list may make a request of the global
        // heap, which passes unwatched: a thread that holds a global heap's lock is `INSIDE`.
        let threads = unsafe { &mut *self.threads.get() };
        let known = threads.iter().find(|thread| thread.0 == me).map(|thread| thread.1);
        let number = known.unwrap_or_else(|| {
            let came_as = || u16::try_from(threads.len()).unwrap_or(u16::MAX);
            let number = thread_births::number(run).unwrap_or_else(came_as);
            threads.push((me, number));
            number
        });
        ThreadWord::LAST_RUN.set(run);
        ThreadWord::LAST_NUMBER.set(u64::from(number));
        number
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sleep_while(word: &AtomicU32, value: u32) {
    // SAFETY: a struct of integers, for which zero is valid.
    let mut timeout: libc::timespec = unsafe { std::mem::zeroed() };
    timeout.tv_nsec = 1_000_000;
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the timeout live as long as the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wait, value, &raw const timeout) };
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cold]
fn wake_one(word: &AtomicU32) {
    // SAFETY: the kernel uses the address of the word only as a key.
    unsafe {
        let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        libc::syscall(libc::SYS_futex, word.as_ptr(), wake, 1);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sleep_while(_: &AtomicU32, _: u32) {
    std::thread::sleep(std::time::Duration::from_micros(50));
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn wake_one(_: &AtomicU32) {}

/// Whether a global heap of this process is armed.
static IS_ARMED: AtomicBool = AtomicBool::new(false);

/// Waits until this process has no other run of a global heap, and begins this one.
pub(crate) fn begin_alone(run: u64) {
    while IS_ARMED.swap(true, Ordering::Acquire) {
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    hold_across_forks();
    GLOBAL_LOCK.begin(run);
}

/// Lets the next run of a global heap begin.
pub(crate) fn end_alone() {
    IS_ARMED.store(false, Ordering::Release);
}

/// Lets every fork happen with the lock held by the thread that forks. Another thread could hold it
/// otherwise, and in the child, where that thread doesn't exist, it would stay locked forever.
fn hold_across_forks() {
    #[cfg(unix)]
    {
        unsafe extern "C" fn before() {
            GLOBAL_LOCK.acquire();
        }
        unsafe extern "C" fn after() {
            GLOBAL_LOCK.release();
        }
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: neither function allocates nor unwinds, and the thread that forks continues
            // in both processes with the same mark, so it is still the holder.
            unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        });
    }
}

/// In a process that counts no births (`thread_births`), waits at most 20 ms plus overhead until the
/// threads that a run started have ended: what they hold until then (a thread's own handle,
/// thread-locals) is no leak. A process whose threads stay is waited for three times, and then never
/// again.
pub(crate) fn wait_for_threads(used: usize) {
    /// The number of threads that stay, and of waits that ran out of time.
    static STAYING: AtomicUsize = AtomicUsize::new(1);
    static TIMEOUTS: AtomicU32 = AtomicU32::new(0);
    const PAUSE: std::time::Duration = std::time::Duration::from_micros(20);
    const PAUSES: u32 = 1000;
    if used < 2 || TIMEOUTS.load(Ordering::Relaxed) >= 3 {
        return;
    }
    for _ in 0..PAUSES {
        match living_threads() {
            Some(living) if living > STAYING.load(Ordering::Relaxed) => std::thread::sleep(PAUSE),
            _ => return,
        }
    }
    TIMEOUTS.fetch_add(1, Ordering::Relaxed);
    STAYING.store(living_threads().unwrap_or(1), Ordering::Relaxed);
}

/// The number of threads of this process, as `/proc` says. `None` without `/proc`.
fn living_threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
