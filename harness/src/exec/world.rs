//! What differs from run to run although the program is the same: random devices, and the clock where
//! the program's runs differ by it. And the program's way into another one, `exec`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use libc::{c_char, c_int, timespec};

use crate::exec::exits;
use crate::heap::thread_context::place;
use crate::process::shared_memory::Mark;
use crate::process::{descriptors, randomness, status};

/// How many bytes a random device has in a run.
const DEVICE_SIZE: usize = 1 << 16;
const DEVICES: [&CStr; 2] = [c"/dev/urandom", c"/dev/random"];

/// The second at which a fixed clock starts.
const EPOCH: u64 = 1_700_000_000;

/// Whether the clock is fixed, and how often it was asked. Each time it is a microsecond later.
static IS_FIXED: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Fixes the clock of the program until this is dropped.
pub(crate) struct FixedClock(());

impl FixedClock {
    pub(crate) fn begin() -> Self {
        ASKED.store(0, Ordering::Relaxed);
        IS_FIXED.store(true, Ordering::Relaxed);
        FixedClock(())
    }
}

impl Drop for FixedClock {
    fn drop(&mut self) {
        IS_FIXED.store(false, Ordering::Relaxed);
    }
}

/// The time of a fixed clock; `None` if the system is to be asked.
#[inline]
pub fn fixed_time() -> Option<timespec> {
    if !IS_FIXED.load(Ordering::Relaxed) || place() != 0 {
        return None;
    }
    let micros = ASKED.fetch_add(1, Ordering::Relaxed);
    let seconds = EPOCH + micros / 1_000_000;
    Some(timespec {
        tv_sec: seconds.cast_signed(),
        tv_nsec: (micros % 1_000_000 * 1_000).cast_signed(),
    })
}

/// A descriptor of a random device whose bytes come from the seed, if this is the path of one and a
/// run is under way.
///
/// # Safety
/// - `path` is null or a C string.
pub unsafe fn random_device(path: *const c_char) -> Option<c_int> {
    if path.is_null() || !exits::is_running() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    if !DEVICES.contains(&path) {
        return None;
    }
    let mut bytes = [0; DEVICE_SIZE];
    if !randomness::fill(&mut bytes) {
        return None;
    }
    let file = descriptors::file_of(&bytes).ok()?;
    Some(file.into_raw_fd())
}

/// Notes that the program is about to become this one.
///
/// # Safety
/// - `path` is null or a C string.
pub unsafe fn before_exec(path: *const c_char) {
    if !path.is_null()
        && exits::is_running()
        && let Some(status) = status::own()
    {
        // SAFETY: the caller's promise.
        status.set_last_words(unsafe { CStr::from_ptr(path) }.to_bytes());
        status.set_mark(Mark::Replaced);
    }
}

/// Takes that back: the system refused it.
pub fn after_exec() {
    if exits::is_running()
        && let Some(status) = status::own()
    {
        status.forget_mark();
    }
}
