//! The pool's memory: one mapping from the operating system, past every allocator that is watched.
#![allow(unsafe_code)]

#[cfg(all(unix, target_pointer_width = "64", not(miri)))]
mod mapping {
    use std::ptr::{NonNull, null_mut};
    use std::sync::OnceLock;

    /// Whether a pool may be used. Under a sanitizer it may not: every block stays `malloc`'s,
    /// where the sanitizer watches it.
    pub(crate) fn is_allowed() -> bool {
        static IS_ALLOWED: OnceLock<bool> = OnceLock::new();
        *IS_ALLOWED.get_or_init(|| {
            let names = [c"__asan_init", c"__lsan_init", c"__tsan_init", c"__msan_init"];
            // SAFETY: the names are C strings.
            let symbol = |name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
            names.iter().all(|name| symbol(name.as_ptr()).is_null())
        })
    }

    /// Zeroed memory of this many bytes, which only takes physical memory where it is touched. Its
    /// addresses are above `lowest`.
    pub(crate) fn reserve(bytes: usize, lowest: u64) -> Option<NonNull<u8>> {
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
        );
        // SAFETY: a new mapping at an address that the system chooses.
        let start = unsafe { libc::mmap(null_mut(), bytes, access, kind, -1, 0) };
        let start = NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED)?;
        if start.as_ptr() as u64 <= lowest {
            unmap(start, 0, bytes);
            return None;
        }
        Some(start)
    }

    fn unmap(base: NonNull<u8>, from: usize, to: usize) {
        if from < to {
            // SAFETY: callers give up whole pages that `reserve` mapped.
            unsafe { libc::munmap(base.add(from).as_ptr().cast(), to - from) };
        }
    }

    /// Gives the memory back, except for the pages of these ranges of offsets, which are in order.
    pub(crate) fn release(base: NonNull<u8>, bytes: usize, kept: &[(usize, usize)]) {
        // SAFETY: reads a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(4096) as usize;
        let mut given = 0;
        for (start, end) in kept {
            unmap(base, given, start / page * page);
            given = given.max(end.next_multiple_of(page));
        }
        unmap(base, given, bytes);
    }
}

/// On other systems there is no pool: every block is `malloc`'s.
#[cfg(not(all(unix, target_pointer_width = "64", not(miri))))]
mod mapping {
    use std::ptr::NonNull;

    pub(crate) fn is_allowed() -> bool {
        false
    }

    pub(crate) fn reserve(_: usize, _: u64) -> Option<NonNull<u8>> {
        None
    }

    pub(crate) fn release(_: NonNull<u8>, _: usize, _: &[(usize, usize)]) {}
}

pub(crate) use mapping::{is_allowed, release, reserve};
