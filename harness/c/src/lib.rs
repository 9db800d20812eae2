//! Mallory for C as a static library: everything that `mallory.h` declares. The code is in
//! `mallory::c`.

pub use mallory::c;
