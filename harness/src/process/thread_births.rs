//! The threads that a run starts. They are numbered in the order in which they were started, not in
//! that of their first requests, which differs each time; and they are waited for when the run ends.
//!
//! Defined here, `pthread_create` takes the place of the C library's in a program that links Mallory,
//! as a global allocator takes the place of `malloc`. Outside of the runs of child processes it only
//! passes on. Where it can't (`mallory_births` in `build.rs`), and for threads that a shared library
//! starts, numbers are given out as threads make their first requests.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libc::{c_int, c_void};

use crate::memory::own::OwnMemory;
use crate::memory::thread_words::ThreadWord;
use crate::process::shared_memory::SharedMemory;

/// The run under way, or 0.
static RUN: AtomicU64 = AtomicU64::new(0);
/// The number of the next thread of this run.
static NEXT: AtomicU16 = AtomicU16::new(1);
/// The threads of this run that have not ended.
static LIVING: AtomicUsize = AtomicUsize::new(0);

/// The most threads at a time that keep a number when they outlive their run.
const PLACES: usize = 256;
/// The births of living threads in the order in which they were started, from 1; 0 for a free place.
static BIRTHS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];
/// The number in this run of a thread that was started in an earlier one.
static NUMBERS: [AtomicU16; PLACES] = [const { AtomicU16::new(0) }; PLACES];
/// An address on the stack of each of those threads that has one, and such addresses of threads that
/// have ended: a search for pointers leaves out what the latter left behind.
#[cfg(feature = "preload")]
static STACKS: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];
#[cfg(feature = "preload")]
static ENDED: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];

/// The number of births so far.
static BORN: AtomicU64 = AtomicU64::new(0);

/// What a thread knows of its start.
#[derive(Clone, Copy)]
struct Birth {
    run: u64,
    number: u16,
    /// Its place in [`BIRTHS`], or [`PLACES`].
    place: usize,
}

impl Birth {
    /// That of the current thread.
    fn own() -> Birth {
        Birth {
            run: ThreadWord::BIRTH_RUN.get(),
            number: ThreadWord::BIRTH_NUMBER.get() as u16,
            place: (ThreadWord::BIRTH_PLACE.get() as usize).checked_sub(1).unwrap_or(PLACES),
        }
    }

    /// Makes it that of the current thread.
    fn set(self) {
        ThreadWord::BIRTH_RUN.set(self.run);
        ThreadWord::BIRTH_NUMBER.set(u64::from(self.number));
        ThreadWord::BIRTH_PLACE.set(self.place as u64 + 1);
    }
}

/// How often the runs of a sweep were waited for in vain, in all its processes together: each would
/// have to learn anew that threads stay.
pub(crate) struct ThreadWaits(SharedMemory);

impl ThreadWaits {
    /// Nothing was waited for so far. `None` if the system refuses the memory; then each process
    /// learns for itself.
    pub(crate) fn new() -> Option<Self> {
        SharedMemory::new(1, Wait::COUNT).ok().map(ThreadWaits)
    }

    /// The waits of this kind that took too long.
    fn timeouts(&self, wait: Wait) -> &AtomicU8 {
        self.0.outcome(wait as usize)
    }
}

/// The waits of the run under way, or null.
static WAITS: AtomicPtr<ThreadWaits> = AtomicPtr::new(std::ptr::null_mut());

/// Begins a run, whose first thread is the current one, until what this returns is dropped. Threads that
/// are left of earlier runs come before those that it will start.
pub(crate) fn begin(run: u64, waits: Option<&ThreadWaits>) -> CountedRun<'_> {
    let counted = CountedRun(PhantomData);
    if !cfg!(mallory_births) {
        return counted;
    }
    let waits = waits.map_or(std::ptr::null(), std::ptr::from_ref);
    WAITS.store(waits.cast_mut(), Ordering::Relaxed);
    let mut old: Vec<(u64, usize)> = Vec::new();
    let has_threads = BORN.load(Ordering::Relaxed) > 0;
    for (place, birth) in BIRTHS.iter().enumerate().filter(|_| has_threads) {
        match birth.load(Ordering::Relaxed) {
            0 => {}
            birth => old.push((birth, place)),
        }
    }
    old.sort_unstable();
    for (number, (_, place)) in (1..).zip(&old) {
        NUMBERS[*place].store(number, Ordering::Relaxed);
    }
    NEXT.store(old.len() as u16 + 1, Ordering::Relaxed);
    LIVING.store(0, Ordering::Relaxed);
    Birth { run, number: 0, place: PLACES }.set();
    RUN.store(run, Ordering::Release);
    counted
}

/// A run whose threads are counted. Threads that start after it are not its own.
pub(crate) struct CountedRun<'a>(PhantomData<&'a ThreadWaits>);

impl Drop for CountedRun<'_> {
    fn drop(&mut self) {
        WAITS.store(std::ptr::null_mut(), Ordering::Relaxed);
        RUN.store(0, Ordering::Release);
    }
}

/// The current thread's number in this run. `None` if the run counts no births.
pub(crate) fn number(run: u64) -> Option<u16> {
    if RUN.load(Ordering::Acquire) != run {
        return None;
    }
    let birth = Birth::own();
    Some(match NUMBERS.get(birth.place) {
        _ if birth.run == run => birth.number,
        Some(number) => number.load(Ordering::Relaxed),
        None => NEXT.fetch_add(1, Ordering::Relaxed),
    })
}

/// Says that the threads of this run have been stopped: they are not waited for.
#[cfg(feature = "preload")]
pub(crate) fn all_stopped() {
    LIVING.store(0, Ordering::Release);
}

/// When the threads of a run are waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// When the subject has returned: what its threads still request belongs to the run. They may
    /// wait for the subject's result to be dropped, and then this is in vain.
    Returned,
    /// When the result has been dropped: what they hold until they end is no leak.
    Dropped,
}

impl Wait {
    const COUNT: usize = 2;
}

/// Waits until the threads that this run started have ended. Returns how many are still running after
/// half a second, or after a millisecond where that has happened often. The clock decides only which
/// of their requests count, and whether leaks can be looked for.
pub(crate) fn wait_for_ends(wait: Wait) -> usize {
    /// The waits that took too long, where they are not shared.
    static TIMEOUTS: [AtomicU8; Wait::COUNT] = [const { AtomicU8::new(0) }; Wait::COUNT];
    const TIME: Duration = Duration::from_millis(500);
    const TIME_LATER: Duration = Duration::from_millis(1);
    const TIMEOUTS_MAX: u8 = 2;
    const PAUSE: Duration = Duration::from_micros(20);
    if LIVING.load(Ordering::Acquire) == 0 {
        return 0;
    }
    // SAFETY: the pointer is cleared when the `CountedRun` that borrows them is dropped, which
    // `execute` holds on its stack.
    let shared = unsafe { WAITS.load(Ordering::Relaxed).as_ref() };
    let timeouts = shared.map_or(&TIMEOUTS[wait as usize], |shared| shared.timeouts(wait));
    let is_hopeless = timeouts.load(Ordering::Relaxed) >= TIMEOUTS_MAX;
    let deadline = Instant::now() + if is_hopeless { TIME_LATER } else { TIME };
    loop {
        let living = LIVING.load(Ordering::Acquire);
        if living == 0 {
            return 0;
        }
        if Instant::now() > deadline {
            timeouts.store(timeouts.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
            return living;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The first function of a thread.
#[cfg_attr(
    not(feature = "preload"),
    allow(unreachable_pub, reason = "only a preloaded library exports it")
)]
pub type Routine = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Routine,
    *mut c_void,
) -> c_int;

/// What a new thread is to do.
struct ThreadStart {
    routine: Routine,
    argument: *mut c_void,
    birth: Birth,
}

/// The C library's `pthread_create`.
fn create() -> Option<Create> {
    static CREATE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut known = CREATE.load(Ordering::Relaxed);
    if known.is_null() {
        // SAFETY: the name is a C string.
        known = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
        CREATE.store(known, Ordering::Relaxed);
    }
    // SAFETY: the function of this name in the C library has this type.
    (!known.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Create>(known) })
}

/// The key whose value's destructor runs when a thread ends, after the destructors of its
/// thread-locals.
fn key() -> Option<libc::pthread_key_t> {
    /// The key plus one, or 0.
    static KEY: AtomicU64 = AtomicU64::new(0);
    let known = KEY.load(Ordering::Acquire);
    if known != 0 {
        return Some((known - 1) as libc::pthread_key_t);
    }
    let mut key = 0;
    // SAFETY: the key is written, and the destructor has the right type.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(ended)) } != 0 {
        return None;
    }
    let new = u64::from(key) + 1;
    match KEY.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(key),
        Err(known) => Some((known - 1) as libc::pthread_key_t),
    }
}

/// A thread that was started in the run of this number has ended.
unsafe extern "C" fn ended(run: *mut c_void) {
    let birth = Birth::own();
    if let Some(place) = BIRTHS.get(birth.place) {
        #[cfg(feature = "preload")]
        note_end(birth.place);
        place.store(0, Ordering::Relaxed);
    }
    if run as u64 == RUN.load(Ordering::Relaxed) {
        LIVING.fetch_sub(1, Ordering::Release);
    }
}

/// Notes that the thread of this place has ended.
#[cfg(feature = "preload")]
fn note_end(place: usize) {
    let address = STACKS[place].swap(0, Ordering::Relaxed);
    let takes = |ended: &AtomicUsize| {
        let taken = ended.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
        // A later thread had the same stack.
        taken.is_ok() || taken == Err(address)
    };
    let _ = address == 0 || ENDED.iter().any(takes);
}

/// Where the stack ends, towards higher addresses, of a thread that has ended, if it lies in this range of
/// memory. The C library keeps it for a thread to come, with all that was on it. Its own data of the
/// thread is above.
#[cfg(feature = "preload")]
pub(crate) fn end_of_left_stack(range: &std::ops::Range<usize>) -> Option<usize> {
    let within = |stacks: &[AtomicUsize]| {
        let mut all = stacks.iter().map(|stack| stack.load(Ordering::Relaxed));
        all.find(|stack| range.contains(stack))
    };
    within(&ENDED).filter(|_| within(&STACKS).is_none())
}

/// Registers a thread that is about to start.
fn register(run: u64) -> Birth {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let born = BORN.fetch_add(1, Ordering::Relaxed) + 1;
    let takes = |place: &AtomicU64| {
        place.compare_exchange(0, born, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    };
    let place = BIRTHS.iter().position(takes).unwrap_or(PLACES);
    LIVING.fetch_add(1, Ordering::Relaxed);
    Birth { run, number, place }
}

/// Undoes [`register`]: the thread never started.
fn forget(birth: Birth) {
    if let Some(place) = BIRTHS.get(birth.place) {
        place.store(0, Ordering::Relaxed);
    }
    LIVING.fetch_sub(1, Ordering::Relaxed);
}

/// The first function of a thread that a run started.
unsafe extern "C-unwind" fn begin_thread(start: *mut c_void) -> *mut c_void {
    // SAFETY: `mallory_pthread_create` passed a `ThreadStart` that it allocated for this thread alone.
    let ThreadStart { routine, argument, birth } = unsafe {
        let read = start.cast::<ThreadStart>().read();
        OwnMemory.dealloc(start.cast(), Layout::new::<ThreadStart>());
        read
    };
    birth.set();
    #[cfg(feature = "preload")]
    if let Some(stack) = STACKS.get(birth.place) {
        stack.store(std::ptr::from_ref(&birth) as usize, Ordering::Relaxed);
    }
    if let Some(key) = key() {
        // SAFETY: the key exists, and the value is only a number.
        unsafe { libc::pthread_setspecific(key, birth.run as *const c_void) };
    }
    // SAFETY: the promise of the caller of `pthread_create`.
    unsafe { routine(argument) }
}

/// See `pthread_create(3)`.
///
/// # Safety
/// As the C library's.
#[cfg_attr(not(mallory_births), allow(dead_code, reason = "nothing calls it"))]
#[cfg_attr(
    not(feature = "preload"),
    allow(unreachable_pub, reason = "only a preloaded library exports it")
)]
pub unsafe extern "C" fn mallory_pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    routine: Routine,
    argument: *mut c_void,
) -> c_int {
    let Some(create) = create() else { return libc::EAGAIN };
    let run = RUN.load(Ordering::Acquire);
    // The system's allocator, since this is no request of the subject's.
    let layout = Layout::new::<ThreadStart>();
    // SAFETY: the size of a `ThreadStart` is not zero.
    let start = if run == 0 { std::ptr::null_mut() } else { unsafe { OwnMemory.alloc(layout) } };
    if start.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { create(thread, attributes, routine, argument) };
    }
    let start = start.cast::<ThreadStart>();
    let birth = register(run);
    // SAFETY: the block was allocated for a `ThreadStart`; the new thread frees it, or this one if there is
    // no new thread. The rest is the caller's promise.
    unsafe {
        start.write(ThreadStart { routine, argument, birth });
        let result = create(thread, attributes, begin_thread, start.cast());
        if result != 0 {
            forget(birth);
            OwnMemory.dealloc(start.cast(), layout);
        }
        result
    }
}

#[cfg(all(mallory_births, target_arch = "x86_64"))]
std::arch::global_asm!(
    ".weak pthread_create",
    ".type pthread_create, @function",
    "pthread_create:",
    "jmp {create}",
    ".size pthread_create, . - pthread_create",
    create = sym mallory_pthread_create,
);

#[cfg(all(mallory_births, target_arch = "aarch64"))]
std::arch::global_asm!(
    ".weak pthread_create",
    ".type pthread_create, %function",
    "pthread_create:",
    "b {create}",
    ".size pthread_create, . - pthread_create",
    create = sym mallory_pthread_create,
);
