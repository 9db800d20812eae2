//! The C library's random numbers, answered from the run's seed while a run is under way in a child.
//! Std and most crates seed their hash maps with them, so without this every process would iterate
//! over its maps in another order.
//!
//! Defined here, `getrandom` and `getentropy` take the place of the C library's for the whole
//! program, as a global allocator takes the place of `malloc`. Outside of runs they ask the kernel.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

/// The words drawn so far in this run, plus one; 0 outside of runs.
static DRAWN: AtomicU64 = AtomicU64::new(0);
/// The run's seed.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Random numbers come from the seed while this lives.
pub(crate) struct SeededRandomness(());

impl SeededRandomness {
    /// Begins a run with this seed: equal seeds give equal numbers.
    pub(crate) fn begin(seed: u64) -> Self {
        SEED.store(seed, Ordering::Relaxed);
        DRAWN.store(1, Ordering::Relaxed);
        SeededRandomness(())
    }
}

impl Drop for SeededRandomness {
    fn drop(&mut self) {
        DRAWN.store(0, Ordering::Relaxed);
    }
}

/// Fills the bytes from the seed, if a run is under way.
pub(crate) fn fill(bytes: &mut [u8]) -> bool {
    if DRAWN.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let seed = SEED.load(Ordering::Relaxed);
    for chunk in bytes.chunks_mut(8) {
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        let word = crate::trace::mix(seed ^ crate::trace::mix(drawn)).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    true
}

/// See `getrandom(2)`.
///
/// # Safety
/// `buffer` is writable for `length` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    // SAFETY: the caller's promise is the one of `from_raw_parts_mut`, but that the bytes are
    // initialised, and they are only written to; no length of an object exceeds `isize::MAX`.
    unsafe {
        if length != 0 && fill(std::slice::from_raw_parts_mut(buffer.cast(), length)) {
            return length as libc::ssize_t;
        }
        libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t
    }
}

/// See `getentropy(3)`.
///
/// # Safety
/// `buffer` is writable for `length` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buffer: *mut libc::c_void, length: libc::size_t) -> libc::c_int {
    const LENGTH_MAX: usize = 256;
    if length > LENGTH_MAX {
        // SAFETY: the C library's place of this thread's error number is writable.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    let mut got = 0;
    while got < length {
        // SAFETY: by the caller's promise the rest of the buffer is writable.
        let count = unsafe { getrandom(buffer.cast::<u8>().add(got).cast(), length - got, 0) };
        match usize::try_from(count) {
            Ok(count) => got += count,
            // SAFETY: as above, for reading.
            Err(_) if unsafe { *libc::__errno_location() } == libc::EINTR => {}
            Err(_) => return -1,
        }
    }
    0
}
