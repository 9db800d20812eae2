//! Frees of addresses that no run knows. Most are right: blocks from before the run, and blocks of
//! C's `malloc`. The others would damage the allocator inside, so they are refused: an address that
//! can't be a block's, because it is not aligned, or lies on a stack, in static data or in no memory
//! at all, or because what is before it is no header of glibc's `malloc`.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::sync::OnceLock;

use crate::process::guard_pages::page;

/// Why there can be no block of this layout at this address; `None` if there may be one.
/// `is_malloc` says whether the allocator inside is the C library's.
pub(crate) fn reason(address: usize, layout: Layout, is_malloc: bool) -> Option<&'static str> {
    if !address.is_multiple_of(layout.align()) {
        return Some("the address is not aligned as its layout says");
    }
    if !is_mapped(address) {
        return Some("there is no memory at this address");
    }
    if is_on_stack(address) {
        return Some("the address is on a stack");
    }
    if is_static(address) {
        return Some("the address is static data of the program");
    }
    if is_malloc && !has_header(address) {
        return Some("no block of malloc begins at this address");
    }
    None
}

/// Whether there is a page at this address.
fn is_mapped(address: usize) -> bool {
    let mut resident = 0_u8;
    let start = address & !(page() - 1);
    // SAFETY: `mincore` reads nothing of the page, and writes one byte for one page.
    unsafe { libc::mincore(start as *mut libc::c_void, 1, (&raw mut resident).cast()) == 0 }
}

thread_local! {
    /// The bounds of this thread's stack; zeros until they are known.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn is_on_stack(address: usize) -> bool {
    let (mut from, mut to) = STACK.get();
    if to == 0 {
        (from, to) = stack_bounds();
        STACK.set((from, to));
    }
    (from..to).contains(&address)
}

/// The bounds of this thread's stack; an empty range above address 0 where the system doesn't say.
fn stack_bounds() -> (usize, usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: zeroed is a valid value to be overwritten; what `pthread_getattr_np` filled in is read
    // and destroyed once.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) == 0 {
            let (mut start, mut size) = (std::ptr::null_mut(), 0);
            libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut size);
            libc::pthread_attr_destroy(&raw mut attributes);
            return (start as usize, start as usize + size);
        }
    }
    (1, 1)
}

/// The address ranges of the program and of the libraries that were loaded at the first call.
fn is_static(address: usize) -> bool {
    static SEGMENTS: OnceLock<Vec<(usize, usize)>> = OnceLock::new();
    SEGMENTS.get_or_init(segments).iter().any(|(from, to)| (*from..*to).contains(&address))
}

fn segments() -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    #[cfg(target_os = "linux")]
    // SAFETY: the callback gets the vector, which outlives the call, and valid program headers.
    unsafe {
        extern "C" fn add(
            info: *mut libc::dl_phdr_info,
            _: usize,
            found: *mut libc::c_void,
        ) -> libc::c_int {
            // SAFETY: `dl_iterate_phdr` passes a valid description, and our own vector.
            unsafe {
                let (info, found) = (&*info, &mut *found.cast::<Vec<(usize, usize)>>());
                let headers =
                    std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
                for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
                    let from = info.dlpi_addr as usize + header.p_vaddr as usize;
                    found.push((from, from + header.p_memsz as usize));
                }
            }
            0
        }
        libc::dl_iterate_phdr(Some(add), (&raw mut found).cast());
    }
    found
}

/// Every block of glibc's `malloc` is aligned to this, and so is the size of its chunk.
const UNIT: usize = 16;
/// The low bits of a chunk's size are flags.
const FLAGS: usize = 7;

/// Whether `malloc` is glibc's: blocks have headers as its have. That of a sanitizer, or one that is
/// preloaded, has others.
fn is_glibc() -> bool {
    static IS_GLIBC: OnceLock<bool> = OnceLock::new();
    let has_its_header = |size: usize| {
        // SAFETY: the word before a block is the allocator's, and of the same page or mapped, in
        // every allocator that could be linked here; it is only read.
        unsafe {
            let block = libc::malloc(size);
            let word = block.cast::<usize>().wrapping_sub(1).read_volatile();
            libc::free(block);
            word & !FLAGS == (size + 8).next_multiple_of(UNIT)
        }
    };
    *IS_GLIBC.get_or_init(|| {
        cfg!(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))
            && [24, 100, 1000].into_iter().all(has_its_header)
    })
}

/// Whether the words before a mapped address can be the header of a block of glibc's `malloc`.
/// Another allocator's are not known here. The size of the layout proves nothing: of a block that is
/// resized and then freed the compiler may drop the resize and keep the new size.
fn has_header(address: usize) -> bool {
    if !is_glibc() {
        return true;
    }
    if !address.is_multiple_of(UNIT) || !is_mapped(address - UNIT) {
        return false;
    }
    // SAFETY: the word is aligned and its page is mapped; a page that may not be read ends the
    // process, as the free itself would.
    let word = unsafe { ((address - 8) as *const usize).read_volatile() };
    let chunk = word & !FLAGS;
    chunk >= 2 * UNIT && chunk.is_multiple_of(UNIT) && chunk < 1 << 47
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_may_be_freed_and_what_is_none_may_not() {
        let layout = Layout::new::<[u64; 4]>();
        let block = Box::new([0_u64; 4]);
        let address = std::ptr::from_ref(&*block) as usize;
        assert_eq!(reason(address, layout, true), None);
        // SAFETY: a size that is not 0; freed below.
        let aligned = unsafe { libc::aligned_alloc(4096, 8192) };
        let wide = Layout::from_size_align(8192, 4096).expect("a layout");
        assert_eq!(reason(aligned as usize, wide, true), None);
        // SAFETY: allocated above.
        unsafe { libc::free(aligned) };
        static DATA: [u64; 4] = [7; 4];
        let local = std::hint::black_box([1_u64; 4]);
        for (address, part) in [
            (address + 4, "aligned"),
            (std::ptr::from_ref(&local) as usize, "stack"),
            (std::ptr::from_ref(&DATA) as usize, "static"),
            (0xDBDB_DBDB_DBDB_DBD8, "no memory"),
            (4096, "no memory"),
            (address + 8, "malloc"),
        ] {
            let why = reason(address, layout, true).unwrap_or("none");
            assert!(why.contains(part), "{address:#x}: {why}");
        }
    }
}
