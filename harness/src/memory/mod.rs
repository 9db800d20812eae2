//! Memory that no heap watches: the blocks below every heap, and the harness's own tables.
//!
//! Usually both are the C library's `malloc`. In a library that is preloaded into a program (feature
//! `preload`) `malloc` is Mallory's own function, so the blocks come from the allocator behind it
//! (`c_library`), and the tables from a region apart (`own`): the subject's heap is laid out as if
//! nobody watched, and a search for pointers to its blocks leaves the tables out.
//!
//! Blocks of such a program also have a form (`form`): that of `malloc`, `new` or `new[]`.

pub(crate) mod c_library;
pub(crate) mod form;
pub(crate) mod own;
pub(crate) mod preloaded;
pub(crate) mod thread_words;
