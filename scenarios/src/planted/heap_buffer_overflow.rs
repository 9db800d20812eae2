//! Heap-buffer overflow: a path joined for a C interface, which wants a zero behind it.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port, Refused};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::HeapBufferOverflow,
    wrong: "makes no room for the zero behind a C string",
    right: "makes room for the zero behind the C string",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const FOLDER: &str = "objects/pack";
const FILE: &str = "multi-pack-index";

/// Writes both parts, a slash between them and a zero behind, and returns the number of bytes.
///
/// # Safety
/// - `path` has room for all of that.
unsafe fn join(path: NonNull<u8>, folder: &str, file: &str) -> usize {
    let mut len = 0;
    for part in [folder, "/", file, "\0"] {
        // SAFETY: the caller has made room for every part.
        unsafe { path.add(len).copy_from(NonNull::from(part).cast(), part.len()) };
        len += part.len();
    }
    len
}

/// The bug: the length of a C string is not the room that it needs.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let room = FOLDER.len() + "/".len() + FILE.len();
    let layout = Layout::array::<u8>(room).map_err(|_| Refused)?;
    let path = heap.alloc(layout)?.cast();
    // SAFETY: there is room for all of it; in `planted` there is none for the zero.
    let written = unsafe { join(path, FOLDER, FILE) };
    // SAFETY: it came from this heap with this layout.
    unsafe { heap.free(path, layout) };
    Ok(written)
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let room = FOLDER.len() + "/".len() + FILE.len() + "\0".len();
    let layout = Layout::array::<u8>(room).map_err(|_| Refused)?;
    let path = heap.alloc(layout)?.cast();
    // SAFETY: there is room for all of it; in `planted` there is none for the zero.
    let written = unsafe { join(path, FOLDER, FILE) };
    // SAFETY: it came from this heap with this layout.
    unsafe { heap.free(path, layout) };
    Ok(written)
}
