//! A log in memory that a process shares with all children that it forks: what one of them finds out
//! with much work, such as the names of addresses, the others need not find out again.
//!
//! It only saves work, so whatever goes wrong with it, it is empty or stops growing: there is no
//! memory to share, it is full, or another process is just writing or died in doing so. It is
//! writable only while something is appended, so that a subject's stray write can't alter it.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use crate::process::codec::{Codec, message, next_message, unpack};

/// Its size. The system provides a page only once it is written.
const BYTES: usize = 1 << 24;

/// The start of the mapping.
#[repr(C)]
struct LogHeader {
    /// Whether a process is appending.
    is_locked: AtomicBool,
    /// How many bytes behind the header are written.
    used: AtomicUsize,
}

const ROOM: usize = BYTES - size_of::<LogHeader>();

/// The log of this process and its children, null until [`open`].
static LOG: AtomicPtr<LogHeader> = AtomicPtr::new(std::ptr::null_mut());
/// Whether a thread of this process is opening the log, or appending to it.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Maps the log, unless there is one. Children that are forked from here on share it.
pub(crate) fn open() {
    if !LOG.load(Ordering::Acquire).is_null() || IN_USE.swap(true, Ordering::Acquire) {
        return;
    }
    let flags = libc::MAP_SHARED | libc::MAP_ANON | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, libc::PROT_READ, flags, -1, 0) };
    if start != libc::MAP_FAILED {
        LOG.store(start.cast(), Ordering::Release);
    }
    IN_USE.store(false, Ordering::Release);
}

fn header() -> Option<&'static LogHeader> {
    // SAFETY: `open` mapped it, zeroed, which is valid for atomics, and it is never unmapped.
    unsafe { LOG.load(Ordering::Acquire).as_ref() }
}

/// All values in the log, oldest first.
pub(crate) fn read<T: Codec>() -> Vec<T> {
    let Some(header) = header() else { return Vec::new() };
    let used = header.used.load(Ordering::Acquire).min(ROOM);
    // SAFETY: `used` bytes behind the header are in the mapping, and a byte once counted by `used`
    // is never written again.
    let bytes =
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(header).add(1).cast::<u8>(), used) };
    let mut rest = bytes.to_vec();
    std::iter::from_fn(|| unpack(&next_message(&mut rest)?)).collect()
}

/// Appends a value, if that is possible.
pub(crate) fn append(value: &impl Codec) {
    let Some(header) = header() else { return };
    if IN_USE.swap(true, Ordering::Acquire) {
        return;
    }
    let bytes = message(value);
    if protect(header, libc::PROT_READ | libc::PROT_WRITE) {
        if !header.is_locked.swap(true, Ordering::Acquire) {
            let used = header.used.load(Ordering::Relaxed);
            if used <= ROOM && bytes.len() <= ROOM - used {
                // SAFETY: the bytes behind `used` are in the mapping, as was just checked, and the
                // lock makes this process their only writer; readers stop at `used`.
                unsafe {
                    let to = std::ptr::from_ref(header).add(1).cast::<u8>().add(used).cast_mut();
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
                }
                header.used.store(used + bytes.len(), Ordering::Release);
            }
            header.is_locked.store(false, Ordering::Release);
        }
        protect(header, libc::PROT_READ);
    }
    IN_USE.store(false, Ordering::Release);
}

/// Sets the rights of the mapping in this process.
fn protect(header: &LogHeader, rights: i32) -> bool {
    let start = std::ptr::from_ref(header).cast_mut().cast();
    // SAFETY: the mapping of `open`, which nothing else uses; reading stays allowed.
    unsafe { libc::mprotect(start, BYTES, rights) == 0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::child;
    use crate::process::status;

    #[test]
    fn a_child_reads_what_another_one_wrote() {
        let told = |work: &dyn Fn() -> Vec<String>| {
            let answer = child::ask::<Vec<String>>(Duration::from_secs(60), &|pipe| {
                status::set_started();
                pipe.send(&work());
            });
            answer.expect("a child").messages.concat()
        };
        told(&|| {
            append(&String::from("first"));
            append(&String::from("second"));
            Vec::new()
        });
        assert_eq!(told(&read::<String>), ["first", "second"]);
        assert_eq!(read::<String>(), ["first", "second"]);
    }
}
