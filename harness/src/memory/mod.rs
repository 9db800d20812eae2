//! Memory that no heap watches: the blocks below every heap, and the harness's own tables.
//!
//! Usually both are the C library's `malloc`. In a library that is preloaded into a program (feature
//! `preload`) `malloc` is Mallory's own function, so the blocks come from the allocator behind it
//! (`c_library`), and the tables from a region apart (`own`): the subject's heap is laid out as if
//! nobody watched, and a search for pointers to its blocks leaves the tables out.

pub(crate) mod c_library;
pub(crate) mod own;
pub(crate) mod preloaded;
