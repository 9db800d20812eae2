//! Who may touch a run's state: marks of threads, and the gate through which they come where
//! there are several.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::sync::Once;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

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
    if !std::ptr::eq(SINGLE.load(Ordering::Relaxed), &raw const SEVERAL) {
        return;
    }
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

/// A number for a run, and for a thread: from 1, and never given twice in a process. Marks are:
/// a new thread may get the memory of one that has ended.
fn number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// The number of a new run.
pub(crate) fn new_run() -> u64 {
    number()
}

thread_local! {
    /// This thread's number; 0 as long as nobody asked.
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// The run whose gate this thread came through last, and its logical number there.
    static LAST: Cell<(u64, u16)> = const { Cell::new((0, 0)) };
}

/// The lock of a parallel run: entered again by the thread that holds it, since a port may come
/// back to a heap of the same run.
///
/// It costs one locked instruction while nobody else comes, and neither allocates nor unwinds:
/// under a global heap every request of a process with threads passes here.
#[derive(Default)]
pub(crate) struct RunLock {
    word: AtomicU32,
    /// Threads that sleep before it.
    waiting: AtomicU32,
    holder: AtomicUsize,
    /// Touched by the holder only, like all that follows.
    depth: Cell<u32>,
    run: Cell<u64>,
    /// Threads in the order in which they came: their logical numbers.
    came: UnsafeCell<Vec<u64>>,
}

// SAFETY: the cells are touched by the thread that holds the gate.
unsafe impl Sync for RunLock {}

/// The gate of global heaps' runs, of which a process makes one at a time. It outlives them, so
/// that a thread may wait at it for a run that is just ending.
pub(crate) static GLOBAL_LOCK: RunLock = RunLock {
    word: AtomicU32::new(OPEN),
    waiting: AtomicU32::new(0),
    holder: AtomicUsize::new(0),
    depth: Cell::new(0),
    run: Cell::new(0),
    came: UnsafeCell::new(Vec::new()),
};

const OPEN: u32 = 0;
const SHUT: u32 = 1;

/// How often a thread looks whether the gate is open before it sleeps: calls are short.
const GLANCES: u32 = 100;

impl RunLock {
    /// The gate of this run.
    pub(crate) fn of(run: u64) -> RunLock {
        RunLock { run: Cell::new(run), ..RunLock::default() }
    }

    /// Makes this the gate of another run, of which the present thread is the first.
    pub(crate) fn begin(&self, run: u64) {
        self.shut();
        self.run.set(run);
        // SAFETY: the gate is shut, and nothing here comes back to it.
        unsafe { &mut *self.came.get() }.clear();
        self.number(run);
        self.open();
    }

    /// How many threads came through it.
    pub(crate) fn threads(&self) -> usize {
        self.shut();
        // SAFETY: the gate is shut, and nothing here comes back to it.
        let threads = unsafe { &*self.came.get() }.len();
        self.open();
        threads
    }

    /// Waits until nobody else is behind it, and shuts it.
    #[inline]
    pub(crate) fn shut(&self) {
        let me = mark();
        if self.holder.load(Ordering::Relaxed) != me {
            if !self.try_shut() {
                self.wait();
            }
            self.holder.store(me, Ordering::Relaxed);
        }
        self.depth.set(self.depth.get() + 1);
    }

    /// Undoes one [`shut`](Self::shut) of this thread.
    #[inline]
    pub(crate) fn open(&self) {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            self.holder.store(0, Ordering::Relaxed);
            // Who lies down just now may be missed, since these two may change places; it looks
            // again after a while. A swap instead would cost every call as much as all the rest.
            self.word.store(OPEN, Ordering::Release);
            if self.waiting.load(Ordering::Relaxed) != 0 {
                wake_one(&self.word);
            }
        }
    }

    #[inline]
    fn try_shut(&self) -> bool {
        let (done, not) = (Ordering::Acquire, Ordering::Relaxed);
        self.word.compare_exchange(OPEN, SHUT, done, not).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        for _ in 0..GLANCES {
            if self.word.load(Ordering::Relaxed) == OPEN && self.try_shut() {
                return;
            }
            spin_loop();
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.try_shut() {
            sleep_while(&self.word, SHUT);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// The logical number of this thread, which has shut the gate, in this run.
    #[inline]
    pub(crate) fn number(&self, run: u64) -> u16 {
        match LAST.get() {
            (last, number) if last == run => number,
            _ => self.introduce(run),
        }
    }

    #[cold]
    #[inline(never)]
    fn introduce(&self, run: u64) -> u16 {
        if run != self.run.get() {
            // Before and after it is armed a global heap is its maker's alone.
            return 0;
        }
        if THREAD.get() == 0 {
            THREAD.set(number());
        }
        let me = THREAD.get();
        // SAFETY: the gate is shut. Growing the list may ask for memory, which passes: whoever
        // comes through the gate of a global heap is aside.
        let came = unsafe { &mut *self.came.get() };
        let known = came.iter().position(|thread| *thread == me);
        let number = known.unwrap_or_else(|| {
            came.push(me);
            came.len() - 1
        });
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        LAST.set((run, number));
        number
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sleep_while(word: &AtomicU32, value: u32) {
    // SAFETY: no number is a bad one in either part.
    let mut soon: libc::timespec = unsafe { std::mem::zeroed() };
    soon.tv_nsec = 1_000_000;
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time live as long as the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wait, value, &raw const soon) };
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cold]
fn wake_one(word: &AtomicU32) {
    // SAFETY: only the word's address is looked at.
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
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Waits until no other run of a global heap is made in this process, and makes it this one's.
pub(crate) fn begin_alone(run: u64) {
    while TAKEN.swap(true, Ordering::Acquire) {
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    hold_across_forks();
    GLOBAL_LOCK.begin(run);
}

/// Lets the next run begin.
pub(crate) fn end_alone() {
    TAKEN.store(false, Ordering::Release);
}

/// A subject may fork while its other threads are behind the gate, where the child would find it
/// shut for ever: so whoever forks shuts it before.
fn hold_across_forks() {
    #[cfg(unix)]
    {
        unsafe extern "C" fn before() {
            GLOBAL_LOCK.shut();
        }
        unsafe extern "C" fn after() {
            GLOBAL_LOCK.open();
        }
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: neither allocates nor unwinds, and the thread that forks goes on on both
            // sides, where it is the holder still.
            unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        });
    }
}

/// Waits a little until the threads that a run started, and that its subject waited for, are truly
/// gone: what they hold to the last (a thread's own handle, thread-locals) is no leak. Threads that
/// are meant to stay are waited for a few times and then no more.
pub(crate) fn wait_for_threads(came: usize) {
    /// How many threads of a process stay, and how often it was waited in vain.
    static STAYING: AtomicUsize = AtomicUsize::new(1);
    static IN_VAIN: AtomicU32 = AtomicU32::new(0);
    const GLANCE: std::time::Duration = std::time::Duration::from_micros(20);
    const GLANCES: u32 = 1000;
    if came < 2 || IN_VAIN.load(Ordering::Relaxed) >= 3 {
        return;
    }
    for _ in 0..GLANCES {
        match living_threads() {
            Some(living) if living > STAYING.load(Ordering::Relaxed) => std::thread::sleep(GLANCE),
            _ => return,
        }
    }
    IN_VAIN.fetch_add(1, Ordering::Relaxed);
    STAYING.store(living_threads().unwrap_or(1), Ordering::Relaxed);
}

/// How many threads the process has, where the system tells.
fn living_threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
