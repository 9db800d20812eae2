//! The twins of `std::sync` and `std::thread` under both model checkers, in every order of their
//! threads.

mod atomics;
mod channels;
pub(crate) mod engines;
mod locks;
mod threads;
