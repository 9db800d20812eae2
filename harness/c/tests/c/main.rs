//! Mallory for C: the header, and C programs that are built against the static library.

mod header;
mod programs;
