//! Mallory for C: everything that `mallory.h` declares, as a static library. The code is
//! `mallory::c`.

pub use mallory::c;
